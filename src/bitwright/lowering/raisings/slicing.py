"""Operators that take a part: SLICE, STRIDED_SLICE, and by index GATHER and EMBEDDING_LOOKUP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from bitwright.errors import UnsupportedOpError
from bitwright.lowering.raisings.order import BEFORE_FIRST, as_stored, placed, with_new, without
from bitwright.lowering.raisings.step import Step
from bitwright.program.definition import Call
from bitwright.program.families.slicing import strided_parts
from bitwright.program.options import GatherOptions
from bitwright.program.tensor import Shape


@dataclass(frozen=True)
class Range:
    """Which indices of one dimension are taken: `count` of them from `start`, `step` apart."""

    axis: int
    start: int
    count: int
    step: int

    @property
    def end(self) -> int:
        """The index behind the last, as ONNX's Slice takes it: one before the first element lies far below 0."""
        end = self.start + self.count * self.step
        return end if end >= 0 else BEFORE_FIRST


def _sliced(step: Step, ranges: list[Range]) -> tuple[ir.Value, tuple[int, ...], Shape]:
    """The first operand's parts that the ranges say, its order, its stored shape."""
    order, shape = step.order(0), list(step.input(0).shape)
    value = step.operand(0, order)
    used = [r for r in ranges if (r.start, r.count, r.step) != (0, shape[r.axis], 1)]
    for r in used:
        shape[r.axis] = r.count
    if used:
        columns = ([r.start for r in used], [r.end for r in used], [order.index(r.axis) for r in used])
        inputs = [step.integers(c, name) for c, name in zip(columns, ("starts", "ends", "axes"), strict=True)]
        if any(r.step != 1 for r in used):
            inputs.append(step.integers([r.step for r in used], "steps"))
        value = step.node("Slice", [value, *inputs], placed(shape, order), moves=True)
    return value, order, tuple(shape)


def slice_(step: Step) -> None:
    """SLICE: a length of -1 reaches to the end."""
    begin = step.numbers(1).tolist()
    ranges = [Range(axis, int(begin[axis]), n, 1) for axis, n in enumerate(step.output.shape)]
    value, order, _ = _sliced(step, ranges)
    step.bind(value, order=order)


def strided_slice(step: Step) -> None:
    """STRIDED_SLICE: Slice, then Squeeze of the dimensions it drops and Unsqueeze of those it adds."""
    ranges: list[Range] = []
    dropped: list[int] = []
    added: list[int] = []
    place = 0
    for part in strided_parts(Call(step.operator, step.inputs, step.outputs)):
        axis = len(ranges)
        if part is None:
            added.append(place)
        elif isinstance(part, int):
            ranges.append(Range(axis, part, 1, 1))
            dropped.append(axis)
        else:
            ranges.append(Range(axis, part.start, len(range(part.start, part.stop, part.step)), part.step))
        place += not isinstance(part, int)
    value, order, shape = _sliced(step, ranges)
    if dropped:
        left = tuple(n for axis, n in enumerate(shape) if axis not in dropped)
        axes = sorted(order.index(axis) for axis in dropped)
        order = without(order, dropped)
        value = step.node("Squeeze", [value, step.integers(axes, "axes")], placed(left, order), moves=True)
    if added:
        order = with_new(order, added)
        axes = sorted(order.index(axis) for axis in added)
        value = step.node(
            "Unsqueeze", [value, step.integers(axes, "axes")], placed(step.output.shape, order), moves=True
        )
    step.bind(value, order=order)


def gather(step: Step) -> None:
    """GATHER: Gather; with batch dimensions GatherND, where the axis is the first behind them."""
    o = step.options(GatherOptions)
    rank, indices = len(step.input(0).shape), step.input(1)
    axis, batch = o.axis % rank, o.batch_dims
    if batch < 0:
        batch += len(indices.shape)
    if batch:
        if axis != batch:
            raise UnsupportedOpError(f"it gathers along axis {axis} behind {batch} batch dimensions")
        column = step.node(
            "Unsqueeze", [_indices(step), step.integers((-1,), "axes")], (*indices.shape, 1), dtype=ir.DataType.INT64
        )
        step.give("GatherND", [step.operand(0), column], batch_dims=batch)
        return
    order = step.order(0)
    if len(indices.shape) == 1:
        step.give("Gather", [step.operand(0, order), step.operand(1)], order=order, axis=order.index(axis))
    else:
        step.give("Gather", [step.operand(0), step.operand(1)], axis=axis)


def _indices(step: Step) -> ir.Value:
    """The second operand as int64, which GatherND wants."""
    tensor = step.input(1)
    if tensor.data is not None:
        return step.builder.numbers(tensor.data.astype(np.int64), f"{step.output.name}_indices")
    if tensor.dtype == "i64":
        return step.operand(1)
    wanted = ir.DataType.INT64
    return step.node("Cast", [step.operand(1)], tensor.shape, dtype=wanted, attributes={"to": int(wanted)})


def gather_nd(step: Step) -> None:
    """GATHER_ND."""
    step.give("GatherND", [step.operand(0), _indices(step)])


def embedding_lookup(step: Step) -> None:
    """EMBEDDING_LOOKUP: operands are the indices and the table; Gather of its rows."""
    step.give("Gather", [step.operand(1), step.operand(0)], order=as_stored(len(step.output.shape)), axis=0)


RAISINGS = {
    "SLICE": slice_,
    "STRIDED_SLICE": strided_slice,
    "GATHER": gather,
    "GATHER_ND": gather_nd,
    "EMBEDDING_LOOKUP": embedding_lookup,
}
