"""Ports of TensorFlow's and Keras's models: whose name is whose, in which order, of which type; and read again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

import bitwright as bw

A = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
B = A[::-1] + 1


def answers(model: bw.Model, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    content = ir.to_proto(model.to_ir()).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))


@pytest.mark.parametrize("kind", ["function", "saved"])
def test_output_that_is_called_as_an_input_has_another_name(kind, tf, tmp_path):
    """An input that is handed on, and one whose key an output has; the user asks for them by their keys."""
    module = tf.Module()
    spec = [tf.TensorSpec((None, 5), name="x"), tf.TensorSpec((None, 5), name="y")]
    module.f = tf.function(lambda x, y: {"x": x, "y": x - y, "z": x + y}, input_signature=spec)
    tf.saved_model.save(module, str(tmp_path), signatures=module.f)
    source = module.f if kind == "function" else tmp_path

    got = answers(bw.load(source), {"x": A, "y": B})

    assert list(got) == ["x_output", "y_output", "z"]
    np.testing.assert_array_equal(A, got["x_output"])
    np.testing.assert_array_equal(A - B, got["y_output"])
    assert list(answers(bw.load(source, outputs=["y"]), {"x": A, "y": B})) == ["y_output"]


def test_saved_model_of_several_ports_has_each_under_its_key(tf, tmp_path):
    """Whatever the order of arguments and of keys."""
    spec = [tf.TensorSpec((None, 5), name="second"), tf.TensorSpec((None, 5), name="first")]
    function = tf.function(lambda second, first: {"z": first - second, "c": first * second}, input_signature=spec)
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"one": function, "two": function})

    got = answers(bw.load(tmp_path, signature="two"), {"first": A, "second": B})

    np.testing.assert_allclose(A - B, got["z"])
    np.testing.assert_allclose(A * B, got["c"])


@pytest.mark.parametrize("mapping", [dict, OrderedDict])
def test_keras_model_of_dicts_has_each_output_under_its_layer(mapping, keras):
    """Keras sorts the keys of a dict, and leaves those of an OrderedDict in their order."""
    b, a = keras.Input((5,), name="b"), keras.Input((5,), name="a")
    outputs = mapping([("z", keras.layers.Subtract(name="minus")([b, a])), ("c", keras.layers.ReLU(name="cut")(a))])
    model = keras.Model(mapping([("k2", b), ("k1", a)]), outputs)

    got = answers(bw.load(model), {"a": A, "b": B})

    np.testing.assert_allclose(B - A, got["minus"])
    np.testing.assert_allclose(np.maximum(A, 0), got["cut"])


def test_example_of_doubles_is_an_input_of_floats(keras):
    """As Keras itself takes what numpy makes by default; integers stay what they are."""
    model = keras.Sequential([keras.layers.Dense(2)])

    loaded = bw.load(model, example_inputs=A.astype(np.float64))
    embedded = bw.load(keras.Sequential([keras.layers.Embedding(9, 2)]), example_inputs=np.ones((1, 4), np.int64))

    assert loaded.graph.graph.inputs[0].dtype == ir.DataType.FLOAT
    assert embedded.graph.graph.inputs[0].dtype == ir.DataType.INT64


SCRIPT = """
import keras
import bitwright as bw
from bitwright.graph.digest import digest
keras.utils.set_random_seed(0)
layers = keras.layers
model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.AveragePooling2D(2), layers.Dense(2),
                          layers.Conv2D(4, 1), layers.Flatten(), layers.Dense(2)])
print({digest(bw.load(model).graph) for _ in range(3)})
"""


def test_model_that_is_read_again_is_the_same_model(keras):
    """In one process and in the next, so that statistics of the one fit the other."""
    told = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert told[0].count("'") == 2
    assert told[0] == told[1]


def test_statistics_of_a_keras_model_fit_it(keras):
    """What calibrate saw in a model in memory serves quantize."""
    shape = (8, 8, 3)
    model = keras.Sequential([keras.Input(shape, name="x"), keras.layers.Conv2D(4, 3), keras.layers.Dense(2)])

    statistics = bw.calibrate(model, [{"x": np.ones((1, *shape), np.float32)}])

    assert bw.quantize(model, statistics=statistics).plan is not None


def test_keras_file_of_keras_2_is_read(tf, tmp_path):
    """Keras 2 wrote .keras files as well, which Keras 3 cannot read."""
    legacy = pytest.importorskip("tf_keras")
    model = legacy.Sequential([legacy.layers.Dense(2, input_shape=(5,), name="scores")])
    path: Path = tmp_path / "old.keras"
    model.save(path)

    got = answers(bw.load(path), {str(bw.load(path).graph.graph.inputs[0].name): A})

    np.testing.assert_allclose(model(A).numpy(), got["scores"], rtol=1e-5, atol=1e-6)
