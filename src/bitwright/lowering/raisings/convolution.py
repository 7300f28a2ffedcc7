"""CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV: Conv and ConvTranspose."""

from __future__ import annotations

from bitwright.lowering.raisings.order import NCHW, Order
from bitwright.lowering.raisings.step import Step
from bitwright.lowering.raisings.window import pads, pair, transposed_pads
from bitwright.program.options import Conv2DOptions, DepthwiseConv2DOptions, TransposeConvOptions

#: [O, H, W, I] and [1, H, W, C * M] as Conv wants them: [O, I / G, H, W] and [C * M, 1, H, W].
_CONV_WEIGHT = (0, 3, 1, 2)
_DEPTHWISE_WEIGHT = (3, 0, 1, 2)
#: [O, H, W, I] as ConvTranspose wants it: [I, O, H, W].
_TRANSPOSED_WEIGHT = (3, 0, 1, 2)


def conv_2d(step: Step) -> None:
    """CONV_2D: data [N, H, W, I], weights [O, H, W, I / G]."""
    outputs, _, _, inputs = step.input(1).shape
    _convolution(step, step.options(Conv2DOptions), _CONV_WEIGHT, outputs, step.input(0).shape[3] // inputs)


def depthwise_conv_2d(step: Step) -> None:
    """DEPTHWISE_CONV_2D: data [N, H, W, C], weights [1, H, W, C * M]: a group for each channel."""
    outputs, channels = step.input(1).shape[3], step.input(0).shape[3]
    _convolution(step, step.options(DepthwiseConv2DOptions), _DEPTHWISE_WEIGHT, outputs, channels)


def _convolution(step: Step, o: Conv2DOptions | DepthwiseConv2DOptions, order: Order, outputs: int, group: int) -> None:
    kernel, strides = pair(step.input(1).shape[1:3]), (o.stride_h, o.stride_w)
    dilations = (o.dilation_h_factor, o.dilation_w_factor)
    step.give(
        "Conv",
        [step.operand(0, NCHW), step.operand(1, order), *step.bias(2, outputs)],
        order=NCHW,
        activation=o.fused_activation_function,
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        pads=pads(o.padding, pair(step.input(0).shape[1:3]), kernel, strides, dilations),
        group=group,
    )


def transpose_conv(step: Step) -> None:
    """TRANSPOSE_CONV: operands are the result's shape, weights [O, H, W, I], data [N, H, W, I], bias."""
    o, weight, data = step.options(TransposeConvOptions), step.input(1), step.input(2)
    kernel, strides = pair(weight.shape[1:3]), (o.stride_h, o.stride_w)
    around, more = transposed_pads(o.padding, pair(data.shape[1:3]), pair(step.output.shape[1:3]), kernel, strides)
    step.give(
        "ConvTranspose",
        [step.operand(2, NCHW), step.operand(1, _TRANSPOSED_WEIGHT), *step.bias(3, weight.shape[0], factors=(2, 1))],
        order=NCHW,
        activation=o.fused_activation_function,
        kernel_shape=kernel,
        strides=strides,
        pads=around,
        output_padding=more,
    )


RAISINGS = {"CONV_2D": conv_2d, "DEPTHWISE_CONV_2D": depthwise_conv_2d, "TRANSPOSE_CONV": transpose_conv}
