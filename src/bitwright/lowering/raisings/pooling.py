"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from bitwright.lowering.raisings.order import NCHW
from bitwright.lowering.raisings.step import Step
from bitwright.lowering.raisings.window import pads, pair
from bitwright.program.options import Pool2DOptions


def _pool(step: Step, op: str, **attributes: int) -> None:
    o = step.options(Pool2DOptions)
    kernel, strides = (o.filter_height, o.filter_width), (o.stride_h, o.stride_w)
    step.give(
        op,
        [step.operand(0, NCHW)],
        order=NCHW,
        activation=o.fused_activation_function,
        kernel_shape=kernel,
        strides=strides,
        pads=pads(o.padding, pair(step.input(0).shape[1:3]), kernel, strides),
        **attributes,
    )


def average_pool_2d(step: Step) -> None:
    """AVERAGE_POOL_2D: what lies outside is not counted."""
    _pool(step, "AveragePool", count_include_pad=0)


def max_pool_2d(step: Step) -> None:
    """MAX_POOL_2D."""
    _pool(step, "MaxPool")


RAISINGS = {"AVERAGE_POOL_2D": average_pool_2d, "MAX_POOL_2D": max_pool_2d}
