"""The range with the least expected squared error of quantization."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.histogram import Histogram
from bitwright.numerics.qparams import STORAGES

Floats = NDArray[np.float64]
#: The search runs on at most so many bins a side.
_SEARCH_BINS = 2048
#: Shares of the full range tried first, and then around the best.
_COARSE = np.linspace(1.0, 0.05, 39)
_FINE = np.linspace(1.02, 0.98, 9)
_ROUNDS = 3


def mse_range(
    histogram: Histogram, minimum: float, maximum: float, *, storage: str = "u8", symmetric: bool = False
) -> tuple[float, float]:
    """The range (low, high) inside the real one with the least mean of (x - fake_quantize(x))**2.

    Each bin counts at its centre. First both ends shrink together, then each on its own, then by small steps.

    Source: Nagel et al., "A White Paper on Neural Network Quantization", 2021, section 3.1 (MSE).
    """
    low, high = _searched(histogram, min(minimum, 0.0), max(maximum, 0.0), storage, symmetric)
    return max(low, minimum), min(high, maximum)


def _searched(
    histogram: Histogram, minimum: float, maximum: float, storage: str, symmetric: bool
) -> tuple[float, float]:
    """The best range; minimum <= 0 <= maximum."""
    if not histogram.counts.size or minimum == maximum:
        return minimum, maximum
    search = _Search(histogram, minimum, maximum, storage, symmetric)
    if symmetric:  # one threshold: the ends move together alone
        top = max(-minimum, maximum)
        low, high = search.best([(-top * s, top * s) for s in _COARSE])
        for _ in range(_ROUNDS):
            low, high = search.best([(low * s, high * s) for s in _FINE])
        return low, high
    low, high = search.best([(minimum * s, maximum * s) for s in _COARSE])
    low, high = search.best([(low, high), *((low, maximum * s) for s in _COARSE)])
    low, high = search.best([(low, high), *((minimum * s, high) for s in _COARSE)])
    for _ in range(_ROUNDS):
        low, high = search.best([(low, high), *((low, min(high * s, maximum)) for s in _FINE)])
        low, high = search.best([(low, high), *((max(low * s, minimum), high) for s in _FINE)])
    return low, high


class _Search:
    """The expected squared error of candidate ranges over one histogram."""

    def __init__(self, histogram: Histogram, minimum: float, maximum: float, storage: str, symmetric: bool) -> None:
        while max(-histogram.first, histogram.first + histogram.counts.size - 1) >= _SEARCH_BINS:
            histogram = histogram.at(histogram.exponent + 1)
        used = histogram.counts > 0
        self._x = np.clip(histogram.centers()[used], minimum, maximum)
        self._weight = histogram.counts[used].astype(np.float64)
        self._bits = STORAGES[storage].bits
        self._symmetric = symmetric
        self._width = histogram.width

    def best(self, candidates: list[tuple[float, float]]) -> tuple[float, float]:
        """The first of the candidates with the least error."""
        table = np.array([c for c in candidates if c[1] > c[0]] or candidates[:1], dtype=np.float64)
        return _pair(table[int(np.argmin(self._errors(table[:, :1], table[:, 1:])))])

    def _errors(self, low: Floats, high: Floats) -> Floats:
        steps = (1 << self._bits) - 1
        if self._symmetric:
            step = np.maximum(-low, high) / (1 << (self._bits - 1))
            bottom = np.full_like(step, -(1 << (self._bits - 1)))
        else:
            step = (high - low) / steps
            bottom = np.rint(low / step)
        q = self._x / step
        if self._width <= 2 * float(step.min()):
            np.rint(q, out=q)
        # else: steps finer than the bins; where a centre falls between two of them says nothing
        np.clip(q, bottom, bottom + steps, out=q)
        q *= step
        q -= self._x
        np.multiply(q, q, out=q)
        error: Floats = q @ self._weight
        if self._width > 2 * float(step.min()):
            error += (step[:, 0] ** 2 / 12) * float(self._weight.sum())
        return error


def _pair(row: Floats) -> tuple[float, float]:
    return float(row[0]), float(row[1])
