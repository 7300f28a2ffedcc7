"""The threshold that loses least information: minimum Kullback-Leibler divergence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.histogram import Histogram
from bitwright.numerics.qparams import STORAGES

#: The histogram is searched with at most so many bins (it holds more than half of them).
_SEARCH_BINS = 2048
#: What an empty level counts that outliers are added to, so that its logarithm is finite.
_TRACE = 1e-4


def entropy_range(
    histogram: Histogram, minimum: float, maximum: float, *, storage: str = "u8", symmetric: bool = False
) -> tuple[float, float]:
    """The range [-t, t], cut to what was seen, of the threshold t with the least divergence.

    A tensor on one side of zero has as many levels as the storage type; one on both sides has half as many for |x|,
    and so has any with a symmetric range.
    With at least as many levels as bins nothing is cut.

    Source: Migacz, "8-bit Inference with TensorRT", GTC 2017.
    """
    magnitudes = histogram.magnitudes()
    width = histogram.width
    while magnitudes.size > _SEARCH_BINS:
        padded = np.append(magnitudes, 0) if magnitudes.size % 2 else magnitudes
        magnitudes, width = padded.reshape(-1, 2).sum(axis=1), width * 2
    levels = 1 << STORAGES[storage].bits
    if symmetric or minimum < 0 < maximum:
        levels //= 2
    bins = best_threshold(magnitudes, levels)
    if bins >= magnitudes.size:
        return minimum, maximum
    threshold = bins * width
    return max(minimum, -threshold), min(maximum, threshold)


def best_threshold(magnitudes: NDArray[np.int64], levels: int) -> int:
    """How many bins of a histogram of |x| to keep: those whose quantization to `levels` diverges least.

        P: the first n bins, everything beyond added to the last one
        Q: the first n bins without what is beyond, summed into `levels` levels, each spread evenly over its bins
           that are not empty in P; a last level without a value of its own counts as 0.0001 of a value
        KL(P || Q) = sum_bins p log p - sum_levels P_level log(Q_level / nonempty_level), both scaled to sum 1

    for n from levels up to all bins, least n of the least divergence. Bin 0 takes part with no more than bin 1 has:
    real 0 has an integer of its own, so the exact zeros that a ReLU leaves cost nothing, however wide the levels are.

    Args:
        magnitudes: i64[bins].
        levels: how many levels |x| has.

    Returns:
        n, the number of bins below the threshold.
    """
    size = magnitudes.size
    if size <= levels:
        return size
    counts = magnitudes.astype(np.float64)
    counts[0] = min(counts[0], counts[1])
    total = counts.sum()
    kept = np.concatenate([[0.0], np.cumsum(counts)])
    with np.errstate(divide="ignore", invalid="ignore"):
        p_log_p = np.concatenate([[0.0], np.cumsum(np.where(counts > 0, counts * np.log(counts), 0.0))])
    nonempty = np.concatenate([[0], np.cumsum(counts > 0)])

    sizes = np.arange(levels, size + 1)
    outside = total - kept[sizes]
    # Level j of a candidate of n bins begins at bin ceil(j * n / levels).
    edges = -(-np.arange(levels + 1)[None, :] * sizes[:, None] // levels)
    level = np.diff(kept[edges], axis=1)
    used = np.diff(nonempty[edges], axis=1)
    used[:, -1] += (outside > 0) & (counts[sizes - 1] == 0)
    level[:, -1] = np.maximum(level[:, -1], _TRACE)
    last = counts[sizes - 1] + outside
    with np.errstate(divide="ignore", invalid="ignore"):
        log_q = np.where((used > 0) & (level > 0), np.log(level / used), 0.0)
        entropy = p_log_p[sizes - 1] + np.where(last > 0, last * np.log(last), 0.0)
        cross = (level * log_q).sum(axis=1) + outside * log_q[:, -1]
        # Both logarithms are of counts; scaling P by 1/total and Q by 1/kept adds log(kept / total).
        divergence = (entropy - cross) / total + np.log(kept[sizes] / total)
    divergence[kept[sizes] <= 0] = np.inf
    return int(sizes[np.argmin(divergence)])
