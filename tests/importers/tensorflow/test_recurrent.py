"""Keras text models and a frozen LSTM of TensorFlow 1, quantized and run on ONNX Runtime and LiteRT themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import bitwright as bw
from bitwright.numerics.metrics import sqnr_db

MODELS = Path(__file__).resolve().parents[4] / "shared" / "models"
TOKENS, LENGTH = 100, 20
LAYERS: dict[str, Callable[[Any, Any], Any]] = {
    "lstm": lambda layers, options: layers.LSTM(24, **options),
    "gru": lambda layers, options: layers.GRU(24, **options),
    "gru-reset-before": lambda layers, options: layers.GRU(24, reset_after=False, **options),
    "both-ways": lambda layers, options: layers.Bidirectional(layers.GRU(16, **options)),
}


@pytest.fixture(scope="module")
def text_model(keras) -> Callable[[str], bw.Model]:
    """Embedding, a recurrent layer and scores, with weights and biases large enough that tokens matter."""
    made: dict[str, bw.Model] = {}

    def make(name: str) -> bw.Model:
        if name not in made:
            keras.utils.set_random_seed(0)
            wide = keras.initializers.RandomNormal(stddev=0.4)
            tokens = keras.Input((LENGTH,), dtype="int32", name="tokens")
            x = keras.layers.Embedding(TOKENS, 16, embeddings_initializer=keras.initializers.RandomNormal())(tokens)
            x = LAYERS[name](keras.layers, {"kernel_initializer": wide, "bias_initializer": wide})(x)
            made[name] = bw.load(keras.Model(tokens, keras.layers.Dense(10, name="scores")(x)))
        return made[name]

    return make


@pytest.fixture
def hello_edge() -> bw.Model:
    pytest.importorskip("tensorflow")
    if not MODELS.exists():
        pytest.skip("the shared models are absent")
    return bw.load(MODELS / "hello_edge_basic_lstm_s.pb", inputs=["Mfcc"], outputs=["labels_softmax"])


def sentences(rows: int, seed: int) -> np.ndarray:
    """Tokens, some of which Keras wraps, counted from the end."""
    return np.random.default_rng(seed).integers(-TOKENS, TOKENS, (rows, LENGTH)).astype(np.int32)


def features(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 10, (rows, 49, 10)).astype(np.float32)


def onnx_session(model: bw.Model, path: Path) -> Any:
    model.save(path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def on_litert(path: Path, x: np.ndarray) -> np.ndarray:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")
    session = interpreter.Interpreter(str(path))
    session.allocate_tensors()
    rows = []
    for row in x:
        session.set_tensor(session.get_input_details()[0]["index"], row[None])
        session.invoke()
        rows.append(session.get_tensor(session.get_output_details()[0]["index"])[0])
    return np.stack(rows)


def matrices(path: Path) -> tuple[set[str], Counter[str]]:
    """(the types of the file's constants of more than one dimension, its operators)."""
    if path.suffix == ".onnx":
        graph = onnx.load(path).graph
        tensors = [t for t in graph.initializer if is_matrix(t.dims)]
        return {onnx.TensorProto.DataType.Name(t.data_type) for t in tensors}, Counter(n.op_type for n in graph.node)
    program = bw.load(path).file_program
    assert program is not None
    held = [t for t in program.tensors.values() if t.data is not None and is_matrix(t.data.shape)]
    return {t.dtype for t in held}, Counter(operator.kind for operator in program.operators)


def is_matrix(shape: Sequence[int]) -> bool:
    return sum(size > 1 for size in shape) > 1


def check_onnx(model: bw.Model, path: Path, batches: dict[int, np.ndarray], kernels: set[str]) -> None:
    """A dynamic model for ONNX Runtime gives what the float one does, its matrices int8."""
    (name,) = [v.name for v in model.graph.graph.inputs]
    wanted = onnx_session(model, path.with_name("float.onnx"))

    got = onnx_session(bw.quantize(model, "dynamic", target="onnxruntime"), path)

    held, operators = matrices(path)
    assert held == {"INT8"}
    assert kernels <= set(operators)
    assert not {"Loop", "Scan"} & set(operators)
    for rows, x in batches.items():
        parts = [x[at : at + rows] for at in range(0, len(x) - rows + 1, rows)]
        expected = np.concatenate([wanted.run(None, {name: part})[0] for part in parts])
        assert sqnr_db(expected, np.concatenate([got.run(None, {name: part})[0] for part in parts])) > 25


@pytest.mark.parametrize("name", LAYERS)
def test_keras_text_model_is_int8_on_onnx_runtime(name, text_model, tmp_path):
    """One row and three at a time; LSTM by its dynamic kernel, GRU with weights that are int8 in the file."""
    kernels = {"DynamicQuantizeLSTM"} if name == "lstm" else {"GRU", "DequantizeLinear"}

    check_onnx(text_model(name), tmp_path / "model.onnx", {1: sentences(20, 0), 3: sentences(20, 1)}, kernels)


@pytest.mark.parametrize("name", LAYERS)
def test_keras_text_model_is_int8_on_litert(name, text_model, tmp_path):
    """Every matrix is int8, and the tokens' wrap, masks and transposes are lowered with the layer."""
    model, x = text_model(name), sentences(20, 0)
    wanted = onnx_session(model, tmp_path / "float.onnx").run(None, {"tokens": x})[0]
    path = tmp_path / "model.tflite"

    bw.quantize(model, "dynamic", target="litert").save(path)

    assert matrices(path)[0] == {"i8"}
    assert sqnr_db(wanted, on_litert(path, x)) > 25


def test_frozen_lstm_of_tensorflow_1_is_int8_on_onnx_runtime(hello_edge, tmp_path):
    """A BasicLSTMCell in a while loop is one kernel."""
    check_onnx(hello_edge, tmp_path / "model.onnx", {1: features(20, 0)}, {"DynamicQuantizeLSTM"})


def test_frozen_lstm_of_tensorflow_1_is_int8_on_litert(hello_edge, tmp_path):
    """As products of int8 matrices, step by step."""
    x, path = features(20, 0), tmp_path / "model.tflite"
    wanted = onnx_session(hello_edge, tmp_path / "float.onnx")

    bw.quantize(hello_edge, "dynamic", target="litert").save(path)

    held, operators = matrices(path)
    assert held == {"i8"}
    assert operators["FULLY_CONNECTED"] == 50
    expected = np.concatenate([wanted.run(None, {"Mfcc": row[None]})[0] for row in x])
    assert sqnr_db(expected, on_litert(path, x)) > 25
