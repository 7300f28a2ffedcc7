"""Layout: in which order a value's elements lie in the tensor that stores it.

A layout is a permutation of a factored row-major index, and knows no dimensions: reshaping a value leaves its layout
as it is, and transposing it only renumbers the factors. Only an operator that wants the elements in a certain order
costs a TRANSPOSE.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Where the elements of a value lie.

    Args:
        sizes: factors of the value's row-major index, major first; their product is the number of elements.
        order: the factors in the order that they are stored in, major first.

    Made by the functions below, which drop factors of one and join neighbours, so that equal layouts compare equal.

    >>> placed((2, 3, 4, 5), (0, 2, 3, 1))     # NCHW held channels-last: H and W stay together
    Layout(sizes=(2, 3, 20), order=(0, 2, 1))
    """

    sizes: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def is_row_major(self) -> bool:
        return len(self.sizes) < 2

    @property
    def stored_sizes(self) -> tuple[int, ...]:
        """The factors' sizes as they are stored."""
        return tuple(self.sizes[i] for i in self.order)

    def arranged(self, array: NDArray[Any]) -> NDArray[Any]:
        """The elements of a row-major array in stored order, flat."""
        return np.ascontiguousarray(array.reshape(self.sizes).transpose(self.order)).reshape(-1)


def row_major(shape: Sequence[int]) -> Layout:
    """The layout of a value stored as it is."""
    return joined((math.prod(shape),), (0,))


def placed(shape: Sequence[int], perm: Sequence[int]) -> Layout:
    """The layout of a value whose dimensions are stored in the order of `perm`: stored.shape[i] == shape[perm[i]]."""
    return joined(tuple(shape), tuple(perm))


def with_channels(shape: Sequence[int], channels: Layout) -> Layout:
    """Channels last, in a channel order of their own.

    Args:
        shape: N, C, spatial dimensions.
        channels: the layout of the C channels of one place.
    """
    count = len(channels.sizes)
    sizes = (shape[0], *channels.sizes, *shape[2:])
    order = (0, *range(1 + count, len(sizes)), *(1 + factor for factor in channels.order))
    return joined(sizes, order)


def channel_layout(layout: Layout, shape: Sequence[int]) -> Layout | None:
    """The channel order of a value held channels-last, row-major when it is the usual one; None when it is not so held.

    Args:
        shape: N, C, spatial dimensions.
    """
    cut = split_by_dims(layout, shape)
    if cut is None:
        return None
    fine, groups = cut
    places = [factor for group in (groups[0], *groups[2:]) for factor in group]
    if list(fine.order[: len(places)]) != places:
        return None
    first = groups[1][0] if groups[1] else 0
    return joined(tuple(fine.sizes[f] for f in groups[1]), tuple(f - first for f in fine.order[len(places) :]))


def channels_last(rank: int) -> tuple[int, ...]:
    """N, spatial dimensions, C from N, C, spatial dimensions."""
    return (0, *range(2, rank), 1)


def split_by_dims(layout: Layout, shape: Sequence[int]) -> tuple[Layout, list[list[int]]] | None:
    """The layout with factors cut where dimensions meet, and for every dimension its factors, major first.

    None when a factor straddles two dimensions without dividing: [6, 4] stored transposed, seen as [4, 6]. The layout
    that is given back is not joined: neighbours of two dimensions stay apart.
    """
    pieces: list[list[int]] = [[] for _ in layout.sizes]  # of each factor, minor first
    dims: list[list[tuple[int, int]]] = []
    factor, left = len(layout.sizes), 1
    for size in reversed(tuple(shape)):
        need, members = size, []
        while need > 1:
            if left == 1:
                factor -= 1
                left = layout.sizes[factor]
            take = left if need % left == 0 else need if left % need == 0 else 0
            if not take:
                return None
            members.append((factor, len(pieces[factor])))
            pieces[factor].append(take)
            need //= take
            left //= take
        dims.append(members)
    starts = np.cumsum([0, *(len(p) for p in pieces)]).tolist()
    sizes = tuple(size for piece in pieces for size in reversed(piece))
    order = tuple(i for f in layout.order for i in range(starts[f], starts[f + 1]))
    groups = [[starts[f] + len(pieces[f]) - 1 - index for f, index in reversed(members)] for members in reversed(dims)]
    return Layout(sizes, order), groups


