"""What references share about integers: the bounds of a fused activation, accumulators to output integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.numerics.fixed_point import wrap
from bitwright.numerics.qparams import STORAGES
from bitwright.numerics.requantize import (
    INT32_MAX,
    INT32_MIN,
    Int64s,
    Rounding,
    fp32_even,
    fp64_away,
    quantize_multiplier,
    tflite_double,
    tflite_int64,
    tflite_single,
)
from bitwright.numerics.rounding import round_half_away
from bitwright.program.definition import Call
from bitwright.program.operator import Activation
from bitwright.program.tensor import DTYPES, Array, Tensor

Arithmetic = Literal["fp32_even", "tflite_double", "tflite_single", "tflite_int64", "fp64_away"]

#: What a fused activation keeps of the reals, where LiteRT's kernels have it; None is no bound.
REAL_BOUNDS: dict[Activation, tuple[float | None, float | None]] = {
    Activation.NONE: (None, None),
    Activation.RELU: (0, None),
    Activation.RELU6: (0, 6),
    Activation.RELU_N1_TO_1: (-1, 1),
}


def activation_bounds(activation: Activation, tensor: Tensor, *, on_xnnpack: bool = False) -> tuple[int, int]:
    """The lowest and highest integer that a fused activation leaves in a quantized output.

        clamp(round_half_away(bound / scale) + zero_point, qmin, qmax), the quotient in float32

    Args:
        activation: a key of REAL_BOUNDS.
        tensor: the output: i8, u8 or i16, one scale.
        on_xnnpack: ties to even after the zero_point is added, as XNNPACK has it (`fp32_even`).

    Source: TensorFlow Lite kernel_util.cc, CalculateActivationRangeQuantizedImpl.

    >>> from bitwright.numerics.qparams import QuantParams
    >>> activation_bounds(Activation.RELU6, Tensor("y", (1,), "i8", QuantParams(0.05, -128)))
    (-128, -8)
    """
    kind = STORAGES[tensor.dtype]
    low, high = REAL_BOUNDS[activation]
    return (
        kind.qmin if low is None else max(kind.qmin, _integer_of(low, tensor, on_xnnpack)),
        kind.qmax if high is None else min(kind.qmax, _integer_of(high, tensor, on_xnnpack)),
    )


def _integer_of(real: float, tensor: Tensor, on_xnnpack: bool) -> int:
    # Rounded to float32 from float64, a quotient of two float32 is what float32 division gives.
    quotient = np.float32(min(max(real / tensor.scale, INT32_MIN), INT32_MAX))
    if on_xnnpack:
        return round(float(quotient + np.float32(tensor.zero_point)))  # round is to even
    return int(round_half_away(np.asarray(quotient))) + tensor.zero_point


@dataclass(frozen=True)
class Requantization:
    """How sums become integers of one output: which arithmetic, with which factors, within which bounds.

    Args:
        arithmetic: a rounding of `numerics.requantize`.
        real_multiplier: float64, one number or one a channel (for fp32_even: float32).
        zero_point: of the output.
        low, high: the bounds of the output's integers, a fused activation counted in.
        dtype: storage type of the output.
    """

    arithmetic: Arithmetic
    real_multiplier: NDArray[np.floating[Any]]
    zero_point: int
    low: int
    high: int
    dtype: str

    def apply(self, accumulator: ArrayLike) -> Array:
        """Sums to integers. Sums that are not 64 bits wide by their arithmetic wrap in 32."""
        is_wide = self.arithmetic == "tflite_int64"
        values = np.asarray(accumulator, dtype=np.int64) if is_wide else wrap(accumulator)
        if self.arithmetic == "fp32_even":
            rounded = fp32_even(values, self.real_multiplier) + self.zero_point
        else:
            if self.arithmetic == "fp64_away":
                rounded = fp64_away(values, self.real_multiplier)
            else:
                multiplier, shift = quantize_multiplier(self.real_multiplier)
                if is_wide:
                    rounded = tflite_int64(values, multiplier, shift)
                else:
                    rounded = in_fixed_point(values, multiplier, shift, self.arithmetic)
            rounded = wrap(rounded + self.zero_point)
        rounded = np.asarray(rounded)  # of a scalar, numpy made no array
        return np.clip(rounded, self.low, self.high, out=rounded).astype(DTYPES[self.dtype])


def requantization(
    call: Call,
    first: Tensor,
    second: Tensor,
    *,
    activation: Activation = Activation.NONE,
    in_float32: bool = False,
    in_float64: bool = False,
    in_int32: bool = False,
    on_xnnpack: bool = True,
) -> Requantization:
    """How sums of products become integers of a call's output, in the call's rounding.

        q = clamp(round(accumulator * first.scale * second.scale / output scale) + zero_point, bounds)

    | output | tflite_double | tflite_single | fp32_even |
    |---|---|---|---|
    | i8, u8 | two roundings in fixed point | one rounding in fixed point | float32 product, ties to even |
    | i16 | 64-bit accumulator | 64-bit accumulator | as tflite_double: XNNPACK has no 16-bit kernels |

    Args:
        call: its `rounding` and its output count.
        first, second: what was multiplied; where second has an axis, the last of the sums is its channels.
        activation: fused, a key of REAL_BOUNDS.
        in_float32: whether LiteRT's reference kernel takes the product of both scales in float32.
        in_float64: whether it multiplies by the scale in float64, ties away from zero, in place of fixed point.
        in_int32: whether sums for an i16 output are 32 bits wide; then it is requantized as 8-bit ones are.
        on_xnnpack: whether XNNPACK takes such a call; `fp32_even` is tflite_double where it does not.
    """
    assert second.qparams is not None
    is_wide = call.output.dtype == "i16" and not in_int32
    scales = np.float32(first.scale), second.qparams.scale, np.float32(call.output.scale)
    on_xnnpack = call.rounding == "fp32_even" and on_xnnpack and call.output.dtype != "i16"
    arithmetic: Arithmetic
    if on_xnnpack:
        arithmetic, real_multiplier = "fp32_even", np.asarray(scales[0] * scales[1] / scales[2])
    else:
        product = (scales[0] * scales[1]).astype(np.float64) if in_float32 else float(scales[0]) * np.float64(scales[1])
        real_multiplier = np.asarray(product / float(scales[2]))
        if in_float64 and call.rounding != "tflite_single":
            arithmetic = "fp64_away"
        elif is_wide:
            arithmetic = "tflite_int64"
        else:
            arithmetic = "tflite_single" if call.rounding == "tflite_single" else "tflite_double"
    low, high = activation_bounds(activation, call.output, on_xnnpack=on_xnnpack)
    return Requantization(arithmetic, real_multiplier, call.output.zero_point, low, high, call.output.dtype)


def in_fixed_point(
    values: ArrayLike, multiplier: ArrayLike, shift: ArrayLike, rounding: Rounding | Arithmetic
) -> Int64s:
    """round(values * real_multiplier), as LiteRT's own kernels do it with 32-bit accumulators.

    Args:
        values: int32; where a multiplier above 1 takes them out of int32 they wrap, as they do on x86.
        multiplier, shift: of `quantize_multiplier`; arrays broadcast against values.
        rounding: `tflite_single` rounds once; any other twice: where XNNPACK leaves an operator to LiteRT's kernels,
            a program of rounding `fp32_even` runs on those.
    """
    if rounding == "tflite_single":
        return tflite_single(values, multiplier, shift)
    shifts = np.asarray(shift)
    shifted = wrap(np.asarray(values, dtype=np.int64) << np.maximum(shifts, 0))
    return tflite_double(shifted, multiplier, np.minimum(shifts, 0))
