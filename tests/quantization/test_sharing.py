"""Joining operators for LiteRT: one scale for the result and for the operands that can have it."""

from __future__ import annotations

import numpy as np
import pytest

HEAD = "g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w, float[4, 4, 1, 1] v"


@pytest.fixture
def planned(build, quantized):
    """The plan for LiteRT of a graph of two convolutions `a` and `b`, the second ten times as large."""

    def make(body: str, *, more: str = "", outputs: str = "float[A, B, C, D] y", constants: str = "", **options):
        values = f"<{constants}>" if constants else ""
        text = f"{HEAD}{more}) => ({outputs}) {values} {{ [one] a = Conv(x, w) [two] b = Conv(x, v) {body} }}"
        return quantized(build(text, v=4.0), target="litert", **options).plan

    return make


def test_concat_operands_have_the_parameters_of_the_result(planned):
    """Both convolutions write where the result's integers are: no requantize in between."""
    plan = planned("y = Concat <axis = 1> (a, b)")

    assert plan.qparams_of("a") == plan.qparams_of("b") == plan.qparams_of("y")
    assert plan.tensors["a"].reason == "as y"
    assert plan.tensors["y"].reason == "mse"


def test_result_of_a_concat_holds_both_operands(planned):
    """Its range is the union of theirs."""
    outputs = "float[A, B, C, D] y, float[E, F, G, H] z"
    joined = planned("y = Concat <axis = 1> (a, b)", method="minmax").qparams_of("y").scale[0]
    apart = planned("y = Concat <axis = 1> (a, b) z = Abs(b)", outputs=outputs, method="minmax")

    assert joined >= apart.qparams_of("b").scale[0]


def test_operand_with_another_reader_keeps_its_own_parameters(planned):
    """Somebody else reads `a`, in its own range: only `b` is joined."""
    plan = planned("y = Concat <axis = 1> (a, b) z = Abs(a)", outputs="float[A, B, C, D] y, float[E, F, G, H] z")

    assert plan.qparams_of("b") == plan.qparams_of("y")
    assert plan.qparams_of("a").scale[0] < plan.qparams_of("y").scale[0] / 2


def test_operand_that_is_an_output_keeps_its_own_parameters(planned):
    """What the caller sees is in its own range."""
    plan = planned("y = Concat <axis = 1> (a, b)", outputs="float[A, B, C, D] y, float[E, F, G, H] a")

    assert plan.qparams_of("a") != plan.qparams_of("y")


def test_operand_of_a_known_range_keeps_it(planned):
    """A Sigmoid's kernel has one scale: it is requantized behind it."""
    plan = planned("s = Sigmoid(a) y = Concat <axis = 1> (s, b)")

    assert plan.tensors["s"].reason == "known range"
    assert plan.qparams_of("b") == plan.qparams_of("y")


def test_input_keeps_its_own_parameters(planned):
    """A graph input is quantized in the range that calibration saw of it."""
    plan = planned("y = Concat <axis = 1> (xi, b)", more=", float[N, 4, 6, 6] xi")

    assert plan.tensors["xi"].reason == "mse"
    assert plan.qparams_of("xi") != plan.qparams_of("y")


def test_pooled_operand_keeps_its_own_parameters(planned):
    """An average of clamped values is not the clamped average: the convolution before the pool keeps its range."""
    plan = planned("p = AveragePool <kernel_shape = [1, 1]> (a) y = Concat <axis = 1> (p, b)")

    assert plan.qparams_of("p") == plan.qparams_of("a") != plan.qparams_of("y")


def test_operand_is_joined_through_moves(planned):
    """What is reshaped and transposed on its way to a Concat is written in the result's parameters at once."""
    plan = planned(
        "t = Transpose <perm = [0, 2, 3, 1]> (a) r = Reshape(t, shape) u = Reshape(b, shape)"
        " y = Concat <axis = 1> (r, u)",
        constants="int64[3] shape = {0, -1, 4}",
        outputs="float[A, B, C] y",
    )

    assert {plan.qparams_of(name) for name in "atrbu"} == {plan.qparams_of("y")}


def test_clamp_before_a_concat_is_joined(planned, activation_names):
    """Conv and Relu are one kernel that writes in the parameters of the Concat."""
    plan = planned("r = Relu(a) y = Concat <axis = 1> (r, b)")

    assert "a" not in activation_names(plan)
    assert plan.qparams_of("r") == plan.qparams_of("y")


def test_nested_concats_share_the_outermost_range(planned):
    """A dense block: the first Concat is read by the second alone, so all are written once."""
    plan = planned("c = Concat <axis = 1> (a, b) d = Conv(x, w) y = Concat <axis = 1> (c, d)")

    assert {plan.qparams_of(name) for name in "abcd"} == {plan.qparams_of("y")}


def test_float_operand_is_quantized_in_the_parameters_of_the_result(planned):
    """What a float node gives is quantized once, for the Concat."""
    plan = planned("s = Sin(a) y = Concat <axis = 1> (s, b)")

    assert plan.qparams_of("s") == plan.qparams_of("y")


def test_same_value_twice_is_joined(planned):
    """A Concat of a value with itself is its only reader."""
    plan = planned("r = Abs(b) z = Concat <axis = 1> (a, a) y = Concat <axis = 1> (z, r)")

    assert plan.qparams_of("a") == plan.qparams_of("y")


@pytest.mark.parametrize("node", ["Max", "Min"])
def test_constant_of_a_maximum_has_the_parameters_of_the_result(node, planned):
    """MAXIMUM and MINIMUM compare integers: all of one scale."""
    plan = planned(f"y = {node}(b, c)", more=", float[1] c")

    assert plan.qparams_of("b") == plan.qparams_of("c") == plan.qparams_of("y")
    assert plan.tensors["c"].reason == "as y"


def test_onnxruntime_keeps_operands_apart(build, quantized):
    """Its Concat requantizes: each operand is in its own range."""
    plan = quantized(
        build(
            f"{HEAD}) => (float[A, B, C, D] y) {{ a = Conv(x, w) b = Conv(x, v) y = Concat <axis = 1> (a, b) }}", v=4.0
        )
    ).plan

    assert plan.qparams_of("a") != plan.qparams_of("y")


def test_concat_that_a_mask_keeps_float_leaves_its_operands_their_own_ranges(build, quantized):
    """A result whose range is a mask's stays float; calibration saw the operands too."""
    model = build(
        f"""{HEAD}, float[4, 6, 6] m) => (float[A, B, C, D] y)
        {{ [one] a = Conv(x, w) b = Conv(x, v) n = Add(b, m) [join] y = Concat <axis = 1> (a, n) }}""",
        m=1e8,
        v=1e8,
    )

    plan = quantized(model, target="litert", calibration=[{"x": np.full((1, 4, 6, 6), 20, np.float32)}]).plan

    assert plan.compute_of("join") == "float"
    assert plan.compute_of("one") == "integer"
    assert plan.tensors["a"].reason == "mse"
