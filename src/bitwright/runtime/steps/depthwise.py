"""Steps of DEPTHWISE_CONV_2D: one kernel for a filter a channel; general convolutions for what it has not."""

from __future__ import annotations

import numpy as np

from bitwright.program.definition import Call
from bitwright.program.families.convolution import convolution_requantization
from bitwright.program.options import DepthwiseConv2DOptions
from bitwright.runtime.steps.convolution import (
    MOST_BORDER,
    bias_of,
    constant_reason,
    conv_step,
    folded_bias,
    split_weights,
    type_reason,
    window_border,
)
from bitwright.runtime.steps.convolution16 import width_reason
from bitwright.runtime.steps.requant import engine_requant
from bitwright.runtime.steps.step import MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import stored_zero_point


def _depthwise(call: Call) -> Steps | str:
    """Weights that leave 8 bits without their zero_point, and several filters a channel, are convolutions in groups.

    So are 16-bit data: their kernels of convolutions see where there is one filter a channel.
    """
    options, x, weights = call.options(DepthwiseConv2DOptions), call.input(0), call.input(1)
    if reason := type_reason(x, weights) or constant_reason(call, 1, 2):
        return reason
    stride, dilation = (options.stride_h, options.stride_w), (options.dilation_h_factor, options.dilation_w_factor)
    border = window_border(x, weights.shape[1:3], stride, dilation, options)
    if max(border) > MOST_BORDER:
        return f"a border of {max(border)} pixels"
    how, bias = convolution_requantization(call), bias_of(call, 2)
    if reason := width_reason(how, bias):
        return reason
    channels, results = x.shape[3], weights.shape[3]
    parts = split_weights(weights)
    padding = (border.top, border.left)
    if x.dtype == "i16" or results != channels or len(parts) > 1 or channels == 1:
        by_result = np.ascontiguousarray(parts[:, 0].transpose(3, 0, 1, 2))[..., None]  # [O,R,KH,KW,1]
        geometry = {"stride": stride, "dilation": dilation, "padding": padding, "groups": channels}
        return (conv_step(x, call.output, by_result, bias, how, border, **geometry),)
    return (
        Step(
            "depthwise",
            {"x": x.name, "y": call.output.name},
            arguments={
                "weights": np.ascontiguousarray(parts[0, 0]),
                "bias": folded_bias(parts.reshape(-1, results).T, bias, stored_zero_point(x)),
                "requant": engine_requant(how, results),
                "stride": stride,
                "dilation": dilation,
                "padding": padding,
            },
            borders={"x": border},
            strided=frozenset({"x", "y"}),
        ),
    )


STEPS: dict[str, MakeSteps] = {"DEPTHWISE_CONV_2D": _depthwise}
