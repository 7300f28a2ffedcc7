"""TFLiteConverter: what its attributes ask for, what it refuses, and TensorFlow's own converter beside it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tflite_networks import images, network

from bitwright.compat.tflite import (
    OpsSet,
    Optimize,
    RepresentativeDataset,
    TargetSpec,
    TFLiteConverter,
    TFLiteConverterV1,
    TocoConverter,
)
from bitwright.errors import SampleError, UnsupportedOpError, UsageError
from bitwright.formats.tflite.read import read_tflite
from bitwright.program.program import Program

INT16X8 = OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8


def converter(middle: str = "Relu", **attributes: Any) -> TFLiteConverter:
    made = TFLiteConverter.from_onnx(network(middle))
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def convert(middle: str = "Relu", **attributes: Any) -> Program:
    return read_tflite(converter(middle, **attributes).convert())


def types(program: Program) -> tuple[str, str, str, str]:
    """Of the input, the second convolution's weights and result, and the output."""
    conv = [operator for operator in program.operators if operator.kind == "CONV_2D"][1]
    names = (program.inputs[0].tensor, conv.inputs[1], conv.outputs[0], program.outputs[0].tensor)
    return tuple(program.tensors[str(name)].dtype for name in names)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param({}, ("f32", "f32", "f32", "f32"), id="nothing"),
        pytest.param({"optimizations": [Optimize.DEFAULT]}, ("f32", "i8", "f32", "f32"), id="default"),
        pytest.param({"optimizations": {Optimize.OPTIMIZE_FOR_LATENCY}}, ("f32", "i8", "f32", "f32"), id="latency"),
        pytest.param({"post_training_quantize": True}, ("f32", "i8", "f32", "f32"), id="post-training-quantize"),
        pytest.param(
            {"optimizations": [Optimize.DEFAULT], "representative_dataset": images},
            ("f32", "i8", "i8", "f32"),
            id="samples",
        ),
        pytest.param(
            {
                "optimizations": ["DEFAULT"],
                "representative_dataset": RepresentativeDataset(images),
                "inference_input_type": np.uint8,
                "inference_output_type": "int8",
            },
            ("u8", "i8", "i8", "i8"),
            id="ports",
        ),
        pytest.param(
            {
                "optimizations": [Optimize.DEFAULT],
                "representative_dataset": images,
                "target_spec": TargetSpec([INT16X8], None),
            },
            ("f32", "i8", "i16", "f32"),
            id="int16x8",
        ),
        pytest.param(
            {"inference_type": np.uint8, "representative_dataset": images},
            ("u8", "u8", "u8", "u8"),
            id="v1-uint8-with-samples",
        ),
        pytest.param(
            {"inference_type": "int8", "representative_dataset": images}, ("i8", "i8", "i8", "i8"), id="v1-int8"
        ),
    ],
)
def test_converter_attributes_choose_the_types(attributes, expected):
    """Types of input, weights, activations and output."""
    assert types(convert(**attributes)) == expected


def test_converter_for_size_keeps_float_arithmetic():
    """Weights of 8 bits go through DEQUANTIZE."""
    program = convert(optimizations=[Optimize.OPTIMIZE_FOR_SIZE])

    weights = {o.outputs[0]: program.tensors[str(o.inputs[0])] for o in program.operators if o.kind == "DEQUANTIZE"}
    assert [tensor.dtype for tensor in weights.values()].count("i8") == 2
    assert types(program)[1:3] == ("f32", "f32")


def test_converter_disable_per_channel_gives_one_scale():
    """_experimental_disable_per_channel is heeded."""
    conv = lambda program: next(o for o in program.operators if o.kind == "CONV_2D")  # noqa: E731
    scales = []
    for disabled in (False, True):
        program = convert(
            optimizations=[Optimize.DEFAULT], representative_dataset=images, _experimental_disable_per_channel=disabled
        )
        qparams = program.tensors[str(conv(program).inputs[1])].qparams
        assert qparams is not None
        scales.append(qparams.scale.size)

    assert scales == [16, 1]


