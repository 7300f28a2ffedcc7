"""What the elementwise operators share: which of their tensors are quantized, why types have no kernel, clamping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.numerics.requantize import Rounding, quantize_multiplier
from bitwright.program.broadcasting import infer_broadcast
from bitwright.program.definition import Call, Definition
from bitwright.program.fixed_point import REAL_BOUNDS, in_fixed_point
from bitwright.program.operands import QUANTIZED, type_reason
from bitwright.program.operator import Activation, Options
from bitwright.program.tensor import DTYPES, Array, Tensor

Int64s = NDArray[np.int64]


def is_quantized(tensor: Tensor) -> bool:
    """Whether its integers stand for reals."""
    return tensor.dtype in QUANTIZED and tensor.qparams is not None


def pair_reason(call: Call, *allowed: str, activation: Activation = Activation.NONE) -> str:
    """Why a call has no kernel: operands and results of one allowed type, with one scale each where they are quantized.

    8-bit types are always quantized; int16 may hold plain integers.
    """
    if reason := type_reason(call, *allowed):
        return reason
    tensors = [tensor for tensor in (*call.inputs, *call.outputs) if tensor is not None]
    first = tensors[0]
    for tensor in tensors[1:]:
        if tensor.dtype != first.dtype:
            return f"{first.name!r} is {first.dtype}, {tensor.name!r} is {tensor.dtype}"
    if activation not in REAL_BOUNDS:
        return f"LiteRT has no fused {activation} here"
    return scales_reason(*tensors)


def scales_reason(*tensors: Tensor) -> str:
    """Why tensors of one type are not quantized alike, or not per tensor; "" when they are."""
    quantized = [tensor for tensor in tensors if is_quantized(tensor)]
    plain = [tensor for tensor in tensors if tensor.dtype in QUANTIZED and tensor.qparams is None]
    if plain and (quantized or plain[0].dtype != "i16"):
        return f"{plain[0].name!r} of {plain[0].dtype} has no scale"
    for tensor in quantized:
        assert tensor.qparams is not None
        if tensor.qparams.scale.size != 1:
            return f"{tensor.name!r} has {tensor.qparams.scale.size} scales, LiteRT takes one"
    return ""


def power_of_two(scale: float) -> int | None:
    """log2 of a scale that is a power of two within 0.07 %; None otherwise.

    Source: TensorFlow Lite quantization_util.cc, CheckedLog2.

    >>> power_of_two(2.0**-15), power_of_two(0.3)
    (-15, None)
    """
    log2 = float(np.log(np.float32(scale)) * (np.float32(1) / np.log(np.float32(2))))
    return round(log2) if abs(log2 - round(log2)) < 1e-3 else None


def scaled(x: ArrayLike, real_multiplier: float, rounding: Rounding) -> Int64s:
    """round(x * real_multiplier) by `in_fixed_point`; real_multiplier is a non-negative number."""
    return in_fixed_point(x, *quantize_multiplier(real_multiplier), rounding)


def takes(*types: str) -> Callable[[Call], str]:
    """A refusal of every type but these, and of nothing else."""

    def refuse(call: Call) -> str:
        return pair_reason(call, *types)

    return refuse


def of_two(
    kind: str,
    reference: Callable[[Call], tuple[Array, ...]],
    refuse: Callable[[Call], str],
    options: type[Options] = Options,
) -> Definition:
    """The Definition of an elementwise operator of two operands that broadcast."""
    return Definition(kind, infer_broadcast, reference, inputs=(2, 2), options=options, refuse=refuse)


def store(x: ArrayLike, tensor: Tensor, low: int | None = None, high: int | None = None) -> Array:
    """Integers clamped to [low, high] and to the storage type of a tensor, in that type."""
    dtype = DTYPES[tensor.dtype]
    bounds = np.iinfo(dtype)
    low = bounds.min if low is None else max(low, bounds.min)
    high = bounds.max if high is None else min(high, bounds.max)
    return np.asarray(np.clip(np.asarray(x), low, high), dtype=dtype)


def plain_bounds(activation: Activation, call: Call) -> tuple[float | None, float | None]:
    """What a fused activation keeps of reals or plain integers.

    LiteRT's own kernels clamp reals to the finite float32 numbers even without one; XNNPACK (`fp32_even`) does not.
    """
    low, high = REAL_BOUNDS[activation]
    dtype = DTYPES[call.output.dtype]
    if dtype.kind == "f" and call.rounding != "fp32_even":
        largest = float(np.finfo(dtype).max)
        return -largest if low is None else low, largest if high is None else high
    return low, high


def clamp_plain(x: Array, activation: Activation, call: Call) -> Array:
    """A fused activation on reals or plain integers: within `plain_bounds`."""
    low, high = plain_bounds(activation, call)
    result: Any = x
    if low is not None:
        result = np.maximum(result, x.dtype.type(low))
    if high is not None:
        result = np.minimum(result, x.dtype.type(high))
    return np.asarray(result, dtype=x.dtype)
