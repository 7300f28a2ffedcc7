"""The range that leaves out a fixed share of the values at either end."""

from __future__ import annotations

import numpy as np

from bitwright.calibration.histogram import Histogram


def percentile_range(
    histogram: Histogram, minimum: float, maximum: float, *, percentile: float = 99.99
) -> tuple[float, float]:
    """The quantiles 1 - p and p of the values, p = percentile / 100, linear within a bin.

    Within a bin's width of `np.quantile`, and never beyond the real minimum and maximum.

    >>> percentile_range(Histogram(0, 0, np.int64([50, 30, 19, 1])), 0.0, 3.5, percentile=60.0)
    (0.0, 1.3333333333333333)
    """
    total = histogram.total
    if not total:
        return minimum, maximum
    low_edges, high_edges = histogram.edges()
    low_edges, high_edges = np.maximum(low_edges, minimum), np.minimum(high_edges, maximum)
    cumulative = np.cumsum(histogram.counts)

    def quantile(share: float) -> float:
        rank = share * total
        index = min(int(np.searchsorted(cumulative, rank, side="left")), cumulative.size - 1)
        if histogram.first + index == 0:  # zeros, most likely: bin 0 stands for 0
            return min(max(0.0, minimum), maximum)
        inside = (rank - float(cumulative[index] - histogram.counts[index])) / float(max(histogram.counts[index], 1))
        return float(low_edges[index] + min(max(inside, 0.0), 1.0) * (high_edges[index] - low_edges[index]))

    return quantile(1.0 - percentile / 100.0), quantile(percentile / 100.0)
