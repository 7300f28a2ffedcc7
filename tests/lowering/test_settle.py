"""Quantized files of other tools: what they leave unsaid is settled, and their own integers compute."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.exporters.onnx.read import from_onnx
from bitwright.graph.execution import open_session
from bitwright.graph.text import parse
from bitwright.lowering.layout import layouts_of
from bitwright.lowering.lower import lower
from bitwright.lowering.refusal import NodesRefused
from bitwright.lowering.settle import settled
from bitwright.program.program import Program
from bitwright.program.reference import Reference
from bitwright.runtime.ports import run_rows
from bitwright.transforms.name_nodes import name_nodes

HEADER = '<ir_version: 10, opset_import: ["": 21]>\n'
PAIR = "{0}_q = QuantizeLinear({0}, {1}_s, {1}_z) {0}_d = DequantizeLinear({0}_q, {1}_s, {1}_z)"


def pair(value: str, parameters: str = "a") -> str:
    """The nodes that quantize a value and give its reals, `<value>_d`."""
    return PAIR.format(value, parameters)


#: Parameters that graphs below share: an activation of both signs, a positive one, and weights of four channels.
GIVEN = """<float a_s = {0.05}, int8 a_z = {3}, float u_s = {0.03}, uint8 u_z = {0}, float[4] w_s = {0.01, 0.02, 0.015,
    0.005}, int8[4] w_z = {0, 0, 0, 0}>"""


def read(text: str, **constants: np.ndarray) -> ir.Model:
    """A graph from its text: inputs after the first are constants, given here or random integers."""
    model, rng = parse(HEADER + text), np.random.default_rng(0)
    for value in list(model.graph.inputs)[1:]:
        array = constants.get(value.name)
        if array is None:
            shape, dtype = value.shape.numpy(), value.dtype.numpy()
            if np.issubdtype(dtype, np.integer):
                array = rng.integers(-127, 128, shape).astype(dtype)
            else:
                array = rng.uniform(0.5, 1.5, shape).astype(dtype)
        tensor = ir.tensor(array, name=value.name)
        fresh = ir.Value(name=value.name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        value.replace_all_uses_with(fresh)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(fresh)
    name_nodes(model)
    return model


def lowered(model: ir.Model) -> Program:
    """The Program of a file's graph."""
    graph, plan = from_onnx(model.clone())
    return lower(graph, plan, rounding="fp32_even")


def kinds(program: Program) -> list[str]:
    return [operator.kind for operator in program.operators]


def assert_computes_as_written(model: ir.Model, program: Program, scale: float, shape: tuple[int, ...]) -> None:
    """The Program gives what ONNX Runtime gives node by node, but for a value on the edge of two steps."""
    session = open_session(ir.to_proto(model).SerializeToString(), optimize=False)
    x = np.random.default_rng(1).standard_normal((8, *shape[1:])).astype(np.float32)
    given, name = session.get_inputs()[0].name, program.outputs[0].name
    wanted = np.concatenate([session.run(None, {given: row[None]})[0] for row in x])
    made = run_rows(program, Reference(program).run, {given: x}, layouts=layouts_of(program), as_floats=True)[name]
    steps = np.rint((made - wanted) / scale)
    assert np.abs(steps).max() <= 1
    assert (steps != 0).mean() < 0.01


CONV = (
    """net (float[1, 3, 6, 6] x, int8[4, 3, 3, 3] w, float[4] gamma, float[4] beta, float[4] mean, float[4] var)
    => (float[1, 4, 4, 4] y_d) """
    + GIVEN
    + "{"
    + pair("x")
    + """ w_d = DequantizeLinear <axis = 0> (w, w_s, w_z) c = Conv(x_d, w_d)
    n = BatchNormalization(c, gamma, beta, mean, var) y = Relu(n) """
    + pair("y", "u")
    + "}"
)


@pytest.mark.parametrize(
    "gamma",
    [
        pytest.param([0.5, 1.0, 2.0, 0.1], id="positive"),
        pytest.param([0.5, -1.0, 2.0, -0.1], id="negative"),
        pytest.param([0.5, 0.0, 2.0, 0.1], id="zero"),
    ],
)
def test_settle_folds_a_normalization_into_scales(gamma):
    """Integers of the weights stay, up to their sign; the network computes on integers throughout."""
    model = read(CONV, gamma=np.float32(gamma))
    stored = model.graph.initializers["w"].const_value.numpy()

    program = lowered(model)

    assert kinds(program) == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]
    weights = program.tensors[program.operators[1].inputs[1]]
    expected = stored.transpose(0, 2, 3, 1) * np.sign(gamma).astype(np.int8)[:, None, None, None]
    np.testing.assert_array_equal(weights.data, expected)
    assert_computes_as_written(model, program, 0.03, (1, 3, 6, 6))


