"""Steps of DEPTHWISE_CONV_2D: one kernel for a filter a channel; general convolutions for what it has not."""

from __future__ import annotations

import numpy as np

from bitwright.program.definition import Call
from bitwright.program.families.convolution import convolution_requantization
from bitwright.program.options import DepthwiseConv2DOptions
from bitwright.runtime.steps.convolution import (
    constant_reason,
    folded_bias,
    split_weights,
    type_reason,
    window_border,
)
from bitwright.runtime.steps.requant import engine_requant
from bitwright.runtime.steps.step import MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import stored_zero_point


def _depthwise(call: Call) -> Steps | str:
    """Weights that leave 8 bits without their zero_point, and several filters a channel, are convolutions in groups."""
    options, x, weights = call.options(DepthwiseConv2DOptions), call.input(0), call.input(1)
    if reason := type_reason(x, weights) or constant_reason(call, 1, 2):
        return reason
    stride, dilation = (options.stride_h, options.stride_w), (options.dilation_h_factor, options.dilation_w_factor)
    border = window_border(x, weights.shape[1:3], stride, dilation, options)
    channels, results = x.shape[3], weights.shape[3]
    parts = split_weights(weights)
    bias = call.input(2).data if call.has(2) else None
    arguments: dict[str, object] = {
        "bias": folded_bias(parts.reshape(-1, results).T, bias, stored_zero_point(x)),
        "requant": engine_requant(convolution_requantization(call), results),
        "stride": stride,
        "dilation": dilation,
        "padding": (border.top, border.left),
    }
    if results == channels and len(parts) == 1 and channels > 1:
        method = "depthwise"
        arguments["weights"] = np.ascontiguousarray(parts[0, 0])
    else:
        method = "conv"
        by_result = np.ascontiguousarray(parts[:, 0].transpose(3, 0, 1, 2))  # [O,R,KH,KW]
        arguments |= {"weights": by_result[..., None], "groups": channels}
    return (
        Step(
            method,
            {"x": x.name, "y": call.output.name},
            arguments=arguments,
            borders={"x": border},
            strided=frozenset({"x", "y"}),
        ),
    )


STEPS: dict[str, MakeSteps] = {"DEPTHWISE_CONV_2D": _depthwise}
