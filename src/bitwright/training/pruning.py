"""Pruning: the weights of smallest magnitude become zero while a network trains, as a schedule says."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bitwright.errors import UsageError
from bitwright.training.clusters import Clusters
from bitwright.training.magnitudes import scores_of, smallest, spread
from bitwright.training.network import Network
from bitwright.training.schedules import ConstantSparsity, PolynomialDecay, Schedule
from bitwright.training.weights import Layout, chosen_weights, layouts

SCOPES = ("layer", "global")


class Mask(nn.Module):
    """Weights that are read as zero. They keep their values, and have no gradient.

    Args:
        kept: bool, of the weight's shape: which are read as they are.
    """

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its zeros."""
        return torch.where(self.kept, weight, torch.zeros((), dtype=weight.dtype, device=weight.device))


class Pruner(nn.Module):
    """Renews the masks of weights before a training step, where a schedule says so.

    Of N weights, round(sparsity * N) of the smallest magnitudes are zero; of equal ones those that come first. What was
    masked is compared as well, and may come back.

    Args:
        schedule: which sparsity, when.
        weights: the layouts of the weights that it prunes, by name.
        block_shape: what is zero together, over the weight seen as [outputs, input channels * kernel], with the mean
            magnitude of its weights. Blocks at the right and lower edge are smaller where the shape does not divide it.
        n_m: n of m consecutive input channels stay, in the end.
        scope: layer: each weight has that sparsity; global: all of them together.
    """

    def __init__(
        self,
        schedule: Schedule,
        weights: Mapping[str, Layout],
        *,
        block_shape: tuple[int, int],
        n_m: tuple[int, int] | None,
        scope: str,
    ) -> None:
        super().__init__()
        self.schedule, self.weights, self.scope = schedule, dict(weights), scope
        self.block_shape, self.n_m = block_shape, n_m
        self.register_buffer("step", torch.tensor(0))

    @property
    def is_full(self) -> bool:
        """Whether masks have the final sparsity."""
        return int(cast(Tensor, self.step)) > self.schedule.full_step

    def next_step(self, network: Network) -> None:
        """Called before each training step."""
        now = int(cast(Tensor, self.step))
        if self.schedule.is_due(now):
            self.renew(network, self.schedule.sparsity_at(now))
        self.step += 1

    @torch.no_grad()
    def renew(self, network: Network, sparsity: float) -> None:
        """Masks of a sparsity for the weights as they are now."""
        shape, pattern = self.block_shape, self.n_m
        scores = {name: scores_of(at, unmasked(network, name), shape, pattern) for name, at in self.weights.items()}
        groups = [[name] for name in scores] if self.scope == "layer" else [list(scores)]
        for names in groups:
            flat = torch.cat([scores[name].flatten() for name in names])
            zeros = smallest(flat, round(sparsity * flat.numel()))
            for name, chosen in zip(names, zeros.split([scores[name].numel() for name in names]), strict=True):
                mask = network.mask_of(name)
                assert isinstance(mask, Mask)
                zero = spread(self.weights[name], chosen.reshape(scores[name].shape), shape, pattern)
                cast(Tensor, mask.kept).copy_(~zero)


def unmasked(network: Network, name: str) -> Tensor:
    """A weight as its mask gets it."""
    shared = network.shared(name)
    made: Tensor = network.place(name).tensor if shared is None else shared()
    return made


