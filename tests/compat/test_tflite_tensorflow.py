"""TensorFlow's own converter, constants and debugger beside ours, on one small Keras model."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tflite_networks import images

from bitwright.compat.tflite import QuantizationDebugger, TFLiteConverter, TFLiteConverterV1
from bitwright.errors import MissingDependencyError
from bitwright.formats.tflite.read import read_tflite


def samples() -> Any:
    return images(8, channels_last=True)


@pytest.fixture(scope="module")
def tf() -> Any:
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def model(tf: Any) -> Any:
    tf.keras.utils.set_random_seed(5)
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 3), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(32, activation="softmax"),
        ]
    )


def ask(tf: Any, converter: Any, kind: str) -> Any:
    """The same lines for both converters, with TensorFlow's own constants."""
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind in ("int8", "int8 alone"):
        converter.representative_dataset = tf.lite.RepresentativeDataset(samples)
    if kind == "int8 alone":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter


@pytest.mark.parametrize("kind", ["float", "dynamic", "float16", "int8", "int8 alone"])
def test_converter_gives_the_file_that_tensorflow_gives(tf, model, kind):
    """The same ports, operators that are no more, and not more bytes; outputs close to each other's."""
    theirs = ask(tf, tf.lite.TFLiteConverter.from_keras_model(model), kind).convert()
    ours = ask(tf, TFLiteConverter.from_keras_model(model), kind).convert()

    faces = [interpreter(tf, content) for content in (theirs, ours)]
    ports = [
        [(d["shape"].tolist(), d["dtype"]) for d in (*face.get_input_details(), *face.get_output_details())]
        for face in faces
    ]
    assert ports[0] == ports[1]
    assert len(ours) <= len(theirs)
    assert len(read_tflite(ours).operators) <= len(read_tflite(theirs).operators)
    x = next(samples())[0]
    outputs = [run(face, x) for face in faces]
    assert np.abs(outputs[0] - outputs[1]).max() < (1e-5 if kind == "float" else 0.02)


def test_converter_v1_gives_the_uint8_that_tensorflow_gives(tf, model, tmp_path):
    """Dummy quantization: the same types, scales and zero_points of ports."""
    model.export(tmp_path / "saved", verbose=False)
    made = []
    for cls in (tf.compat.v1.lite.TFLiteConverter, TFLiteConverterV1):
        converter = cls.from_saved_model(str(tmp_path / "saved"))
        converter.inference_type = tf.uint8
        converter.quantized_input_stats = {converter.get_input_arrays()[0]: (127.5, 127.5)}
        converter.default_ranges_stats = (0, 6)
        made.append(interpreter(tf, converter.convert()))

    ports = [(*face.get_input_details(), *face.get_output_details()) for face in made]
    assert [d["dtype"] for d in ports[0]] == [d["dtype"] for d in ports[1]] == [np.uint8, np.uint8]
    assert [d["quantization"] for d in ports[1]] == [pytest.approx(d["quantization"]) for d in ports[0]]


def test_converter_from_concrete_functions_gives_what_the_function_gives(tf, model):
    """A concrete function, its variables frozen."""
    function = tf.function(lambda image: model(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 8, 8, 3), tf.float32))

    content = TFLiteConverter.from_concrete_functions([concrete], model).convert()

    x = next(samples())[0]
    assert run(interpreter(tf, content), x) == pytest.approx(model(x).numpy(), abs=1e-5)


def test_converter_from_saved_model_takes_a_signature(tf, model, tmp_path):
    """By its key; an unknown one is refused."""
    model.export(tmp_path / "saved", verbose=False)

    content = TFLiteConverter.from_saved_model(str(tmp_path / "saved"), signature_keys=["serving_default"]).convert()

    x = next(samples())[0]
    assert run(interpreter(tf, content), x) == pytest.approx(model(x).numpy(), abs=1e-5)


def test_debugger_measures_what_tensorflows_debugger_measures(tf, model):
    """The same columns and layers; errors of a layer on its own of the same size."""
    made = []
    for cls, converter in (
        (tf.lite.experimental.QuantizationDebugger, tf.lite.TFLiteConverter.from_keras_model(model)),
        (QuantizationDebugger, TFLiteConverter.from_keras_model(model)),
    ):
        ask(tf, converter, "int8")
        converter.representative_dataset = samples
        debugger = cls(converter=converter, debug_dataset=samples)
        debugger.run()
        file = io.StringIO()
        debugger.layer_statistics_dump(file)
        made.append([line.split(",") for line in file.getvalue().splitlines()])

    assert made[0][0] == made[1][0]
    column = made[0][0].index
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    errors = [
        {row[0]: float(row[column("stddev")]) / float(row[column("scale")]) for row in rows if row[0] in kinds}
        for rows in made
    ]
    assert set(errors[0]) == set(errors[1]) == set(kinds)
    assert all(errors[1][kind] == pytest.approx(errors[0][kind], rel=0.5) for kind in kinds)


def test_tensorflow_name_gives_tensorflows_own_elsewhere(tf):
    """Everything but tf.lite and data types is the real TensorFlow's, tf.compat.v1 too."""
    import bitwright.compat.tensorflow as ours

    assert ours.keras is tf.keras
    assert ours.compat.v1.GraphDef is tf.compat.v1.GraphDef
    assert ours.lite.experimental.Analyzer is tf.lite.experimental.Analyzer
    assert tf.zeros((2,), ours.uint8).dtype is tf.uint8


def test_tensorflow_name_works_without_tensorflow(monkeypatch):
    """tf.lite and data types are there; the rest says what to install."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    import bitwright.compat.tensorflow as ours

    assert ours.lite.TFLiteConverter is TFLiteConverter
    assert ours.compat.v1.lite.TFLiteConverter is ours.contrib.lite.TFLiteConverter is TFLiteConverterV1
    assert ours.float16 == np.float16
    with pytest.raises(MissingDependencyError, match=r"bitwright\[tensorflow\]"):
        ours.keras  # noqa: B018


def interpreter(tf: Any, content: bytes) -> Any:
    made = tf.lite.Interpreter(model_content=content)
    made.allocate_tensors()
    return made


def run(face: Any, x: np.ndarray) -> np.ndarray:
    """Outputs in floats, for inputs in floats."""
    given, made = face.get_input_details()[0], face.get_output_details()[0]
    if given["dtype"] is not np.float32:
        scale, point = given["quantization"]
        x = np.clip(np.round(x / scale) + point, 0, 255)
    face.set_tensor(given["index"], x.astype(given["dtype"]))
    face.invoke()
    result = face.get_tensor(made["index"])
    if made["dtype"] is np.float32:
        return result
    scale, point = made["quantization"]
    return (result.astype(np.float32) - point) * scale
