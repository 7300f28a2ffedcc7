"""Sums and differences: ADD, SUB, SQUARED_DIFFERENCE, MINIMUM, MAXIMUM."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bitwright.numerics.requantize import quantize_multiplier, rounding_divide_by_power_of_two
from bitwright.program.definition import Call, Definition
from bitwright.program.fixed_point import activation_bounds
from bitwright.program.options import AddOptions, SubOptions
from bitwright.program.pairs import clamp_plain, is_quantized, of_two, pair_reason, power_of_two, scaled, store, takes
from bitwright.program.tensor import Array

Int64s = NDArray[np.int64]


# ADD and SUB


def _sum(sign: int, options: type[AddOptions] | type[SubOptions]) -> Callable[[Call], tuple[Array, ...]]:
    """The reference of ADD (sign 1) or SUB (sign -1)."""

    def reference(call: Call) -> tuple[Array, ...]:
        """Reals and plain integers as numpy has them, then the fused activation; integers wrap.

        Quantized: both operands on a common scale of 2 * max(scales) with `left_shift` bits added (20, or 15 for i16),
        summed, and rescaled; every rescaling rounds twice (`tflite_double`). int16 whose scales are powers of two and
        that ask for it (`pot_scale_int16`): one operand is shifted, the sum saturates.

        What XNNPACK makes of 8-bit operands (`fp32_even`): multipliers of 21 bits, one rounding, ties upward.

        Source: TensorFlow Lite add.cc, sub.cc, reference/add.h, reference/sub.h; XNNPACK qs8-vadd.
        """
        a, b = call.array(0), call.array(1)
        activation = call.options(options).fused_activation_function
        if not is_quantized(call.output):
            with np.errstate(over="ignore", invalid="ignore"):
                plain = a + b if sign > 0 else a - b
            return (clamp_plain(plain, activation, call),)
        if _by_powers_of_two(call, options):
            rounded = _shifted_sum(call, sign)
        elif call.rounding == "fp32_even" and _xnnpack_reaches(call):
            rounded = _xnnpack_sum(call, sign)
        else:
            rounded = _rescaled_sum(call, sign)
        return (store(rounded, call.output, *activation_bounds(activation, call.output)),)

    return reference


def _rescaled_sum(call: Call, sign: int) -> Int64s:
    left_shift = 15 if call.output.dtype == "i16" else 20
    first, second, twice_largest = _on_common_scale(call, left_shift)
    total = first + sign * second
    multiplier = twice_largest / ((1 << left_shift) * call.output.scale)
    return scaled(total, multiplier, call.rounding) + call.output.zero_point


def _on_common_scale(call: Call, left_shift: int) -> tuple[Int64s, Int64s, float]:
    """Both operands as integers of one scale, twice the larger one, shifted left; and that scale."""
    twice_largest = 2 * max(call.input(0).scale, call.input(1).scale)
    first, second = (
        scaled(
            (call.array(index).astype(np.int64) - call.input(index).zero_point) << left_shift,
            call.input(index).scale / twice_largest,
            call.rounding,
        )
        for index in range(2)
    )
    return first, second, twice_largest


def _ratios(call: Call) -> list[np.float32]:
    return [np.float32(call.input(index).scale) / np.float32(call.output.scale) for index in range(2)]


def _xnnpack_reaches(call: Call) -> bool:
    """Whether XNNPACK has a kernel for the scales; beyond them this is LiteRT's reference kernel again.

    LiteRT's optimized kernel for 8-bit ADD and MUL, which the default falls back to there, overflows 16 bits on x86
    where an operand's step is hundreds of the result's: that is not modelled.
    """
    return call.output.dtype != "i16" and all(2.0**-10 <= ratio < 2.0**8 for ratio in _ratios(call))


def _xnnpack_sum(call: Call, sign: int) -> Int64s:
    """(a_multiplier * a + b_multiplier * b + half) >> shift, the larger multiplier having 21 bits."""
    ratios = _ratios(call)
    exponent = math.frexp(float(max(ratios)))[1] - 1
    shift = 20 - exponent
    multipliers = [int(np.rint(float(ratio) * 2.0**shift)) for ratio in ratios]
    first, second = (
        multipliers[index] * (call.array(index).astype(np.int64) - call.input(index).zero_point) for index in range(2)
    )
    return ((first + sign * second + (1 << (shift - 1))) >> shift) + call.output.zero_point


def _by_powers_of_two(call: Call, options: type[AddOptions] | type[SubOptions]) -> bool:
    tensors = (call.input(0), call.input(1), call.output)
    return (
        call.output.dtype == "i16"
        and call.options(options).pot_scale_int16
        and all(power_of_two(tensor.scale) is not None for tensor in tensors)
    )


def _right_shifts(call: Call) -> tuple[int, int]:
    target = power_of_two(call.output.scale)
    first, second = (power_of_two(call.input(index).scale) for index in range(2))
    assert target is not None and first is not None and second is not None
    return target - first, target - second


def _shifted_sum(call: Call, sign: int) -> Int64s:
    first, second = (
        rounding_divide_by_power_of_two(call.array(index), shift) for index, shift in enumerate(_right_shifts(call))
    )
    return first + sign * second


def _sum_refused(options: type[AddOptions] | type[SubOptions]) -> Callable[[Call], str]:
    def refuse(call: Call) -> str:
        """Types without a kernel, and scales at which LiteRT gives up."""
        activation = call.options(options).fused_activation_function
        if reason := pair_reason(call, "f32", "i8", "u8", "i16", "i32", "i64", activation=activation):
            return reason
        if not is_quantized(call.output):
            return ""
        if call.output.dtype == "i16" and (reason := _int16_reason(call, options)):
            return reason
        left_shift = 15 if call.output.dtype == "i16" else 20
        twice_largest = 2 * max(call.input(0).scale, call.input(1).scale)
        if twice_largest / ((1 << left_shift) * call.output.scale) >= 1:
            return f"the scale of {call.output.name!r} is too small beside those of its operands"
        return ""

    return refuse


def _int16_reason(call: Call, options: type[AddOptions] | type[SubOptions]) -> str:
    if any(tensor.zero_point for tensor in (call.input(0), call.input(1), call.output)):
        return "int16 operands and results have zero_point 0"
    if not _by_powers_of_two(call, options):
        return ""
    shifts = _right_shifts(call)
    if min(shifts) != 0:
        return "int16 scales that are powers of two: one operand has the result's, the other one at most that"
    if options is AddOptions and call.input(0).shape != call.input(1).shape:
        return "int16 operands whose scales are powers of two do not broadcast"
    return ""


# SQUARED_DIFFERENCE


def _squared_difference(call: Call) -> tuple[Array, ...]:
    """(a - b)**2. Quantized (i8): on a common scale with 7 bits added, squared, rescaled, each rounding twice.

    Source: TensorFlow Lite squared_difference.cc.
    """
    if not is_quantized(call.output):
        with np.errstate(over="ignore", invalid="ignore"):
            difference = call.array(0) - call.array(1)
            return (difference * difference,)
    first, second, twice_largest = _on_common_scale(call, 7)
    multiplier = twice_largest * twice_largest / ((1 << 14) * call.output.scale)
    rounded = scaled((first - second) ** 2, multiplier, call.rounding) + call.output.zero_point
    return (store(rounded, call.output, -128, 127),)


def _squared_difference_refused(call: Call) -> str:
    if reason := pair_reason(call, "f32", "i8", "i32"):
        return reason
    if call.output.dtype != "i8":
        return ""
    twice_largest = 2 * max(call.input(0).scale, call.input(1).scale)
    multiplier, shift = quantize_multiplier(twice_largest * twice_largest / ((1 << 14) * call.output.scale))
    if shift > 0 or multiplier == 0:
        return f"the scale of {call.output.name!r} is out of reach of those of its operands"
    return ""


# MINIMUM and MAXIMUM


def _extreme(choose: Callable[[Array, Array], Array]) -> Callable[[Call], tuple[Array, ...]]:
    def reference(call: Call) -> tuple[Array, ...]:
        """The smaller or larger of two numbers: of reals, or of integers as they stand, whatever their parameters.

        Source: TensorFlow Lite maximum_minimum.cc: a quantized result is right when all have the same parameters.
        """
        return (choose(call.array(0), call.array(1)),)

    return reference


def _smaller(a: Array, b: Array) -> Array:
    return np.where(a < b, a, b)


def _larger(a: Array, b: Array) -> Array:
    return np.where(a > b, a, b)


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        of_two("ADD", _sum(1, AddOptions), _sum_refused(AddOptions), AddOptions),
        of_two("SUB", _sum(-1, SubOptions), _sum_refused(SubOptions), SubOptions),
        of_two("SQUARED_DIFFERENCE", _squared_difference, _squared_difference_refused),
        of_two("MINIMUM", _extreme(_smaller), takes("f32", "i8", "u8", "i16", "i32", "i64")),
        of_two("MAXIMUM", _extreme(_larger), takes("f32", "i8", "u8", "i16", "i32", "i64")),
    )
}
