"""ncnn's int8 table: the scales of each layer's weights, then the scale of each layer's input.

    conv1_param_0 187.254502 246.400984 188.807986
    fc_param_0 306.737558 186.073500
    conv1 90.120193
    fc 7.186572

A scale is a reciprocal here, integers by real: 127 / max|w| for each output channel (each group where there are
groups), 127 / t for an input that is clamped to [-t, t]. A weight scale of 0 is a channel without weights. A line that
starts with # is left out, and a layer with one of its two lines stays float.

Source: ncnn's tools/quantize/ncnn2table.cpp (writes "%f ", six decimals) and ncnn2int8.cpp (reads up to 255 bytes of a
name, takes whatever holds "_param_" for weights); caffe-int8-convert-tools' caffe-int8-convert-tool-dev-weight.py (the
scale 0); ncnn's docs/how-to-use-and-FAQ/quantized-int8-inference.md (the comment).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.tables.lines import WRITE_AGAIN, at_line, numbered
from bitwright.calibration.tables.thresholds import LEVELS
from bitwright.errors import StatisticsError

Scales = NDArray[np.float32]
_PARAM, _WEIGHTS = "_param_", "_param_0"
_LONGEST_NAME = 255
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Int8Table:
    """What such a file says.

    Args:
        weights: f32[channels or groups] by layer name: 127 / max|w|, 0 where there are no weights.
        inputs: 127 / t by layer name, float32 values.
    """

    weights: Mapping[str, Scales]
    inputs: Mapping[str, float]

    def to_text(self) -> str:
        """The file.

        Raises:
            StatisticsError: layer names that it cannot hold, all of them.
        """
        odd = [name for name in {**self.weights, **self.inputs} if not _can_be_named(name)]
        if odd:
            raise StatisticsError(
                f"ncnn's table cannot hold the layer names {', '.join(map(repr, odd))}",
                next=f"rename the nodes: no spaces, no {_PARAM!r}, no # in front, 247 bytes at most",
            )
        lines = [(name + _WEIGHTS, scales.tolist()) for name, scales in self.weights.items()]
        lines += [(name, [scale]) for name, scale in self.inputs.items()]
        return "".join(f"{name} {' '.join(map(_printed, scales))} \n" for name, scales in lines)

    @staticmethod
    def from_text(text: str, *, where: str | None = None) -> Int8Table:
        """The inverse of `to_text`, to the digits printed.

        Raises:
            StatisticsError: not such a file, or a damaged one; says which line.
        """
        if text.strip() and not text.endswith("\n"):
            raise StatisticsError(
                "the table's last line has no end: numbers may be missing",
                where=where,
                next="write it again; if it is whole, add a line feed",
            )
        weights: dict[str, Scales] = {}
        inputs: dict[str, float] = {}
        for number, line in numbered(text):
            if line.startswith("#"):
                continue
            key, *words = line.split()
            place = at_line(where, number)
            if key in inputs or key in weights:
                raise StatisticsError(f"{key!r} has two lines", where=place, next="leave one of the lines out")
            scales = np.array([_number(key, word, place) for word in words], dtype=np.float32)
            if _PARAM in key:
                if not scales.size:
                    raise StatisticsError(f"{key!r} has no scales", where=place, next=WRITE_AGAIN)
                weights[key] = scales
            elif scales.size != 1 or not scales[0]:
                what = f"{scales.size} scales" if scales.size != 1 else "the scale 0"
                raise StatisticsError(
                    f"the input of layer {key!r} has {what}",
                    where=place,
                    next="a layer's input has one scale, 127 / the largest value it is clamped to",
                )
            else:
                inputs[key] = float(scales[0])
        if not weights and not inputs:
            raise StatisticsError(
                "not ncnn's int8 table: it has no scales",
                where=where,
                next="its lines read like `conv1_param_0 187.254502 246.400984` and `conv1 90.120193`",
            )
        named = {key.removesuffix(_WEIGHTS): scales for key, scales in weights.items()}
        return Int8Table(named, inputs)


def scale_of_threshold(threshold: float) -> float:
    """The float32 nearest to 127 / threshold; 1 for an input that is always zero, whose integers are 0 anyway."""
    scale = LEVELS / threshold if threshold else 1.0
    return float(np.float32(scale)) if scale <= _LARGEST else 1.0


def _can_be_named(name: str) -> bool:
    return (
        len(name.split()) == 1
        and name == name.strip()
        and _PARAM not in name
        and not name.startswith("#")
        and len((name + _WEIGHTS).encode()) <= _LONGEST_NAME
    )


def _printed(scale: float) -> str:
    """Six decimals; below 1 these would lose digits, and nine that count are printed."""
    return f"{scale:f}" if scale >= 1 or not scale else f"{scale:.9g}"


def _number(key: str, word: str, where: str) -> float:
    value = float(word) if _NUMBER.fullmatch(word) else float("nan")
    rounded = float(np.float32(value)) if abs(value) <= _LARGEST else float("nan")
    if not rounded >= 0 or word.startswith("-") or (value and not rounded):
        shown = word if len(word) <= 40 else word[:40] + "..."
        raise StatisticsError(
            f"a scale of {key!r} cannot be {shown!r}",
            where=where,
            next="scales are positive numbers; 0 stands for a channel without weights",
        )
    return rounded
