"""The calibration cache: ONNX Runtime's JSON of ranges, read from either and written for both."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.compat.onnxruntime.quantization.calibrate import CalibrationMethod
from bitwright.errors import StatisticsError

if TYPE_CHECKING:
    from bitwright.calibration.statistics import Statistics

#: Our own statistics in the same file: channel means for the biases, and the digest of the graph.
_OURS = "bitwright"


def read_cache(path: str | os.PathLike[str], method: CalibrationMethod) -> Statistics | None:
    """The statistics of a cache; None where there is no file.

    Raises:
        StatisticsError: not a cache, or one of another method.
    """
    from bitwright.calibration.statistics import Statistics, TensorStatistics

    where = os.fspath(path)
    if not Path(path).exists():
        return None
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        made_by = str(told["calibration_method"]["value"]).rpartition(".")[2]
        ranges = {str(name): (_number(row["lowest"]), _number(row["highest"])) for name, row in told["data"].items()}
        ours = base64.b64decode(told[_OURS], validate=True) if _OURS in told else None
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise StatisticsError(
            f"not a calibration cache ({type(error).__name__}: {error})",
            where=where,
            next="delete it, or name another calibration_cache_path: it is written anew",
        ) from error
    if made_by != method.name:
        raise StatisticsError(
            f"the calibration cache is of method {made_by}, and {method.name} is asked",
            where=where,
            next="delete it, or name another calibration_cache_path",
        )
    if ours is not None:
        seen = Statistics.from_bytes(ours, where=where)
        known = {name: ends for name, ends in ranges.items() if name in seen.tensors}
        edited = {name: replace(seen.tensors[name], minimum=low, maximum=high) for name, (low, high) in known.items()}
        return replace(seen, tensors={**seen.tensors, **edited})  # people change the numbers that they can read
    return Statistics({name: TensorStatistics(1, low, high) for name, (low, high) in ranges.items()}, ((0, 1),))


def write_cache(statistics: Statistics, path: str | os.PathLike[str], method: CalibrationMethod) -> None:
    """Write settled statistics, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    from bitwright.graph.io import write_bytes

    told = {
        "CLS": "TensorsData",
        "data": {
            name: {"lowest": _array(seen.minimum), "highest": _array(seen.maximum), "CLS": "TensorData"}
            for name, seen in statistics.tensors.items()
        },
        "calibration_method": {"CLS": "CalibrationMethod", "value": f"CalibrationMethod.{method.name}"},
        "smooth_quant": False,
        _OURS: base64.b64encode(statistics.to_bytes()).decode(),
    }
    write_bytes(json.dumps(told).encode(), path)


def _array(value: float) -> dict[str, Any]:
    return {"data": [value], "dtype": "float32", "CLS": "numpy.array"}


def _number(told: Any) -> float:
    """A number as the cache spells arrays of one element, or as it is."""
    value = told["data"] if isinstance(told, dict) else told
    while isinstance(value, list):
        (value,) = value
    return float(value)
