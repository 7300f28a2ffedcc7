"""Ranges as ONNX Runtime's calibrators choose them: each becomes the minimum and maximum of its tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bitwright.compat.onnxruntime.quantization.calibrate import CalibrationMethod
from bitwright.compat.onnxruntime.quantization.options import Options
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.calibration.ema import EmaRecord
    from bitwright.calibration.statistics import Statistics, TensorStatistics


def method_of(method: CalibrationMethod, options: Options) -> str:
    """What is collected for the method.

    Raises:
        UsageError: a method that is not offered.
    """
    if method is CalibrationMethod.Distribution:
        raise UsageError(
            "CalibrationMethod.Distribution is for float8, which is not offered",
            where="calibrate_method",
            next="take CalibrationMethod.MinMax, Entropy or Percentile",
        )
    if method is CalibrationMethod.MinMax:
        return "ema" if options.average else "minmax"
    return method.name.lower()


def settled(statistics: Statistics, method: str, options: Options, storage: str) -> Statistics:
    """The same statistics, each tensor's minimum and maximum being the range to quantize it in.

    Args:
        statistics: collected for `method`.
        method: minmax, ema, percentile or entropy.
        options: what extra_options ask for.
        storage: of activations.

    Raises:
        UsageError: a range is told of a tensor that is not quantized.
    """
    for name in options.given:
        if name not in statistics.tensors:
            raise UsageError(
                f"tensor {name!r} has no range to override",
                where="extra_options, TensorQuantOverrides",
                next=f"one of {', '.join(sorted(statistics.tensors))}",
            )
    tensors = {}
    for name, seen in statistics.tensors.items():
        low, high = _range(seen, method, options, storage)
        told_low, told_high = options.given.get(name, (None, None))
        low, high = low if told_low is None else told_low, high if told_high is None else told_high
        tensors[name] = replace(seen, minimum=low, maximum=high, ema_record=None, histogram=None)
    return replace(statistics, tensors=tensors, observers=())


def _range(seen: TensorStatistics, method: str, options: Options, storage: str) -> tuple[float, float]:
    from bitwright.calibration.ranges import select_range

    if method != "minmax" and seen.ema_record is None and seen.histogram is None:
        low, high = seen.minimum, seen.maximum  # watched for its channel means alone: another tensor gives its range
    elif seen.ema_record is not None:
        low, high = average(seen.ema_record, options.stride, options.constant)
    elif method == "percentile":  # ONNX Runtime shares what is cut between the two ends
        low, high = select_range(seen, method, percentile=100.0 - (100.0 - options.percentile) / 2.0)
    else:
        low, high = select_range(seen, method, storage=storage, symmetric=options.activation_symmetric)
    if options.smallest_range is not None:
        low = min(low, 0.0)
        high = max(high, low + options.smallest_range)
    if options.symmetric_range:
        high = max(-low, high)
        low = -high
    return low, high


def average(record: EmaRecord, stride: int | None, constant: float) -> tuple[float, float]:
    """The mean over samples of their ranges; with a stride, means of parts that move one another.

        average = average + constant * (mean of the part - average)

    Source: ONNX Runtime 1.31, MinMaxCalibrater: compute_data and merge_range.

    >>> import numpy as np
    >>> from bitwright.calibration.ema import EmaRecord
    >>> average(EmaRecord(np.arange(4), np.float32([0, -2, -4, -4]), np.float32([1, 3, 4, 4])), 2, 0.5)
    (-2.5, 3.0)
    """
    if not record.index.size:
        return 0.0, 0.0
    size = stride or record.index.size
    low, high = float(record.low[:size].mean()), float(record.high[:size].mean())
    for start in range(size, record.index.size, size):
        low += constant * (float(record.low[start : start + size].mean()) - low)
        high += constant * (float(record.high[start : start + size].mean()) - high)
    return low, high
