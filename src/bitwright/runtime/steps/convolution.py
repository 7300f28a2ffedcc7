"""Steps of CONV_2D and FULLY_CONNECTED, and what other convolutions share with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright.program.definition import Call
from bitwright.program.families.convolution import convolution_requantization
from bitwright.program.families.products import fully_connected_requantization
from bitwright.program.options import Conv2DOptions, DepthwiseConv2DOptions
from bitwright.program.tensor import Tensor
from bitwright.program.window import padding_before
from bitwright.runtime.steps.requant import engine_requant
from bitwright.runtime.steps.step import Border, MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import stored_zero_point

Ints = NDArray[np.int64]


def constant_reason(call: Call, *indices: int) -> str:
    """Why weights or a bias can't be packed beforehand."""
    for index in indices:
        if call.has(index) and call.input(index).data is None:
            return f"{call.input(index).name!r} is computed while the model runs"
    return ""


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


def folded_bias(weights: NDArray[np.int8], bias: NDArray[np.int64] | None, zero_point: int) -> NDArray[np.int32]:
    """Bias - zero_point * sum of weights, wrapped to 32 bits: what sums over stored activations start with.

    Args:
        weights: i8[O,...].
        bias: [O]; None is zeros.
        zero_point: of the stored activations.
    """
    rows = weights.reshape(len(weights), -1)
    fits = rows.shape[1] < 1 << 23  # numpy adds faster in 32 bits than in 64
    sums = np.add.reduce(rows, axis=1, dtype=np.int32 if fits else np.int64).astype(np.int64)
    return ((0 if bias is None else bias) - zero_point * sums).astype(np.int32)


def _conv(call: Call) -> Steps | str:
    options, x, weights = call.options(Conv2DOptions), call.input(0), call.input(1)
    if reason := type_reason(x, weights) or constant_reason(call, 1, 2):
        return reason
    stride, dilation = (options.stride_h, options.stride_w), (options.dilation_h_factor, options.dilation_w_factor)
    border = window_border(x, weights.shape[1:3], stride, dilation, options)
    parts = np.ascontiguousarray(split_weights(weights).swapaxes(0, 1))
    bias = call.input(2).data if call.has(2) else None
    return (
        Step(
            "conv",
            {"x": x.name, "y": call.output.name},
            arguments={
                "weights": parts,
                "bias": folded_bias(parts, bias, stored_zero_point(x)),
                "requant": engine_requant(convolution_requantization(call), weights.shape[0]),
                "stride": stride,
                "dilation": dilation,
                "padding": (border.top, border.left),
                "groups": x.shape[3] // weights.shape[3],
            },
            borders={"x": border},
            strided=frozenset({"x", "y"}),
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
    pads = (padding_before(x.shape[a + 1], window[a], stride[a], dilation[a], options.padding) for a in range(2))
    return Border(*(size for pad in pads for size in pad))


def type_reason(x: Tensor, weights: Tensor) -> str:
    """Why the engine has no kernel for such operands."""
    if x.dtype not in ("i8", "u8") or weights.dtype not in ("i8", "u8", "i4"):
        return f"no kernel for {x.dtype} by {weights.dtype}"
    return ""


def _fully_connected(call: Call) -> Steps | str:
    x, weights = call.input(0), call.input(1)
    if reason := type_reason(x, weights) or constant_reason(call, 1, 2):
        return reason
    outputs, depth = weights.shape
    rows = x.elements // depth
    parts = split_weights(weights).swapaxes(0, 1).reshape(outputs, -1, 1, 1, depth)
    bias = call.input(2).data if call.has(2) else None
    return (
        Step(
            "fully_connected",
            {"x": x.name, "y": call.output.name},
            arguments={
                "weights": np.ascontiguousarray(parts),
                "bias": folded_bias(parts, bias, stored_zero_point(x)),
                "requant": engine_requant(fully_connected_requantization(call), outputs),
                "rows": rows,
            },
        ),
    )


STEPS: dict[str, MakeSteps] = {"CONV_2D": _conv, "FULLY_CONNECTED": _fully_connected}
