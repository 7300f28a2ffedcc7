"""How far an approximation is from its reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.errors import UsageError


def sqnr_db(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Signal to quantization noise ratio in decibels.

        10 * log10(sum(reference**2) / sum((reference - approximation)**2)), summed in float64

    6.02 dB is one bit. Unlike the cosine, it sees a wrong scale: doubling a tensor gives 0 dB.

    Args:
        reference, approximation: the same shape.

    Returns:
        inf when they are equal (also both zero, or both empty), -inf for noise over a reference that is all zero,
        nan when either holds a NaN.

    Raises:
        UsageError: the shapes differ.

    >>> sqnr_db([3.0, 4.0], [3.0, 4.5])
    20.0
    >>> sqnr_db([3.0, 4.0], [3.0, 4.0]), sqnr_db([0.0], [0.1])
    (inf, -inf)
    """
    ref, approx = _pair(reference, approximation)
    with np.errstate(invalid="ignore", over="ignore"):
        noise = ref - approx
        noise_power = float(np.vdot(noise, noise))
        signal_power = float(np.vdot(ref, ref))
    if math.isnan(noise_power) or math.isnan(signal_power):
        return math.nan
    if noise_power == 0:
        return math.inf
    if signal_power == 0 or math.isinf(noise_power):
        return -math.inf
    return 10.0 * math.log10(signal_power / noise_power)


def max_abs_error(reference: ArrayLike, approximation: ArrayLike) -> float:
    """max(|reference - approximation|), 0 for empty arrays.

    Raises:
        UsageError: the shapes differ.

    >>> max_abs_error([1.0, 2.0], [1.0, 1.5])
    0.5
    """
    ref, approx = _pair(reference, approximation)
    return float(np.max(np.abs(ref - approx))) if ref.size else 0.0


def top1_agreement(reference: ArrayLike, approximation: ArrayLike, *, axis: int = -1) -> float:
    """The fraction of rows whose largest entry is at the same index; of equal entries the first counts.

    Args:
        reference, approximation: scores of the same shape, with at least one row.
        axis: the axis of the classes.

    Raises:
        UsageError: the shapes differ, or there is nothing to compare.

    >>> top1_agreement([[0.1, 0.9], [0.8, 0.2]], [[0.3, 0.7], [0.4, 0.6]])
    0.5
    """
    ref, approx = _pair(reference, approximation)
    if ref.size == 0 or ref.ndim == 0:
        raise UsageError("no scores to compare", next="give at least one row of class scores")
    return float(np.mean(np.argmax(ref, axis=axis) == np.argmax(approx, axis=axis)))


def _pair(reference: ArrayLike, approximation: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    ref, approx = np.asarray(reference, dtype=np.float64), np.asarray(approximation, dtype=np.float64)
    if ref.shape != approx.shape:
        raise UsageError(f"the shapes differ: {ref.shape} and {approx.shape}")
    return ref, approx
