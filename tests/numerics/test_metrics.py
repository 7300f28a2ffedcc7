"""Metrics: known values and conventions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitwright.errors import UsageError
from bitwright.numerics.metrics import max_abs_error, sqnr_db, top1_agreement
from bitwright.numerics.quantize import fake_quantize
from bitwright.numerics.ranges import qparams_from_range


def test_sqnr_of_a_doubled_tensor_is_zero():
    """What the cosine calls identical: noise as strong as the signal."""
    x = np.random.default_rng(0).standard_normal(100)

    assert sqnr_db(x, 2 * x) == pytest.approx(0.0)


def test_sqnr_grows_by_six_decibels_a_bit():
    """A uniform signal over the range of b bits has 6.02 * b dB."""
    x = np.random.default_rng(0).uniform(-1, 1, 100_000).astype(np.float32)

    for storage, bits in (("u4", 4), ("u8", 8), ("i16", 16)):
        measured = sqnr_db(x, fake_quantize(x, qparams_from_range(-1, 1, storage=storage)))
        # In 16 bits the rounding of float32 itself is heard a little.
        assert measured == pytest.approx(6.02 * bits, abs=0.6)


def test_sqnr_sums_in_float64():
    """A million float32 terms are not lost one by one."""
    x = np.full(1_000_000, 0.1, np.float32)

    assert sqnr_db(x, np.float32(1.1) * x) == pytest.approx(20.0, abs=1e-4)


@pytest.mark.parametrize(
    ("reference", "approximation", "expected"),
    [
        pytest.param([1.0], [1.0], math.inf, id="equal"),
        pytest.param([0.0], [0.0], math.inf, id="both-zero"),
        pytest.param([], [], math.inf, id="empty"),
        pytest.param([0.0], [1.0], -math.inf, id="zero-reference"),
        pytest.param([1.0], [math.inf], -math.inf, id="infinite-approximation"),
        pytest.param([1.0], [math.nan], math.nan, id="nan"),
    ],
)
def test_sqnr_conventions(reference, approximation, expected):
    """The ends of the scale are numbers, not errors."""
    assert sqnr_db(reference, approximation) == pytest.approx(expected, nan_ok=True)


def test_max_abs_error_is_the_largest_difference():
    """Of integers without overflow, too."""
    assert max_abs_error(np.int8([-128, 3]), np.int8([127, 4])) == 255
    assert max_abs_error([], []) == 0


def test_top1_agreement_counts_rows():
    """One row of four differs; classes may lie along another axis."""
    reference = np.eye(4)
    changed = np.eye(4)[[0, 1, 2, 0]]

    assert top1_agreement(reference, changed) == 0.75
    assert top1_agreement(reference.T, changed.T, axis=0) == 0.75


@pytest.mark.parametrize("metric", [sqnr_db, max_abs_error, top1_agreement])
def test_metrics_refuse_shapes_that_differ(metric):
    """Broadcasting would hide a mistake."""
    with pytest.raises(UsageError, match="shapes differ"):
        metric(np.zeros((2, 3)), np.zeros((3,)))
