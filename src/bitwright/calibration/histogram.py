"""Histograms that merge exactly: bins as wide as a power of two, laid symmetrically around zero.

A value x falls in bin trunc(x * 2**-exponent), of -4095..4095, so bin 0 is (-width, width) and the others are `width`
wide with width = 2**exponent. Two neighbours of one exponent are one bin of the next: trunc(trunc(y) / 2) is
trunc(y / 2). The exponent follows from max|x| alone, the smallest that fits, hence the histogram of all samples is the
same in whatever order, or in however many parts, they were seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.minmax import Seen

#: Bins on each side of zero. With max|x| in [2**e / 2, 2**e) at least half of them are in use.
SIDE_BINS = 4096
_SIDE_BITS = 12
#: Below this width, 2**-exponent leaves float32; all smaller values share the bins there.
SMALLEST_EXPONENT = -100
#: Values binned at a time: long enough that two threads seldom wait for each other (1.4 ns a value with two at work
#: against 1.6 ns at half of it), short enough for the second-level cache.
_CHUNK = 1 << 18
#: Of a tensor with more values, about so many of each sample are binned: 128 samples still make millions.
BINNED_VALUES = 1 << 18


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many values fell in each bin.

    Args:
        exponent: bins are 2**exponent wide.
        first: the index of the first bin held, -4095..4095.
        counts: i64[bins]; the first and the last are not 0 (empty when nothing was counted).
    """

    exponent: int
    first: int
    counts: NDArray[np.int64]

    @property
    def width(self) -> float:
        """The width of a bin; bin 0 reaches that far to both sides."""
        return float(2.0**self.exponent)

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    @property
    def indices(self) -> NDArray[np.int64]:
        """The index of each bin held."""
        return np.arange(self.first, self.first + self.counts.size, dtype=np.int64)

    def edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The lower and the upper edge of each bin held, in real values."""
        index = self.indices
        low = np.where(index > 0, index, index - 1) * self.width
        high = np.where(index < 0, index, index + 1) * self.width
        return low, high

    def centers(self) -> NDArray[np.float64]:
        """The middle of each bin held; bin 0 stands for 0 exactly.

        >>> Histogram(0, -1, np.int64([5, 1, 2])).centers().tolist()
        [-1.5, 0.0, 1.5]
        """
        index = self.indices
        return (index + 0.5 * np.sign(index)) * self.width

    def magnitudes(self) -> NDArray[np.int64]:
        """The histogram of |x|: counts of bins 0.. up to the last one in use."""
        full = np.zeros(2 * SIDE_BINS, dtype=np.int64)
        full[SIDE_BINS + self.first :][: self.counts.size] = self.counts
        both = full[SIDE_BINS:].copy()
        both[1:] += full[1:SIDE_BINS][::-1]
        used = np.flatnonzero(both)
        return both[: used[-1] + 1 if used.size else 0]

    def at(self, exponent: int) -> Histogram:
        """The same values in bins of 2**exponent, at least as wide as now."""
        if exponent == self.exponent:
            return self
        full = np.zeros(2 * SIDE_BINS, dtype=np.int64)
        index = _coarser(self.indices, exponent - self.exponent)
        np.add.at(full, index + SIDE_BINS, self.counts)
        return _trim(exponent, full)


class HistogramObserver:
    """Counts the values of one tensor into bins. Constant memory: 64 KiB.

    Args:
        scratch: buffers that the observers of one thread share.
    """

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._exponent = SMALLEST_EXPONENT
        self._full = np.zeros(2 * SIDE_BINS, dtype=np.int64)  # bin i at SIDE_BINS + i; entry 0 stays 0

    def observe(self, seen: Seen) -> None:
        """Take one sample in: all of its values, or as many as are plenty (`thinned`)."""
        if not seen.values.size:
            return
        exponent = max(self._exponent, exponent_of(max(-seen.low, seen.high)))
        if exponent != self._exponent:
            held = _trim(self._exponent, self._full)
            self._full[:] = 0
            np.add.at(self._full, _coarser(held.indices, exponent - self._exponent) + SIDE_BINS, held.counts)
            self._exponent = exponent
        self._scratch.count(thinned(seen.values), exponent, self._full)

    def result(self) -> Histogram:
        """The histogram so far."""
        return _trim(self._exponent, self._full)


class Scratch:
    """Buffers for binning, and the loop that uses them. One for each thread."""

    def __init__(self) -> None:
        self._scaled = np.empty(_CHUNK, dtype=np.float32)
        self._index = np.empty(_CHUNK, dtype=np.int32)

    def count(self, values: NDArray[np.float32], exponent: int, full: NDArray[np.int64]) -> None:
        """Add each value's bin to `full`, bin i at SIDE_BINS + i."""
        inverse_width = np.float32(2.0**-exponent)  # a power of two: the product is exact, or below one
        for start in range(0, values.size, _CHUNK):
            chunk = values[start : start + _CHUNK]
            scaled, index = self._scaled[: chunk.size], self._index[: chunk.size]
            np.multiply(chunk, inverse_width, out=scaled)
            np.copyto(index, scaled, casting="unsafe")  # truncates toward zero
            index += SIDE_BINS
            full += np.bincount(index, minlength=full.size)


def thinned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values, or of more than BINNED_VALUES every n-th, n without a divisor in common with their number.

    So n divides no dimension of the tensor, and no row, column or channel is left out. What is kept depends on the
    number of values alone: statistics of parts merge to the same bytes. Extremes are the MinMaxObserver's, exact.

    >>> thinned(np.arange(300_000, dtype=np.float32))[:3].tolist()
    [0.0, 7.0, 14.0]
    """
    step = -(-values.size // BINNED_VALUES)
    while math.gcd(step, values.size) != 1:
        step += 1
    return values[::step]


def exponent_of(magnitude: float | np.float32) -> int:
    """The smallest exponent whose bins hold a value of this magnitude: magnitude < 4096 * 2**exponent.

    >>> exponent_of(4095.9), exponent_of(4096.0), exponent_of(0.0)
    (0, 1, -100)
    """
    return (
        max(int(np.frexp(np.float64(magnitude))[1]) - _SIDE_BITS, SMALLEST_EXPONENT) if magnitude else SMALLEST_EXPONENT
    )


def merge_histograms(histograms: Sequence[Histogram]) -> Histogram:
    """The histogram of all values, whatever the order of the parts."""
    exponent = max(h.exponent for h in histograms)
    full = np.zeros(2 * SIDE_BINS, dtype=np.int64)
    for histogram in histograms:
        same = histogram.at(exponent)
        full[SIDE_BINS + same.first :][: same.counts.size] += same.counts
    return _trim(exponent, full)


def _coarser(index: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
    """trunc(index / 2**steps)."""
    moved: NDArray[np.int64] = np.sign(index) * (np.abs(index) >> min(steps, _SIDE_BITS))
    return moved


def _trim(exponent: int, full: NDArray[np.int64]) -> Histogram:
    used = np.flatnonzero(full)
    if not used.size:
        return Histogram(exponent, 0, np.zeros(0, dtype=np.int64))
    return Histogram(exponent, int(used[0]) - SIDE_BINS, full[used[0] : used[-1] + 1].copy())
