"""PAD, PADV2 and MIRROR_PAD."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.lowering.raisings.order import BEFORE_FIRST, Order, placed
from bitwright.lowering.raisings.step import Step
from bitwright.numerics.quantize import dequantize
from bitwright.program.operator import MirrorPadMode
from bitwright.program.options import MirrorPadOptions
from bitwright.program.tensor import Shape


def pad(step: Step) -> None:
    """PAD: zeros around the data."""
    order = step.order(0)
    rows = _rows(step, order)
    pads = [row[0] for row in rows] + [row[1] for row in rows]
    step.give("Pad", [step.operand(0, order), step.integers(pads, "pads")], order=order)


def pad_v2(step: Step) -> None:
    """PADV2: a given number around the data; a real one where it is held as an integer."""
    order, fill = step.order(0), step.input(2)
    rows = _rows(step, order)
    pads = [row[0] for row in rows] + [row[1] for row in rows]
    number = step.numbers(2).reshape(1)
    real = number if fill.qparams is None else dequantize(number, fill.qparams)
    value = step.operand(0, order)
    step.give("Pad", [value, step.integers(pads, "pads"), step.scalar(float(real[0]), value)], order=order)


def mirror_pad(step: Step) -> None:
    """MIRROR_PAD: Pad by reflection; where the border itself is mirrored too, slices backwards and Concat."""
    order = step.order(0)
    rows = _rows(step, order)
    value, shape = step.operand(0, order), list(placed(step.input(0).shape, order))
    if step.options(MirrorPadOptions).mode is MirrorPadMode.REFLECT:
        pads = [row[0] for row in rows] + [row[1] for row in rows]
        step.give("Pad", [value, step.integers(pads, "pads")], order=order, mode="reflect")
        return
    for axis, (before, after) in enumerate(rows):
        parts = [
            *_mirrored(step, value, tuple(shape), axis, before - 1, before),
            value,
            *_mirrored(step, value, tuple(shape), axis, shape[axis] - 1, after),
        ]
        shape[axis] += before + after
        if len(parts) > 1:
            value = step.node("Concat", parts, tuple(shape), moves=True, attributes={"axis": axis})
    step.bind(value, order=order)


def _rows(step: Step, order: Order) -> list[tuple[int, int]]:
    """How much is added before and after each dimension of the value."""
    rows = step.numbers(1)
    return [(int(rows[axis, 0]), int(rows[axis, 1])) for axis in order]


def _mirrored(step: Step, value: ir.Value, shape: Shape, axis: int, start: int, count: int) -> list[ir.Value]:
    """`count` slices along an axis, from `start` backwards; none when there are none."""
    if not count:
        return []
    end = start - count if start >= count else BEFORE_FIRST
    bounds = [step.integers((number,), "mirror") for number in (start, end, axis, -1)]
    return [step.node("Slice", [value, *bounds], (*shape[:axis], count, *shape[axis + 1 :]), moves=True)]


RAISINGS = {"PAD": pad, "PADV2": pad_v2, "MIRROR_PAD": mirror_pad}
