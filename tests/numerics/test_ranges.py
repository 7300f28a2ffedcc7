"""From a range to parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bitwright.errors import QuantParamsError
from bitwright.numerics.qparams import STORAGES
from bitwright.numerics.quantize import dequantize, fake_quantize, quantize
from bitwright.numerics.ranges import qparams_from_range

NARROW = st.sampled_from([name for name, kind in STORAGES.items() if kind.bits <= 16])
REALS = st.floats(-1e6, 1e6, width=32)
SHARED = settings(max_examples=150, deadline=None)


@given(a=REALS, b=REALS, storage=NARROW, symmetric=st.booleans(), narrow=st.booleans())
@SHARED
def test_range_holds_real_zero_exactly(a, b, storage, symmetric, narrow):
    """Whatever the range, real 0 is one of the integers' values."""
    low, high = sorted((a, b))

    qparams = qparams_from_range(low, high, storage=storage, symmetric=symmetric, narrow_range=narrow)

    assert fake_quantize(np.float32([0.0]), qparams).tolist() == [0.0]


@given(a=REALS, b=REALS, storage=NARROW, symmetric=st.booleans())
@SHARED
def test_range_ends_are_covered_within_half_a_step(a, b, storage, symmetric):
    """The ends of the range lie at most half a step beyond the outermost values (the zero_point is rounded)."""
    low, high = sorted((a, b))
    assume(max(abs(low), abs(high)) > 1e-30)

    qparams = qparams_from_range(low, high, storage=storage, symmetric=symmetric)

    ends = np.float32([low, high])
    error = np.abs(ends.astype(np.float64) - fake_quantize(ends, qparams))
    assert error.max() <= qparams.scale[0] * 0.5 * (1 + 1e-2) + 1e-6 * np.abs(ends).max()


@given(high=st.floats(2.0**-20, 1e6, width=32), storage=NARROW)
@SHARED
def test_range_inside_never_exceeds_the_range(high, storage):
    """With inside=True the largest integer of a one-sided range stands for at most its end (ReLU6: at most 6)."""
    qparams = qparams_from_range(0.0, high, storage=storage, inside=True)
    below = qparams_from_range(-high, 0.0, storage=storage, inside=True)

    every = np.array([qparams.qmin, qparams.qmax], qparams.kind.dtype)
    assert dequantize(every, qparams).max() <= np.float32(high)
    assert dequantize(every, below).min() >= -np.float32(high)


def test_range_rounds_the_scale_to_nearest_without_inside():
    """The case that inside=True is for: nearest rounding lets the largest value pass the end of some range."""
    highs = np.linspace(1, 7, 500, dtype=np.float32).tolist()

    def largest(high, inside):
        qparams = qparams_from_range(0.0, high, storage="u8", inside=inside)
        return float(qparams.scale[0]) * 255

    assert any(largest(high, False) > high for high in highs)
    assert not any(largest(high, True) > high for high in highs)


@pytest.mark.parametrize(
    ("storage", "symmetric", "narrow", "scale", "zero_point"),
    [
        pytest.param("u8", False, False, 4 / 255, 64, id="u8-asymmetric"),
        pytest.param("i8", False, False, 4 / 255, -64, id="i8-asymmetric"),
        pytest.param("i4", False, False, 4 / 15, -4, id="i4-asymmetric"),
        pytest.param("i8", True, False, 3 / 127, 0, id="i8-symmetric"),
        pytest.param("i8", True, True, 3 / 127, 0, id="i8-symmetric-narrow"),
        pytest.param("u8", True, False, 3 / 127, 128, id="u8-symmetric"),
        pytest.param("i16", True, False, 3 / 32767, 0, id="i16-symmetric"),
    ],
)
def test_range_gives_the_parameters_of_the_equation(storage, symmetric, narrow, scale, zero_point):
    """[-1, 3] for each kind of storage, worked by hand."""
    qparams = qparams_from_range(-1.0, 3.0, storage=storage, symmetric=symmetric, narrow_range=narrow)

    assert np.float32(scale) == qparams.scale[0]
    assert zero_point == qparams.zero_point[0]


def test_range_narrow_uses_127_steps_on_both_sides():
    """Both ends of a symmetric narrow range are exact, -128 is unused."""
    qparams = qparams_from_range(-12.7, 12.7, symmetric=True, narrow_range=True)

    assert quantize(np.float32([-12.7, 12.7, -100.0]), qparams).tolist() == [-127, 127, -127]


def test_range_narrow_starts_at_the_raised_qmin():
    """A one-sided narrow range puts real 0 at -127."""
    qparams = qparams_from_range(0.0, 2.54, narrow_range=True)

    assert (qparams.scale[0], qparams.zero_point[0]) == (np.float32(0.01), -127)


def test_range_that_does_not_hold_zero_is_widened_to_it():
    """[3, 5] becomes [0, 5]."""
    assert qparams_from_range(0.0, 5.0, storage="u8") == qparams_from_range(3.0, 5.0, storage="u8")


@pytest.mark.parametrize("width", [0.0, 1e-45, 1e-38])
def test_range_without_width_has_scale_one(width):
    """A constant zero tensor quantizes to its zero_point."""
    qparams = qparams_from_range(0.0, width)

    assert qparams.scale.tolist() == [1.0]


def test_range_per_channel_is_per_tensor_of_each_entry():
    """Arrays of ranges give one scale per entry."""
    low, high = np.array([-1.0, 0.0, -3.0]), np.array([1.0, 2.0, 0.0])

    qparams = qparams_from_range(low, high, storage="u8", axis=0)

    for index in range(3):
        alone = qparams_from_range(low[index], high[index], storage="u8")
        assert (alone.scale[0], alone.zero_point[0]) == (qparams.scale[index], qparams.zero_point[index])


@pytest.mark.parametrize(("low", "high"), [(np.nan, 1), (0, np.inf), (-np.inf, 0), (2, 1)], ids=str)
def test_range_refuses_what_is_not_a_range(low, high):
    """NaN, Inf, and low > high are errors, not parameters."""
    with pytest.raises(QuantParamsError):
        qparams_from_range(low, high)
