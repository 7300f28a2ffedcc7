"""Fixed-point functions against the real ones, and their corners; bit for bit they meet LiteRT in tests/program."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.numerics.fixed_point import (
    exp_on_negative_values,
    inverse_sqrt,
    leading_zeros,
    log_of_at_least_one,
    logistic,
    multiply,
    one_over_one_plus_x,
    reciprocal,
    rescale,
    shift_left,
    tanh,
    wrap,
)

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
SHARED = settings(max_examples=300, deadline=None, derandomize=True)

#: Every few thousandth int32, the bounds included.
SPREAD = np.unique(np.append(np.arange(-(1 << 31), 1 << 31, 100_003), [0, 1, -1, (1 << 31) - 1]))


@given(x=st.integers(-(1 << 40), 1 << 40))
@SHARED
def test_wrap_is_twos_complement(x):
    """What an int32 keeps of a wider number."""
    assert int(np.int64(x).astype(np.int32)) == wrap(x)


@given(a=INT32, b=INT32, bits=st.sampled_from([32, 16]))
@SHARED
def test_multiply_is_the_c_of_its_source(a, b, bits):
    """A product nudged by half and divided toward zero, for both word sizes."""
    a, b = a >> (32 - bits), b >> (32 - bits)
    half = 1 << (bits - 2)
    nudged = a * b + (half if a * b >= 0 else 1 - half)
    expected = int(math.copysign(abs(nudged) >> (bits - 1), nudged)) if nudged else 0

    assert min(expected, (1 << (bits - 1)) - 1) == multiply(a, b, bits)


@given(x=INT32, amount=st.integers(0, 30))
@SHARED
def test_shift_left_saturates(x, amount):
    """At the bounds of int32."""
    assert min(max(x << amount, -(1 << 31)), (1 << 31) - 1) == shift_left(x, amount)


def test_rescale_to_more_integer_bits_rounds_half_away():
    """Fraction bits are lost there, and none the other way."""
    assert [*rescale([3, -3, 2], 0, 1).tolist(), *rescale([5], 3, 3).tolist()] == [2, -2, 1, 5]


@pytest.mark.parametrize("x", [0, 1, 2, 255, 256, (1 << 31) - 1])
def test_leading_zeros(x):
    """Of a 32-bit word; 32 of zero."""
    assert 32 - x.bit_length() == leading_zeros(x)


@pytest.mark.parametrize(
    ("integer_bits", "bits", "error"), [(5, 32, 3e-7), (0, 32, 3e-7), (3, 16, 2e-4), (4, 16, 3e-4)]
)
def test_exp_is_exp(integer_bits, bits, error):
    """On its whole range, and exactly the largest word at 0."""
    raw = SPREAD[SPREAD <= 0] >> (32 - bits)
    real = raw / 2.0 ** (bits - 1 - integer_bits)

    result = exp_on_negative_values(raw, integer_bits, bits) / 2.0 ** (bits - 1)

    np.testing.assert_allclose(np.exp(real), result, rtol=0, atol=error)
    assert exp_on_negative_values(0, integer_bits, bits) == (1 << (bits - 1)) - 1


@pytest.mark.parametrize(("function", "real"), [(logistic, lambda x: 1 / (1 + np.exp(-x))), (tanh, np.tanh)])
@pytest.mark.parametrize(("integer_bits", "bits", "error"), [(4, 32, 2e-7), (3, 16, 4e-4)])
def test_sigmoids_are_sigmoids(function, real, integer_bits, bits, error):
    """Over positive and negative numbers, and exactly one half or zero at 0."""
    raw = SPREAD[1:] >> (32 - bits)

    result = function(raw, integer_bits, bits) / 2.0 ** (bits - 1)

    np.testing.assert_allclose(real(raw / 2.0 ** (bits - 1 - integer_bits)), result, rtol=0, atol=error)
    assert real(0.0) * 2 ** (bits - 1) == function(0, integer_bits, bits)


def test_reciprocal_is_one_over_x():
    """A word in (1/2, 1] and a power of two, for every size of x."""
    x = np.unique(np.geomspace(1, (1 << 31) - 1, 5000).astype(np.int64))

    raw, shift = reciprocal(x, 12)

    np.testing.assert_allclose(1 / (x / 2.0**19), raw / 2.0**31 * 2.0**-shift, rtol=2e-8)
    assert raw.min() >= (1 << 30) - 8


def test_one_over_one_plus_x_is_that():
    """For every x in [0, 1)."""
    x = SPREAD[SPREAD >= 0]

    np.testing.assert_allclose(1 / (1 + x / 2.0**31), one_over_one_plus_x(x) / 2.0**31, rtol=2e-8)


def test_inverse_sqrt_is_one_over_the_root():
    """As a multiplier that fits int32 and a shift to the right; 0 counts as 1."""
    x = np.unique(np.geomspace(1, (1 << 31) - 1, 5000).astype(np.int64))

    multiplier, shift = inverse_sqrt(x)

    np.testing.assert_allclose(1 / np.sqrt(x), multiplier * 2.0 ** (shift - 31.0), rtol=2e-6)
    assert shift.max() <= 0
    assert multiplier.max() < 1 << 31
    assert inverse_sqrt(0) == inverse_sqrt(1) == ((1 << 31) - 1, 0)


def test_log_is_log():
    """For x >= 1 with 12 integer bits, as LOG_SOFTMAX sums have them."""
    x = SPREAD[SPREAD >= 1 << 19]

    np.testing.assert_allclose(np.log(x / 2.0**19), log_of_at_least_one(x, 12, 5) / 2.0**26, rtol=0, atol=1e-7)
