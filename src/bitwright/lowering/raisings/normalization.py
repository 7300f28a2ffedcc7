"""SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION: over the last dimension of the stored tensor, wherever it lies."""

from __future__ import annotations

from bitwright.lowering.raisings.order import placed
from bitwright.lowering.raisings.step import Step
from bitwright.program.options import L2NormOptions, SoftmaxOptions


def softmax(step: Step) -> None:
    """SOFTMAX of the operand times beta."""
    order, beta = step.order(0), step.options(SoftmaxOptions).beta
    value = step.operand(0, order)
    if beta != 1:
        value = step.node("Mul", [value, step.scalar(beta, value)], placed(step.output.shape, order))
    step.give("Softmax", [value], order=order, axis=order.index(len(order) - 1))


def log_softmax(step: Step) -> None:
    """LOG_SOFTMAX."""
    order = step.order(0)
    step.give("LogSoftmax", [step.operand(0, order)], order=order, axis=order.index(len(order) - 1))


def l2_normalization(step: Step) -> None:
    """L2_NORMALIZATION: LpNormalization with p = 2."""
    order = step.order(0)
    step.give(
        "LpNormalization",
        [step.operand(0, order)],
        order=order,
        activation=step.options(L2NormOptions).fused_activation_function,
        axis=order.index(len(order) - 1),
        p=2,
    )


RAISINGS = {"SOFTMAX": softmax, "LOG_SOFTMAX": log_softmax, "L2_NORMALIZATION": l2_normalization}
