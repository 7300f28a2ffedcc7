"""Between statistics and the one number that a table keeps of a tensor: the threshold t of its range [-t, t].

q = clamp(round(x / scale), -127, 127),  scale = t / 127
"""

from __future__ import annotations

from collections.abc import Mapping

from bitwright.calibration.ranges import select_range
from bitwright.calibration.statistics import Statistics, TensorStatistics, observer_of

#: The largest integer of symmetric 8 bits.
LEVELS = 127


def default_method(statistics: Statistics) -> str:
    """How ranges are chosen when nobody says: as both runtimes do where the histograms are there."""
    return "entropy" if "histogram" in statistics.observers else "minmax"


def thresholds_of(statistics: Statistics, method: str) -> dict[str, float]:
    """The threshold of every tensor that has a range by this method.

    A tensor that was only watched for its channel means, or that never held a number, has none.

    Raises:
        StatisticsError: the method's observer was not collected.
        UsageError: an unknown method.
    """
    needed, attribute = observer_of(method), {"ema": "ema_record", "histogram": "histogram", None: "count"}
    found: dict[str, float] = {}
    for name, tensor in statistics.tensors.items():
        if not tensor.count or (needed in statistics.observers and getattr(tensor, attribute[needed]) is None):
            continue
        low, high = select_range(tensor, method, storage="i8", symmetric=True)
        found[name] = max(abs(low), abs(high))
    return found


def statistics_of(thresholds: Mapping[str, float]) -> Statistics:
    """Statistics whose ranges are [-t, t], of no samples; what they have no tensor of stays float."""
    tensors = {name: TensorStatistics(count=1, minimum=0.0 - t, maximum=t) for name, t in thresholds.items()}
    return Statistics(tensors, partial=True)
