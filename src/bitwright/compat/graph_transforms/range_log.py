"""Lines of a log that hold the range of a tensor in one run, as TensorFlow's Print wrote and read them.

...;conv/eightbit/requant_range__print__;__requant_min_max:[-20.887871][22.274715]
"""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from bitwright.errors import TransformError

#: What stands behind the name of a logged node.
PRINTED = "__print__"
#: What `insert_logging` must be told as its message for its lines to be read here.
MESSAGE = "__requant_min_max:"
#: What TensorFlow called the node that gave the range of a node's result.
RANGE_SUFFIXES = ("/eightbit/requant_range", "_eightbit_requant_range")

_LINE = re.compile(rf";(?P<name>[^;]*){PRINTED};{MESSAGE}\[(?P<low>[^\[\]]+)\]\[(?P<high>[^\[\]]+)\]")


def read_log(path: str | os.PathLike[str]) -> dict[str, list[tuple[float, float]]]:
    """The ranges of every run by name of the tensor; other lines are passed over.

    Raises:
        TransformError: the file cannot be read, or holds no range.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise TransformError(
            f"the log cannot be read: {error.strerror or error}", where=str(path), next="check the path"
        ) from error
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in lines:
        match = _LINE.search(line)
        if match is None:
            continue
        try:
            low, high = float(match["low"]), float(match["high"])
        except ValueError:
            continue
        if math.isfinite(low) and math.isfinite(high):
            found[bare_name(match["name"])].append((low, high))
    if not found:
        raise TransformError(
            "the log holds no range of any tensor",
            where=str(path),
            next=f'write it with insert_logging(op=RequantizationRange, show_name=true, message="{MESSAGE}")',
        )
    return dict(found)


def bare_name(name: str) -> str:
    """The name of the tensor that a node gave the range of.

    >>> bare_name("conv/Conv2D/eightbit/requant_range")
    'conv/Conv2D'
    """
    for suffix in RANGE_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def overall(
    ranges: Iterable[tuple[float, float]], *, min_percentile: float = 5.0, max_percentile: float = 5.0
) -> tuple[float, float]:
    """One range of many runs' ranges, without the most extreme ones.

        low  = sorted(lows)[round(n * min_percentile / 100)]
        high = sorted(highs)[round(n * (1 - max_percentile / 100))]        both kept inside the list

    >>> overall([(-10.0, 1.0), (-2.0, 2.0), (-1.0, 30.0)], min_percentile=34, max_percentile=67)
    (-2.0, 2.0)

    Source: TensorFlow's Graph Transform Tool, `freeze_requantization_ranges`.
    """
    lows, highs = (sorted(side) for side in zip(*ranges, strict=True))
    count = len(lows)
    first = math.floor(count * min_percentile / 100 + 0.5)
    last = math.floor(count * (1 - max_percentile / 100) + 0.5)
    return lows[min(max(first, 0), count - 1)], highs[min(max(last, 0), count - 1)]
