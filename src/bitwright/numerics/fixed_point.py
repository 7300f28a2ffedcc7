"""Fixed-point functions of gemmlowp and TensorFlow Lite, vectorized: exp, logistic, tanh, log, 1/x, 1/sqrt(x).

A fixed-point number of m integer bits in a word of `bits` bits ("Qm") is the integer raw = real * 2**(bits - 1 - m),
held here in int64 arrays. The integer kernels of TensorFlow Lite are made of these; they agree with them bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.numerics.requantize import rounding_divide_by_power_of_two

Int64s = NDArray[np.int64]

INT32_MAX = (1 << 31) - 1

# Raw constants of gemmlowp's Q0 and Q2 words of 32 bits.
_EXP_MINUS_1_8 = 1895147668
_ONE_THIRD = 715827883
_48_OVER_17 = 1515870810
_MINUS_32_OVER_17 = -1010580540
#: exp(-2**k) for k = -2, -1, ..., 4 in Q0.
_EXP_MINUS_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
_SQRT_HALF = 1518500250


def _int64(x: ArrayLike) -> Int64s:
    return np.asarray(x, dtype=np.int64)


def wrap(x: ArrayLike, bits: int = 32) -> Int64s:
    """What a two's complement word of `bits` bits keeps of x.

    >>> wrap([1 << 31, -1]).tolist()
    [-2147483648, -1]
    """
    half = 1 << (bits - 1)
    return ((_int64(x) + half) & ((1 << bits) - 1)) - half


def multiply(a: ArrayLike, b: ArrayLike, bits: int = 32) -> Int64s:
    """The product of Qm and Qn in Q(m + n): round(a * b / 2**(bits - 1)), ties upward; lowest * lowest saturates.

    Source: gemmlowp fixedpoint.h, SaturatingRoundingDoublingHighMul.

    >>> multiply([1 << 30], 1 << 30).tolist(), multiply([-32768], -32768, bits=16).tolist()
    ([536870912], [32767])
    """
    high = (_int64(a) * _int64(b) + (1 << (bits - 2))) >> (bits - 1)
    return _int64(np.minimum(high, (1 << (bits - 1)) - 1))


def shift_left(x: ArrayLike, amount: int, bits: int = 32) -> Int64s:
    """X * 2**amount, saturating.

    Source: gemmlowp fixedpoint.h, SaturatingRoundingMultiplyByPOT with a positive exponent.

    >>> shift_left([3, 1 << 30, -(1 << 30) - 1], 1).tolist()
    [6, 2147483647, -2147483648]
    """
    half = 1 << (bits - 1)
    threshold = (1 << (bits - 1 - amount)) - 1
    values = _int64(x)
    shifted = np.where(values > threshold, half - 1, values << amount)
    return np.where(values < -threshold, -half, shifted)


def rescale(x: ArrayLike, integer_bits: int, to: int, bits: int = 32) -> Int64s:
    """Q(integer_bits) to Q(to): a left shift saturates, a right shift rounds half away from zero.

    Source: gemmlowp fixedpoint.h, Rescale.

    >>> rescale([5, -5], 0, 1).tolist(), rescale([5], 2, 0).tolist()
    ([3, -3], [20])
    """
    if integer_bits >= to:
        return shift_left(x, integer_bits - to, bits)
    return rounding_divide_by_power_of_two(x, to - integer_bits)


def _half_sum(a: ArrayLike, b: ArrayLike) -> Int64s:
    """(a + b) / 2, half away from zero."""
    total = _int64(a) + _int64(b)
    return np.where(total >= 0, (total + 1) >> 1, -((1 - total) >> 1))


def exp_on_negative_values(a: ArrayLike, integer_bits: int, bits: int = 32) -> Int64s:
    """exp(a) in Q0, for a <= 0 in Q(integer_bits).

    Args:
        a: raw values, not positive.
        integer_bits: of a, 0..5.
        bits: 32 or 16.

    Source: gemmlowp fixedpoint.h, exp_on_negative_values: a polynomial on [-1/4, 0) and a product per bit above.

    >>> (exp_on_negative_values([0, -1 << 26], 5) / 2.0**31).round(6).tolist()
    [1.0, 0.36788]
    """
    values = _int64(a)
    fraction = bits - 1 - integer_bits
    quarter = 1 << (fraction - 2)
    in_quarter = (values & (quarter - 1)) - quarter
    result = _exp_on_last_quarter(rescale(in_quarter, integer_bits, 0, bits), bits)
    remainder = in_quarter - values
    for power, constant in enumerate(_EXP_MINUS_POWERS, start=-2):
        if integer_bits > power:
            scaled = multiply(result, _constant(constant, bits), bits)
            result = np.where(remainder & (1 << (fraction + power)), scaled, result)
    return np.where(values == 0, (1 << (bits - 1)) - 1, result)


def _exp_on_last_quarter(a: Int64s, bits: int) -> Int64s:
    """exp(a) for a in [-1/4, 0), both in Q0: its Taylor polynomial of degree four around -1/8."""
    constant = _constant(_EXP_MINUS_1_8, bits)
    x = a + (1 << (bits - 4))
    x2 = multiply(x, x, bits)
    x3, x4 = multiply(x2, x, bits), multiply(x2, x2, bits)
    third = multiply(rounding_divide_by_power_of_two(x4, 2) + x3, _constant(_ONE_THIRD, bits), bits)
    polynomial = x + rounding_divide_by_power_of_two(third + x2, 1)
    result = constant + multiply(constant, polynomial, bits)
    return _int64(np.minimum(result, 32767)) if bits == 16 else result


def _constant(raw: int, bits: int) -> Any:
    """A constant given for 32 bits, in a word of `bits`."""
    return rounding_divide_by_power_of_two(raw, 32 - bits)


def _reciprocal_of_half_denominator(a: ArrayLike, bits: int) -> Int64s:
    """2 / (1 + a) in Q2 for a in [0, 1) in Q0: three steps of Newton and Raphson."""
    half_denominator = _half_sum(a, (1 << (bits - 1)) - 1)
    one = 1 << (bits - 3)
    x = _constant(_48_OVER_17, bits) + multiply(half_denominator, _constant(_MINUS_32_OVER_17, bits), bits)
    for _ in range(3):
        error = one - multiply(half_denominator, x, bits)
        x = wrap(x + rescale(multiply(x, error, bits), 4, 2, bits), bits)
    return _int64(x)


def one_over_one_plus_x(a: ArrayLike, bits: int = 32) -> Int64s:
    """1 / (1 + a) in Q0, for a in [0, 1) in Q0.

    Source: gemmlowp fixedpoint.h, one_over_one_plus_x_for_x_in_0_1.

    >>> (one_over_one_plus_x([0, 1 << 30]) / 2.0**31).round(6).tolist()
    [1.0, 0.666667]
    """
    return rescale(_reciprocal_of_half_denominator(a, bits), 1, 0, bits)


def logistic(a: ArrayLike, integer_bits: int, bits: int = 32) -> Int64s:
    """1 / (1 + exp(-a)) in Q0, for a in Q(integer_bits).

    Source: gemmlowp fixedpoint.h, logistic.

    >>> (logistic([0, 1 << 27, -1 << 27], 4) / 2.0**31).round(6).tolist()
    [0.5, 0.731059, 0.268941]
    """
    values = _int64(a)
    largest = (1 << (bits - 1)) - 1
    positive = one_over_one_plus_x(exp_on_negative_values(-np.abs(values), integer_bits, bits), bits)
    signed = np.where(values > 0, positive, largest - positive)
    return np.where(values == 0, 1 << (bits - 2), signed)


def tanh(a: ArrayLike, integer_bits: int, bits: int = 32) -> Int64s:
    """tanh(a) in Q0, for a in Q(integer_bits).

    Source: gemmlowp fixedpoint.h, tanh.

    >>> (tanh([0, 1 << 27, -1 << 27], 4) / 2.0**31).round(6).tolist()
    [0.0, 0.761594, -0.761594]
    """
    values = _int64(a)
    decay = exp_on_negative_values(-np.abs(values), integer_bits + 1, bits)
    half = _reciprocal_of_half_denominator(decay, bits) - (1 << (bits - 3))
    magnitude = rescale(half, 2, 0, bits)
    return np.where(values == 0, 0, np.where(values < 0, -magnitude, magnitude))


def leading_zeros(x: ArrayLike) -> Int64s:
    """Leading zero bits of 32-bit words.

    >>> leading_zeros([0, 1, 1 << 31]).tolist()
    [32, 31, 0]
    """
    return 32 - np.frexp(_int64(x).astype(np.float64))[1].astype(np.int64)


def reciprocal(x: ArrayLike, integer_bits: int) -> tuple[Int64s, Int64s]:
    """1 / x as a Q0 value in (1/2, 1] and a power of two: 1 / x = raw / 2**31 * 2**-shift.

    Args:
        x: positive raw values in Q(integer_bits).

    Returns:
        (raw, shift).

    Source: TensorFlow Lite common.h, GetReciprocal.

    >>> raw, shift = reciprocal([3 << 19], 12)
    >>> float(raw[0] / 2.0**31 * 2.0**-shift[0])
    0.3333333...
    """
    values = _int64(x)
    headroom = leading_zeros(values)
    return one_over_one_plus_x((values << headroom) - (1 << 31)), integer_bits - headroom


def inverse_sqrt(x: ArrayLike) -> tuple[Int64s, Int64s]:
    """1 / sqrt(x) of integers, as a multiplier and a shift: multiplier * 2**(shift - 31), shift <= 0.

    Args:
        x: int32 values; 0 counts as 1.

    Returns:
        (multiplier, shift).

    Source: TensorFlow Lite common.h, GetInvSqrtQuantizedMultiplierExp with reverse_shift = -1.

    >>> multiplier, shift = inverse_sqrt([16])
    >>> float(multiplier[0] * 2.0 ** (shift[0] - 31))
    0.25...
    """
    values = np.maximum(_int64(x), 2)
    quarterings = (values >= 1 << 29).astype(np.int64) + (values >= 1 << 31)
    values = values >> (2 * quarterings)
    pairs = (leading_zeros(values) - 1) // 2 - 1
    right_shift = 11 + quarterings - pairs
    operand = (values << (2 * pairs)) >> 1
    half_operand = rounding_divide_by_power_of_two(operand, 1)
    root = np.full(values.shape, 1 << 28, dtype=np.int64)
    for _ in range(5):
        cube = rescale(multiply(multiply(root, root), root), 9, 3)
        step = multiply((1 << 28) + (1 << 27), root) - multiply(half_operand, cube)
        root = rescale(wrap(step), 6, 3)
    multiplier = multiply(root, _SQRT_HALF)
    multiplier = np.where(right_shift < 0, multiplier << np.maximum(-right_shift, 0), multiplier)
    one = _int64(x) <= 1
    return np.where(one, INT32_MAX, multiplier), np.where(one, 0, -np.maximum(right_shift, 0))


def log_of_at_least_one(x: ArrayLike, integer_bits: int, to: int) -> Int64s:
    """log(x) in Q(to), for x >= 1 in Q(integer_bits).

    Source: TensorFlow Lite common.h, log_x_for_x_greater_than_or_equal_to_1.

    >>> (log_of_at_least_one([1 << 19, 10 << 19], 12, 5) / 2.0**26).round(5).tolist()
    [0.0, 2.30259]
    """
    fourth_root_half, log_2 = 1805811301, 1488522236
    alpha_n, alpha_d, alpha_i, alpha_f = 117049297, 127690142, 1057819769, 638450708
    accumulator_bits = to + 1
    quarter = rescale(1 << 29, 0, accumulator_bits)
    unit = 31 - accumulator_bits

    z_a = _int64(x)
    zeros_a = leading_zeros(z_a)
    r_a = shift_left(multiply(_shift_left_each(z_a, zeros_a - 1), _SQRT_HALF), 1)
    power_a = shift_left(integer_bits - zeros_a, unit) + quarter
    z_b = multiply(z_a, _SQRT_HALF)
    headroom_b = leading_zeros(z_b) - 1
    r_b = _shift_left_each(z_a, headroom_b)
    power_b = shift_left(integer_bits - headroom_b, unit) - quarter

    r = np.minimum(r_a, r_b)
    power = np.clip(np.maximum(power_a, power_b), -(1 << 31), INT32_MAX)
    p = _half_sum(r, fourth_root_half)
    q = wrap(2 * (r - fourth_root_half))
    square = multiply(q, q)
    numerator = multiply(q, r) + multiply(multiply(q, square), alpha_n)
    denominator = multiply(p, wrap(alpha_i + q + multiply(alpha_d, square))) + multiply(alpha_f, q)
    fraction = multiply(rescale(wrap(numerator), 0, accumulator_bits), one_over_one_plus_x(wrap(denominator)))
    return rescale(wrap(multiply(power, log_2) + fraction), accumulator_bits, to)


def _shift_left_each(x: Int64s, amounts: Int64s) -> Int64s:
    """X << amounts where the result fits, the nearest bound of int32 where it does not."""
    return _int64(np.clip(x << amounts, -(1 << 31), INT32_MAX))
