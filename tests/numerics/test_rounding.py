"""Roundings that numpy does not have, and the complementary error function."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.numerics.erfc import erfc
from bitwright.numerics.rounding import round_half_away, to_int32

SHARED = settings(max_examples=300, deadline=None, derandomize=True)


@given(x=st.floats(-1e9, 1e9, width=32))
@SHARED
def test_round_half_away_is_c_round(x):
    """The nearest integer, ties away from zero, exactly."""
    expected = math.copysign(math.floor(abs(x) + 0.5), x)  # exact in float64, x being a float32

    assert expected == round_half_away(np.array([x], np.float32))[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_half_away_keeps_type_and_what_is_no_number(dtype):
    """Infinities and NaN go through; the largest number below a half goes down."""
    x = np.array([np.inf, -np.inf, np.nan, np.nextafter(dtype(0.5), dtype(0))], dtype)

    result = round_half_away(x)

    assert result.dtype == dtype
    np.testing.assert_array_equal(np.array([np.inf, -np.inf, np.nan, 0], dtype), result)


def test_to_int32_gives_the_lowest_for_what_does_not_fit():
    """As x86 does, for both signs."""
    x = np.float32([2.0**31, -(2.0**31), -(2.0**32), 2.0**31 - 128, -2.7])

    assert to_int32(x).tolist() == [-(2**31), -(2**31), -(2**31), 2**31 - 128, -2]


def test_erfc_is_that_of_the_standard_library():
    """To a relative 1e-13 up to 10.5, 0 beyond; NaN stays."""
    x = np.linspace(-7, 10.5, 5001)

    np.testing.assert_allclose([math.erfc(value) for value in x], erfc(x), rtol=1e-13)
    assert erfc([10.6, np.inf, -np.inf]).tolist() == [0.0, 0.0, 2.0]
    assert np.isnan(erfc(np.nan))
