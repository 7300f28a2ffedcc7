"""Operators that take dimensions together, in whichever order they lie."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from bitwright.errors import UnsupportedOpError
from bitwright.lowering.raisings.order import Order, placed, without
from bitwright.lowering.raisings.step import Step
from bitwright.program.options import ReducerOptions

#: Operators of the same meaning.
_SAME = {
    "MEAN": "ReduceMean",
    "SUM": "ReduceSum",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin",
    "REDUCE_PROD": "ReduceProd",
}


def _reduce(op: str) -> Callable[[Step], None]:
    def raising(step: Step) -> None:
        rank = len(step.input(0).shape)
        keeps = step.options(ReducerOptions).keep_dims
        stored = sorted({int(axis) % rank for axis in step.numbers(1).reshape(-1)})
        order = step.order(0)
        axes = sorted(order.index(axis) for axis in stored)
        step.give(
            op,
            [step.operand(0, order), step.integers(axes, "axes")],
            order=order if keeps else without(order, stored),
            keepdims=int(keeps),
            noop_with_empty_axes=1,
        )

    return raising


def _argument(op: str) -> Callable[[Step], None]:
    def raising(step: Step) -> None:
        axis = step.numbers(1)
        if axis.size != 1:
            raise UnsupportedOpError("it has more than one axis")
        order = step.order(0)
        stored = int(axis.reshape(())) % len(order)
        left: Order = without(order, (stored,))
        index = step.node(
            op,
            [step.operand(0, order)],
            placed(step.output.shape, left),
            dtype=ir.DataType.INT64,
            attributes={"axis": order.index(stored), "keepdims": 0},
        )
        if step.output.dtype == "i64":
            step.bind(index, order=left)
        else:
            step.give("Cast", [index], order=left, to=int(ir.DataType.INT32))

    return raising


RAISINGS = {kind: _reduce(op) for kind, op in _SAME.items()} | {
    "ARG_MAX": _argument("ArgMax"),
    "ARG_MIN": _argument("ArgMin"),
}
