"""Runs a graph that `insert_logging` instrumented, and writes its lines."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any, TextIO

from numpy.typing import NDArray

from bitwright.api import load_plain
from bitwright.calibration.feeds import input_specs
from bitwright.calibration.files import open_source
from bitwright.compat.graph_transforms.insert_logging import lines_of
from bitwright.errors import TransformError
from bitwright.graph.execution import Execution


def log_values(model: Any, data: Any, file: TextIO | None = None, *, preprocess: str | None = None) -> int:
    """Run a graph over samples on ONNX Runtime, and write what `insert_logging` asked of each run.

    Args:
        model: a Model, or what `bitwright.load` takes.
        data: samples, in any form that `bitwright.calibrate` takes.
        file: where the lines go; standard error by default, as with TensorFlow's Print.
        preprocess: for files of images or arrays.

    Returns:
        How many lines were written.

    Raises:
        TransformError: nothing is logged in this model.
        SampleError: a sample does not fit the model's inputs.
    """
    graph = load_plain(model).graph
    lines = lines_of(graph)
    if not lines:
        raise TransformError(
            "the model logs nothing",
            where=getattr(model, "source", None) or (model if isinstance(model, str) else None),
            next="instrument it: --transforms 'insert_logging(op=RequantizationRange, show_name=true, message=...)'",
        )
    execution = Execution(graph, list(dict.fromkeys(name for line in lines for name in line.values)))
    written: Counter[int] = Counter()
    for _, feeds in open_source(data, input_specs(graph), preprocess=preprocess):
        found = execution.run(feeds)
        for index, line in enumerate(lines):
            if line.first_n < 0 or written[index] < line.first_n:
                values = "".join(shown(found[name], line.summarize) for name in line.values)
                print(f"{line.text}{values}", file=file or sys.stderr)
                written[index] += 1
    return written.total()


def shown(array: NDArray[Any], most: int) -> str:
    """A value in brackets, its elements in a row; floats with the fewest digits that read back the same.

    >>> from numpy import float32
    >>> shown(float32([0.1, 2.5, 3]), 2)
    '[0.1 2.5...]'
    """
    flat = array.reshape(-1)
    texts = [str(element) for element in (flat if most < 0 else flat[:most])]
    return f"[{' '.join(texts)}{'...' if len(texts) < flat.size else ''}]"
