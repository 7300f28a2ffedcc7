"""The observer that every tensor has: smallest and largest value, how many samples, how many values are no numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Seen:
    """One tensor of one sample, prepared once for all its observers.

    Args:
        index: the sample's index over the whole calibration.
        array: the tensor as it came, f32.
        values: its finite values, f32, flat and contiguous, at least one.
        low, high: their smallest and largest.
        nonfinite: how many values were NaN or infinite.
    """

    index: int
    array: NDArray[np.float32]
    values: NDArray[np.float32]
    low: np.float32
    high: np.float32
    nonfinite: int


def see(index: int, array: NDArray[Any]) -> Seen | None:
    """Prepare one float tensor of one sample; None when it has no finite value to look at.

    An infinite value (an attention mask's -inf) is counted, and left out of every range.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.ascontiguousarray(array, dtype=np.float32)
    values = single.reshape(-1)
    if not values.size:
        return None
    low, high = values.min(), values.max()
    nonfinite = 0
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = values[np.isfinite(values)]
        nonfinite = int(values.size - finite.size)
        if not finite.size:
            return Seen(index, single, finite, np.float32(0), np.float32(0), nonfinite)
        values, low, high = finite, finite.min(), finite.max()
    zero = np.float32(0)  # -0.0 and 0.0 are equal: which one min() finds would depend on the order
    return Seen(index, single, values, low + zero, high + zero, nonfinite)


class MinMaxObserver:
    """Smallest and largest value over all samples; 0 and 0 while nothing was seen."""

    def __init__(self) -> None:
        self.count = 0
        self.nonfinite = 0
        self.minimum = np.float32(0)
        self.maximum = np.float32(0)

    def observe(self, seen: Seen) -> None:
        """Take one sample in."""
        self.nonfinite += seen.nonfinite
        if not seen.values.size:
            return
        self.minimum = min(self.minimum, seen.low) if self.count else seen.low
        self.maximum = max(self.maximum, seen.high) if self.count else seen.high
        self.count += 1
