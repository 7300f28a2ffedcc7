"""The moving average of each sample's range: kept as a record by sample index, so that shards merge exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.minmax import Seen


@dataclass(frozen=True, eq=False)
class EmaRecord:
    """The range of each sample, sorted by sample index.

    Args:
        index: i64[samples], ascending.
        low, high: f32[samples].
    """

    index: NDArray[np.int64]
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def average(self, momentum: float = 0.95) -> tuple[float, float]:
        """The moving average of the ranges, in the order of the sample index, started at the first.

            average = momentum * average + (1 - momentum) * sample

        Source: TensorFlow, quantization-aware training's moving_average_quantize (ema_decay).

        >>> EmaRecord(np.int64([0, 1]), np.float32([0, 0]), np.float32([1, 3])).average(0.5)
        (0.0, 2.0)
        """
        if not self.index.size:
            return 0.0, 0.0
        low, high = float(self.low[0]), float(self.high[0])
        for next_low, next_high in zip(self.low[1:].tolist(), self.high[1:].tolist(), strict=True):
            low = momentum * low + (1.0 - momentum) * next_low
            high = momentum * high + (1.0 - momentum) * next_high
        return low, high


class EmaObserver:
    """Notes each sample's smallest and largest value: 16 bytes a sample."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, np.float32, np.float32]] = []

    def observe(self, seen: Seen) -> None:
        """Take one sample in."""
        if seen.values.size:
            self._seen.append((seen.index, seen.low, seen.high))

    def result(self) -> EmaRecord:
        """The record so far."""
        return make_record(
            np.array([s[0] for s in self._seen], dtype=np.int64),
            np.array([s[1] for s in self._seen], dtype=np.float32),
            np.array([s[2] for s in self._seen], dtype=np.float32),
        )


def make_record(index: NDArray[np.int64], low: NDArray[np.float32], high: NDArray[np.float32]) -> EmaRecord:
    """A record from its columns in any order."""
    order = np.argsort(index, kind="stable")
    return EmaRecord(index[order], low[order], high[order])


def merge_records(records: Sequence[EmaRecord]) -> EmaRecord:
    """One record of all samples, whatever the order of the parts."""
    return make_record(
        np.concatenate([r.index for r in records]),
        np.concatenate([r.low for r in records]),
        np.concatenate([r.high for r in records]),
    )
