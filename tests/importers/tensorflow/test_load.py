"""Models of TensorFlow and Keras, read and run: the outputs are TensorFlow's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import bitwright as bw
from bitwright.errors import BitwrightError, ModelError, UnsupportedOpError, UsageError

SHARED = Path(__file__).resolve().parents[4] / "shared"
MODELS = SHARED / "models"
needs_models = pytest.mark.skipif(not MODELS.exists(), reason="the shared models are absent")


def answers(model: Any, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Of the loaded model on ONNX Runtime."""
    made = bw.load(model) if not isinstance(model, bw.Model) else model
    proto = onnxruntime.InferenceSession(to_bytes(made), providers=["CPUExecutionProvider"])
    return proto.run(None, feeds)


def to_bytes(model: bw.Model) -> bytes:
    import onnx_ir as ir

    return ir.to_proto(model.to_ir()).SerializeToString()


def ports(model: bw.Model) -> tuple[list[str], list[str]]:
    graph = model.graph.graph
    return [str(v.name) for v in graph.inputs], [str(v.name) for v in graph.outputs]


def kinds(model: bw.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.graph)


def assert_close(wanted: np.ndarray, got: np.ndarray) -> None:
    assert np.abs(wanted - got).max() <= 1e-4 * np.abs(wanted).max()


def images(count: int, shape: tuple[int, ...], high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, high, (count, *shape)).astype(np.float32)


@needs_models
@pytest.mark.parametrize(
    ("name", "high"), [("resnet8_cifar10.h5", 255), ("vww_mobilenetv1.h5", 1), ("toycar_autoencoder.h5", 1)]
)
def test_keras_2_file_gives_what_it_gave(tf, name, high):
    """.h5 files of Keras 2, one of which Keras 3 refuses; dropout and normalization are as in inference."""
    from bitwright.importers.tensorflow.keras_models import read_keras

    wanted = read_keras(MODELS / name)
    x = images(20, tuple(wanted.inputs[0].shape[1:]), high)

    model = bw.load(MODELS / name)

    assert ports(model)[0] == ["input_1"]
    assert_close(wanted.predict(x, verbose=0), answers(model, {"input_1": x})[0])
    assert kinds(model)["Transpose"] <= 1


@needs_models
def test_saved_model_gives_what_its_signature_gives(tf):
    """Names of ports are the signature's."""
    path = MODELS / "kws_dscnn_saved_model"
    x = images(5, (49, 10, 1), 50)
    loaded = tf.saved_model.load(str(path))
    (wanted,) = loaded.signatures["serving_default"](input_1=tf.constant(x)).values()

    model = bw.load(path)

    assert ports(model) == (["input_1"], ["dense"])
    assert_close(wanted.numpy(), answers(model, {"input_1": x})[0])
    assert_close(wanted.numpy(), answers(loaded, {"input_1": x})[0])


@needs_models
@pytest.mark.parametrize("name", ["hello_edge_ds_cnn_s.pb", "hello_edge_basic_lstm_s.pb"])
def test_graph_def_is_cut_behind_its_audio_front_end(tf, name):
    """Fed after the MFCC node, a frozen graph gives what TensorFlow gives there; loops of TensorFlow 1 included."""
    graph_def = tf.compat.v1.GraphDef.FromString((MODELS / name).read_bytes())
    x = np.random.default_rng(0).normal(0, 10, (1, 49, 10)).astype(np.float32)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        tf.import_graph_def(graph_def, name="")
        wanted = session.run("labels_softmax:0", {graph.get_tensor_by_name("Mfcc:0"): x})

    model = bw.load(MODELS / name, inputs=["Mfcc"], outputs=["labels_softmax"])

    assert ports(model) == (["Mfcc"], ["labels_softmax"])
    assert_close(wanted, answers(model, {"Mfcc": x})[0])
    assert_close(wanted, answers(bw.load(graph_def, inputs=["Mfcc:0"], outputs=["labels_softmax:0"]), {"Mfcc": x})[0])


@needs_models
def test_graph_def_with_a_front_end_is_refused_by_name(tf):
    """Uncut, the operators that have no counterpart are all named, and what to do."""
    with pytest.raises(BitwrightError) as caught:
        bw.load(MODELS / "hello_edge_ds_cnn_s.pb")

    assert isinstance(caught.value, UnsupportedOpError)
    assert {"DecodeWav", "AudioSpectrogram", "Mfcc"} <= set(caught.value.what.replace(",", " ").split())
    assert "inputs=" in str(caught.value.next)


def test_graph_def_without_such_a_node_says_which_are_near(tf):
    """A misspelled node is answered with names that the graph has."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, (None, 4), name="features")
        tf.nn.softmax(x, name="scores")

    with pytest.raises(UsageError, match="no node 'score'") as caught:
        bw.load(graph.as_graph_def(), outputs=["score"])

    assert "scores" in str(caught.value.next)


def test_graph_def_tells_its_own_ports(tf):
    """Placeholders are inputs, what nobody reads is an output; a second result of a node can be fed."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, (3, 4), name="features")
        first, second = tf.split(x, 2, axis=1, name="halves")
        tf.add(first, second * 2.0, name="sum")
    given = np.ones((3, 2), np.float32)

    whole, cut = bw.load(graph.as_graph_def()), bw.load(graph.as_graph_def(), inputs=["halves", "halves:1"])

    assert ports(whole) == (["features"], ["sum"])
    assert len(ports(cut)[0]) == 2
    feeds = dict(zip(ports(cut)[0], (given, 3 * given), strict=True))
    np.testing.assert_array_equal(given + 6 * given, answers(cut, feeds)[0])


