"""Broadcast: operands of an elementwise operator brought into one layout, with shapes that broadcast."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from bitwright.lowering.context import Shape
from bitwright.lowering.element_layout import Layout, channels_last, joined, placed, row_major, split_by_dims
from bitwright.lowering.step import Kernel, Step

#: Kernels broadcast over so many dimensions.
MOST_DIMS = 4


@dataclass(frozen=True)
class Together:
    """Operands that broadcast.

    Args:
        tensors: one an operand, in order.
        shape: of the result.
        layout: of the result.
    """

    tensors: tuple[str, ...]
    shape: Shape
    layout: Layout


def bring_together(step: Step, kernel: Kernel, values: Sequence[ir.Value], shape: Shape) -> Together:
    """Operands in the layout that most of those of full size have.

    Args:
        values: any shapes that broadcast to `shape`; constants cost nothing.
        shape: of the result, as ONNX sees it.
    """
    layout, held = _common_layout(step, kernel, values, shape)
    cut = split_by_dims(layout, shape)
    if cut is None:
        layout, held = row_major(shape), [shape]
        cut = split_by_dims(layout, shape)
        assert cut is not None
    fine, groups = cut
    owner = {factor: dim for dim, group in enumerate(groups) for factor in group}
    aligned = [(1,) * (len(shape) - len(own)) + own for own in (step.shape(value) for value in values)]
    spread = [tuple(own[owner[f]] == 1 for own in aligned) for f in fine.order]  # per stored factor, per operand
    sizes = fine.stored_sizes
    stored = next((s for s in held if _cuts(sizes, spread, s) is not None and len(s) <= MOST_DIMS), None)
    if stored is None:
        stored = _runs(sizes, spread)
    kinds = _cuts(sizes, spread, stored)
    assert kinds is not None
    tensors = []
    for index, value in enumerate(values):
        own_shape = tuple(1 if kind is None or kind[index] else n for n, kind in zip(stored, kinds, strict=True))
        kept = [f for f in range(len(fine.sizes)) if aligned[index][owner[f]] != 1]
        number = {f: i for i, f in enumerate(kept)}
        own_layout = joined(tuple(fine.sizes[f] for f in kept), tuple(number[f] for f in fine.order if f in number))
        if step.low.constant(value) is not None and math.prod(own_shape) == 1:
            own_shape = (1,)
        tensors.append(step.low.laid(value, own_layout, own_shape, kernel.q(value)))
    return Together(tuple(tensors), stored, layout)


def _common_layout(step: Step, kernel: Kernel, values: Sequence[ir.Value], shape: Shape) -> tuple[Layout, list[Shape]]:
    """The layout of the result, and shapes to store it in, best first."""
    full = [v for v in values if step.low.constant(v) is None and math.prod(step.shape(v)) == math.prod(shape)]
    rank = len(shape)
    if not full:
        last = any(_is_channels_last(step, v, kernel) for v in values if step.low.constant(v) is None)
        perm = channels_last(rank) if last and rank > 2 else tuple(range(rank))
        return placed(shape, perm), [tuple(shape[p] for p in perm)]
    forms = [step.low.form(value, kernel.q(value)) for value in full]
    votes = Counter(form.layout for form in forms)
    most = max(votes.values())
    winners = [form for form in forms if votes[form.layout] == most]
    chosen = next((form for form in winners if not form.layout.is_row_major), winners[0])
    shapes = [step.build.shape(form.tensor) for form in forms if form.layout == chosen.layout]
    for perm in (tuple(range(rank)), channels_last(rank) if rank > 2 else ()):
        if perm and placed(shape, perm) == chosen.layout:
            shapes.append(tuple(shape[p] for p in perm))
    return chosen.layout, shapes


def _is_channels_last(step: Step, value: ir.Value, kernel: Kernel) -> bool:
    rank = len(step.shape(value))
    return rank > 2 and step.low.perm(value, kernel.q(value)) == channels_last(rank)


def _cuts(
    sizes: Sequence[int], spread: Sequence[tuple[bool, ...]], shape: Sequence[int]
) -> list[tuple[bool, ...] | None] | None:
    """For every dimension of a stored shape, which operands are broadcast along it (None: one element).

    None when a dimension would hold factors that differ in that.
    """
    kinds: list[tuple[bool, ...] | None] = []
    factor, left = 0, sizes[0] if sizes else 1
    for size in shape:
        kind: tuple[bool, ...] | None = None
        need = size
        while need > 1:
            if left == 1:
                factor += 1
                left = sizes[factor]
            if kind is not None and kind != spread[factor]:
                return None
            kind = spread[factor]
            take = math.gcd(need, left)
            if take == 1 or (need % left and left % need):
                return None
            need //= take
            left //= take
        kinds.append(kind)
    return kinds


def _runs(sizes: Sequence[int], spread: Sequence[tuple[bool, ...]]) -> Shape:
    """The stored factors with neighbours joined along which the same operands are broadcast."""
    runs: list[int] = []
    for index, size in enumerate(sizes):
        if index and spread[index] == spread[index - 1]:
            runs[-1] *= size
        else:
            runs.append(size)
    return tuple(runs) or (1,)
