"""Sums and differences: ADD, SUB, SQUARED_DIFFERENCE, MINIMUM, MAXIMUM."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.numerics.requantize import quantize_multiplier
from bitwright.program.definition import Call, Definition
from bitwright.program.fixed_point import Arithmetic, Requantization, activation_bounds, in_fixed_point
from bitwright.program.operator import Activation
from bitwright.program.options import AddOptions, SubOptions
from bitwright.program.pairs import clamp_plain, is_quantized, of_two, pair_reason, power_of_two, store, takes
from bitwright.program.tensor import Array

Int64s = NDArray[np.int64]


# ADD and SUB


def _sum(sign: int, options: type[AddOptions] | type[SubOptions]) -> Callable[[Call], tuple[Array, ...]]:
    """The reference of ADD (sign 1) or SUB (sign -1)."""

    def reference(call: Call) -> tuple[Array, ...]:
        """Reals and plain integers as numpy has them, then the fused activation; integers wrap.

        Quantized: see `sum_rule`.
        """
        a, b = call.array(0), call.array(1)
        activation = call.options(options).fused_activation_function
        if not is_quantized(call.output):
            with np.errstate(over="ignore", invalid="ignore"):
                plain = a + b if sign > 0 else a - b
            return (clamp_plain(plain, activation, call),)
        rule = sum_rule(call)
        if isinstance(rule, WeightedSum):
            rounded = rule.apply(_centred(call, 0), sign * _centred(call, 1)) + call.output.zero_point
            return (store(rounded, call.output, *activation_bounds(activation, call.output)),)
        first, second = (rule.on_common_scale(index, _centred(call, index)) for index in range(2))
        return (rule.result.apply(first + sign * second),)

    return reference


@dataclass(frozen=True)
class WeightedSum:
    """What XNNPACK makes of two 8-bit operands: multipliers of 21 bits, one rounding, ties upward.

        (multipliers[0] * (a - zero_point_a) + multipliers[1] * (b - zero_point_b) + half) >> shift

    Args:
        multipliers: of both operands; the larger one has 21 bits.
        shift: 13..30.

    Source: XNNPACK qs8-vadd.
    """

    multipliers: tuple[int, int]
    shift: int

    def apply(self, first: Int64s, second: Int64s) -> Int64s:
        """The sum of integers without their zero_points, before the result's zero_point is added."""
        total = self.multipliers[0] * first + self.multipliers[1] * second
        return (total + (1 << (self.shift - 1))) >> self.shift


@dataclass(frozen=True)
class CommonScale:
    """Both operands on one scale, in fixed point, and how what is made of them is rescaled.

        round((q - zero_point) * 2**left_shift * multiplier * 2**(shift - 31))

    Args:
        left_shift: bits that are added to each operand first.
        factors: (multiplier, shift) of each operand.
        result: rescales; both rescalings round as its arithmetic says.

    Source: TensorFlow Lite add.cc, sub.cc, squared_difference.cc, reference/add.h, reference/sub.h.
    """

    left_shift: int
    factors: tuple[tuple[int, int], tuple[int, int]]
    result: Requantization

    def on_common_scale(self, index: int, values: Int64s) -> Int64s:
        """Integers of an operand without their zero_point."""
        return in_fixed_point(values << self.left_shift, *self.factors[index], self.result.arithmetic)


def sum_rule(call: Call) -> WeightedSum | CommonScale:
    """How quantized ADD and SUB compute.

    On a common scale of 2 * max(scales) with `left_shift` bits added (20, or 15 for i16); every rescaling rounds twice
    (`tflite_double`). int16 whose scales are powers of two and that ask for it (`pot_scale_int16`): one operand is
    shifted, half away from zero. What XNNPACK makes of 8-bit operands (`fp32_even`): `WeightedSum`.
    """
    options = call.operator.options
    assert isinstance(options, AddOptions | SubOptions)
    if _by_powers_of_two(call, options):
        first, second = ((1 << 30, -shift) for shift in _right_shifts(call))  # a factor of 2**-1, of x * 2
        return CommonScale(1, (first, second), _rescaling(call, 1.0, options.fused_activation_function, exact=True))
    if call.rounding == "fp32_even" and _xnnpack_reaches(call):
        return _weighted_sum(call)
    left_shift = 15 if call.output.dtype == "i16" else 20
    twice_largest = _twice_largest(call)
    multiplier = twice_largest / ((1 << left_shift) * call.output.scale)
    result = _rescaling(call, multiplier, options.fused_activation_function)
    return CommonScale(left_shift, _factors(call, twice_largest), result)


