"""Ports: names, types and shapes of a Program's inputs and outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bitwright.errors import UsageError
from bitwright.lowering.lower import lower
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.plan import Compute, NodePlan, Plan, Role, TensorPlan, make_plan_value

NET = "net (float[N, 4] x) => (float[N, 4] y) { [relu] y = Relu(x) }"


def plan(storage: str = "i8", mode: str = "int8") -> Plan:
    """Both values in half steps, around the middle of the type."""
    point = 128 if storage == "u8" else 0
    tensors = [TensorPlan(name, Role.ACTIVATION, QuantParams(0.5, point, storage)) for name in "xy"]
    return make_plan_value(mode, "test", tensors, [NodePlan("relu", "Relu", Compute.INTEGER)])


@pytest.mark.parametrize(
    ("storage", "asked", "held", "zero_point", "kinds"),
    [
        ("i8", "int8", "i8", 0, ["RELU"]),
        ("i8", "uint8", "u8", 128, ["QUANTIZE", "RELU", "QUANTIZE"]),
        ("i8", None, "f32", 0, ["QUANTIZE", "RELU", "DEQUANTIZE"]),
        ("u8", "uint8", "u8", 128, ["RELU"]),
        ("u8", "int8", "i8", 0, ["QUANTIZE", "RELU", "QUANTIZE"]),
        ("i16", "int16", "i16", 0, ["RELU"]),
    ],
    ids=["int8", "uint8-of-int8", "float", "uint8", "int8-of-uint8", "int16"],
)
def test_lower_ports_hold_the_type_that_is_asked(storage, asked, held, zero_point, kinds, network):
    """Integers of the plan go in and out as they are; the other 8-bit type is 128 away."""
    mode = {"i8": "int8", "u8": "uint8", "i16": "int16x8"}[storage]

    program = lower(network(NET), plan(storage, mode), input_type=asked, output_type=asked)

    ports = [program.tensors[port.tensor] for port in (*program.inputs, *program.outputs)]
    assert kinds == [op.kind for op in program.operators]
    assert [(held, zero_point)] * 2 == [(tensor.dtype, tensor.zero_point) for tensor in ports]
    assert [tensor.name for tensor in ports] == ["x", "y"]


def test_lower_port_types_are_chosen_one_by_one(network, on_litert):
    """uint8 in, float out."""
    program = lower(network(NET), plan(), input_type="uint8")

    made = on_litert(program, {"x": np.uint8([[0, 127, 128, 131]])})

    assert made["y"].tolist() == [[0.0, 0.0, 0.0, 1.5]]


@pytest.mark.parametrize(
    ("given", "asked", "message"),
    [
        (None, "int8", "integers are asked for at a port that the plan keeps float"),
        (plan(), "int16", "the port holds int8, int16 was asked for"),
        (plan(), "int4", "unknown input_type 'int4'"),
    ],
    ids=["float-model", "another-width", "no-such-type"],
)
def test_lower_refuses_a_port_type_that_the_plan_does_not_have(given, asked, message, network):
    """What is held is said."""
    with pytest.raises(UsageError, match=message):
        lower(network(NET), given, input_type=asked)


def test_lower_free_dimensions_are_one_unless_they_are_given(network):
    """Whole shapes by input name."""
    model = network("net (float[N, T, 4] x, float[4, 2] w) => (float[N, T, 2] y) { y = MatMul(x, w) }")

    assert lower(model, None).tensors["x"].shape == (1, 1, 4)
    assert lower(model, None, input_shapes={"x": (2, 7, 4)}).tensors["y"].shape == (2, 7, 2)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1, 4)}, "input_shapes names 'z', which is no input"),
        ({"x": (1, 5)}, r"shape \[1, 5\] does not fit"),
        ({"x": (0, 4)}, r"shape \[0, 4\] does not fit"),
    ],
    ids=["no-such-input", "another-size", "no-elements"],
)
def test_lower_refuses_a_shape_that_does_not_fit(shapes, message, network):
    """The name or the shape is said."""
    with pytest.raises(UsageError, match=message):
        lower(network(NET), None, input_shapes=shapes)


def test_lower_an_input_that_nobody_reads_keeps_its_place(network):
    """Callers feed it by its place."""
    model = network("net (float[2] a, float[2] b, float[2] c) => (float[2] y) { y = Add(a, c) }", 3)

    assert [port.name for port in lower(model, None).inputs] == ["a", "b", "c"]


def test_lower_a_constant_output_is_a_tensor_of_its_own(network, on_litert):
    """An output that follows from constants alone is computed all the same."""
    model = network("net (float[2] x) => (float[2] y, int64[1] n) { y = Neg(x) n = Shape(x) }")

    made = on_litert(lower(model, None), {"x": np.float32([1, 2])})

    assert made["n"].tolist() == [2]


def test_lower_names_tensors_as_the_graph_names_values(network):
    """Inner tensors too; the Program has the graph's name and a signature."""
    model = network("net (float[1, 4] x, float[4, 3] w) => (float[1, 3] y) { h = MatMul(x, w) g = Tanh(h) y = Exp(g) }")

    program = lower(model, None)

    assert [op.outputs[0] for op in program.operators] == ["h", "g", "y"]
    assert (program.name, program.signature) == ("net", "serving_default")


def test_lower_keeps_the_rounding_that_is_asked(network):
    """The Program carries it."""
    assert lower(network(NET), plan(), rounding="fp32_even").rounding == "fp32_even"


def test_lower_a_node_whose_result_has_no_parameters_computes_in_float(network):
    """As a target has it whose integer kernels give floats."""
    whole = plan()
    without = replace(whole, tensors={"x": whole.tensors["x"]})

    assert [op.kind for op in lower(network(NET), without).operators] == ["RELU"]
