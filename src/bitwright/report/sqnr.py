"""SQNR summed over samples: what `numerics.metrics.sqnr_db` is for one tensor, for a stream of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Elements that are taken together: as float64 they stay in the processor's cache.
_PIECE = 1 << 15


class SqnrSum:
    """Signal and error energy of a value, added up sample by sample in float64; memory does not grow.

        sqnr_db = 10 * log10(sum(reference^2) / sum((reference - test)^2))

    Places where the reference is NaN or Inf are left out; a test value that alone is not finite makes it -inf.

    >>> total = SqnrSum()
    >>> total.add(np.float32([1.0, 2.0]), np.float32([1.0, 2.1]))
    >>> round(total.db, 1)
    27.0
    """

    def __init__(self) -> None:
        self.signal = 0.0
        self.noise = 0.0
        self.elements = 0

    def add(self, reference: NDArray[Any], test: NDArray[Any]) -> None:
        """Add one pair of arrays of the same shape."""
        left, right = np.ravel(reference), np.ravel(test)
        for start in range(0, left.size, _PIECE):
            r = left[start : start + _PIECE].astype(np.float64)
            t = right[start : start + _PIECE].astype(np.float64)
            with np.errstate(invalid="ignore"):  # Inf less Inf: looked at right below
                signal, error = float(np.dot(r, r)), r - t
                noise = float(np.dot(error, error))
            if not math.isfinite(signal + noise):
                signal, noise, r = _finite_part(r, t)
            self.signal += signal
            self.noise += noise
            self.elements += r.size

    @property
    def db(self) -> float:
        """The ratio in decibels: +inf without any error, NaN when nothing was added."""
        if not self.elements:
            return math.nan
        if self.noise == 0.0:
            return math.inf
        if self.signal == 0.0 or math.isinf(self.noise):
            return -math.inf
        return 10.0 * math.log10(self.signal / self.noise)


def _finite_part(r: NDArray[np.float64], t: NDArray[np.float64]) -> tuple[float, float, NDArray[np.float64]]:
    """Signal and noise where the reference is finite, and the reference there."""
    kept = np.isfinite(r)
    r, t = r[kept], t[kept]
    signal = float(np.dot(r, r))
    if not np.isfinite(t).all():
        return signal, math.inf, r
    return signal, float(np.dot(r - t, r - t)), r
