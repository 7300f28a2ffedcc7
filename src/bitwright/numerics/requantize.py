"""Requantization: an int32 accumulator becomes a narrow integer. Three roundings, each named, each normative.

| rounding | arithmetic | ties |
|---|---|---|
| `tflite_double` | fixed point, two roundings | upward, then away from zero |
| `tflite_single` | fixed point, one rounding | upward |
| `fp32_even` | float32 product | to even |

Two more belong to single kernels and are chosen by nobody: `tflite_int64` (64-bit accumulators of 16-bit activations)
and `fp64_away` (TensorFlow Lite's reference FULLY_CONNECTED).

Every other implementation (C, SIMD, an exported file) agrees with this one bit for bit.
"""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.errors import QuantParamsError, UsageError
from bitwright.numerics.qparams import STORAGES
from bitwright.numerics.rounding import round_half_away, to_int32

Rounding = Literal["tflite_double", "tflite_single", "fp32_even"]
Int64s = NDArray[np.int64]

INT32_MIN = -(1 << 31)
INT32_MAX = (1 << 31) - 1


@overload
def quantize_multiplier(real: float) -> tuple[int, int]: ...
@overload
def quantize_multiplier(real: NDArray[Any]) -> tuple[Int64s, Int64s]: ...
def quantize_multiplier(real: Any) -> tuple[Any, Any]:
    """A real multiplier as a 31-bit integer and a power of two.

        real = multiplier * 2**(shift - 31), 2**30 <= multiplier < 2**31

    Args:
        real: 0 <= real < 2**30; a number, or an array with one per channel.

    Returns:
        (multiplier, shift): ints for a number, int64 arrays for an array. A real below 2**-32 gives (0, 0).

    Raises:
        QuantParamsError: negative, NaN, or at least 2**30.

    Source: TensorFlow Lite quantization_util.cc, QuantizeMultiplier.

    >>> quantize_multiplier(0.0625)
    (1073741824, -3)
    >>> quantize_multiplier(1 - 2**-40)
    (1073741824, 1)
    """
    reals = np.asarray(real, dtype=np.float64)
    if not np.all((reals >= 0) & (reals < 2.0**30)):  # NaN fails both
        raise QuantParamsError(
            "a real multiplier lies in [0, 2**30)", next="look at the scales: input scale * weight scale / output scale"
        )
    fraction, exponent = np.frexp(reals)
    # fraction < 1 has 53 bits: times 2**31 plus a half is exact, and floor of it rounds ties upward.
    multiplier = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    shift = exponent.astype(np.int64)
    full = multiplier == 1 << 31
    multiplier = np.where(full, 1 << 30, multiplier)
    shift = np.where(full, shift + 1, shift)
    tiny = (shift < -31) | (multiplier == 0)
    multiplier, shift = np.where(tiny, 0, multiplier), np.where(tiny, 0, shift)
    if np.ndim(real) == 0:
        return int(multiplier), int(shift)
    return multiplier, shift


def saturating_rounding_doubling_high_mul(a: ArrayLike, b: ArrayLike) -> Int64s:
    """The high half of 2 * a * b, rounded: round(a * b / 2**31), ties upward, one case saturates.

        a * b >= 0: (a*b + 2**30) / 2**31;  a * b < 0: (a*b + 1 - 2**30) / 2**31;  "/" truncates toward zero
        INT32_MIN * INT32_MIN -> INT32_MAX

    Both lines are floor((a*b + 2**30) / 2**31): for a negative product, truncating after adding 1 - 2**30 is
    the floor after adding 2**30.

    Source: gemmlowp fixedpoint.h, SaturatingRoundingDoublingHighMul.

    >>> saturating_rounding_doubling_high_mul([3, -3, INT32_MIN], [1 << 30, 1 << 30, INT32_MIN]).tolist()
    [2, -1, 2147483647]
    """
    product = np.asarray(a, dtype=np.int64) * np.asarray(b, dtype=np.int64)
    high: Int64s = np.minimum((product + (1 << 30)) >> 31, INT32_MAX)
    return high


