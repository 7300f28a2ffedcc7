"""What a model holds."""

from __future__ import annotations

import json

import pytest

from bitwright.errors import UsageError
from bitwright.report.inspect import inspect


def test_inspect_gives_the_face_and_the_operators(float_model, held):
    """Names, types and shapes with their free dimensions; nodes by operator; parameters; opset."""
    found = inspect(held(float_model, "m.onnx"))

    assert [(p.name, p.type) for p in found.inputs] == [("x", "float[N, 4]")]
    assert [(p.name, p.type) for p in found.outputs] == [("y", "float[N, 3]")]
    assert found.operators == {"MatMul": 1, "Add": 1, "Relu": 1}
    assert found.parameters == 15
    assert found.opsets == {"": 21}


def test_inspect_a_float_model_says_what_would_stay_float(float_model, held):
    """A preview of int8 for the target, with a reason for each float node."""
    found = inspect(held(float_model))

    assert found.quantized is None
    assert found.preview is not None
    assert all(node.reason for node in found.float_nodes)
    assert "what int8 would do for onnxruntime" in str(found)


def test_inspect_a_quantized_model_sums_up_its_plan(qdq_model, plan, held):
    """Nodes by how they compute and tensors by storage, from the plan the file carries."""
    found = inspect(held(qdq_model, "q.onnx", plan))

    assert found.preview is None
    data = json.loads(found.to_json())
    assert data["nodes"] == {"float": 2, "integer": 1}
    assert data["storages"] == {"activations u8": 2, "weights i8": 1}
    assert "quantized: int8 for onnxruntime" in str(found)


def test_inspect_in_full_has_the_graph_and_the_plan(qdq_model, plan, held):
    """--full adds both texts."""
    from bitwright.report.render import plain_text

    text = plain_text(inspect(held(qdq_model, "q.onnx", plan)).render(full=True))

    assert "MatMul (x, w)" in text
    assert "plan int8 for onnxruntime" in text


def test_inspect_refuses_an_unknown_target(float_model, held):
    """The error lists the targets that ship."""
    with pytest.raises(UsageError, match="onnxruntime"):
        inspect(held(float_model), target="toaster")