def test_converter_leaves_float_what_has_no_integer_form_and_reports_it():
    """With samples alone, NEG stays float between integers; the report says why."""
    made = converter("Neg", optimizations=[Optimize.DEFAULT], representative_dataset=images)

    program = read_tflite(made.convert())

    assert [program.tensors[o.outputs[0]].dtype for o in program.operators if o.kind == "NEG"] == ["f32"]
    assert [node.op for node in made.report.float_nodes] == ["Neg"]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"supported_ops": [OpsSet.TFLITE_BUILTINS_INT8]}, id="supported-ops"),
        pytest.param({"supported_types": [np.int8]}, id="supported-types"),
        pytest.param({"supported_ops": [INT16X8]}, id="int16x8"),
    ],
)
def test_converter_integers_alone_refuse_float_nodes(spec):
    """Every node without an integer form is listed."""
    with pytest.raises(UnsupportedOpError, match="Neg"):
        convert(
            "Neg",
            optimizations=[Optimize.DEFAULT],
            representative_dataset=images,
            target_spec=TargetSpec(**spec),
        )


def test_converter_integers_beside_builtins_keep_float_nodes():
    """TFLITE_BUILTINS in supported_ops allows float."""
    both = TargetSpec([OpsSet.TFLITE_BUILTINS, OpsSet.TFLITE_BUILTINS_INT8])

    program = convert("Neg", optimizations=[Optimize.DEFAULT], representative_dataset=images, target_spec=both)

    assert "NEG" in {operator.kind for operator in program.operators}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        pytest.param(
            {"optimizations": [Optimize.DEFAULT], "target_spec": TargetSpec([OpsSet.TFLITE_BUILTINS_INT8])},
            "need samples",
            id="int8-without-samples",
        ),
        pytest.param({"target_spec": TargetSpec([INT16X8])}, "optimizations is empty", id="no-optimizations"),
        pytest.param({"target_spec": TargetSpec([OpsSet.SELECT_TF_OPS])}, "not written", id="select-tf-ops-alone"),
        pytest.param(
            {"optimizations": ["DEFAULT"], "target_spec": TargetSpec(None, ["bfloat16"])}, "bfloat16", id="bfloat16"
        ),
        pytest.param(
            {
                "optimizations": ["DEFAULT"],
                "target_spec": TargetSpec([OpsSet.TFLITE_BUILTINS_INT8], [np.float16]),
                "representative_dataset": images,
            },
            "float16 weights and for integers alone",
            id="float16-and-int8-alone",
        ),
        pytest.param({"optimizations": ["FASTER"]}, "FASTER", id="unknown-optimization"),
        pytest.param({"inference_type": np.uint8}, "how inputs become integers", id="uint8-without-stats"),
        pytest.param(
            {"inference_type": np.uint8, "quantized_input_stats": {"image": (128, 127)}},
            "ranges of activations",
            id="uint8-without-ranges",
        ),
        pytest.param({"inference_type": np.int16}, "int16", id="inference-type"),
        pytest.param(
            {"optimizations": ["DEFAULT"], "inference_input_type": np.int8}, "input_type", id="int8-port-of-dynamic"
        ),
        pytest.param({"inference_input_type": np.int8}, "float model", id="int8-port-of-float"),
    ],
)
def test_converter_refuses_what_contradicts_itself(attributes, message):
    """Each with what is wrong."""
    with pytest.raises(UsageError, match=message):
        convert(**attributes)


def test_converter_refuses_an_unknown_attribute_and_names_near_ones():
    """A misspelled attribute is not kept silently, as Python would."""
    with pytest.raises(UsageError, match="representative_dataset"):
        converter(representative_data=images)


