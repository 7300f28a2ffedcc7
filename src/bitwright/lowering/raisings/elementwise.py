"""Operators on each element of one operand."""

from __future__ import annotations

from collections.abc import Callable

from bitwright.lowering.raisings.order import placed
from bitwright.lowering.raisings.step import Step
from bitwright.program.options import GeluOptions, LeakyReluOptions

#: Operators of the same meaning.
_SAME = {
    "ABS": "Abs",
    "CEIL": "Ceil",
    "COS": "Cos",
    "ELU": "Elu",
    "EXP": "Exp",
    "FLOOR": "Floor",
    "HARD_SWISH": "HardSwish",
    "LOG": "Log",
    "LOGISTIC": "Sigmoid",
    "NEG": "Neg",
    "RELU": "Relu",
    "ROUND": "Round",
    "SIN": "Sin",
    "SQRT": "Sqrt",
    "TANH": "Tanh",
}

_CLAMPS = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}


def _one(op: str) -> Callable[[Step], None]:
    def raising(step: Step) -> None:
        order = step.order(0)
        step.give(op, [step.operand(0, order)], order=order)

    return raising


def _clamp(low: float, high: float) -> Callable[[Step], None]:
    def raising(step: Step) -> None:
        order = step.order(0)
        value = step.operand(0, order)
        step.give("Clip", [value, step.scalar(low, value), step.scalar(high, value)], order=order)

    return raising


def leaky_relu(step: Step) -> None:
    """LEAKY_RELU."""
    order = step.order(0)
    step.give("LeakyRelu", [step.operand(0, order)], order=order, alpha=step.options(LeakyReluOptions).alpha)


def gelu(step: Step) -> None:
    """GELU, by the error function or by tanh."""
    order = step.order(0)
    how = "tanh" if step.options(GeluOptions).approximate else "none"
    step.give("Gelu", [step.operand(0, order)], order=order, approximate=how)


def prelu(step: Step) -> None:
    """PRELU: slopes are broadcast to the data."""
    order, values = step.aligned((0, 1))
    step.give("PRelu", values, order=order)


def rsqrt(step: Step) -> None:
    """RSQRT: Sqrt, then Reciprocal."""
    order = step.order(0)
    root = step.node("Sqrt", [step.operand(0, order)], placed(step.output.shape, order))
    step.give("Reciprocal", [root], order=order)


def square(step: Step) -> None:
    """SQUARE: a product with itself."""
    order = step.order(0)
    value = step.operand(0, order)
    step.give("Mul", [value, value], order=order)


RAISINGS = (
    {kind: _one(op) for kind, op in _SAME.items()}
    | {kind: _clamp(*bounds) for kind, bounds in _CLAMPS.items()}
    | {"LEAKY_RELU": leaky_relu, "GELU": gelu, "PRELU": prelu, "RSQRT": rsqrt, "SQUARE": square}
)
