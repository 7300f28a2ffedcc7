"""Faces: the ports of two models laid against each other, by name or by place, NCHW against NHWC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.lowering.layout import Permutation, inverse

Dimensions = tuple[int | None, ...]


@dataclass(frozen=True)
class Port:
    """One input or output.

    Args:
        name: as the model calls it.
        shape: None where a dimension is free; None when even the rank is.
        permutation: dimension i is dimension permutation[i] of the graph that the model was lowered from; None when
            nothing is known of one.
    """

    name: str
    shape: Dimensions | None
    permutation: Permutation | None = None


@dataclass(frozen=True)
class Face:
    """The ports of a model, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    by_place: bool = False  # a lowered model's ports may have names of their own


@dataclass(frozen=True)
class Match:
    """Another model's port for a port of the reference: dimension i of the other is dimension permutation[i]."""

    name: str
    permutation: Permutation | None = None


@dataclass(frozen=True)
class Alignment:
    """The other model's ports by the reference's names."""

    inputs: Mapping[str, Match] = field(default_factory=dict)
    outputs: Mapping[str, Match] = field(default_factory=dict)

    def feeds(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The reference's inputs as the other model takes them."""
        return {
            match.name: feeds[name] if match.permutation is None else np.transpose(feeds[name], match.permutation)
            for name, match in self.inputs.items()
            if name in feeds
        }

    def results(self, results: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The other model's outputs as the reference gives them."""
        return {
            name: results[match.name]
            if match.permutation is None
            else np.transpose(results[match.name], inverse(match.permutation))
            for name, match in self.outputs.items()
        }


def align(reference: Face, other: Face, shown: tuple[str, str]) -> Alignment:
    """Lay the other model's ports against the reference's.

    Raises:
        UsageError: they have different names, and cannot be told by their places.
    """
    by_place = reference.by_place or other.by_place
    return Alignment(
        _aligned("inputs", reference.inputs, other.inputs, by_place, shown),
        _aligned("outputs", reference.outputs, other.outputs, by_place, shown),
    )


def _aligned(
    what: str, left: Sequence[Port], right: Sequence[Port], by_place: bool, shown: tuple[str, str]
) -> dict[str, Match]:
    named = {port.name: port for port in right}
    if {port.name for port in left} == set(named):
        pairs = [(port, named[port.name]) for port in left]
    elif by_place and len(left) == len(right):
        pairs = list(zip(left, right, strict=True))
    else:
        raise UsageError(
            f"the two models have different {what}: {', '.join(p.name for p in left)} against {', '.join(named)}",
            where=f"{shown[0]} and {shown[1]}",
            next="compare models of the same network; `bitwright inspect` lists inputs and outputs",
        )
    return {port.name: Match(found.name, _permutation(port, found)) for port, found in pairs}


def _permutation(left: Port, right: Port) -> Permutation | None:
    """How the dimensions of `right` lie in `left`: as both tell, or as the shapes allow; None: alike."""
    if left.shape is None or right.shape is None or len(left.shape) != len(right.shape):
        return None
    rank = len(left.shape)
    same = tuple(range(rank))
    candidates = [same, (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))] if rank > 2 else [same]
    if left.permutation is not None or right.permutation is not None:
        back = inverse(left.permutation or same)
        candidates.insert(0, tuple(back[i] for i in right.permutation or same))
    for candidate in candidates:
        placed = [left.shape[i] for i in candidate]
        if all(a == b or a is None or b is None for a, b in zip(placed, right.shape, strict=True)):
            return None if candidate == same else candidate
    return None
