"""The operators of training against ONNX's own backend suite: every node test whose operators are in the table."""

from __future__ import annotations

import functools
import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from bitwright.errors import UnsupportedOpError
from bitwright.importers.onnx_file import load_onnx
from bitwright.importers.opset import to_current_opset
from bitwright.quantization.rules import RULES

torch = pytest.importorskip("torch", reason="torch is not installed")

from bitwright.training.operators.registry import OPERATORS  # noqa: E402
from bitwright.training.operators.types import to_tensor  # noqa: E402

#: The types that are not refused.
FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")
COMPUTED = {getattr(onnx.TensorProto, n) for n in (*FLOATS, "INT8", "INT16", "INT32", "INT64", "UINT8", "BOOL")}

#: Node tests of forms that are refused, by the reason that the refusal gives.
REFUSED = {
    "BatchNormalization in training mode": {
        "test_batchnorm_example_training_mode",
        "test_batchnorm_epsilon_training_mode",
    },
    "Dropout in training mode": {
        "test_training_dropout",
        "test_training_dropout_default",
        "test_training_dropout_default_mask",
        "test_training_dropout_mask",
        "test_training_dropout_zero_ratio",
        "test_training_dropout_zero_ratio_mask",
    },
    "GRU with the batch first (layout 1)": {"test_gru_batchwise"},
    "LSTM with the batch first (layout 1)": {"test_lstm_batchwise"},
    "RNN with the batch first (layout 1)": {"test_simple_rnn_batchwise"},
    "MaxPool with indices column by column": {"test_maxpool_with_argmax_2d_precomputed_strides"},
    "Resize that keeps the aspect ratio": {
        "test_resize_downsample_sizes_nearest_not_larger",
        "test_resize_downsample_sizes_nearest_not_smaller",
        "test_resize_upsample_sizes_nearest_not_larger",
        "test_resize_upsample_sizes_nearest_not_smaller",
    },
    "Resize with antialias": {
        "test_resize_downsample_scales_cubic_antialias",
        "test_resize_downsample_scales_linear_antialias",
        "test_resize_downsample_sizes_cubic_antialias",
        "test_resize_downsample_sizes_linear_antialias",
    },
    "Resize with coordinates tf_crop_and_resize": {
        "test_resize_tf_crop_and_resize",
        "test_resize_tf_crop_and_resize_axes_2_3",
        "test_resize_tf_crop_and_resize_axes_3_2",
        "test_resize_tf_crop_and_resize_extrapolation_value",
    },
    # operator set 28
    "SpaceToDepth with mode": {"test_spacetodepth_crd_mode_example", "test_spacetodepth_dcr_mode_example"},
}

#: Where the suite is not followed: it divides by the size before it is rounded down, ONNX Runtime by the size there is.
AS_ONNX_RUNTIME = {
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
}

#: Roundings of a 16-bit type that sums in another order may differ by, on values near 1.
HALF_TOLERANCE = {"float16": 4 * 2.0**-11, "bfloat16": 4 * 2.0**-8}


@dataclass(frozen=True)
class Case:
    """A node test: its model, that as a graph at a current operator set, its data, and how near results must be."""

    name: str
    model: onnx.ModelProto
    graph: ir.Model
    inputs: list[Any]
    outputs: list[Any]
    rtol: float
    atol: float