def transposed(layout: Layout, shape: Sequence[int], perm: Sequence[int]) -> Layout | None:
    """The layout of a transposed value in the same tensor; None when a factor straddles dimensions.

    Args:
        layout, shape: of the value before.
        perm: ONNX Transpose's: the new dimension i is the old perm[i].
    """
    cut = split_by_dims(layout, shape)
    if cut is None:
        return None
    fine, groups = cut
    logical = [factor for dim in perm for factor in groups[dim]]
    where = {factor: i for i, factor in enumerate(logical)}
    return joined(tuple(fine.sizes[f] for f in logical), tuple(where[f] for f in fine.order))


def permutation(source: Layout, target: Layout) -> tuple[Shape, tuple[int, ...]] | None:
    """The shape to see a tensor of the first layout in, and the TRANSPOSE that gives the second.

    None when no factoring fits both: go through row-major order then.
    """
    first, second = split_by_dims(source, target.sizes), split_by_dims(target, source.sizes)
    if first is None or second is None or first[0].sizes != second[0].sizes:
        return None
    fine, wanted = first[0], second[0].order
    where = {factor: i for i, factor in enumerate(fine.order)}
    stored = joined(fine.stored_sizes, tuple(where[f] for f in wanted))
    return stored.sizes, stored.order


def stored_perm(layout: Layout, shape: Sequence[int], tensor_shape: Sequence[int]) -> tuple[int, ...] | None:
    """The order of dimensions that the layout stores; None when it mixes parts of several.

    Dimensions of one element may lie anywhere: of several orders, the one that gives `tensor_shape`, else row-major
    order, else channels-last.
    """
    rank = len(shape)
    candidates = [tuple(range(rank)), channels_last(rank)] if rank > 2 else [tuple(range(rank))]
    cut = split_by_dims(layout, shape)
    if cut is not None:
        fine, groups = cut
        owner = {factor: dim for dim, group in enumerate(groups) for factor in group}
        dims = list(dict.fromkeys(owner[f] for f in fine.order))
        candidates.append(_with_ones(dims, shape, tensor_shape))
    fitting = [perm for perm in candidates if placed(shape, perm) == layout]
    same = [perm for perm in fitting if tuple(shape[p] for p in perm) == tuple(tensor_shape)]
    found = same or fitting
    return found[0] if found else None


def _with_ones(dims: list[int], shape: Sequence[int], tensor_shape: Sequence[int]) -> tuple[int, ...]:
    """Dimensions in stored order with those of one element put where the tensor has a one, else before their next."""
    ones = [d for d, size in enumerate(shape) if size == 1]
    if len(tensor_shape) == len(shape) and [n for n in tensor_shape if n != 1] == [shape[d] for d in dims]:
        rest = iter(dims)
        return tuple(ones.pop(0) if n == 1 else next(rest) for n in tensor_shape)
    result = list(dims)
    for one in ones:
        result.insert(next((i for i, d in enumerate(result) if d > one), len(result)), one)
    return tuple(result)


def dims_moved(shape: Shape, sizes: Shape, order: Sequence[int]) -> tuple[int, ...] | None:
    """The dimensions of a tensor in the order that brings its factors into `order`; ones stay where they are.

    Args:
        shape: of the tensor.
        sizes: its factors, as they lie.
        order: of the factors afterwards.

    None when a dimension holds parts of two factors.
    """
    owner: list[int] = []  # of each dimension, the factor it belongs to; -1: one element
    factor, left = -1, 1
    for size in shape:
        if size == 1:
            owner.append(-1)
            continue
        if left == 1:
            factor += 1
            left = sizes[factor]
        if left % size:
            return None
        owner.append(factor)
        left //= size
    moved = iter([d for f in order for d, own in enumerate(owner) if own == f])
    return tuple(d if own == -1 else next(moved) for d, own in enumerate(owner))


def joined(sizes: tuple[int, ...], order: tuple[int, ...]) -> Layout:
    """Without factors of one, neighbours that are stored one after the other joined."""
    kept = [i for i, size in enumerate(sizes) if size != 1]
    number = {factor: i for i, factor in enumerate(kept)}
    runs: list[list[int]] = []
    for factor in (number[f] for f in order if f in number):
        if runs and runs[-1][-1] + 1 == factor:
            runs[-1].append(factor)
        else:
            runs.append([factor])
    starts = sorted(run[0] for run in runs)
    joined = {run[0]: math.prod(sizes[kept[f]] for f in run) for run in runs}
    return Layout(tuple(joined[s] for s in starts), tuple(starts.index(run[0]) for run in runs))
