"""A tiny model and data on disk, and a way to run a verb."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest

from bitwright.cli.main import run

MODEL = """<ir_version: 10, opset_import: ["": 21]>
net (float[N, 3, 8, 8] x) => (float[N, 10] y)
<float[1] cw = {0}, float[1] fw = {0}>
{
  c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, cw)
  r = Relu(c)
  p = GlobalAveragePool(r)
  f = Flatten(p)
  y = Gemm(f, fw)
}"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A convolution and a matrix product, 50 kB."""
    proto = onnx.parser.parse_model(MODEL)
    rng = np.random.default_rng(0)
    weights = {"cw": (256, 3, 3, 3), "fw": (256, 10)}
    for initializer in proto.graph.initializer:
        values = rng.standard_normal(weights[initializer.name]).astype(np.float32)
        initializer.CopyFrom(onnx.numpy_helper.from_array(values, initializer.name))
    onnx.save(proto, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixteen samples."""
    path = tmp_path / "data.npy"
    np.save(path, np.random.default_rng(1).standard_normal((16, 3, 8, 8)).astype(np.float32))
    return path


@pytest.fixture
def done(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must succeed; gives what it printed on standard output."""

    def check(*arguments: object, code: int = 0) -> str:
        left = run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert left == code, err
        return out

    return check


@pytest.fixture
def as_json(done: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """Runs a command with --json; gives what it printed, read."""

    def check(*arguments: object, code: int = 0) -> dict[str, Any]:
        read = json.loads(done(*arguments, "--json", code=code))
        assert isinstance(read, dict)
        return read

    return check
