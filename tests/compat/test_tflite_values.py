"""Values that scripts give a converter, an interpreter and a debugger in another form than TensorFlow's, or wrongly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tflite_networks import images, network

from bitwright.compat.tflite import Interpreter, Optimize, QuantizationDebugger, TargetSpec, TFLiteConverter
from bitwright.errors import SampleError, UsageError

UINT8 = {"inference_type": np.uint8, "quantized_input_stats": {"image": (127.5, 127.5)}, "default_ranges_stats": (0, 6)}


def converter(**attributes: Any) -> TFLiteConverter:
    made = TFLiteConverter.from_onnx(network())
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


@pytest.fixture(scope="module")
def content() -> bytes:
    return converter(optimizations=[Optimize.DEFAULT], representative_dataset=images).convert()


def test_converter_takes_an_array_of_samples():
    """Its first axis counts them; the file is that of the function that yields them."""
    array = np.concatenate([sample[0] for sample in images()])

    files = [
        converter(optimizations=[Optimize.DEFAULT], representative_dataset=given).convert() for given in (images, array)
    ]

    assert files[0] == files[1]


def test_converter_takes_an_array_of_the_default_range():
    """As numpy holds two numbers."""
    files = [converter(**UINT8 | {"default_ranges_stats": given}).convert() for given in ((0, 6), np.array([0.0, 6.0]))]

    assert files[0] == files[1]


def test_converter_takes_one_type_in_the_place_of_several():
    """supported_types = np.float16 is [np.float16]."""
    files = [
        converter(optimizations=[Optimize.DEFAULT], target_spec=TargetSpec(None, given)).convert()
        for given in ([np.float16], np.float16, "float16")
    ]

    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        pytest.param({"optimizations": True}, "optimizations cannot hold True", id="optimizations"),
        pytest.param({"target_spec": None}, "target_spec cannot be None", id="target-spec"),
        pytest.param(UINT8 | {"quantized_input_stats": (127.5, 127.5)}, "quantized_input_stats cannot", id="stats"),
        pytest.param(UINT8 | {"quantized_input_stats": {"image": 127.5}}, "of 'image' cannot be", id="mean-alone"),
        pytest.param(UINT8 | {"default_ranges_stats": 6}, "default_ranges_stats cannot be 6", id="range"),
        pytest.param(UINT8 | {"default_ranges_stats": (0, 6, 7)}, "default_ranges_stats", id="range-of-three"),
    ],
)
def test_converter_refuses_values_of_another_form(attributes, message):
    """By the attribute's name."""
    with pytest.raises(UsageError, match=message):
        converter(**attributes).convert()


def test_converter_refuses_an_unknown_attribute_of_target_spec():
    """A misspelt one would ask for nothing, and the file would be another one."""
    with pytest.raises(UsageError, match=r"'supported_op'[\s\S]*supported_ops"):
        converter().target_spec.supported_op = []


def test_converter_names_a_dataset_that_yields_nothing():
    """A function without yield returns None."""
    with pytest.raises(SampleError, match="NoneType"):
        converter(optimizations=[Optimize.DEFAULT], representative_dataset=lambda: None).convert()


def test_converter_reads_the_model_at_each_conversion():
    """What was trained on after the first one is in the second file."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(4, 4)
    made = TFLiteConverter.from_torch(net, torch.zeros(1, 4))
    first = made.convert()
    assert made.convert() == first

    with torch.no_grad():
        net.weight.zero_()

    face = Interpreter(model_content=made.convert())
    face.allocate_tensors()
    face.set_tensor(face.get_input_details()[0]["index"], np.ones((1, 4), np.float32))
    face.invoke()
    given = face.get_tensor(face.get_output_details()[0]["index"])
    np.testing.assert_allclose(given[0], net.bias.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(lambda content: {"model_path": content}, id="bytes-as-path"),
        pytest.param(lambda content: {"model_content": "model.tflite"}, id="path-as-bytes"),
    ],
)
def test_interpreter_names_the_argument_for_bytes(arguments, content):
    """`Interpreter(tflite_model)` gives the bytes as the path."""
    with pytest.raises(ValueError, match=r"model_content=") as caught:
        Interpreter(**arguments(content))
    assert isinstance(caught.value, UsageError)


def test_interpreter_refuses_details_in_the_place_of_an_index(content):
    """The index is one of their fields."""
    face = Interpreter(model_content=content)
    face.allocate_tensors()

    with pytest.raises(SampleError, match=r'not dict[\s\S]*details\["index"\]'):
        face.get_tensor(face.get_input_details()[0])


@pytest.mark.parametrize("shape", [5, [-1, 8, 8, 3], "8x8"])
def test_interpreter_refuses_what_is_no_shape(shape, content):
    """And goes on with the shape it had."""
    face = Interpreter(model_content=content)

    with pytest.raises(SampleError, match="a shape cannot be"):
        face.resize_tensor_input(face.get_input_details()[0]["index"], shape)

    assert face.get_input_details()[0]["shape"].tolist() == [1, 8, 8, 3]


@pytest.mark.parametrize(("data", "message"), [(lambda: iter(()), "no samples"), (5, "cannot be read from int")])
def test_debugger_names_data_without_samples(data, message, content):
    """Statistics of nothing are none."""
    made = QuantizationDebugger(quant_debug_model_content=content, debug_dataset=data)

    with pytest.raises(SampleError, match=message):
        made.run()


def test_tensorflow_namespace_has_the_version():
    """Notebooks print it first."""
    pytest.importorskip("tensorflow")
    import bitwright.compat.tensorflow as tf

    assert tf.__version__.split(".")[0] == "2"
    with pytest.raises(AttributeError):
        _ = tf.__nothing__


def test_converter_takes_one_name_in_the_place_of_several():
    """A text is a name, and no collection of letters; another tag is named whole."""
    made = TFLiteConverter.from_frozen_graph("graph.pb", "input", "softmax")

    assert made._source.options == {"inputs": ("input",), "outputs": ("softmax",)}
    assert (
        TFLiteConverter.from_saved_model("folder", "serve_this", "serve")._source.options["signature"] == "serve_this"
    )
    with pytest.raises(UsageError, match="tagged train are not read"):
        TFLiteConverter.from_saved_model("folder", tags="train")
