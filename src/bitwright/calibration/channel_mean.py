"""The mean of each channel over all samples, with sums that do not depend on the order of the samples.

Each sample's mean of a channel is rounded to float32 and added as an integer on one fixed grid, so that addition is
exact, hence associative and commutative. Every sample weighs the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.minmax import Seen

#: The grid: sums are integers times 2**-172. A float32 is a 24-bit integer times 2**(e - 24), e in -148..128.
_GRID_BITS = 172
_LIMB_BITS = 32
_LIMBS = 10
_ROWS = 64


@dataclass(frozen=True, eq=False)
class ChannelSums:
    """Exact sums over samples of the mean of each channel.

    Args:
        axis: the channel axis.
        count: how many samples were added.
        limbs: i64[10, C]; the sum is limbs[i] * 2**(32 * i - 172), added over i. A limb may be negative or wide.
            C is 0 when samples disagreed about C: a free dimension is no channel axis.
    """

    axis: int
    count: int
    limbs: NDArray[np.int64]

    def mean(self) -> NDArray[np.float64]:
        """f64[C]: the exact sum over the count, rounded once."""
        divisor = max(self.count, 1) << _GRID_BITS
        sums = (
            sum(limb << (_LIMB_BITS * i) for i, limb in enumerate(column) if limb) for column in self.limbs.T.tolist()
        )
        return np.array([total / divisor for total in sums], dtype=np.float64)


class ChannelMeanObserver:
    """Adds up each sample's channel means along an axis. A sample that holds NaN or Inf is left out."""

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self._count = 0
        self._limbs: NDArray[np.int64] | None = None

    def observe(self, seen: Seen) -> None:
        """Take one sample in."""
        if seen.nonfinite or not seen.array.size or not -seen.array.ndim <= self.axis < seen.array.ndim:
            return
        means = channel_means(seen.array, self.axis)
        if self._limbs is None:
            self._limbs = np.zeros((_LIMBS, means.size), dtype=np.int64)
        if self._limbs.shape[1] != means.size:
            self._limbs, self._count = np.zeros((_LIMBS, 0), dtype=np.int64), 0
            return
        add_exactly(self._limbs, means)
        self._count += 1

    def result(self) -> ChannelSums | None:
        """The sums so far; None while nothing was added."""
        return None if self._limbs is None else ChannelSums(self.axis, self._count, self._limbs.copy())


def channel_means(x: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """f32[C]: the mean of x over all axes but one."""
    axis %= x.ndim
    channels = x.shape[axis]
    outer = int(np.prod(x.shape[:axis]))
    blocks = x.reshape(outer, channels, -1)
    with np.errstate(over="ignore", invalid="ignore"):
        if blocks.shape[2] > 1:
            partial = blocks.sum(axis=2)  # pairwise, in float32
        else:  # rows of channels: numpy adds them one after the other, so add few in float32 and the rest in float64
            rows = blocks[:, :, 0]
            whole = outer - outer % _ROWS
            few = rows[:whole].reshape(-1, _ROWS, channels).sum(axis=1)
            partial = np.concatenate([few, rows[whole:].sum(axis=0, keepdims=True)])
    sums = partial.sum(axis=0, dtype=np.float64)
    if not np.isfinite(sums).all():
        sums = blocks.sum(axis=(0, 2), dtype=np.float64)
    means: NDArray[np.float32] = (sums / (x.size // channels)).astype(np.float32)
    return means


def add_exactly(limbs: NDArray[np.int64], x: NDArray[np.float32]) -> None:
    """Add x to limbs without rounding. After 2**30 additions a limb may overflow.

    >>> limbs = np.zeros((10, 1), dtype=np.int64)
    >>> for value in (1e30, 1.5, -1e30):
    ...     add_exactly(limbs, np.float32([value]))
    >>> ChannelSums(0, 1, limbs).mean().tolist()
    [1.5]
    """
    fraction, exponent = np.frexp(x.astype(np.float64))
    mantissa = (fraction * 2.0**24).astype(np.int64)
    position = np.where(mantissa, exponent + (_GRID_BITS - 24), 0)
    limb, shift = position // _LIMB_BITS, position % _LIMB_BITS
    moved = mantissa << shift
    column = np.arange(x.size)
    limbs[limb, column] += moved & ((1 << _LIMB_BITS) - 1)
    limbs[limb + 1, column] += moved >> _LIMB_BITS


def merge_sums(sums: Sequence[ChannelSums]) -> ChannelSums:
    """The sums of all samples, whatever the order of the parts; no channels when the parts disagree about them."""
    limbs = np.zeros_like(sums[0].limbs)
    if any(part.limbs.shape != limbs.shape or part.axis != sums[0].axis for part in sums):
        return ChannelSums(min(part.axis for part in sums), 0, np.zeros((_LIMBS, 0), dtype=np.int64))
    for part in sums:
        limbs += part.limbs
    return ChannelSums(sums[0].axis, sum(part.count for part in sums), limbs)
