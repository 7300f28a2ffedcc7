"""Scripts as TensorFlow's documentation and its users have them, but for the import line, on published models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

MODELS = Path(__file__).parents[2].parent / "shared" / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are not here")

FLOAT16 = """
import tensorflow as tf
converter = tf.lite.TFLiteConverter.from_saved_model(saved_model_dir)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.target_spec.supported_types = [tf.float16]
tflite_quant_model = converter.convert()
"""

HYBRID = """
import tensorflow as tf
converter = tf.lite.TFLiteConverter.from_saved_model(saved_model_dir)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
tflite_quant_model = converter.convert()
"""

INTEGER = """
import tensorflow as tf
converter = tf.lite.TFLiteConverter.from_saved_model(saved_model_dir)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
def representative_dataset_gen():
  for _ in range(num_calibration_steps):
    # Get sample input data as a numpy array in a method of your choosing.
    yield [input]
converter.representative_dataset = representative_dataset_gen
tflite_quant_model = converter.convert()
"""

INTEGER_ONLY = """
import tensorflow as tf
converter = tf.lite.TFLiteConverter.from_saved_model(saved_model_dir)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
def representative_dataset_gen():
  for _ in range(num_calibration_steps):
    yield [input]
converter.representative_dataset = representative_dataset_gen
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = tf.int8  # or tf.uint8
converter.inference_output_type = tf.int8  # or tf.uint8
tflite_quant_model = converter.convert()
"""

DUMMY_UINT8 = """
import tensorflow as tf
converter = tf.lite.TFLiteConverter.from_keras_model_file(keras_file)
converter.inference_type = tf.uint8
converter.quantized_input_stats = {'input_1': (127.5, 127.5)}
converter.default_ranges_stats = (0, 6)
tflite_quant_model = converter.convert()
"""

POST_TRAINING = """
import tensorflow as tf
converter = tf.contrib.lite.TocoConverter.from_saved_model(saved_model_dir)
converter.post_training_quantize = True
tflite_quant_model = converter.convert()
"""

V1_INPUTS = """
import tensorflow as tf
converter = tf.compat.v1.lite.TFLiteConverter.from_keras_model_file(keras_file)
converter.inference_type = tf.compat.v1.lite.constants.QUANTIZED_UINT8
input_arrays = converter.get_input_arrays()
converter.quantized_input_stats = {input_arrays[0] : (0., 1.)}  # mean, std_dev
converter.default_ranges_stats = (0, 6)
tflite_quant_model = converter.convert()
"""

FOR_SIZE = HYBRID.replace("Optimize.DEFAULT", "Optimize.OPTIMIZE_FOR_SIZE")
FOR_LATENCY = INTEGER.replace("Optimize.DEFAULT", "Optimize.OPTIMIZE_FOR_LATENCY")

FROZEN = """
import tensorflow as tf
converter = tf.compat.v1.lite.TFLiteConverter.from_frozen_graph(
    graph_def_file=graph_def_file, input_arrays=['Mfcc'], output_arrays=['labels_softmax'],
    input_shapes={'Mfcc': [1, 49, 10]})
tflite_quant_model = converter.convert()
"""


def run(script: str) -> Any:
    """An interpreter of what the script makes, after one run."""
    names: dict[str, Any] = {
        "saved_model_dir": str(MODELS / "kws_dscnn_saved_model"),
        "keras_file": str(MODELS / "resnet8_cifar10.h5"),
        "graph_def_file": str(MODELS / "hello_edge_ds_cnn_s.pb"),
        "num_calibration_steps": 2,
        "input": np.random.default_rng(0).normal(0, 20, (1, 49, 10, 1)).astype(np.float32),
    }
    assert script.count("import tensorflow as tf") == 1
    exec(script.replace("import tensorflow as tf", "import bitwright.compat.tensorflow as tf"), names)
    made = litert.Interpreter(model_content=names["tflite_quant_model"])
    made.allocate_tensors()
    for detail in made.get_input_details():
        made.set_tensor(detail["index"], np.ones(detail["shape"], detail["dtype"]))
    made.invoke()
    return made


def ports(made: Any) -> list[str]:
    return [np.dtype(d["dtype"]).name for d in (*made.get_input_details(), *made.get_output_details())]


#: Operators with weights.
LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def activations(made: Any) -> set[str]:
    """Types of what convolutions give."""
    details = {d["index"]: d for d in made.get_tensor_details()}
    return {
        np.dtype(details[i]["dtype"]).name
        for op in made._get_ops_details()
        if op["op_name"] in LAYERS
        for i in op["outputs"]
    }


def weights(made: Any) -> tuple[str, str]:
    """Types of what convolutions multiply by: as the file stores it, and as their kernels read it."""
    ops = made._get_ops_details()
    behind = {op["outputs"][0]: op["inputs"][0] for op in ops if op["op_name"] == "DEQUANTIZE"}
    details = {d["index"]: np.dtype(d["dtype"]).name for d in made.get_tensor_details()}
    indices = [op["inputs"][1] for op in ops if op["op_name"] in LAYERS]
    stored, read = {details[behind.get(i, i)] for i in indices}, {details[i] for i in indices}
    assert len(stored) == len(read) == 1
    return stored.pop(), read.pop()


@pytest.mark.parametrize(
    ("script", "weight_types", "activation_type", "port_types"),
    [
        pytest.param(FLOAT16, ("float16", "float32"), "float32", ["float32", "float32"], id="float16"),
        pytest.param(HYBRID, ("int8", "int8"), "float32", ["float32", "float32"], id="hybrid"),
        pytest.param(INTEGER, ("int8", "int8"), "int8", ["float32", "float32"], id="integer"),
        pytest.param(INTEGER_ONLY, ("int8", "int8"), "int8", ["int8", "int8"], id="integer-only"),
        pytest.param(DUMMY_UINT8, ("uint8", "uint8"), "uint8", ["uint8", "uint8"], id="v1-uint8"),
        pytest.param(V1_INPUTS, ("uint8", "uint8"), "uint8", ["uint8", "uint8"], id="v1-input-arrays"),
        pytest.param(POST_TRAINING, ("int8", "int8"), "float32", ["float32", "float32"], id="v1-post-training"),
        pytest.param(FOR_SIZE, ("int8", "float32"), "float32", ["float32", "float32"], id="for-size"),
        pytest.param(FOR_LATENCY, ("int8", "int8"), "int8", ["float32", "float32"], id="for-latency"),
        pytest.param(FROZEN, ("float32", "float32"), "float32", ["float32", "float32"], id="frozen-graph"),
    ],
)
def test_script_gives_the_kind_of_file_that_it_names(script, weight_types, activation_type, port_types):
    """Types of weights, activations and ports, as LiteRT sees them; the file runs."""
    made = run(script)

    assert weights(made) == weight_types
    assert activations(made) == {activation_type}
    assert ports(made) == port_types


def test_script_v1_gives_the_input_the_scale_that_it_tells():
    """The input is (q - 127.5) / 127.5: scale 1 / 127.5, zero_point 128; every activation spans 0 to 6."""
    made = run(DUMMY_UINT8)

    assert made.get_input_details()[0]["name"] == "input_1"
    assert made.get_input_details()[0]["quantization"] == pytest.approx((1 / 127.5, 128))
    first = next(op for op in made._get_ops_details() if op["op_name"] == "CONV_2D")["outputs"][0]
    details = {d["index"]: d for d in made.get_tensor_details()}
    assert details[first]["quantization"] == pytest.approx((6 / 255, 0))
