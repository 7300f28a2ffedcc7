"""Callbacks of pruning: the step of the schedule, and sparsities for TensorBoard."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from bitwright.compat.tfmot.pruning import PruneLowMagnitude


class UpdatePruningStep(keras.callbacks.Callback):  # type: ignore[misc]
    """Moves pruning on with each step of the optimizer.

    In a training loop of one's own: `set_model(model)`, `on_train_begin()`, then `on_train_batch_begin(batch)` before
    each step and `on_epoch_end(epoch)`; the step is counted from the optimizer's, 0 where the model has none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.step = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Count from where the optimizer is."""
        optimizer = getattr(self.model, "optimizer", None)
        self.step = 0 if optimizer is None else int(optimizer.iterations)
        layers = pruned_layers(self.model)
        if not layers:
            warnings.warn("UpdatePruningStep: the model has no pruned layer", stacklevel=2)
        for layer in layers:
            layer.is_driven = True

    def on_train_batch_begin(self, batch: Any, logs: Any = None) -> None:
        """Renew masks where they are due."""
        for layer in pruned_layers(self.model):
            layer.begin_step(self.step)
        self.step += 1

    def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
        """What is evaluated next has its zeros."""
        self._make_zeros()

    def on_epoch_end(self, epoch: Any, logs: Any = None) -> None:
        """What is saved has its zeros."""
        self._make_zeros()

    def on_train_end(self, logs: Any = None) -> None:
        """Say so where training ended before the schedule."""
        layers = pruned_layers(self.model)
        for layer in layers:
            layer.is_driven = False
        if short := [layer.pruning_schedule for layer in layers if layer.pruning_schedule.full_step >= self.step]:
            warnings.warn(
                f"training is at step {self.step}, and {short[0].final_sparsity:.0%} of zeros are reached at step"
                f" {short[0].full_step}: train on, or end the schedule earlier",
                stacklevel=2,
            )

    def _make_zeros(self) -> None:
        for layer in pruned_layers(self.model):
            layer.make_zeros()


class PruningSummaries(keras.callbacks.TensorBoard):  # type: ignore[misc]
    """TensorBoard, with the sparsity of each pruned weight at the end of each epoch.

    Args:
        log_dir: where to.
        update_freq, **kwargs: of keras.callbacks.TensorBoard.
    """

    def __init__(self, log_dir: str, update_freq: Any = "epoch", **kwargs: Any) -> None:
        super().__init__(log_dir=log_dir, update_freq=update_freq, **kwargs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write them."""
        shares = {f"{k}/sparsity": v for layer in pruned_layers(self.model) for k, v in layer.sparsities().items()}
        super().on_epoch_end(epoch, {**(logs or {}), **shares})


def pruned_layers(model: Any) -> list[PruneLowMagnitude]:
    """The pruned layers of a model, those of models within it too."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, PruneLowMagnitude)]