def prune_low_magnitude(
    network: Network,
    schedule: Schedule,
    *,
    block_shape: tuple[int, int] = (1, 1),
    n_m: tuple[int, int] | None = None,
    scope: str = "layer",
    exclude: Sequence[str] = (),
) -> Network:
    """Prune the weights of smallest magnitude while a network trains, from its next step on.

    Masks hold through quantization-aware training and through clustering, until `strip_pruning` makes zeros the
    weights' own. Call it more than once for layers with different schedules. In a clustered weight, zero is one more
    value.

    Args:
        network: changed in place.
        schedule: `ConstantSparsity` or `PolynomialDecay`.
        block_shape: rows and columns of what is zero together, of weights seen as [outputs, input channels * kernel].
            Then it is round(sparsity * blocks) blocks.
        n_m: (2, 4) leaves 2 of 4 consecutive input channels at each place of a kernel, as sparse tensor cores read
            them; the schedule ends with sparsity 1 - n / m. Weights whose input channels m does not divide stay dense.
        scope: layer: every weight gets the sparsity; global: all of them together, compared by magnitude.
        exclude: regular expressions; weights whose name matches are not pruned.

    Returns:
        The network.

    Raises:
        UsageError: an argument is out of its bounds, a weight is pruned already, or none can be pruned.
    """
    if not isinstance(schedule, ConstantSparsity | PolynomialDecay):
        raise UsageError(f"{schedule!r} is no schedule", next="ConstantSparsity(...) or PolynomialDecay(...)")
    if scope not in SCOPES:
        raise UsageError(f"scope cannot be {scope!r}", next=f"one of {', '.join(SCOPES)}")
    block_shape = _pair("block_shape", block_shape)
    known = layouts(network.graph)
    weights = {name: known[name] for name in chosen_weights(network, exclude)}
    if n_m is not None:
        n_m = checked_pattern(n_m, block_shape, schedule)
        weights = {name: layout for name, layout in weights.items() if layout.input_channels % n_m[1] == 0}
        if not weights:
            raise UsageError(f"no weight has input channels in groups of {n_m[1]}", next="leave n_m out")
    if pruned := [name for name in weights if network.mask_of(name) is not None]:
        raise UsageError(
            f"{len(pruned)} weights are pruned already", where=", ".join(pruned[:8]),
            next="exclude them, or strip_pruning first",
        )  # fmt: skip
    for name in weights:
        network.mask(name, Mask(torch.ones_like(unmasked(network, name), dtype=torch.bool)))
    device = unmasked(network, next(iter(weights))).device
    network.pruners.append(Pruner(schedule, weights, block_shape=block_shape, n_m=n_m, scope=scope).to(device))
    return network


@torch.no_grad()
def strip_pruning(network: Network) -> Network:
    """End pruning: what masks made zero is zero in the weights themselves, and trains like any other from now on.

    Shared weights stay zero: zero is one of the values they share.

    Returns:
        The network, changed in place.
    """
    if any(not int(cast(Tensor, pruner.step)) for pruner in network.pruners):
        warnings.warn("nothing was pruned: no training step has been since prune_low_magnitude", stacklevel=2)
    del network.pruners[:]
    for name in network.weight_names():
        mask = network.mask_of(name)
        if mask is None:
            continue
        shared = network.shared(name)
        if isinstance(shared, Clusters):
            network.share(name, shared.with_zeros(~cast(Tensor, mask.kept)))
        else:
            held = network.place(name).tensor
            held.copy_(mask(held))
        network.mask(name, None)
    return network


@dataclass(frozen=True)
class Zeros:
    """How many of how many weights are zero."""

    zeros: int
    elements: int

    @property
    def share(self) -> float:
        """The sparsity."""
        return self.zeros / max(self.elements, 1)


@dataclass(frozen=True)
class Sparsity:
    """The zeros of each weight, by name."""

    weights: Mapping[str, Zeros]

    @property
    def total(self) -> Zeros:
        """Of all weights together."""
        counted = self.weights.values()
        return Zeros(sum(one.zeros for one in counted), sum(one.elements for one in counted))


@torch.no_grad()
def sparsity(network: Network) -> Sparsity:
    """The zeros that the network reads now, of every weight, pruned or not; quantization only adds some."""
    tensors = {name: network.tensor(name) for name in network.weight_names()}
    return Sparsity({name: Zeros(int((tensor == 0).sum()), tensor.numel()) for name, tensor in tensors.items()})


def _pair(name: str, given: object) -> tuple[int, int]:
    """Two positive whole numbers."""
    pair = tuple(given) if isinstance(given, tuple | list) else ()
    if len(pair) != 2 or not all(type(size) is int and size > 0 for size in pair):
        raise UsageError(f"{name} cannot be {given!r}", next="two whole numbers from 1 on")
    return pair[0], pair[1]


def checked_pattern(given: object, block_shape: tuple[int, int], schedule: Schedule) -> tuple[int, int]:
    """The n and m of `Pruner`'s pattern.

    Raises:
        UsageError: there is no such pattern, or the schedule or the blocks do not go with it.
    """
    n, m = _pair("n_m", given)
    if n >= m:
        raise UsageError(f"n_m cannot be {(n, m)}", next="n of m weights stay: (2, 4) leaves 2 of 4")
    if block_shape != (1, 1):
        raise UsageError("block_shape and n_m were both given", next="one of the two")
    if not math.isclose(schedule.final_sparsity, 1 - n / m):
        raise UsageError(
            f"the schedule ends with a sparsity of {schedule.final_sparsity}, and {n} of {m} is {1 - n / m:g}",
            next=f"a schedule whose last sparsity is {1 - n / m:g}",
        )
    return n, m
