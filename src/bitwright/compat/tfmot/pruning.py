"""Pruning in Keras's own training: layers whose weights of smallest magnitude are zero, as a schedule says."""

from __future__ import annotations

import abc
from typing import Any, cast

import keras

from bitwright.compat.tfmot.layer_weights import LayerWeight, weights_of
from bitwright.compat.tfmot.wrapping import LayerAround, changed, copied, is_graph
from bitwright.errors import UsageError
from bitwright.training.magnitudes import kept
from bitwright.training.pruning import checked_pattern
from bitwright.training.schedules import ConstantSparsity, PolynomialDecay, Schedule, schedule_from_json

_POOLINGS = {"AVG": "mean", "MAX": "max"}
#: Keras words an error of `call` anew, and keeps the first part of it alone.
_CALLBACK = "give fit(..., callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])"


class PrunableLayer:
    """A layer of the user's own that says which of its variables are pruned."""

    def get_prunable_weights(self) -> list[Any]:
        """The variables."""
        raise NotImplementedError("give a list of variables")


class PruningPolicy(abc.ABC):
    """What chooses the layers of a model that are pruned."""

    @abc.abstractmethod
    def allow_pruning(self, layer: Any) -> bool:
        """Whether a layer is pruned."""

    @abc.abstractmethod
    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Raise ValueError where it is no use."""


@keras.saving.register_keras_serializable("bitwright")
class PruneLowMagnitude(LayerAround):
    """A layer whose weights are pruned while it trains. See `prune_low_magnitude`."""

    def __init__(
        self,
        layer: Any,
        pruning_schedule: Schedule = ConstantSparsity(0.5, 0),  # noqa: B008
        block_size: tuple[int, int] = (1, 1),
        block_pooling_type: str = "AVG",
        sparsity_m_by_n: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(pruning_schedule, ConstantSparsity | PolynomialDecay):
            raise UsageError(
                f"{pruning_schedule!r} is no schedule",
                next="ConstantSparsity(...) or PolynomialDecay(...) of tfmot.sparsity.keras",
            )
        if block_pooling_type not in _POOLINGS:
            raise UsageError(f"block_pooling_type cannot be {block_pooling_type!r}", next="AVG or MAX")
        super().__init__(layer, "prune_low_magnitude", **kwargs)
        self.pruning_schedule, self.block_pooling_type = pruning_schedule, block_pooling_type
        if not isinstance(block_size, tuple | list) or len(block_size) != 2:
            raise UsageError(f"block_size cannot be {block_size!r}", next="(rows, columns): (1, 4)")
        self.block_size = cast(tuple[int, int], tuple(block_size))
        self.n_m = None
        if sparsity_m_by_n is not None:
            self.n_m = checked_pattern(_stay_of(sparsity_m_by_n), self.block_size, pruning_schedule)
        #: Whether the callback that moves the schedule on is at work.
        self.is_driven = False
        self._pruned: _Pruned | None = None

    def build(self, input_shape: Any = None) -> None:
        """Build the layer, and a mask for each weight that is pruned."""
        super().build(input_shape)
        weights = weights_of(self.layer, "get_prunable_weights")
        if self.block_size != (1, 1) and (deep := [one.name for one in weights if len(one.shape) != 2]):
            raise UsageError(
                f"block_size {self.block_size} is of weights of two dimensions: {', '.join(deep)} has others",
                where=f"layer {self.layer.name!r}",
                next="give it for Dense layers alone",
            )
        if self.n_m is not None:
            weights = [one for one in weights if one.layout().input_channels % self.n_m[1] == 0]
        self.pruning_step = self.add_weight(
            name="pruning_step", shape=(), dtype="int64", initializer=keras.initializers.Constant(-1), trainable=False
        )
        masks = [
            self.add_weight(name=f"mask_{one.name}", shape=one.shape, initializer="ones", trainable=False)
            for one in weights
        ]
        self._pruned = _Pruned(list(zip(weights, masks, strict=True)))

    def call(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """What the layer gives; refused in a training that no callback drives, for it would prune nothing."""
        if training and not self.is_driven and not isinstance(inputs, keras.KerasTensor):
            raise UsageError(
                f"a pruned model trains without UpdatePruningStep, and nothing would be pruned: {_CALLBACK}"
            )
        return self.layer(inputs, *args, **kwargs)

    def begin_step(self, step: int) -> None:
        """Before a training step: renew masks where the schedule says so, and make zeros.

        Args:
            step: steps that the optimizer has done.
        """
        self.pruning_step.assign(step)
        if self.pruning_schedule.is_due(step):
            sparsity = self.pruning_schedule.sparsity_at(step)
            for weight, mask in self._weights():
                mask.assign(
                    kept(
                        weight.variable.value,
                        weight.layout(),
                        sparsity,
                        block_shape=(self.block_size[1], self.block_size[0]),  # Keras stores [inputs, outputs]
                        n_m=self.n_m,
                        pooling=_POOLINGS[self.block_pooling_type],
                    )
                )
        self.make_zeros()

    def make_zeros(self) -> None:
        """Zeros where masks have them: an optimizer moves masked weights too."""
        for weight, mask in self._weights():
            weight.variable.assign(keras.ops.multiply(weight.variable, mask))

    def sparsities(self) -> dict[str, float]:
        """The share of zeros that masks make, by name of the weight."""
        return {
            f"{self.layer.name}/{weight.variable.name}": 1 - float(keras.ops.mean(mask))
            for weight, mask in self._weights()
        }

    def get_config(self) -> dict[str, Any]:
        """What makes it anew."""
        return {
            **super().get_config(),
            "pruning_schedule": self.pruning_schedule.to_json(),
            "block_size": self.block_size,
            "block_pooling_type": self.block_pooling_type,
            "sparsity_m_by_n": _stay_of(self.n_m),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> PruneLowMagnitude:
        """The layer of a configuration."""
        schedule = schedule_from_json(config["pruning_schedule"])
        return cast(PruneLowMagnitude, super().from_config({**config, "pruning_schedule": schedule}, custom_objects))

    def _weights(self) -> list[tuple[LayerWeight, Any]]:
        return [] if self._pruned is None else self._pruned.pairs


class _Pruned:
    """Weights and their masks, held so that Keras does not count the layer's own variables twice."""

    def __init__(self, pairs: list[tuple[LayerWeight, Any]]) -> None:
        self.pairs = pairs


