"""Plans: their text and JSON forms."""

from __future__ import annotations

import json

import pytest

from bitwright.errors import RecipeError
from bitwright.quantization.plan import Compute, NodePlan, Plan

NET = """g (float[N, 3, 8, 8] x, float[8, 3, 3, 3] w, float[8] b, float[32, 16] v) => (float[N, 16] y)
    <int64[2] shape = {0, -1}, int64[2] axes = {2, 3}> {
    [conv] a = Conv <strides = [3, 3]> (x, w, b)
    [act] r = Relu(a)
    [flat] f = Reshape(r, shape)
    [dense] d = MatMul(f, v)
    [prob] y = Softmax(d)
}"""


@pytest.mark.parametrize("mode", ["float16", "weight-only", "dynamic", "int8", "uint8", "int16x8"])
def test_plan_json_round_trip_is_exact(mode, build, quantized):
    """Every scale, zero_point, reason and node comes back the same, and gives the same JSON."""
    plan = quantized(build(NET), mode).plan

    again = Plan.from_json(plan.to_json())

    assert again == plan
    assert again.to_json() == plan.to_json()
    assert list(again.tensors) == list(plan.tensors)
    assert list(again.nodes) == list(plan.nodes)


def test_plan_json_round_trip_keeps_blocks(build, quantized):
    """Per-block parameters keep their shape."""
    plan = quantized(build(NET), "weight-only", weight_bits=4, block_size=16).plan

    assert plan.qparams_of("v").block_shape == (16, 1)
    assert Plan.from_json(plan.to_json()) == plan


def test_plan_text_has_a_line_for_every_node_and_tensor(build, quantized):
    """The text form says how each node computes, and each tensor's parameters, with the reasons."""
    plan = quantized(build(NET)).plan

    lines = plan.to_text().splitlines()

    assert lines[0] == "plan int8 for onnxruntime"
    assert len(lines) == 1 + len(plan.nodes) + len(plan.tensors)
    assert "  node conv: Conv integer  # one kernel with Relu act" in lines
    assert any(line.startswith("  activation x: u8, scale=") and line.endswith("# minmax") for line in lines)
    assert any(line.startswith("  weight w: i8, scale=") and "x8" in line and "axis=0" in line for line in lines)


def test_plan_counts_follow_the_order_of_compute():
    """Nodes by how they compute; kinds that do not occur are left out."""
    nodes = {
        n: NodePlan(n, "Conv", c) for n, c in [("a", Compute.INTEGER), ("b", Compute.FLOAT), ("c", Compute.INTEGER)]
    }

    assert list(Plan("int8", "t", {}, nodes).counts().items()) == [("float", 1), ("integer", 2)]


def test_plan_of_an_unknown_name_is_float():
    """A node or value the plan does not know is not quantized."""
    plan = Plan("int8", "t")

    assert plan.compute_of("nowhere") is plan.compute_of(None) is Compute.FLOAT
    assert plan.qparams_of("nowhere") is None


@pytest.mark.parametrize("change", ["text", "list", "no-nodes", "no-compute", "bad-compute", "bad-role", "bad-scale"])
def test_plan_that_cannot_be_read_is_refused(change, build, quantized):
    """Whatever is wrong with the JSON, one kind of error says so."""
    data = json.loads(quantized(build(NET)).plan.to_json())
    if change == "no-nodes":
        del data["nodes"]
    elif change == "no-compute":
        del data["nodes"][0]["compute"]
    elif change == "bad-compute":
        data["nodes"][0]["compute"] = "magic"
    elif change == "bad-role":
        data["tensors"][0]["role"] = "magic"
    elif change == "bad-scale":
        data["tensors"][0]["qparams"]["scale"] = ["magic"]
    text = {"text": "not json", "list": "[]"}.get(change) or json.dumps(data)

    with pytest.raises(RecipeError, match="not a plan"):
        Plan.from_json(text)


def test_plan_with_a_negative_scale_is_refused(build, quantized):
    """Parameters that are not parameters are refused with a named error."""
    from bitwright.errors import BitwrightError

    data = json.loads(quantized(build(NET)).plan.to_json())
    data["tensors"][0]["qparams"]["scale"] = [-1.0]

    with pytest.raises(BitwrightError):
        Plan.from_json(json.dumps(data))
