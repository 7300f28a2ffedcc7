"""TensorRT's calibration cache: a line that names TensorRT and the calibrator, then the scale of each tensor.

    TRT-8601-EntropyCalibration2
    data: 3c008912
    (Unnamed Layer* 64) [Shuffle]_output: 0

A scale is the real step, max|x| / 127, as the hexadecimal digits of its float32, the sign first; 0 is a tensor that was
always zero. TensorRT takes a cache of its own version and of the application's calibrator alone (trtexec's is
EntropyCalibration2), so both can be chosen.

Source: TensorRT's sampleINT8, "Calibration file"; ONNX Runtime's reader of these files, `ReadDynamicRange` in
onnxruntime/core/providers/tensorrt; version numbers: NvInferVersion.h of TensorRT 8 and 10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitwright.calibration.tables.lines import WRITE_AGAIN, at_line, numbered
from bitwright.calibration.tables.thresholds import LEVELS
from bitwright.errors import StatisticsError, UsageError

_HEADER = re.compile(r"TRT-([0-9]+)-([A-Za-z0-9_]+)")
_SCALE = re.compile(r"0|[0-9a-fA-F]{8}")
_LARGEST = float(np.finfo(np.float32).max) / LEVELS


@dataclass(frozen=True)
class CalibrationCache:
    """What such a file says.

    Args:
        scales: the step of each tensor by name; each a float32 value, not negative.
        algorithm: the calibrator: "EntropyCalibration2", "MinMaxCalibration", ...
        version: of TensorRT, see `version_number`.
    """

    scales: Mapping[str, float]
    algorithm: str = "EntropyCalibration2"
    version: int = 8601

    def to_text(self) -> str:
        """The file.

        Raises:
            StatisticsError: a name that no line can hold.
        """
        for name in self.scales:
            if not name.strip() or "\n" in name or "\r" in name:
                raise StatisticsError(
                    f"a line of TensorRT's cache cannot hold the tensor name {name!r}", next="rename the tensor"
                )
        lines = (f"{name}: {_hexadecimal(scale)}\n" for name, scale in self.scales.items())
        return f"TRT-{self.version}-{self.algorithm}\n" + "".join(lines)

    @staticmethod
    def from_text(text: str, *, where: str | None = None) -> CalibrationCache:
        """The inverse of `to_text`; names may hold spaces and colons.

        Raises:
            StatisticsError: not such a file, or a damaged one; says which line.
        """
        lines = numbered(text)
        first, header = next(lines, (1, ""))
        found = _HEADER.fullmatch(header.strip())
        if found is None:
            raise StatisticsError(
                f"not TensorRT's calibration cache: it starts with {_shown(header)}",
                where=at_line(where, first),
                next="its first line reads like TRT-8601-EntropyCalibration2",
            )
        scales: dict[str, float] = {}
        for number, line in lines:
            name, colon, digits = line.rpartition(":")
            name, place = name.strip(), at_line(where, number)
            if not colon or not name:
                raise StatisticsError(
                    f"a line without a tensor's name and scale: {_shown(line)}", where=place, next=WRITE_AGAIN
                )
            if name in scales:
                raise StatisticsError(f"tensor {name!r} has two scales", where=place, next="leave one of the lines out")
            scales[name] = _scale_of(name, digits.strip(), place)
        if not scales:
            raise StatisticsError("the cache has no scales", where=where, next=WRITE_AGAIN)
        return CalibrationCache(scales, found[2], int(found[1]))


def algorithm_for(method: str) -> str:
    """The calibrator of TensorRT that chooses ranges as a method does, or nearly so."""
    return "MinMaxCalibration" if method == "minmax" else "EntropyCalibration2"


def scale_of_threshold(threshold: float) -> float:
    """The float32 nearest to threshold / 127; the file's own scale for a threshold that was read from one."""
    return float(np.float32(threshold / LEVELS))


def version_number(text: str) -> int:
    """TensorRT's version as its files spell it.

        before 10: major * 1000 + minor * 100 + patch;  from 10 on: major * 10000 + minor * 100 + patch

    Raises:
        UsageError: not two or three numbers with dots between.

    >>> version_number("8.6.1"), version_number("10.3.0"), version_number("7.0")
    (8601, 100300, 7000)
    """
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,2}){1,2}", text):
        raise UsageError(f"no version of TensorRT: {text!r}", next="write it like 8.6.1 or 10.3.0")
    major, minor, patch = (*(int(part) for part in text.split(".")), 0)[:3]
    return major * (10_000 if major >= 10 else 1_000) + minor * 100 + patch


def _hexadecimal(scale: float) -> str:
    bits = int(np.float32(scale).view(np.uint32))
    return f"{bits:08x}" if bits else "0"


def _scale_of(name: str, digits: str, where: str) -> float:
    if not _SCALE.fullmatch(digits):
        raise StatisticsError(
            f"the scale of tensor {name!r} is not eight hexadecimal digits: {_shown(digits)}",
            where=where,
            next=WRITE_AGAIN,
        )
    scale = float(np.uint32(int(digits, 16)).view(np.float32))
    if not scale <= _LARGEST or np.signbit(scale):
        raise StatisticsError(
            f"the scale of tensor {name!r} cannot be {scale}",
            where=where,
            next="a scale is a positive number, or 0 for a tensor that is always zero",
        )
    return scale


def _shown(text: str, most: int = 60) -> str:
    return repr(text if len(text) <= most else text[:most] + "...")
