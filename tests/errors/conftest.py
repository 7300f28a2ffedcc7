"""A tiny model on disk, and what every refusal must look like."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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

#: An error as people read it.
TOLD = re.compile(r"^\w+: \S.*\n  where: \S.*\n(?:.*\n)*?  next:  \S", re.MULTILINE)


def build() -> onnx.ModelProto:
    """A convolution and a matrix product, 20 kB."""
    model = onnx.parser.parse_model(MODEL)
    rng = np.random.default_rng(0)
    weights = {"cw": (256, 3, 3, 3), "fw": (256, 10)}
    for initializer in model.graph.initializer:
        values = rng.standard_normal(weights[initializer.name]).astype(np.float32)
        initializer.CopyFrom(onnx.numpy_helper.from_array(values, initializer.name))
    return model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The tiny model as a file."""
    path = tmp_path / "model.onnx"
    onnx.save(build(), path)
    return path


@pytest.fixture
def proto() -> onnx.ModelProto:
    """The tiny model in memory."""
    return build()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight good samples."""
    path = tmp_path / "data.npy"
    np.save(path, np.random.default_rng(1).standard_normal((8, 3, 8, 8)).astype(np.float32))
    return path


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused; gives what it said.

    It must leave with 1 or 2, say what, where and next, print no traceback, leave the folder as it was, and with
    --json say the same as JSON.
    """

    def check(*arguments: object, code: int | None = None) -> str:
        words = [str(a) for a in arguments]
        before = sorted(os.listdir(tmp_path))
        left = run(words)
        out, err = capsys.readouterr()
        assert left in (1, 2), f"exit code {left}: {out}{err}"
        assert code is None or left == code, err
        assert TOLD.search(err), err
        assert "Traceback" not in out + err
        assert "InternalError" not in err
        assert out == ""
        assert sorted(os.listdir(tmp_path)) == before

        assert run([*words, "--json"]) == left
        told = json.loads(capsys.readouterr().out)["error"]
        assert all(told[key] for key in ("type", "what", "where", "next"))
        assert sorted(os.listdir(tmp_path)) == before
        return err

    return check


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Starts the command line in a process of its own."""

    def go(*arguments: object, **options: object) -> subprocess.Popen[str]:
        # A test run in the background has Ctrl-C ignored, and children inherit that.
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from bitwright.cli.main import main; main()"
        words = [sys.executable, "-c", code, *map(str, arguments)]
        stdout = options.pop("stdout_to", subprocess.PIPE)
        return subprocess.Popen(words, stdout=stdout, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]

    return go
