"""docs/coming-from.md: every line of ours in it runs, on a small network, in order."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "coming-from.md").read_text()
BLOCKS = re.findall(r"^```(python|sh)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
PYTHON = {block.splitlines()[0].split()[1]: block for kind, block in BLOCKS if kind == "python"}
COMMANDS = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
RECIPE = [
    {
        "regex": ".*",
        "operation": "*",
        "algorithm_key": "min_max_uniform_quantize",
        "op_config": {
            "weight_tensor_config": {"num_bits": 8, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"},
            "compute_precision": "INTEGER",
            "explicit_dequantize": False,
        },
    }
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A network as SavedModel, frozen graph, ONNX and TFLite, and what its lines read."""
    tf = pytest.importorskip("tensorflow")
    import bitwright as bw

    path: Path = tmp_path_factory.mktemp("coming_from")
    rng = np.random.default_rng(0)
    np.save(path / "samples.npy", rng.uniform(-1, 1, (32, 8, 8, 3)).astype(np.float32))
    (path / "recipe.json").write_text(json.dumps(RECIPE))
    kernel, dense = (rng.normal(0, 0.3, shape).astype(np.float32) for shape in ((3, 3, 3, 8), (8, 200)))

    def network(x: Any) -> Any:
        y = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME"))
        return tf.nn.softmax(tf.reduce_mean(y, (1, 2)) @ dense, name="softmax")

    with tf.Graph().as_default() as graph:
        network(tf.compat.v1.placeholder(tf.float32, (None, 8, 8, 3), name="input_data"))
    (path / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    module = tf.Module()
    spec = tf.TensorSpec((None, 8, 8, 3), name="input_data")
    module.call = tf.function(lambda input_data: {"softmax": network(input_data)}, input_signature=[spec])
    tf.saved_model.save(module, str(path / "saved_model"), signatures=module.call.get_concrete_function())
    model = bw.load(path / "frozen.pb")
    model.save(path / "model.onnx")
    model.save(path / "float.tflite")
    return path


@pytest.mark.parametrize(
    "name", ["bitwright.compat.tensorflow", "bitwright.compat.graph_transforms", "bitwright.compat.onnxruntime"]
)
def test_coming_from_python_runs(name, folder, monkeypatch):
    """In this process, with the names that the page speaks of."""
    tf = pytest.importorskip("tensorflow")
    monkeypatch.chdir(folder)
    graph_def = tf.compat.v1.GraphDef.FromString((folder / "frozen.pb").read_bytes())

    exec(PYTHON[name], {"samples": np.load("samples.npy"), "graph_def": graph_def})

    made = {"tensorflow": "model.tflite", "graph_transforms": "small.onnx", "onnxruntime": "static.onnx"}
    assert (folder / made[name.rsplit(".", 1)[1]]).stat().st_size > 0


def test_coming_from_tfmot_runs(folder):
    """In a process whose Keras runs on torch."""
    before = (
        "import keras, numpy as np\n"
        "samples, targets = np.load('samples.npy'), np.zeros((32, 4), np.float32)\n"
        "model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(8, 3, activation='relu'),"
        " keras.layers.Flatten(), keras.layers.Dense(4)])\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"}

    done = subprocess.run(
        [sys.executable, "-c", before + PYTHON["bitwright.compat.tfmot"]],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "aware.tflite").stat().st_size > 0


@pytest.mark.parametrize("line", COMMANDS)
def test_coming_from_command_runs(line, folder, monkeypatch, capsys):
    """`bitwright ...` ends with 0."""
    from bitwright.cli.main import run

    monkeypatch.chdir(folder)
    name, *arguments = shlex.split(line)

    assert name == "bitwright"
    assert run(arguments) == 0, capsys.readouterr().err


def test_coming_from_has_a_block_for_every_shell():
    """None is told without a line that runs."""
    shells = {"tensorflow", "graph_transforms", "onnxruntime", "tfmot"}

    assert shells == {name.rsplit(".", 1)[1] for name in PYTHON}