def rounding_divide_by_power_of_two(x: ArrayLike, exponent: ArrayLike) -> Int64s:
    """round(x / 2**exponent), ties away from zero.

        mask = 2**exponent - 1, threshold = (mask >> 1) + (x < 0)
        (x >> exponent) + ((x & mask) > threshold)

    Args:
        x: int32 values.
        exponent: 0..31.

    Source: gemmlowp fixedpoint.h, RoundingDivideByPOT.

    >>> rounding_divide_by_power_of_two([5, -5, 4, -4], 1).tolist()
    [3, -3, 2, -2]
    """
    values, exponents = np.asarray(x, dtype=np.int64), np.asarray(exponent, dtype=np.int64)
    mask = (np.int64(1) << exponents) - 1
    threshold = (mask >> 1) + (values < 0)
    return (values >> exponents) + ((values & mask) > threshold)


def tflite_double(accumulator: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Int64s:
    """round(accumulator * real_multiplier) in fixed point with two roundings: ties upward, then away from zero.

        RDBPOT(SRDHM(accumulator << max(shift, 0), multiplier), max(-shift, 0))

    Args:
        accumulator: int32 values, any shape.
        multiplier, shift: of `quantize_multiplier`; arrays broadcast against accumulator.

    Returns:
        int64 values within int32; the caller adds the zero_point and clamps. A left shift that leaves int32 (undefined
        in the source) saturates.

    Source: TensorFlow Lite common.h, MultiplyByQuantizedMultiplier (the default of the built-in kernels).

    The second rounding sees the result of the first: 1.4999 of a real product may become 2.

    >>> tflite_double([1000, -1000], 1 << 30, -3).tolist()
    [63, -63]
    """
    shifts = np.asarray(shift, dtype=np.int64)
    shifted = np.asarray(accumulator, dtype=np.int64) << np.maximum(shifts, 0)
    high = saturating_rounding_doubling_high_mul(np.clip(shifted, INT32_MIN, INT32_MAX), multiplier)
    return rounding_divide_by_power_of_two(high, np.maximum(-shifts, 0))


def tflite_single(accumulator: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Int64s:
    """round(accumulator * real_multiplier) in fixed point with one rounding, ties upward.

        (accumulator * multiplier + 2**(30 - shift)) >> (31 - shift)

    Args:
        accumulator: int32 values, any shape.
        multiplier, shift: of `quantize_multiplier`, shift in [-31, 30]; arrays broadcast against accumulator.

    Returns:
        int64 values, not saturated; the caller adds the zero_point and clamps.

    Source: TensorFlow Lite common.cc, MultiplyByQuantizedMultiplier with TFLITE_SINGLE_ROUNDING.

    >>> tflite_single([1000, -1000], 1 << 30, -3).tolist()
    [63, -62]
    """
    shifts = np.asarray(shift, dtype=np.int64)
    product = np.asarray(accumulator, dtype=np.int64) * np.asarray(multiplier, dtype=np.int64)
    return (product + (np.int64(1) << (30 - shifts))) >> (31 - shifts)


def fp32_even(accumulator: ArrayLike, real_multiplier: ArrayLike) -> Int64s:
    """round_half_to_even(f32(accumulator) * f32(real_multiplier)), the product rounded to float32.

    Args:
        accumulator: int32 values, any shape. Beyond 2**24 the conversion to float32 itself rounds (to even).
        real_multiplier: f32; arrays broadcast against accumulator.

    Returns:
        int64 values, saturated at 2**62 alone; the caller adds the zero_point and clamps.

    Source: XNNPACK, qs8-requantization rndnu/fp32 (cvtps2dq and vcvtn round to even).

    >>> fp32_even([1000, -1000, 1016], 0.0625).tolist()
    [62, -62, 64]
    """
    product = np.asarray(accumulator).astype(np.float32) * np.asarray(real_multiplier, dtype=np.float32)
    return np.rint(np.clip(product, np.float32(-(2.0**62)), np.float32(2.0**62))).astype(np.int64)


def tflite_int64(accumulator: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Int64s:
    """round(accumulator * real_multiplier) of 64-bit accumulators: the multiplier cut to 15 bits, ties upward.

        m = multiplier < 0x7FFF0000 ? (multiplier + 2**15) >> 16 : 0x7FFF
        (accumulator * m + 2**(14 - shift)) >> (15 - shift)

    Args:
        accumulator: in [-2**47, 2**47), any shape.
        multiplier, shift: of `quantize_multiplier`, shift in [-31, 7]; arrays broadcast against accumulator.

    Returns:
        int64 values within int32, beyond which they wrap; the caller adds the zero_point and clamps.

    Source: TensorFlow Lite common.cc, MultiplyByQuantizedMultiplier of int64_t.

    The multiplier is off by up to one part in 2**15, so a large result may be one off the nearest integer.

    >>> tflite_int64([1000, -1000], 1 << 30, -3).tolist()
    [63, -62]
    """
    multipliers, shifts = np.asarray(multiplier, dtype=np.int64), np.asarray(shift, dtype=np.int64)
    reduced = np.where(multipliers < 0x7FFF0000, (multipliers + (1 << 15)) >> 16, 0x7FFF)
    product: Int64s = np.asarray(accumulator, dtype=np.int64) * reduced
    rounded = (product + (np.int64(1) << (14 - shifts))) >> (15 - shifts)
    return ((rounded + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def fp64_away(accumulator: ArrayLike, real_multiplier: ArrayLike) -> Int64s:
    """round(accumulator * real_multiplier) in float64, ties away from zero.

    Args:
        accumulator: integers below 2**53, any shape.
        real_multiplier: float64; arrays broadcast against accumulator.

    Returns:
        int64 values, -2**31 for all that leaves int32 (undefined in the source; what x86 gives); the caller adds the
        zero_point and clamps.

    Source: TensorFlow Lite reference/integer_ops/fully_connected.h.

    >>> fp64_away([1000, -1000], 0.0625).tolist()
    [63, -63]
    """
    product = np.asarray(accumulator).astype(np.float64) * np.asarray(real_multiplier, dtype=np.float64)
    return to_int32(round_half_away(product))


def requantize(
    accumulator: ArrayLike,
    real_multiplier: Any,
    *,
    rounding: Rounding,
    zero_point: int = 0,
    storage: str = "i8",
    qmin: int | None = None,
    qmax: int | None = None,
) -> NDArray[Any]:
    """Accumulators to integers of the storage type.

        q = clamp(round(accumulator * real_multiplier) + zero_point, qmin, qmax)
        real_multiplier = input scale * weight scale / output scale

    Args:
        accumulator: int32 values, any shape.
        real_multiplier: a number, or an array that broadcasts against accumulator (one per channel).
        rounding: "tflite_double", "tflite_single" or "fp32_even".
        zero_point, storage: of the output.
        qmin, qmax: tighter bounds, such as a fused ReLU's; the storage's own by default.

    Raises:
        UsageError: an unknown rounding or storage type, accumulators that are not int32.
        QuantParamsError: a multiplier that is not a number in [0, 2**30).

    >>> requantize([1000, -1000, 9999], 0.0625, rounding="fp32_even", zero_point=-1)
    array([ 61, -63, 127], dtype=int8)
    """
    values = np.asarray(accumulator)
    if values.dtype.kind not in "iu" or (values.size and not INT32_MIN <= values.min() <= values.max() <= INT32_MAX):
        raise UsageError(f"accumulators are int32 values (got {values.dtype})")
    if storage not in STORAGES:
        raise UsageError(f"unknown storage type {storage!r}", next=f"one of {', '.join(STORAGES)}")
    multiplier, shift = quantize_multiplier(np.asarray(real_multiplier, dtype=np.float64))
    match rounding:
        case "tflite_double":
            rounded = tflite_double(values, multiplier, shift)
        case "tflite_single":
            rounded = tflite_single(values, multiplier, shift)
        case "fp32_even":
            rounded = fp32_even(values, real_multiplier)
        case _:
            raise UsageError(
                f"unknown rounding {rounding!r}", next="one of 'tflite_double', 'tflite_single', 'fp32_even'"
            )
    kind = STORAGES[storage]
    low = kind.qmin if qmin is None else max(qmin, kind.qmin)
    high = kind.qmax if qmax is None else min(qmax, kind.qmax)
    return np.clip(rounded + zero_point, low, high).astype(kind.dtype)
