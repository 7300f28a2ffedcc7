"""Each rounding against exact rational arithmetic, and against the C of its source written out in plain integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bitwright.errors import QuantParamsError, UsageError
from bitwright.numerics.requantize import (
    INT32_MAX,
    INT32_MIN,
    fp32_even,
    fp64_away,
    quantize_multiplier,
    requantize,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
    tflite_double,
    tflite_int64,
    tflite_single,
)

INT32 = st.integers(INT32_MIN, INT32_MAX)
MULTIPLIER = st.integers(1 << 30, INT32_MAX)
SHIFT = st.integers(-31, 7)
SHARED = settings(max_examples=400, deadline=None)


def half_up(exact: Fraction) -> int:
    """The nearest integer, ties upward."""
    return math.floor(exact + Fraction(1, 2))


def half_away(exact: Fraction) -> int:
    """The nearest integer, ties away from zero."""
    return int(math.copysign(half_up(abs(exact)), exact)) if exact else 0


def c_srdhm(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul as the C has it, its division truncating toward zero."""
    if a == b == INT32_MIN:
        return INT32_MAX
    nudged = a * b + (1 << 30 if a * b >= 0 else 1 - (1 << 30))
    return nudged >> 31 if nudged >= 0 else -(-nudged >> 31)


@given(a=INT32, b=INT32)
@example(INT32_MIN, INT32_MIN)
@example(-1, 1 << 30)
@example(INT32_MIN, INT32_MAX)
@SHARED
def test_srdhm_is_the_c_of_its_source(a, b):
    """For every pair of int32, the saturating one included; and it is round half up."""
    assert c_srdhm(a, b) == saturating_rounding_doubling_high_mul(a, b)
    assert min(half_up(Fraction(a * b, 1 << 31)), INT32_MAX) == saturating_rounding_doubling_high_mul(a, b)


def test_srdhm_saturates_the_one_product_that_does_not_fit():
    """INT32_MIN * INT32_MIN would be 2**31."""
    assert saturating_rounding_doubling_high_mul(INT32_MIN, INT32_MIN) == INT32_MAX


@given(x=INT32, exponent=st.integers(0, 31))
@example(-3, 1)
@example(INT32_MIN, 31)
@example(INT32_MAX, 31)
@SHARED
def test_rdbpot_rounds_half_away_from_zero(x, exponent):
    """Exactly, for every int32 and exponent."""
    assert half_away(Fraction(x, 1 << exponent)) == rounding_divide_by_power_of_two(x, exponent)


@given(x=INT32, multiplier=MULTIPLIER, shift=SHIFT)
@SHARED
def test_tflite_double_rounds_twice(x, multiplier, shift):
    """Half up at the high product, half away from zero at the shift; a left shift saturates."""
    shifted = min(max(x << max(shift, 0), INT32_MIN), INT32_MAX)
    high = half_up(Fraction(shifted * multiplier, 1 << 31))

    assert half_away(Fraction(high, 1 << max(-shift, 0))) == tflite_double(x, multiplier, shift)


@given(x=INT32, multiplier=MULTIPLIER, shift=st.integers(-31, 30))
@example(INT32_MIN, INT32_MAX, -31)
@example(INT32_MAX, INT32_MAX, 30)
@SHARED
def test_tflite_single_rounds_once_half_up(x, multiplier, shift):
    """The exact product, rounded once, ties upward."""
    exact = Fraction(x * multiplier) * Fraction(2) ** (shift - 31)

    assert half_up(exact) == tflite_single(x, multiplier, shift)


@given(x=st.integers(-(2**24), 2**24), numerator=st.integers(1, 2**12), exponent=st.integers(0, 20))
@SHARED
def test_fp32_even_rounds_half_to_even(x, numerator, exponent):
    """Where the float32 product is exact, the result is the exact one, ties to even."""
    exact = Fraction(x * numerator, 1 << exponent)
    if np.float32(float(exact)) != exact:  # the product itself would round
        return

    assert round(exact) == fp32_even(x, numerator / 2**exponent)  # Python rounds a Fraction half to even


@given(x=INT32, real=st.floats(2.0**-20, 64, width=32))
@SHARED
def test_fp32_even_rounds_accumulator_and_product_to_float32(x, real):
    """Each step is the nearest float32, then the nearest integer."""
    product = np.float32(float(np.float32(x)) * real)  # a float64 product of two float32 is exact

    assert round(float(product)) == fp32_even(x, np.float32(real))