@functools.cache
def cases() -> tuple[dict[str, Case], int]:
    """The node tests all of whose operators are in the table, and how many there are altogether."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_node_model_tests

        found = load_node_model_tests()
    made = {}
    for test in found:
        if not all(_in_table(node) for node in test.model.graph.node) or not _of_tensors(test.model):
            continue
        graph = to_current_opset(load_onnx(test.model))
        if all(_in_table(node) for node in graph.graph):
            inputs, outputs = test.data_sets[0]
            made[test.name] = Case(
                test.name, test.model, graph, _arrays(inputs), _arrays(outputs), test.rtol, test.atol
            )
    return made, len(found)


def _in_table(node: Any) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in OPERATORS


def run_graph(model: ir.Model, feeds: list[Any]) -> list[Any]:
    """The outputs of a graph, node by node; None for an input that is left out."""
    values: dict[str, Any] = {v.name: to_tensor(v.const_value.numpy()) for v in model.graph.initializers.values()}
    values |= {value.name: to_tensor(x) for value, x in zip(model.graph.inputs, feeds, strict=False)}
    for node in model.graph:
        function = OPERATORS[node.op_type]
        known = inspect.signature(function).parameters
        attributes = {name: _python(attribute) for name, attribute in node.attributes.items()}
        unknown = attributes.keys() - known.keys()
        if unknown:
            raise UnsupportedOpError(f"{node.op_type} with {', '.join(unknown)}")
        if "outputs" in known:
            attributes["outputs"] = len(node.outputs)
        made = function(*(None if v is None or not v.name else values[v.name] for v in node.inputs), **attributes)
        made = made if isinstance(made, tuple) else (made,)
        values |= {value.name: x for value, x in zip(node.outputs, made, strict=False)}
    return [values[value.name] for value in model.graph.outputs]


def _python(attribute: ir.Attr) -> Any:
    return attribute.value.numpy() if attribute.type is ir.AttributeType.TENSOR else attribute.value


def _of_tensors(model: onnx.ModelProto) -> bool:
    return all(value.type.HasField("tensor_type") for value in (*model.graph.input, *model.graph.output))


def _arrays(values: list[Any]) -> list[np.ndarray]:
    return [onnx.numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else x for x in values]


def _is_computed(model: onnx.ModelProto) -> bool:
    """Whether PyTorch computes in the types of all inputs and outputs."""
    return all(v.type.tensor_type.elem_type in COMPUTED for v in (*model.graph.input, *model.graph.output))


def _reason(case: Case) -> str:
    """Why a case is refused; empty where it is not."""
    try:
        run_graph(case.graph, case.inputs)
    except UnsupportedOpError as error:
        return error.what.removesuffix(" cannot be trained")
    return ""


def _difference(case: Case) -> str:
    """How far the outputs are from those of the suite; empty where they agree."""
    expected = case.outputs
    if case.name in AS_ONNX_RUNTIME:
        session = onnxruntime.InferenceSession(case.model.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [value.name for value in case.model.graph.input]
        expected = session.run(None, dict(zip(names, case.inputs, strict=True)))
    try:
        for wanted, made in zip(expected, run_graph(case.graph, case.inputs), strict=True):
            assert wanted.shape == tuple(made.shape)
            assert wanted.dtype.name == str(made.dtype).removeprefix("torch.")
            tolerance = HALF_TOLERANCE.get(wanted.dtype.name, 0.0)
            reals = made.to(torch.float64 if made.is_floating_point() else made.dtype).numpy()
            np.testing.assert_allclose(
                reals, wanted.astype(reals.dtype), rtol=max(case.rtol, tolerance), atol=max(case.atol, tolerance)
            )
    except AssertionError as error:
        return str(error)
    return ""


def test_operators_agree_with_the_backend_suite():
    """Every node test whose operators are in the table gives the suite's outputs, unless it is refused."""
    found, total = cases()
    refused = set().union(*REFUSED.values())
    computed = [case for case in found.values() if _is_computed(case.model) and case.name not in refused]

    differences = {case.name: difference for case in computed if (difference := _difference(case))}

    print(f"{len(computed)} of {total} node tests computed, {len(found) - len(computed)} refused")
    assert differences == {}
    assert len(computed) > 1200


def test_operators_refuse_the_listed_forms_and_no_others():
    """A form that is refused says why; the list of them is whole and holds nothing that is computed after all."""
    found = {case.name: _reason(case) for case in cases()[0].values() if _is_computed(case.model)}

    reasons = {reason: {name for name, own in found.items() if own == reason} for reason in set(found.values()) - {""}}
    assert reasons == REFUSED


def test_operators_refuse_types_that_pytorch_does_not_compute_in():
    """Types of 8 bits and fewer, unsigned ones and strings are refused by name."""
    others = [case for case in cases()[0].values() if not _is_computed(case.model)]

    assert len(others) > 200
    assert [case.name for case in others if not _reason(case).startswith("values of type ")] == []


def test_operators_hold_every_quantized_operator():
    """What the planner has a rule for can be trained."""
    assert set(RULES) <= set(OPERATORS)


@pytest.mark.parametrize("op", sorted(OPERATORS))
def test_operator_takes_the_attributes_of_its_schema(op):
    """Keywords are the names of ONNX's attributes, with ONNX's defaults, or None where that depends on others."""
    schema = onnx.defs.get_schema(op, 25)
    taken = {
        name: parameter
        for name, parameter in inspect.signature(OPERATORS[op]).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "outputs"
    }

    assert taken.keys() <= schema.attributes.keys()
    for name, parameter in taken.items():
        default = schema.attributes[name].default_value
        if default.type != onnx.AttributeProto.UNDEFINED and parameter.default is not None:
            wanted = onnx.helper.get_attribute_value(default)
            wanted = wanted.decode() if isinstance(wanted, bytes) else wanted
            assert parameter.default == pytest.approx(wanted)
