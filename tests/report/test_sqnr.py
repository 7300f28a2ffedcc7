"""SQNR over a stream."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitwright.numerics.metrics import sqnr_db
from bitwright.report import sqnr
from bitwright.report.sqnr import SqnrSum


def test_sqnr_sum_equals_sqnr_of_everything_at_once(monkeypatch):
    """Pieces and batches add up to the figure of the whole."""
    monkeypatch.setattr(sqnr, "_PIECE", 7)
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((10, 13)).astype(np.float32)
    test = reference + rng.standard_normal(reference.shape).astype(np.float32) * 0.01
    total = SqnrSum()

    for r, t in zip(reference, test, strict=True):
        total.add(r, t)

    assert total.db == pytest.approx(sqnr_db(reference, test), abs=1e-9)


def test_sqnr_sum_of_equal_arrays_is_infinite():
    """No error, no noise."""
    total = SqnrSum()
    total.add(np.float32([1, 2]), np.float32([1, 2]))

    assert total.db == math.inf


def test_sqnr_sum_sees_a_doubled_tensor():
    """Doubling a tensor is 0 dB: the error is as large as the signal."""
    total = SqnrSum()
    total.add(np.float32([1, 2]), np.float32([2, 4]))

    assert total.db == 0.0


def test_sqnr_sum_leaves_masks_out():
    """Where the reference is -Inf (an attention mask) there is no error to measure."""
    total = SqnrSum()
    total.add(np.float32([1, -np.inf]), np.float32([1, -np.inf]))

    assert total.db == math.inf


def test_sqnr_sum_of_a_result_that_is_not_finite_is_minus_infinite():
    """NaN where the reference is a number is the worst there is."""
    total = SqnrSum()
    total.add(np.float32([1, 2]), np.float32([1, np.nan]))

    assert total.db == -math.inf


def test_sqnr_sum_of_nothing_is_no_number():
    """Without values there is no figure."""
    assert math.isnan(SqnrSum().db)
