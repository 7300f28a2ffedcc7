"""What operators with weights share: how their types meet, their factors, the reasons for which none has a kernel."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError
from bitwright.program.definition import Call
from bitwright.program.fixed_point import REAL_BOUNDS
from bitwright.program.operator import Activation
from bitwright.program.tensor import Array, Tensor


class Mode(Enum):
    """How activations meet weights."""

    FLOAT = "f32 by f32"
    HYBRID = "f32 by integers"
    INTEGER = "integers by integers"


def mode_of(data: Tensor, weights: Tensor) -> Mode:
    """How two operands meet."""
    if data.dtype != "f32":
        return Mode.INTEGER
    return Mode.FLOAT if weights.dtype == "f32" else Mode.HYBRID


def centred(array: Array, tensor: Tensor) -> NDArray[np.int32]:
    """Integers with their zero_point taken off; weights with an axis have none."""
    return array.astype(np.int32) - np.int32(tensor.zero_point)


def channel_scales(weights: Tensor) -> NDArray[np.float32]:
    """One scale, or one a channel of the axis."""
    assert weights.qparams is not None
    return weights.qparams.scale


def is_packable(weights: Tensor) -> bool:
    """Whether XNNPACK takes such weights: constant, 8-bit, i8 without a zero_point."""
    return (
        weights.data is not None and weights.dtype in ("i8", "u8") and (weights.dtype == "u8" or not weights.zero_point)
    )


def with_bias(sums: Array, call: Call, index: int) -> Array:
    """Sums plus the bias operand, one a channel of the last dimension, where there is one."""
    return sums + call.array(index) if call.has(index) else sums


def wide_bias(quantized_bias_type: str) -> str:
    """The type of the bias of int16 data, as the option says it."""
    return "i32" if quantized_bias_type == "i32" else "i64"


def need_bias(call: Call, index: int, channels: int) -> None:
    """Refuse a bias that has not one value a channel.

    Raises:
        ModelError: it has not.
    """
    if call.has(index) and call.input(index).elements != channels:
        raise ModelError(
            f"bias {call.input(index).name!r} has {call.input(index).elements} values for {channels} channels",
            next="one value a channel of the result",
        )


def activation_reason(activation: Activation) -> str:
    """Why a fused activation has no kernel here."""
    return "" if activation in REAL_BOUNDS else f"LiteRT has no fused {activation} here"


def scheme_reason(call: Call, data: int, weights: int, bias: int, schemes: dict[str, str]) -> str:
    """Why the types of a call have no kernel.

    Args:
        call: any.
        data, weights, bias: indices of the operands.
        schemes: "type of data, type of weights" -> type of the bias. Results have the type of the data.
    """
    first, second = call.input(data), call.input(weights)
    scheme = f"{first.dtype} {second.dtype}"
    if scheme not in schemes:
        listed = ", ".join(key.replace(" ", " by ") for key in schemes)
        return f"LiteRT has no kernel for {scheme.replace(' ', ' by ')}, it has {listed}"
    if call.output.dtype != first.dtype:
        return f"{call.output.name!r} is {call.output.dtype}, {first.name!r} is {first.dtype}"
    if call.has(bias) and call.input(bias).dtype != schemes[scheme]:
        return f"bias {call.input(bias).name!r} is {call.input(bias).dtype}, the kernel takes {schemes[scheme]}"
    return ""


def factors_reason(call: Call, data: Tensor, weights: Tensor, bias: Tensor | None, *, axis: int | None) -> str:
    """Why the parameters of integers have no kernel.

    Args:
        call: its output counts.
        data, weights, bias: the operands.
        axis: the only axis that weights may have scales along; None where they have one.
    """
    is_hybrid = mode_of(data, weights) is Mode.HYBRID
    tensors = (weights,) if is_hybrid else (data, weights, call.output)
    if missing := [t.name for t in tensors if t.qparams is None]:
        return f"{missing[0]!r} has no scale"
    assert weights.qparams is not None
    if weights.qparams.block_shape is not None:
        return f"{weights.name!r} has scales per block, LiteRT has no kernel for them here"
    if weights.qparams.axis not in (None, axis):
        wanted = "one" if axis is None else f"one, or some along axis {axis}"
        return f"{weights.name!r} has scales along axis {weights.qparams.axis}, the kernel takes {wanted}"
    if weights.qparams.axis is not None and (weights.dtype == "u8" or not weights.qparams.symmetric):
        return f"{weights.name!r} has scales along an axis, then it is i8 or i4 with zero_point 0"
    several = [t.name for t in tensors if t is not weights and t.qparams is not None and t.qparams.scale.size != 1]
    if several:
        return f"{several[0]!r} has several scales, LiteRT takes one"
    if data.dtype == "i16" and any(t.zero_point for t in tensors):
        return "int16 operands and results have zero_point 0"
    if bias is not None and bias.qparams is not None and not bias.qparams.symmetric:
        return f"bias {bias.name!r} has a zero_point"
    return ""


def bias_scale_reason(call: Call, data: Tensor, weights: Tensor, bias: Tensor | None) -> str:
    """Why a bias is on another scale than the sums it is added to, where LiteRT looks: beyond 0.02 of an output step.

    Source: TensorFlow Lite kernel_util.cc, GetQuantizedConvolutionMultipler.
    """
    if bias is None:
        return ""
    held = 0.0 if bias.qparams is None or bias.qparams.scale.size != 1 else bias.scale
    wanted = float(np.float32(data.scale)) * float(np.float32(weights.scale))
    if abs(wanted - held) / call.output.scale <= 0.02:
        return ""
    return f"bias {bias.name!r} has scale {held:.6g}, the products it is added to have {wanted:.6g}"


def optional(call: Call, index: int) -> Tensor | None:
    """The tensor of an operand that may be left out."""
    return call.inputs[index] if index < len(call.inputs) else None


def array_of(call: Call, index: int) -> Any:
    """The value of an operand that may be left out."""
    return call.array(index) if call.has(index) else None
