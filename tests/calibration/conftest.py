"""What the calibration tests share: a small graph, samples for it, statistics of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.calibration.feeds import InputSpec
from bitwright.calibration.minmax import see
from bitwright.graph.text import parse

NET = """<ir_version: 10, opset_import: ["": 21]>
net (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y, int64[4] s)
{
  r = Relu(x)
  t = Tanh(r)
  y = Sub(t, x)
  s = Shape(y)
}"""


@pytest.fixture
def net() -> ir.Model:
    return parse(NET)


@pytest.fixture
def numbered():
    """(index, feeds) pairs for `net`, of very different magnitudes."""

    def make(count: int, start: int = 0):
        for index in range(start, start + count):
            rng = np.random.default_rng(index)
            x = rng.standard_normal((1, 3, 4, 4)) * 10.0 ** rng.integers(-6, 6)
            yield index, {"x": x.astype(np.float32)}

    return make


@pytest.fixture
def image_spec() -> list[InputSpec]:
    return [InputSpec("x", np.dtype(np.float32), ("N", 3, 4, 4))]


@pytest.fixture
def shared() -> Path:
    folder = Path(__file__).parents[2].parent / "shared"
    if not folder.exists():
        pytest.skip("the shared models and data are not here")
    return folder


@pytest.fixture
def histogram_of():
    """The histogram of one array."""
    from bitwright.calibration.histogram import HistogramObserver, Scratch

    def make(*arrays):
        observer = HistogramObserver(Scratch())
        for index, array in enumerate(arrays):
            seen = see(index, np.asarray(array, dtype=np.float32))
            if seen is not None:
                observer.observe(seen)
        return observer.result()

    return make


@pytest.fixture
def tensor_of(histogram_of):
    """The statistics of one array, with its histogram."""
    from bitwright.calibration.statistics import TensorStatistics

    def make(array):
        array = np.asarray(array, dtype=np.float32)
        return TensorStatistics(1, float(array.min()), float(array.max()), histogram=histogram_of(array))

    return make