def nested(keras: Any) -> Any:
    inner_input = keras.Input((8,), name="inner")
    inner = keras.Model(inner_input, keras.layers.Dense(6, activation="relu")(inner_input))
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    joined = keras.layers.Concatenate()([inner(a), inner(b)])
    dropped = keras.layers.Dropout(0.5)(joined)
    return keras.Model({"a": a, "b": b}, [keras.layers.Dense(3, name="x")(dropped), keras.layers.Dense(2)(joined)])


def subclassed(keras: Any) -> Any:
    class Small(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = keras.layers.Conv2D(4, 3, padding="same")
            self.normalization = keras.layers.BatchNormalization()
            self.scores = keras.layers.Dense(3)

        def call(self, x: Any, training: bool = False) -> Any:
            y = self.normalization(self.convolution(x), training=training)
            return self.scores(keras.ops.mean(keras.ops.relu(y), axis=(1, 2)))

    return Small()


def test_keras_model_of_nested_models_and_dicts(keras):
    """Inputs given by name, shared inner models, several outputs; dropout is gone."""
    model = nested(keras)
    a, b = images(3, (8,)), -images(3, (8,))
    wanted = model({"a": a, "b": b})

    got = answers(model, {"a": a, "b": b})

    assert len(got) == 2
    for one, other in zip(wanted, got, strict=True):
        assert_close(one.numpy(), other)


@pytest.mark.parametrize("told", ["called", "example"])
def test_keras_subclassed_model_is_known_once_called(keras, told):
    """By the shape that it saw, or by an example; the batch stays free."""
    model, x = subclassed(keras), images(3, (8, 8, 2))
    wanted = model(x).numpy()

    loaded = bw.load(model) if told == "called" else bw.load(model, example_inputs=x)

    assert ports(loaded)[1] == ["output_0"]
    assert_close(wanted, answers(loaded, {"input": x})[0])
    assert_close(wanted[:1], answers(loaded, {"input": x[:1]})[0])


def test_keras_subclassed_model_before_its_first_call_asks_for_an_example(keras):
    """Nothing is guessed."""
    with pytest.raises(UsageError, match="not known before it is called") as caught:
        bw.load(subclassed(keras))

    assert "example_inputs" in str(caught.value.next)


def test_keras_file_and_saved_model_and_function_are_one_model(tf, keras, tmp_path):
    """.keras, an exported SavedModel with its signature, and a concrete function give the same outputs."""
    model = keras.Sequential([keras.Input((6,), name="x"), keras.layers.Dense(4, activation="tanh", name="y")])
    x = images(4, (6,))
    wanted = model(x).numpy()
    model.save(tmp_path / "m.keras")
    model.export(tmp_path / "saved", verbose=False)
    function = tf.function(lambda x: {"y": model(x)}).get_concrete_function(tf.TensorSpec((None, 6), name="x"))

    for source in (tmp_path / "m.keras", function):
        loaded = bw.load(source)
        assert ports(loaded) == (["x"], ["y"])
        assert_close(wanted, answers(loaded, {"x": x})[0])
    loaded = bw.load(tmp_path / "saved")
    assert_close(wanted, answers(loaded, {ports(loaded)[0][0]: x})[0])


def test_saved_model_without_such_a_signature_says_which_it_has(tf, tmp_path):
    """The signatures are listed."""
    module = tf.Module()
    one = tf.function(lambda x: x + 1.0, input_signature=[tf.TensorSpec((2,))])
    tf.saved_model.save(module, str(tmp_path), signatures={"plus": one, "also": one})

    with pytest.raises(UsageError, match="serving_default") as caught:
        bw.load(tmp_path)

    assert {"plus", "also"} <= set(str(caught.value.next).replace(",", " ").split())
    assert_close(np.float32([2, 3]), answers(bw.load(tmp_path, signature="plus"), {"x": np.float32([1, 2])})[0])


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.pb"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and nothing", b"\x89HDF\r\n\x1a\n" + bytes(100)], ids=repr)
def test_damaged_file_is_refused(tf, tmp_path, name, content):
    """With a reason, whatever the readers underneath raise."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(ModelError) as caught:
        bw.load(path)

    assert caught.value.where is not None
    assert path.name in caught.value.where


def test_arguments_that_a_model_has_no_use_for_are_refused(tf, keras):
    """A signature of a Keras model, inputs of an ONNX file."""
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])

    with pytest.raises(UsageError, match="signature="):
        bw.load(model, signature="serving_default")
    with pytest.raises(UsageError, match="inputs="):
        bw.load("some.onnx", inputs=["x"])