def test_settle_leaves_a_normalization_whose_sign_no_integer_has():
    """-128 has no negative of 8 bits: the normalization stays, in float."""
    weights = np.full((4, 3, 3, 3), -128, np.int8)

    program = lowered(read(CONV, w=weights, gamma=np.float32([1, -1, 1, 1])))

    assert "MUL" in kinds(program)


def test_settle_keeps_a_quantized_value_before_a_factor():
    """What is quantized between a convolution and a factor is rounded there."""
    model = read(
        "net (float[1, 3, 6, 6] x, int8[4, 3, 3, 3] w, float[1] f) => (float[1, 4, 4, 4] y_d) "
        + GIVEN
        + "{"
        + pair("x")
        + " w_d = DequantizeLinear <axis = 0> (w, w_s, w_z) c = Conv(x_d, w_d) "
        + pair("c")
        + " y = Mul(c_d, f) "
        + pair("y", "u")
        + "}"
    )

    program = lowered(model)

    assert kinds(program) == ["QUANTIZE", "CONV_2D", "MUL", "DEQUANTIZE"]
    assert_computes_as_written(model, program, 0.03, (1, 3, 6, 6))


def test_settle_makes_room_for_a_bias_in_32_bits():
    """A dead channel's weights are rounded to a larger scale, so that its bias is what it was."""
    gamma, beta = np.float32([1, 1e-12, 1, 1]), np.float32([0, 2.5, 0, 0])
    model = read(CONV, gamma=gamma, beta=beta)

    program = lowered(model)

    bias = program.tensors[program.operators[1].inputs[2]]
    assert abs(bias.data[1] * bias.qparams.scale[1] - 2.5) < 1e-5
    assert_computes_as_written(model, program, 0.03, (1, 3, 6, 6))


CHANNELS = (
    """net (float[1, 3, 6, 6] x, int8[4, 3, 1, 1] w, int8[8, 1, 3, 3] v, float[4] m_s)
    => (float[1, 8, 4, 4] y_d) <float a_s = {0.05}, int8 a_z = {3}, float u_s = {0.03}, uint8 u_z = {0}, float w_s =
    {0.01}, int8 w_z = {0}, float v_s = {0.004}, int8 v_z = {0}, uint8[4] m_z = {0, 0, 0, 0}, float low = {0}, float
    high = {HIGH}> {"""
    + pair("x")
    + """ w_d = DequantizeLinear(w, w_s, w_z) c = Conv(x_d, w_d) r = Clip(c, low, high)
    r_q = QuantizeLinear <axis = 1> (r, m_s, m_z) r_d = DequantizeLinear <axis = 1> (r_q, m_s, m_z)
    v_d = DequantizeLinear(v, v_s, v_z) y = Conv <group = 4> (r_d, v_d)"""
    + pair("y")
    + "}"
)


