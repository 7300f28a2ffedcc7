"""Steps of CONV_2D and FULLY_CONNECTED, and what other convolutions share with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright import _engine
from bitwright.program.definition import Call
from bitwright.program.families.convolution import convolution_requantization
from bitwright.program.families.products import fully_connected_requantization
from bitwright.program.fixed_point import Requantization
from bitwright.program.options import Conv2DOptions, DepthwiseConv2DOptions
from bitwright.program.tensor import Array, Tensor
from bitwright.program.window import padding_before
from bitwright.runtime.steps.convolution16 import wide_operands, width_reason
from bitwright.runtime.steps.requant import engine_requant
from bitwright.runtime.steps.step import Border, MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import stored_zero_point

#: Type of the data -> types of weights that there are kernels for.
_WEIGHTS = {"i8": ("i8", "u8", "i4"), "u8": ("i8", "u8", "i4"), "i16": ("i8", "i4")}

#: Of an image, in pixels: wider ones, of dilations beyond any image, are mostly border.
MOST_BORDER = 1 << 12


def constant_reason(call: Call, *indices: int) -> str:
    """Why weights or a bias can't be packed beforehand."""
    for index in indices:
        if call.has(index) and call.input(index).data is None:
            return f"{call.input(index).name!r} is computed while the model runs"
    return ""


def bias_of(call: Call, index: int) -> Array | None:
    """The elements of a bias; None where there is none."""
    return call.input(index).data if call.has(index) else None


def split_weights(weights: Tensor) -> NDArray[np.int8]:
    """Weights without their zero_point as sums of 8-bit ones.

    Returns:
        i8[R,...]: R is 1 where 8 bits hold them, up to 3 for u8 weights with a zero_point far from the middle.
    """
    assert weights.data is not None
    if weights.data.dtype == np.int8 and not weights.zero_point:
        return weights.data[None]
    left = weights.data.astype(np.int32) - weights.zero_point
    parts: list[NDArray[np.int8]] = []
    while not parts or left.any():
        part = np.clip(left, -128, 127)
        parts.append(part.astype(np.int8))
        left -= part
    return np.stack(parts)


def folded_bias(weights: NDArray[np.int8], bias: Array | None, zero_point: int) -> NDArray[np.int32]:
    """Bias - zero_point * sum of weights, wrapped to 32 bits: what sums over stored activations start with.

    Args:
        weights: i8[O,...].
        bias: [O]; None is zeros.
        zero_point: of the stored activations.
    """
    channels = len(weights)
    held = np.zeros(channels, np.int32) if bias is None else np.ascontiguousarray(bias, np.int32).reshape(channels)
    folded = np.empty(channels, np.int32)
    _engine.fold_bias(np.ascontiguousarray(weights), held, zero_point, folded)
    return folded


def conv_step(
    x: Tensor,
    y: Tensor,
    weights: NDArray[np.int8],
    bias: Array | None,
    how: Requantization,
    border: Border,
    **geometry: object,
) -> Step:
    """A convolution, of the kernels for the type of its data.

    Args:
        x, y: images.
        weights: i8[O,R,KH,KW,I].
        bias: [O]; None is zeros.
        how: sums become integers.
        border: of x.
        geometry: what else these kernels take.
    """
    arguments: dict[str, object] = {"requant": engine_requant(how, len(weights)), **geometry}
    if x.dtype == "i16":
        method = "conv16"
        arguments |= wide_operands(weights[:, 0], bias, how)
    else:
        method = "conv"
        arguments |= {"weights": weights, "bias": folded_bias(weights, bias, stored_zero_point(x))}
    return Step(
        method,
        {"x": x.name, "y": y.name},
        arguments=arguments,
        borders={"x": border},
        strided=frozenset({"x", "y"}),
    )


def _conv(call: Call) -> Steps | str:
    options, x, weights = call.options(Conv2DOptions), call.input(0), call.input(1)
    if reason := type_reason(x, weights) or constant_reason(call, 1, 2):
        return reason
    how, bias = convolution_requantization(call), bias_of(call, 2)
    if reason := width_reason(how, bias):
        return reason
    stride, dilation = (options.stride_h, options.stride_w), (options.dilation_h_factor, options.dilation_w_factor)
    border = window_border(x, weights.shape[1:3], stride, dilation, options)
    if max(border) > MOST_BORDER:
        return f"a border of {max(border)} pixels"
    parts = np.ascontiguousarray(split_weights(weights).swapaxes(0, 1))
    padding, groups = (border.top, border.left), x.shape[3] // weights.shape[3]
    return (
        conv_step(
            x, call.output, parts, bias, how, border, stride=stride, dilation=dilation, padding=padding, groups=groups
        ),
    )


def window_border(
    x: Tensor,
    window: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    options: Conv2DOptions | DepthwiseConv2DOptions,
) -> Border:
    """The padding of a window over an image."""
    top, bottom = padding_before(x.shape[1], window[0], stride[0], dilation[0], options.padding)
    left, right = padding_before(x.shape[2], window[1], stride[1], dilation[1], options.padding)
    return Border(top, bottom, left, right)


def type_reason(x: Tensor, weights: Tensor) -> str:
    """Why the engine has no kernel for such operands."""
    if weights.dtype not in _WEIGHTS.get(x.dtype, ()):
        return f"no kernel for {x.dtype} by {weights.dtype}"
    return ""


def _fully_connected(call: Call) -> Steps | str:
    x, weights = call.input(0), call.input(1)
    if reason := type_reason(x, weights) or constant_reason(call, 1, 2):
        return reason
    how, bias = fully_connected_requantization(call), bias_of(call, 2)
    if reason := width_reason(how, bias):
        return reason
    outputs, depth = weights.shape
    arguments: dict[str, object] = {"requant": engine_requant(how, outputs), "rows": x.elements // depth}
    parts = split_weights(weights)
    if x.dtype == "i16":
        method = "fully_connected16"
        arguments |= wide_operands(parts[0], bias, how)
    else:
        method = "fully_connected"
        parts = np.ascontiguousarray(parts.swapaxes(0, 1).reshape(outputs, -1, 1, 1, depth))
        arguments |= {"weights": parts, "bias": folded_bias(parts, bias, stored_zero_point(x))}
    return (Step(method, {"x": x.name, "y": call.output.name}, arguments=arguments),)


STEPS: dict[str, MakeSteps] = {"CONV_2D": _conv, "FULLY_CONNECTED": _fully_connected}
