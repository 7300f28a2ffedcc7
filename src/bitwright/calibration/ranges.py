"""From statistics to a real range: the five methods by name."""

from __future__ import annotations

import math

from bitwright.calibration.entropy import entropy_range
from bitwright.calibration.histogram import Histogram
from bitwright.calibration.mse import mse_range
from bitwright.calibration.percentile import percentile_range
from bitwright.calibration.statistics import TensorStatistics, observer_of
from bitwright.errors import StatisticsError, UsageError
from bitwright.numerics.qparams import STORAGES


def select_range(
    tensor: TensorStatistics,
    method: str = "minmax",
    *,
    storage: str = "u8",
    symmetric: bool = False,
    percentile: float = 99.99,
    momentum: float = 0.95,
) -> tuple[float, float]:
    """The real range (low, high) to quantize a tensor in.

        minmax      smallest and largest value
        ema         moving average of each sample's range, in the order of the samples
        percentile  quantiles 1 - p and p of the values
        entropy     least Kullback-Leibler divergence
        mse         least expected squared error

    No range is wider than minmax's. A tensor that was always empty has the range (0, 0).

    Args:
        tensor: what calibration saw of it.
        method: one of the above.
        storage: a key of STORAGES; how many levels there are (entropy, mse).
        symmetric: the zero_point will be 0: half the levels are for |x| (entropy, mse).
        percentile: in (50, 100].
        momentum: of ema, in [0, 1).

    Raises:
        StatisticsError: the method's observer was not collected.
        UsageError: an unknown method or storage type, a percentile or momentum out of range.
    """
    observer_of(method)
    if storage not in STORAGES:
        raise UsageError(f"unknown storage type {storage!r}", next=f"one of {', '.join(STORAGES)}")
    if not (math.isfinite(percentile) and 50.0 < percentile <= 100.0):
        raise UsageError(f"percentile must lie in (50, 100] (got {percentile})", next="99.99 is the default")
    if not (math.isfinite(momentum) and 0.0 <= momentum < 1.0):
        raise UsageError(f"momentum must lie in [0, 1) (got {momentum})", next="0.95 is the default")
    if method == "ema":
        return tensor.ema(momentum)
    low, high = tensor.minimum, tensor.maximum
    if method == "percentile":
        return percentile_range(_histogram(tensor, method), low, high, percentile=percentile)
    if method == "entropy":
        return entropy_range(_histogram(tensor, method), low, high, storage=storage, symmetric=symmetric)
    if method == "mse":
        return mse_range(_histogram(tensor, method), low, high, storage=storage, symmetric=symmetric)
    return low, high


def _histogram(tensor: TensorStatistics, method: str) -> Histogram:
    if tensor.histogram is None:
        raise StatisticsError(
            f'method "{method}" needs the histogram of each tensor, which was not collected',
            next=f"calibrate with `--method {method}` (percentile, entropy and mse share their statistics)",
        )
    return tensor.histogram