def _stay_of(m_by_n: tuple[int, int] | None) -> tuple[int, int] | None:
    """(zeros, of) -> (others, of), and back."""
    return None if m_by_n is None else (m_by_n[1] - m_by_n[0], m_by_n[1])


def prune_low_magnitude(
    to_prune: Any,
    pruning_schedule: Schedule = ConstantSparsity(0.5, 0),  # noqa: B008
    block_size: tuple[int, int] = (1, 1),
    block_pooling_type: str = "AVG",
    pruning_policy: Any = None,
    sparsity_m_by_n: tuple[int, int] | None = None,
    **kwargs: Any,
) -> Any:
    """A layer or model whose weights of smallest magnitude become zero while it trains.

    Compile it, and give `fit` the callback UpdatePruningStep, which moves the schedule on with each step of the
    optimizer. Exactly round(sparsity * weights) weights of each kernel are zero: those of convolutions, products,
    recurrent layers, embeddings; biases, normalizations and depthwise kernels are not pruned.

    Args:
        to_prune: a Sequential or Functional model, which stays as it is; or a layer or list of layers, which are held
            by what is given back.
        pruning_schedule: ConstantSparsity or PolynomialDecay.
        block_size: rows and columns of what is zero together, in weights of two dimensions.
        block_pooling_type: how blocks are compared: AVG or MAX of their magnitudes.
        pruning_policy: a PruningPolicy, or an object with `allow_pruning(layer)`, which chooses layers, and
            `ensure_model_supports_pruning(model)`.
        sparsity_m_by_n: (2, 4): two zeros among four consecutive input channels; the schedule ends with m / n then.
            Weights whose input channels n does not divide stay dense.
        **kwargs: of the wrapping layer (name), where one layer is given.

    Returns:
        The same kind, not compiled.

    Raises:
        UsageError: an argument cannot be, or a layer of the user's own does not say what of it is pruned.
    """
    options: dict[str, Any] = {
        "pruning_schedule": pruning_schedule,
        "block_size": block_size,
        "block_pooling_type": block_pooling_type,
        "sparsity_m_by_n": sparsity_m_by_n,
    }
    in_model = is_graph(to_prune)
    if kwargs and (in_model or isinstance(to_prune, list)):
        raise UsageError(f"{', '.join(kwargs)} is for a single layer", next="leave it out")
    if in_model:
        if pruning_policy is not None:
            pruning_policy.ensure_model_supports_pruning(to_prune)
        to_prune = copied(to_prune)

    def wrapped(layer: Any) -> Any:
        if isinstance(layer, PruneLowMagnitude):
            return layer
        if pruning_policy is not None and not pruning_policy.allow_pruning(layer):
            return layer
        if in_model and layer.built and not weights_of(layer, "get_prunable_weights"):
            return layer
        return PruneLowMagnitude(layer, **options, **kwargs)

    return changed(to_prune, wrapped, "prune_low_magnitude")


def strip_pruning(to_strip: Any) -> Any:
    """A model of the layers that were pruned, without what pruned them; zeros are their weights' own.

    Args:
        to_strip: what `prune_low_magnitude` gave, trained; it shares its layers with what is given back.

    Returns:
        The same kind, not compiled: a model for `save`, for further training, for `quantize_model`.
    """

    def stripped(layer: Any) -> Any:
        if not isinstance(layer, PruneLowMagnitude):
            return layer
        layer.make_zeros()
        return layer.layer

    return changed(to_strip, stripped, "strip_pruning")


def prune_scope() -> Any:
    """A scope in which a pruned model is loaded; needed by nothing here, since the class is registered."""
    return keras.utils.custom_object_scope({"PruneLowMagnitude": PruneLowMagnitude})
