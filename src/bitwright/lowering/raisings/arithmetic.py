"""Operators on two operands that are broadcast against each other."""

from __future__ import annotations

from collections.abc import Callable

from bitwright.lowering.raisings.order import placed
from bitwright.lowering.raisings.step import Step
from bitwright.program.operator import Activation
from bitwright.program.options import AddOptions, DivOptions, MulOptions, SubOptions

#: Operators of the same meaning.
_SAME = {
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "Div",
    "MINIMUM": "Min",
    "MAXIMUM": "Max",
    "POW": "Pow",
}


def _two(op: str) -> Callable[[Step], None]:
    def raising(step: Step) -> None:
        order, values = step.aligned((0, 1))
        step.give(op, values, order=order, activation=_activation(step))

    return raising


def _activation(step: Step) -> Activation:
    options = step.operator.options
    if isinstance(options, AddOptions | SubOptions | MulOptions | DivOptions):
        return options.fused_activation_function
    return Activation.NONE


def squared_difference(step: Step) -> None:
    """SQUARED_DIFFERENCE: (a - b) * (a - b)."""
    order, values = step.aligned((0, 1))
    difference = step.node("Sub", values, placed(step.output.shape, order))
    step.give("Mul", [difference, difference], order=order)


def floor_div(step: Step) -> None:
    """FLOOR_DIV: of floats, the quotient rounded down; of integers, what is left when the remainder is off."""
    order, (left, right) = step.aligned((0, 1))
    shape = placed(step.output.shape, order)
    if step.output.dtype == "f32":
        step.give("Floor", [step.node("Div", [left, right], shape)], order=order)
        return
    remainder = step.node("Mod", [left, right], shape)
    step.give("Div", [step.node("Sub", [left, remainder], shape), right], order=order)


def floor_mod(step: Step) -> None:
    """FLOOR_MOD, of the divisor's sign: ONNX's Mod of integers; of floats a - floor(a / b) * b."""
    order, (left, right) = step.aligned((0, 1))
    shape = placed(step.output.shape, order)
    if step.output.dtype != "f32":
        step.give("Mod", [left, right], order=order)
        return
    whole = step.node("Floor", [step.node("Div", [left, right], shape)], shape)
    step.give("Sub", [left, step.node("Mul", [whole, right], shape)], order=order)


RAISINGS = {kind: _two(op) for kind, op in _SAME.items()} | {
    "SQUARED_DIFFERENCE": squared_difference,
    "FLOOR_DIV": floor_div,
    "FLOOR_MOD": floor_mod,
}
