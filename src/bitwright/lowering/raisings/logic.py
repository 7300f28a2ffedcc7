"""Comparisons, AND, OR and NOT of truths, and SELECT_V2."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from bitwright.lowering.raisings.order import placed
from bitwright.lowering.raisings.step import Step

#: Operators of the same meaning.
_SAME = {
    "EQUAL": "Equal",
    "GREATER": "Greater",
    "GREATER_EQUAL": "GreaterOrEqual",
    "LESS": "Less",
    "LESS_EQUAL": "LessOrEqual",
    "LOGICAL_AND": "And",
    "LOGICAL_OR": "Or",
}


def _two(op: str) -> Callable[[Step], None]:
    def raising(step: Step) -> None:
        order, values = step.aligned((0, 1))
        step.give(op, values, order=order)

    return raising


def not_equal(step: Step) -> None:
    """NOT_EQUAL: Equal, then Not."""
    order, values = step.aligned((0, 1))
    equal = step.node("Equal", values, placed(step.output.shape, order), dtype=ir.DataType.BOOL)
    step.give("Not", [equal], order=order)


def logical_not(step: Step) -> None:
    """LOGICAL_NOT."""
    order = step.order(0)
    step.give("Not", [step.operand(0, order)], order=order)


def select(step: Step) -> None:
    """SELECT_V2: Where."""
    order, values = step.aligned((0, 1, 2))
    step.give("Where", values, order=order)


RAISINGS = {kind: _two(op) for kind, op in _SAME.items()} | {
    "NOT_EQUAL": not_equal,
    "LOGICAL_NOT": logical_not,
    "SELECT_V2": select,
}