def test_settle_joins_scales_of_channels():
    """Activations with a scale a channel before a depthwise convolution: the rest goes into the weights' scales."""
    model = read(CHANNELS.replace("HIGH", "6"), m_s=np.float32([0.02, 0.01, 0.005, 0.0235]))

    program = lowered(model)

    assert kinds(program) == ["QUANTIZE", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE"]
    assert_computes_as_written(model, program, 0.05, (1, 3, 6, 6))


def test_settle_leaves_scales_of_channels_that_a_clamp_cuts():
    """A clamp below what the integers hold cannot go: the pair stays, and is told."""
    model = read(CHANNELS.replace("HIGH", "1"), m_s=np.float32([0.02, 0.01, 0.005, 0.0235]))

    with pytest.raises(NodesRefused, match="QuantizeLinear"):
        lowered(model)


def test_settle_reads_a_pair_beside_a_float_reader():
    """A float reader of a convolution's result keeps its floats; the pair is an Identity."""
    model = read(
        "net (float[1, 3, 6, 6] x, int8[4, 3, 3, 3] w) => (float[1, 4, 4, 4] y_d, float[1, 4, 4, 4] raw) "
        + GIVEN
        + "{"
        + pair("x")
        + " w_d = DequantizeLinear <axis = 0> (w, w_s, w_z) c = Conv(x_d, w_d) "
        + pair("c")
        + " y = Relu(c_d) "
        + pair("y", "u")
        + " raw = Exp(c)}"
    )

    graph, plan = settled(*from_onnx(model))

    assert [node.op_type for node in graph.graph] == ["Conv", "Identity", "Relu", "Exp"]
    assert plan.qparams_of("c") is None
    assert plan.qparams_of("c_d").zero_point[0] == 3


@pytest.mark.parametrize(
    ("move", "shape"),
    [
        pytest.param("MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c_d)", "1, 4, 2, 2", id="max-pool"),
        pytest.param("Transpose <perm = [0, 2, 3, 1]> (c_d)", "1, 4, 4, 4", id="transpose"),
        pytest.param("Relu(c_d)", "1, 4, 4, 4", id="relu"),
        pytest.param("Concat <axis = 1> (c_d, c_d)", "1, 8, 4, 4", id="concat"),
    ],
)
def test_settle_gives_what_is_moved_the_parameters_it_had(move, shape):
    """A result that is not quantized, of a node that moves integers, is those integers."""
    model = read(
        f"net (float[1, 3, 6, 6] x, int8[4, 3, 3, 3] w) => (float[{shape}] y) {GIVEN} {{"
        + pair("x")
        + " w_d = DequantizeLinear <axis = 0> (w, w_s, w_z) c = Conv(x_d, w_d) "
        + pair("c")
        + f" y = {move} }}"
    )

    program = lowered(model)

    assert [t.dtype for op in program.operators[:-1] for t in program.results(op)] == ["i8"] * (len(kinds(program)) - 1)
    assert_computes_as_written(model, program, 0.05, (1, 3, 6, 6))


def test_settle_takes_a_clamp_into_the_sum_before_it():
    """Add, then Relu, then a pair: one operator of integers."""
    model = read(
        "net (float[1, 8] x) => (float[1, 8] y_d) "
        + GIVEN
        + "{"
        + pair("x")
        + " s = Add(x_d, x_d) y = Relu(s) "
        + pair("y", "u")
        + "}"
    )

    program = lowered(model)

    assert kinds(program) == ["QUANTIZE", "ADD", "DEQUANTIZE"]
    assert_computes_as_written(model, program, 0.03, (1, 8))


@pytest.mark.parametrize("clamp", ["t = Add(p, b) y = Relu(t)", "y = Add(p, b)"], ids=["relu", "no-clamp"])
def test_settle_takes_a_bias_into_the_product_before_it(clamp):
    """MatMul, then Add of a constant row: one FULLY_CONNECTED of integers."""
    model = read(
        "net (float[1, 5, 8] x, int8[8, 4] w, float[4] b) => (float[1, 5, 4] y_d) "
        + GIVEN
        + "{"
        + pair("x")
        + f" w_d = DequantizeLinear <axis = -1> (w, w_s, w_z) p = MatMul(x_d, w_d) {clamp} "
        + pair("y")
        + "}"
    )

    program = lowered(model)

    assert kinds(program) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert_computes_as_written(model, program, 0.05, (1, 5, 8))


def test_settle_keeps_uint8_weights_with_a_zero_point():
    """uint8 weights and activations with zero_points of their own are TFLite's old form: the integers as they are."""
    weights = np.random.default_rng(2).integers(0, 256, (4, 3, 3, 3)).astype(np.uint8)
    model = read(
        "net (float[1, 3, 6, 6] x, uint8[4, 3, 3, 3] w) => (float[1, 4, 4, 4] y_d) <float a_s = {0.05}, "
        "uint8 a_z = {131}, float w_s = {0.01}, uint8 w_z = {77}> {"
        + pair("x")
        + " w_d = DequantizeLinear(w, w_s, w_z) y = Conv(x_d, w_d) "
        + pair("y")
        + "}",
        w=weights,
    )

    program = lowered(model)

    held = program.tensors[program.operators[1].inputs[1]]
    np.testing.assert_array_equal(held.data, weights.transpose(0, 2, 3, 1))
    assert (held.dtype, held.zero_point) == ("u8", 77)
    assert_computes_as_written(model, program, 0.05, (1, 3, 6, 6))


def test_settle_leaves_our_own_plans_alone(network):
    """A plan that was not read from a foreign file is the same object afterwards."""
    import bitwright as bw

    made = bw.quantize(
        network("net (float[N, 8] x, float[8, 4] w) => (float[N, 4] y) { y = MatMul(x, w) }"),
        calibration=np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32),
    )

    assert settled(made.graph, made.plan) == (made.graph, made.plan)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_settle_takes_integers_in_and_gives_integers_out(kind):
    """A graph whose ports hold integers: those of the Program do, and its kernels compute on them."""
    model = read(
        f"net ({kind}[1, 3, 6, 6] x, int8[4, 3, 3, 3] w) => ({kind}[1, 4, 4, 4] y) "
        + GIVEN.replace("int8 a_z", f"{kind} a_z")
        + "{ x_d = DequantizeLinear(x, a_s, a_z) w_d = DequantizeLinear <axis = 0> (w, w_s, w_z) "
        + "c = Conv(x_d, w_d) r = Relu(c) y = QuantizeLinear(r, a_s, a_z) }"
    )
    x = np.random.default_rng(1).integers(0, 100, (1, 3, 6, 6)).astype(kind)
    wanted = open_session(ir.to_proto(model).SerializeToString(), optimize=False).run(None, {"x": x})[0]

    program = lowered(model)

    made = run_rows(program, Reference(program).run, {"x": x}, layouts=layouts_of(program))["y"]
    assert {"CONV_2D"} <= set(kinds(program)) <= {"CONV_2D", "QUANTIZE"}
    assert made.dtype == wanted.dtype
    assert np.abs(made.astype(int) - wanted.astype(int)).max() <= 1