def _rescaling(call: Call, multiplier: float, activation: Activation, *, exact: bool = False) -> Requantization:
    """Args: exact: the multiplier is 1, and no rounding is asked for."""
    arithmetic: Arithmetic = "tflite_single" if call.rounding == "tflite_single" and not exact else "tflite_double"
    low, high = activation_bounds(activation, call.output)
    return Requantization(arithmetic, np.asarray(multiplier), call.output.zero_point, low, high, call.output.dtype)


def _twice_largest(call: Call) -> float:
    return 2 * max(call.input(0).scale, call.input(1).scale)


def _factors(call: Call, common: float) -> tuple[tuple[int, int], tuple[int, int]]:
    first, second = (quantize_multiplier(call.input(index).scale / common) for index in range(2))
    return first, second


def _centred(call: Call, index: int) -> Int64s:
    return call.array(index).astype(np.int64) - call.input(index).zero_point


def _ratios(call: Call) -> list[np.float32]:
    return [np.float32(call.input(index).scale) / np.float32(call.output.scale) for index in range(2)]


def _xnnpack_reaches(call: Call) -> bool:
    """Whether XNNPACK has a kernel for the scales; beyond them this is LiteRT's reference kernel again.

    LiteRT's optimized kernel for 8-bit ADD and MUL, which the default falls back to there, overflows 16 bits on x86
    where an operand's step is hundreds of the result's: that is not modelled.
    """
    return call.output.dtype != "i16" and all(2.0**-10 <= ratio < 2.0**8 for ratio in _ratios(call))


def _weighted_sum(call: Call) -> WeightedSum:
    ratios = _ratios(call)
    exponent = math.frexp(float(max(ratios)))[1] - 1
    shift = 20 - exponent
    first, second = (int(np.rint(float(ratio) * 2.0**shift)) for ratio in ratios)
    return WeightedSum((first, second), shift)


def _by_powers_of_two(call: Call, options: AddOptions | SubOptions) -> bool:
    tensors = (call.input(0), call.input(1), call.output)
    return (
        call.output.dtype == "i16"
        and options.pot_scale_int16
        and all(power_of_two(tensor.scale) is not None for tensor in tensors)
    )


def _right_shifts(call: Call) -> tuple[int, int]:
    target = power_of_two(call.output.scale)
    first, second = (power_of_two(call.input(index).scale) for index in range(2))
    assert target is not None and first is not None and second is not None
    return target - first, target - second


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
        if _twice_largest(call) / ((1 << left_shift) * call.output.scale) >= 1:
            return f"the scale of {call.output.name!r} is too small beside those of its operands"
        return ""

    return refuse


def _int16_reason(call: Call, options: type[AddOptions] | type[SubOptions]) -> str:
    if any(tensor.zero_point for tensor in (call.input(0), call.input(1), call.output)):
        return "int16 operands and results have zero_point 0"
    if not _by_powers_of_two(call, call.options(options)):
        return ""
    shifts = _right_shifts(call)
    if min(shifts) != 0:
        return "int16 scales that are powers of two: one operand has the result's, the other one at most that"
    if options is AddOptions and call.input(0).shape != call.input(1).shape:
        return "int16 operands whose scales are powers of two do not broadcast"
    return ""


# SQUARED_DIFFERENCE


def _squared_difference(call: Call) -> tuple[Array, ...]:
    """(a - b)**2. Quantized: see `squared_difference_rule`."""
    if not is_quantized(call.output):
        with np.errstate(over="ignore", invalid="ignore"):
            difference = call.array(0) - call.array(1)
            return (difference * difference,)
    rule = squared_difference_rule(call)
    first, second = (rule.on_common_scale(index, _centred(call, index)) for index in range(2))
    return (rule.result.apply((first - second) ** 2),)


def squared_difference_rule(call: Call) -> CommonScale:
    """How quantized SQUARED_DIFFERENCE (i8) computes: on a common scale with 7 bits added, squared, rescaled.

    Source: TensorFlow Lite squared_difference.cc.
    """
    twice_largest = _twice_largest(call)
    result = _rescaling(call, twice_largest * twice_largest / ((1 << 14) * call.output.scale), Activation.NONE)
    return CommonScale(7, _factors(call, twice_largest), result)


def _squared_difference_refused(call: Call) -> str:
    if reason := pair_reason(call, "f32", "i8", "i32"):
        return reason
    if call.output.dtype != "i8":
        return ""
    twice_largest = _twice_largest(call)
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