def test_converter_takes_known_attributes_that_change_nothing():
    """Those that TensorFlow's own passes read are silent; those that would have changed something say so."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = converter(experimental_new_converter=False, drop_control_dependency=False)
    assert made.experimental_new_converter is False

    with pytest.warns(UserWarning, match="dump_graphviz_dir changes nothing"):
        converter(dump_graphviz_dir="/tmp/x")
    with pytest.raises(UsageError, match="one quantizer"):
        converter(experimental_use_stablehlo_quantizer=True)


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        pytest.param({"representative_dataset": images}, "representative_dataset", id="no-optimizations"),
        pytest.param(
            {"optimizations": [Optimize.DEFAULT], "default_ranges_stats": (0, 6)}, "default_ranges_stats", id="dynamic"
        ),
        pytest.param({"optimizations": [Optimize.EXPERIMENTAL_SPARSITY]}, "EXPERIMENTAL_SPARSITY", id="sparsity"),
    ],
)
def test_converter_warns_of_what_nothing_uses(attributes, name):
    """One line, with the attribute's name, at the line that calls convert."""
    made = converter(**attributes)
    with pytest.warns(UserWarning, match=name) as told:
        made.convert()
    assert [Path(warning.filename).name for warning in told] == [Path(__file__).name]


def test_converter_samples_are_dicts_lists_or_come_with_a_signature():
    """All of them give the same file."""
    forms = [
        images,
        lambda: ({"image": sample[0]} for sample in images()),
        lambda: (("serving_default", {"image": sample[0]}) for sample in images()),
    ]

    files = [converter(optimizations=[Optimize.DEFAULT], representative_dataset=form).convert() for form in forms]

    assert files[0] == files[1] == files[2]


def test_converter_names_a_sample_that_does_not_fit():
    """The error names the sample."""
    with pytest.raises(SampleError, match="sample 0"):
        convert(optimizations=[Optimize.DEFAULT], representative_dataset=lambda: iter([[np.zeros((1, 3), np.float32)]]))


def test_converter_v1_takes_shapes_and_the_names_of_inputs():
    """A free batch is given a number; a wrong shape and an unknown input are refused."""
    from bitwright.compat.tflite.source import Source

    made = TFLiteConverterV1(Source(network(), {}, {"image:0": [5, 3, 8, 8]}))

    assert made.get_input_arrays() == ["image"]
    program = read_tflite(made.convert())
    assert [program.tensors[port.tensor].shape for port in (*program.inputs, *program.outputs)] == [
        (5, 8, 8, 3),
        (5, 4),
    ]
    with pytest.raises(UsageError, match="does not fit"):
        TFLiteConverterV1(Source(network(), {}, {"image": [5, 3, 9, 9]})).convert()
    with pytest.raises(UsageError, match="no input 'x'"):
        TFLiteConverterV1(Source(network(), {}, {"x": [5, 3, 8, 8]})).convert()


def test_converter_refuses_several_signatures_functions_and_sessions():
    """One file holds one."""
    with pytest.raises(UsageError, match="one signature"):
        TFLiteConverter.from_saved_model("folder", signature_keys=["a", "b"])
    with pytest.raises(UsageError, match="one function"):
        TFLiteConverter.from_concrete_functions([1, 2])
    with pytest.raises(UsageError, match="session"):
        TocoConverter.from_session(None, None, None)
    with pytest.raises(UsageError, match="custom objects"):
        TocoConverter.from_keras_model_file("model.h5", custom_objects={"a": 1})


def test_converter_from_torch_takes_channels_first_samples():
    """A module's samples are as its forward takes them; the file has channels last."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(576, 4))
    made = TFLiteConverter.from_torch(net, torch.zeros(1, 3, 8, 8))
    made.optimizations, made.representative_dataset = [Optimize.DEFAULT], images

    program = read_tflite(made.convert())

    assert program.tensors[program.inputs[0].tensor].shape == (1, 8, 8, 3)
    assert {program.tensors[o.outputs[0]].dtype for o in program.operators if o.kind == "CONV_2D"} == {"i8"}