def c_int64(x: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier of int64_t as the C has it, its result cut to 32 bits."""
    reduced = (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    rounded = (x * reduced + (1 << (14 - shift))) >> (15 - shift)
    return (rounded + (1 << 31)) % (1 << 32) - (1 << 31)


@given(x=st.integers(-(2**47), 2**47 - 1), multiplier=MULTIPLIER, shift=st.integers(-31, 7))
@example(-(2**47), INT32_MAX, 7)
@example(2**40, 0x7FFF0000, -20)
@example(2**40, 0x7FFEFFFF, -20)
@SHARED
def test_tflite_int64_is_the_c_of_its_source(x, multiplier, shift):
    """For every 48-bit accumulator; the largest multipliers are not rounded up to 2**15."""
    assert c_int64(x, multiplier, shift) == tflite_int64(x, multiplier, shift)


@given(x=st.integers(-(2**30), 2**30), real=st.floats(2.0**-20, 1.0))
@SHARED
def test_tflite_int64_is_within_one_part_in_2_to_the_15(x, real):
    """Of the exact product, and half a unit."""
    error = abs(Fraction(int(tflite_int64(x, *quantize_multiplier(real)))) - x * Fraction(real))

    assert error <= Fraction(1, 2) + abs(x * Fraction(real)) / (1 << 15)


@given(x=INT32, real=st.floats(2.0**-40, 0.99))
@example(5, 0.5)
@example(-5, 0.5)
@SHARED
def test_fp64_away_rounds_half_away(x, real):
    """The float64 product, to the nearest integer."""
    assert half_away(Fraction(x * real)) == fp64_away(x, real)


def test_fp64_away_beyond_int32_is_its_lowest():
    """On either side: what x86 makes of C's conversion."""
    assert fp64_away([1 << 20, -(1 << 20), 1], 4096.0).tolist() == [INT32_MIN, INT32_MIN, 4096]


@given(x=st.integers(-(2**20), 2**20), real=st.floats(2.0**-20, 1.0))
@SHARED
def test_the_roundings_agree_to_one(x, real):
    """Three roundings of one product never differ by more than one."""
    multiplier, shift = quantize_multiplier(real)
    values = [tflite_double(x, multiplier, shift), tflite_single(x, multiplier, shift), fp32_even(x, real)]

    assert max(values) - min(values) <= 1


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        pytest.param("tflite_double", [1, -1, 2, -2, 3, -3], id="away-from-zero"),
        pytest.param("tflite_single", [1, 0, 2, -1, 3, -2], id="upward"),
        pytest.param("fp32_even", [0, 0, 2, -2, 2, -2], id="to-even"),
    ],
)
def test_requantize_tie_rule(rounding, expected):
    """0.5, 1.5 and 2.5 on both sides of zero show which rounding is which."""
    halves = np.int32([2, -2, 6, -6, 10, -10])

    assert expected == requantize(halves, 0.25, rounding=rounding).tolist()


@given(real=st.floats(2.0**-31, 2.0**29))
@SHARED
def test_quantize_multiplier_is_within_one_part_in_2_to_the_31(real):
    """The multiplier is normalized, and stands for the real one to half of its last bit."""
    multiplier, shift = quantize_multiplier(real)

    assert 1 << 30 <= multiplier < 1 << 31
    stands_for = Fraction(multiplier) * Fraction(2) ** (shift - 31)
    assert abs(stands_for - Fraction(real)) <= Fraction(2) ** (shift - 32)


def test_quantize_multiplier_carries_into_the_shift():
    """A fraction that rounds up to 2**31 is halved."""
    assert quantize_multiplier(math.nextafter(1.0, 0.0)) == (1 << 30, 1)


@pytest.mark.parametrize("real", [0.0, 2.0**-33, 5e-324])
def test_quantize_multiplier_of_next_to_nothing_is_zero(real):
    """A shift below -31 does not exist: the product is 0."""
    assert quantize_multiplier(real) == (0, 0)


@pytest.mark.parametrize("real", [-0.5, math.nan, math.inf, 2.0**30])
def test_quantize_multiplier_refuses(real):
    """Negative, not a number, or too large for any shift."""
    with pytest.raises(QuantParamsError, match="multiplier"):
        quantize_multiplier(real)


def test_quantize_multiplier_of_an_array_is_that_of_each_entry():
    """Per-channel multipliers come out as arrays."""
    reals = np.array([0.5, 0.3, 1.7, 2.0**-33])

    multiplier, shift = quantize_multiplier(reals)

    assert [quantize_multiplier(float(r)) for r in reals] == list(zip(multiplier.tolist(), shift.tolist(), strict=True))


@pytest.mark.parametrize("rounding", ["tflite_double", "tflite_single", "fp32_even"])
def test_requantize_per_channel_is_per_tensor_of_each_channel(rounding):
    """Multipliers broadcast against the accumulators."""
    accumulators = np.random.default_rng(0).integers(-(2**20), 2**20, (7, 3), dtype=np.int32)
    reals = np.array([1e-3, 3e-4, 0.01])

    whole = requantize(accumulators, reals, rounding=rounding, zero_point=3)

    for index, real in enumerate(reals):
        alone = requantize(accumulators[:, index], real, rounding=rounding, zero_point=3)
        np.testing.assert_array_equal(alone, whole[:, index])


def test_requantize_clamps_to_the_storage_and_to_tighter_bounds():
    """The zero_point is added before the clamp; a fused activation tightens it."""
    accumulators = np.int32([-1000, 0, 1000])

    assert requantize(accumulators, 1.0, rounding="fp32_even", zero_point=5).tolist() == [-128, 5, 127]
    assert requantize(accumulators, 1.0, rounding="fp32_even", zero_point=5, qmin=5, qmax=90).tolist() == [5, 5, 90]
    assert requantize(accumulators, 1.0, rounding="fp32_even", storage="u8").tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("accumulator", "options"),
    [
        pytest.param(np.float32([1.0]), {"rounding": "fp32_even"}, id="float-accumulator"),
        pytest.param(np.int64([2**31]), {"rounding": "fp32_even"}, id="beyond-int32"),
        pytest.param(np.int32([1]), {"rounding": "nearest"}, id="unknown-rounding"),
        pytest.param(np.int32([1]), {"rounding": "fp32_even", "storage": "i9"}, id="unknown-storage"),
    ],
)
def test_requantize_refuses(accumulator, options):
    """A wrong call is a UsageError."""
    with pytest.raises(UsageError):
        requantize(accumulator, 0.5, **options)
