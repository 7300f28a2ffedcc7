"""fit: training for those without a loop of their own: distillation, labels, early stopping, resuming."""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bitwright.calibration.feeds import input_specs
from bitwright.errors import UsageError
from bitwright.training.augment import Augment
from bitwright.training.batches import Batch, Table, open_table
from bitwright.training.checkpoint import load_checkpoint, save_checkpoint
from bitwright.training.history import Epoch, History
from bitwright.training.losses import distillation_loss, gives_probabilities, is_correct, label_loss, outputs_of
from bitwright.training.network import Network
from bitwright.training.trial import try_batch

Loss = Callable[[Any, Tensor | None], Tensor]
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Settings:
    """How a network is trained: see `bitwright.fit`."""

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    loss: Loss | None = None
    distill: float | None = None
    temperature: float = 2.0
    augment: Augment | None = None
    holdout: float = 0.0
    patience: int | None = None
    freeze_after: float = 0.5
    autocast: bool = False
    seed: int = 0

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            UsageError: names the setting.
        """
        for name, good, asked in (
            ("epochs", self.epochs >= 1, "1 or more"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "a positive number"),
            ("holdout", 0 <= self.holdout < 1, "a share below 1"),
            ("freeze_after", 0 <= self.freeze_after <= 1, "a share of the steps"),
            ("distill", self.distill is None or 0 <= self.distill <= 1, "a share of the loss"),
            ("patience", self.patience is None or (self.patience >= 1 and self.holdout > 0), "1 or more, with holdout"),
        ):
            if not good:
                raise UsageError(f"{name} cannot be {getattr(self, name)}", next=asked)


def train(
    network: Network,
    data: Any,
    settings: Settings,
    *,
    teacher: nn.Module | None = None,
    preprocess: str | None = None,
    samples: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    told: Callable[[Epoch], None] | None = None,
) -> History:
    """Train a network: see `bitwright.fit`."""
    settings.check()
    if next(network.parameters(), None) is None:
        raise UsageError("the network has no weights that train", next="give one with convolutions or products")
    if threads is not None:
        torch.set_num_threads(threads)
    table = open_table(data, input_specs(network.graph), preprocess=preprocess, samples=samples, seed=settings.seed)
    return _Training(network, table, settings, teacher or _teacher(network, settings)).run(checkpoint, progress, told)


def _teacher(network: Network, settings: Settings) -> nn.Module | None:
    """The float network that it came from, where it is learned from."""
    if settings.loss is not None or settings.distill == 0:
        return None
    teacher = Network(network.teacher)
    return teacher.to(next(network.parameters()).device)


class _Training:
    """One training from its beginning, or from where it was interrupted, to its end."""

    def __init__(self, network: Network, table: Table, settings: Settings, teacher: nn.Module | None) -> None:
        self.network, self.settings, self.teacher = network, settings, teacher
        self.held: Table | None = None
        if settings.holdout:
            table, self.held = table.split(settings.holdout, settings.seed)
        if table.whole.labels is None and settings.distill == 0 and settings.loss is None:
            raise UsageError("there are no labels, and distill=0 learns from them alone", next="leave distill out")
        needs_labels = settings.loss is None and settings.distill != 1
        if table.whole.labels is not None and settings.distill != 1 and getattr(settings.augment, "blends", False):
            raise UsageError("mixed images have no labels of their own", next="distill=1 learns from the teacher alone")
        #: Whether labels are classes that the first output has scores of.
        self.classes = try_batch(network, table, settings.batch_size, needs_labels=needs_labels)
        self.table = table
        self.probabilities = gives_probabilities(network.graph)
        self.device = next(network.parameters()).device
        self.per_epoch = table.steps(settings.batch_size)
        decayed, plain = _by_decay(network)
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate)
        self._warn_of_schedules()
        self.history = History()
        self.best_score = math.inf
        self.best_state: dict[str, Any] | None = None
        if teacher is not None:
            teacher.eval()

    def _warn_of_schedules(self) -> None:
        steps = self.settings.epochs * self.per_epoch
        for pruner in self.network.pruners:
            if not pruner.is_full and pruner.schedule.full_step >= int(pruner.step) + steps:
                warnings.warn(
                    f"training ends after {steps} steps, and pruning is complete at step {pruner.schedule.full_step}",
                    stacklevel=4,
                )

    def run(
        self,
        checkpoint: str | os.PathLike[str] | None,
        progress: Progress | None,
        told: Callable[[Epoch], None] | None,
    ) -> History:
        """All epochs that are left."""
        if checkpoint is not None and (state := load_checkpoint(checkpoint)) is not None:
            self._resume(state, os.fspath(checkpoint))
        while len(self.history.epochs) < self.settings.epochs and not self.history.stopped:
            epoch = self._epoch(len(self.history.epochs), progress)
            self.history.epochs.append(epoch)
            self._judge(epoch)
            if checkpoint is not None:
                save_checkpoint(checkpoint, self._state())
            if told is not None:
                told(epoch)
        if self.best_state is not None:
            self.network.load_state_dict(self.best_state)
        self.network.eval()
        return self.history

    def _epoch(self, number: int, progress: Progress | None) -> Epoch:
        settings, total = self.settings, 0.0
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + number)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(settings.seed * 1_000_003 + number)
            for step, batch in enumerate(self.table.epoch(settings.batch_size, generator)):
                total += self._step(batch.to(self.device), number * self.per_epoch + step)
                if progress is not None:
                    progress(number * self.per_epoch + step + 1, settings.epochs * self.per_epoch)
        held_out = accuracy = None
        if self.held is not None:
            held_out, accuracy = self._measure(self.held)
        return Epoch(number + 1, total / self.per_epoch, held_out, accuracy)

    def _step(self, batch: Batch, step: int) -> float:
        network, settings = self.network, self.settings
        done = step / (settings.epochs * self.per_epoch)
        if network.placement is not None and done >= settings.freeze_after:
            network.freeze_norms()
            if done >= (1 + settings.freeze_after) / 2:
                network.freeze_ranges()
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * (0.5 + 0.5 * math.cos(math.pi * done))
        network.train()
        if settings.augment is not None:
            batch = Batch({name: settings.augment(x) for name, x in batch.inputs.items()}, batch.labels)
        loss, _ = self._loss(batch)
        if not bool(torch.isfinite(loss)):
            raise UsageError(
                f"the loss is {loss.item()} at step {step}", next=f"take a learning rate below {settings.learning_rate}"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def _loss(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The loss of a batch, and the outputs."""
        settings, labels = self.settings, batch.labels
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.autocast and self.network.training):
            made = outputs_of(self.network(**batch.inputs))
        if settings.loss is not None:
            return settings.loss(made[0] if len(made) == 1 else made, labels), made
        share = 1.0 if labels is None else 0.5 if settings.distill is None else settings.distill
        loss = torch.zeros((), device=self.device)
        if self.teacher is not None and share > 0:
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=settings.autocast):
                taught = outputs_of(self.teacher(**batch.inputs))
            loss = loss + share * distillation_loss(
                made, taught, are_probabilities=self.probabilities, temperature=settings.temperature
            )
        if labels is not None and share < 1:
            loss = loss + (1 - share) * label_loss(made[0], labels, are_probabilities=self.probabilities)
        return loss, made

    @torch.no_grad()
    def _measure(self, table: Table) -> tuple[float, float | None]:
        """The loss on samples, and top-1 where they have labels."""
        self.network.eval()
        total, right, count = 0.0, 0, 0
        for batch in table.in_order(self.settings.batch_size):
            batch = batch.to(self.device)
            loss, made = self._loss(batch)
            total += float(loss) * len(batch)
            count += len(batch)
            if self.classes:
                right += int(is_correct(made[0], batch.labels).sum())
        return total / count, right / count if self.classes else None

    def _judge(self, epoch: Epoch) -> None:
        """Keep the best weights; stop where nothing gets better."""
        if epoch.held_out is None or self.network.is_delayed or not all(p.is_full for p in self.network.pruners):
            self.history.best = epoch.number  # what is pruned less than was asked, or not quantized, is no candidate
            return
        score = epoch.held_out if epoch.accuracy is None else -epoch.accuracy
        if score < self.best_score:
            self.best_score, self.history.best = score, epoch.number
            self.best_state = copy.deepcopy(self.network.state_dict())
        patience = self.settings.patience
        self.history.stopped = patience is not None and epoch.number - self.history.best >= patience

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history.to_json(),
            "best_score": self.best_score,
            "best_state": self.best_state,
            "settings": self._told(),
        }

    def _told(self) -> dict[str, Any]:
        """What a training that goes on must have as it began."""
        s = self.settings
        names = ("epochs", "batch_size", "learning_rate", "weight_decay", "distill", "holdout", "freeze_after", "seed")
        return {name: getattr(s, name) for name in names} | {"steps of an epoch": self.per_epoch}

    def _resume(self, state: dict[str, Any], where: str) -> None:
        now, before = self._told(), state["settings"]
        if changed := [name for name in now if before.get(name) != now[name]]:
            raise UsageError(
                "the checkpoint is of another training: "
                + ", ".join(f"{name} {before.get(name)}, not {now[name]}" for name in changed),
                where=where,
                next="train as before, or delete it to begin anew",
            )
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise UsageError(
                "the checkpoint is of another network, or of one that was prepared otherwise",
                where=where,
                next="prepare it as before, or delete it to begin anew",
            ) from error
        told = state["history"]
        self.history = History([Epoch(**epoch) for epoch in told["epochs"]], told["best"], told["stopped"])
        self.best_score, self.best_state = state["best_score"], state["best_state"]


def _by_decay(network: Network) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that decay (weights) and those that do not (biases, normalizations, scales, centroids)."""
    weights = {id(network.place(name).tensor) for name in network.weight_names()}
    decayed = [p for p in network.parameters() if id(p) in weights]
    return decayed, [p for p in network.parameters() if id(p) not in weights]
