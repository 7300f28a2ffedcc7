"""Operators that slide weights over images: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV. Images are NHWC.

Source: LiteRT tflite/kernels/conv.cc, depthwise_conv.cc, transpose_conv.cc and the reference kernels they call.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bitwright.errors import ModelError
from bitwright.program.convolve import Pair, convolve, convolve_depthwise, convolve_transposed
from bitwright.program.definition import Call, Definition
from bitwright.program.fixed_point import Requantization, requantization
from bitwright.program.hybrid import quantize_rows, scaled_sums
from bitwright.program.operands import integers, need_rank
from bitwright.program.operator import Activation, Padding
from bitwright.program.options import Conv2DOptions, DepthwiseConv2DOptions, TransposeConvOptions
from bitwright.program.pairs import clamp_plain
from bitwright.program.tensor import Array, Shape, Tensor
from bitwright.program.weights import (
    Mode,
    activation_reason,
    array_of,
    bias_scale_reason,
    centred,
    channel_scales,
    factors_reason,
    is_packable,
    mode_of,
    need_bias,
    optional,
    scheme_reason,
    wide_bias,
    with_bias,
)
from bitwright.program.window import output_size

#: "type of data, type of weights" -> type of the bias.
_SCHEMES = {"f32 f32": "f32", "f32 i8": "f32", "i8 i8": "i32", "u8 u8": "i32", "i16 i8": "i64"}


def _convolved(
    call: Call,
    sums: Callable[[Array, Array], Array],
    activation: Activation,
    *,
    data: int = 0,
    weights: int = 1,
    bias: int = 2,
    asymmetric: bool = True,
) -> Array:
    """A convolution in all its types.

    Args:
        call: any.
        sums: data and weights to sums of their products, of floats or of integers without zero_points.
        activation: fused.
        data, weights, bias: indices of the operands.
        asymmetric: how float data beside integer weights is quantized, every image on a scale of its own.
    """
    x, kernel, source = call.array(data), call.array(weights), call.input(weights)
    mode = mode_of(call.input(data), source)
    if mode is Mode.INTEGER:
        accumulator = with_bias(sums(centred(x, call.input(data)), centred(kernel, source)), call, bias)
        return convolution_requantization(call).apply(accumulator)
    if mode is Mode.FLOAT:
        return clamp_plain(with_bias(sums(x, kernel), call, bias), activation, call)
    rows = quantize_rows(x.reshape(x.shape[0], math.prod(x.shape[1:])), asymmetric=asymmetric)
    accumulator = sums(rows.centred.reshape(x.shape), kernel.astype(np.int64))
    scale = rows.scale.reshape(-1, 1, 1, 1)
    reals = scaled_sums(accumulator, scale, channel_scales(source), array_of(call, bias))
    return clamp_plain(reals, activation, call)


def convolution_requantization(call: Call) -> Requantization:
    """How the sums of an integer CONV_2D, DEPTHWISE_CONV_2D or TRANSPOSE_CONV become integers."""
    options, weights = call.operator.options, call.input(1)
    assert isinstance(options, (Conv2DOptions, DepthwiseConv2DOptions, TransposeConvOptions))
    has_gaps = False
    if isinstance(options, TransposeConvOptions):
        height, width = weights.shape[1:3]
        has_gaps = options.padding == Padding.SAME and (height < options.stride_h or width < options.stride_w)
    return requantization(
        call,
        call.input(2 if isinstance(options, TransposeConvOptions) else 0),
        weights,
        activation=options.fused_activation_function,
        in_float32=weights.dtype == "u8",
        in_int32=not isinstance(options, DepthwiseConv2DOptions) and options.quantized_bias_type == "i32",
        on_xnnpack=not has_gaps and is_packable(weights),
    )


def _steps(options: Conv2DOptions | DepthwiseConv2DOptions) -> tuple[Pair, Pair]:
    """Stride and dilation of H and W."""
    return (options.stride_h, options.stride_w), (options.dilation_h_factor, options.dilation_w_factor)


def _image_sizes(call: Call, options: Conv2DOptions | DepthwiseConv2DOptions) -> Pair:
    stride, dilation = _steps(options)
    data, weights = call.input(0).shape, call.input(1).shape
    height = output_size(data[1], weights[1], stride[0], dilation[0], options.padding)
    return height, output_size(data[2], weights[2], stride[1], dilation[1], options.padding)


# CONV_2D


def _infer_conv(call: Call) -> tuple[Shape, ...]:
    """[N,H,W,C] by [O,KH,KW,C/G]: [N,OH,OW,O]."""
    batch, _, _, channels = need_rank(call.input(0), 4)
    results, _, _, depth = need_rank(call.input(1), 4)
    if depth < 1 or channels < 1 or channels % depth:
        raise ModelError(
            f"weights of {depth} input channels do not divide {channels} channels into groups",
            next="the last dimension of the weights is the channels, or the channels of one group",
        )
    if results < 1 or results % (channels // depth):
        raise ModelError(f"{results} results do not divide into {channels // depth} groups")
    need_bias(call, 2, results)
    return ((batch, *_image_sizes(call, call.options(Conv2DOptions)), results),)


def _conv(call: Call) -> tuple[Array, ...]:
    """Float data beside integer weights is quantized symmetrically where they have one scale, else asymmetrically."""
    options = call.options(Conv2DOptions)
    stride, dilation = _steps(options)

    def sums(x: Array, kernel: Array) -> Array:
        return convolve(x, kernel, stride=stride, dilation=dilation, padding=options.padding)

    return (
        _convolved(
            call,
            sums,
            options.fused_activation_function,
            asymmetric=_has_several_scales(call),
        ),
    )


def _groups(call: Call) -> int:
    return call.input(0).shape[3] // call.input(1).shape[3]


def _has_several_scales(call: Call) -> bool:
    qparams = call.input(1).qparams
    return qparams is not None and bool((qparams.scale != qparams.scale.flat[0]).any())


def _refuse_conv(call: Call) -> str:
    options = call.options(Conv2DOptions)
    wide = wide_bias(options.quantized_bias_type)
    schemes = _SCHEMES | {"f32 i4": "f32", "i8 i4": "i32", "i16 i8": wide, "i16 i4": wide}
    reason = _types_reason(call, schemes, options.fused_activation_function)
    if reason or mode_of(call.input(0), call.input(1)) is Mode.FLOAT:
        return reason
    if reason := _weights_reason(call, call.input(0), optional(call, 2), axis=0):
        return reason
    if mode_of(call.input(0), call.input(1)) is Mode.HYBRID and _groups(call) > 1 and not _has_several_scales(call):
        return "LiteRT has no kernel for float data, integer weights on one scale, and groups"
    return ""


def _types_reason(call: Call, schemes: dict[str, str], activation: Activation) -> str:
    if not call.has(2):
        return "LiteRT has no kernel without a bias, give zeros"
    return activation_reason(activation) or scheme_reason(call, 0, 1, 2, schemes)


def _weights_reason(call: Call, data: Tensor, bias: Tensor | None, *, axis: int) -> str:
    weights = call.input(1)
    if reason := factors_reason(call, data, weights, bias, axis=axis):
        return reason
    if weights.dtype != "u8" and weights.zero_point:
        return f"{weights.name!r} of {weights.dtype} has a zero_point"
    return bias_scale_reason(call, data, weights, bias) if weights.dtype == "u8" else ""


# DEPTHWISE_CONV_2D


def _infer_depthwise(call: Call) -> tuple[Shape, ...]:
    """[N,H,W,C] by [1,KH,KW,C*M]: [N,OH,OW,C*M]."""
    batch, _, _, channels = need_rank(call.input(0), 4)
    one, _, _, results = need_rank(call.input(1), 4)
    if one != 1 or channels < 1 or results < 1 or results % channels:
        raise ModelError(
            f"weights {list(call.input(1).shape)} do not give every of {channels} channels its filters",
            next="they are [1, height, width, channels * depth_multiplier]",
        )
    need_bias(call, 2, results)
    return ((batch, *_image_sizes(call, call.options(DepthwiseConv2DOptions)), results),)


def _depthwise(call: Call) -> tuple[Array, ...]:
    """Float data beside integer weights is quantized asymmetrically."""
    options = call.options(DepthwiseConv2DOptions)
    stride, dilation = _steps(options)

    def sums(x: Array, kernel: Array) -> Array:
        return convolve_depthwise(x, kernel[0], stride=stride, dilation=dilation, padding=options.padding)

    return (_convolved(call, sums, options.fused_activation_function),)


def _refuse_depthwise(call: Call) -> str:
    options = call.options(DepthwiseConv2DOptions)
    data, weights = call.input(0), call.input(1)
    reason = _types_reason(call, _SCHEMES | {"i8 i4": "i32"}, options.fused_activation_function)
    if reason or mode_of(data, weights) is Mode.FLOAT:
        return reason
    if reason := _weights_reason(call, data, optional(call, 2), axis=3):
        return reason
    if len(call.input(2).shape) != 1:
        return f"bias {call.input(2).name!r} has {len(call.input(2).shape)} dimensions, the kernel takes one"
    is_hybrid = mode_of(data, weights) is Mode.HYBRID
    if is_hybrid and channel_scales(weights).size != weights.shape[3]:
        return f"{weights.name!r} has one scale, beside float data LiteRT takes one a channel"
    if (is_hybrid or data.dtype == "i16") and options.depth_multiplier * data.shape[3] != weights.shape[3]:
        return f"depth_multiplier is {options.depth_multiplier}, the weights say {weights.shape[3] // data.shape[3]}"
    return ""


# TRANSPOSE_CONV: operands are the result's shape, weights, data, bias


def _infer_transpose_conv(call: Call) -> tuple[Shape, ...]:
    """The shape that the first operand says."""
    shape = integers(call, 0, "the shape of the result", length=4)
    results, _, _, depth = need_rank(call.input(1), 4)
    batch, _, _, channels = need_rank(call.input(2), 4)
    if depth != channels:
        raise ModelError(f"weights of {depth} input channels do not fit data of {channels}")
    options = call.options(TransposeConvOptions)
    if min(options.stride_h, options.stride_w) < 1:
        raise ModelError(f"strides are positive (got {options.stride_h} and {options.stride_w})")
    if (shape[0], shape[3]) != (batch, results) or min(shape[1:3]) < 1:
        raise ModelError(
            f"the shape of the result {list(shape)} does not fit {list(call.input(2).shape)} and {results} filters",
            next=f"it is [{batch}, height, width, {results}]",
        )
    need_bias(call, 3, results)
    return (shape,)


def _transpose_conv(call: Call) -> tuple[Array, ...]:
    """Float data beside integer weights is quantized asymmetrically."""
    options = call.options(TransposeConvOptions)
    size = call.output.shape[1:3]
    stride = (options.stride_h, options.stride_w)

    def sums(x: Array, kernel: Array) -> Array:
        return convolve_transposed(x, kernel, (size[0], size[1]), stride=stride, padding=options.padding)

    return (_convolved(call, sums, options.fused_activation_function, data=2, bias=3),)


def _refuse_transpose_conv(call: Call) -> str:
    options = call.options(TransposeConvOptions)
    schemes = _SCHEMES | {"i16 i8": wide_bias(options.quantized_bias_type)}
    if reason := activation_reason(options.fused_activation_function) or scheme_reason(call, 2, 1, 3, schemes):
        return reason
    data = call.input(2)
    if mode_of(data, call.input(1)) is Mode.FLOAT:
        return ""
    return _weights_reason(call, data, optional(call, 3), axis=0)


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        Definition("CONV_2D", _infer_conv, _conv, (2, 3), Conv2DOptions, _refuse_conv),
        Definition(
            "DEPTHWISE_CONV_2D", _infer_depthwise, _depthwise, (2, 3), DepthwiseConv2DOptions, _refuse_depthwise
        ),
        Definition(
            "TRANSPOSE_CONV",
            _infer_transpose_conv,
            _transpose_conv,
            (3, 4),
            TransposeConvOptions,
            _refuse_transpose_conv,
        ),
    )
}
