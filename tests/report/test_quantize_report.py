"""The report of a quantization."""

from __future__ import annotations

import json
import math

import numpy as np
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.graph.text import parse
from bitwright.numerics.metrics import sqnr_db
from bitwright.quantization.plan import Compute, NodePlan, Role, make_plan_value
from bitwright.report import intermediates
from bitwright.report.quantize_report import make_quantize_report
from bitwright.report.sizes import sizes_of


@pytest.fixture
def feeds():
    """One sample inside the range of x."""
    return {"x": np.float32([[0.5, -0.25, 0.33, 1.0]])}


@pytest.fixture
def report(float_model, applied, plan, qdq_model, feeds):
    """The report of the small graph."""
    return make_quantize_report(
        float_model,
        applied,
        plan,
        after_sizes=sizes_of(qdq_model),
        source="m.onnx",
        method="minmax",
        samples=1,
        feeds=feeds,
    )


def test_report_gives_bytes_before_and_after(report):
    """Bytes by kind of both files, and their ratio."""
    assert report.before.by_kind["f32"] == 60
    assert report.after.by_kind["i8"] == 12
    assert report.ratio == report.after.total / report.before.total


def test_report_takes_the_size_of_the_source_file(float_model, applied, plan, qdq_model):
    """When the file is known, its bytes are the bytes before."""
    report = make_quantize_report(float_model, applied, plan, after_sizes=sizes_of(qdq_model), source_bytes=5000)

    assert report.before.total == 5000


def test_report_measures_weights_against_their_float_form(report, float_model, applied):
    """A weight's SQNR is that of its integers' meaning."""
    expected = sqnr_db(
        float_model.graph.initializers["w"].const_value.numpy(), applied.graph.initializers["w"].const_value.numpy()
    )

    weight = next(t for t in report.worst_tensors if t.name == "w")
    assert weight.sqnr_db == pytest.approx(expected)
    assert (weight.role, weight.qparams) == ("weight", "i8 per-tensor")


def test_report_measures_activations_on_the_feeds(report):
    """Those that are rounded on the sample have a finite figure."""
    assert {"x", "h"} <= {t.name for t in report.worst_tensors}
    assert all(math.isfinite(t.sqnr_db) for t in report.worst_tensors)


def test_report_lists_the_worst_tensor_first(report):
    """Ordered by SQNR, lowest first."""
    figures = [t.sqnr_db for t in report.worst_tensors]

    assert figures == sorted(figures)


def test_report_without_feeds_measures_weights_alone(float_model, applied, plan, qdq_model):
    """Nothing is run when there is no sample."""
    report = make_quantize_report(float_model, applied, plan, after_sizes=sizes_of(qdq_model))

    assert [t.name for t in report.worst_tensors] == ["w"]


def test_report_measures_activations_in_groups(float_model, applied, plan, qdq_model, feeds, report, monkeypatch):
    """Held a few at a time, the figures are the same."""
    monkeypatch.setattr(intermediates, "GROUP_ELEMENTS", 1)

    again = make_quantize_report(float_model, applied, plan, after_sizes=sizes_of(qdq_model), feeds=feeds)

    assert again.worst_tensors == report.worst_tensors


def test_report_groups_equal_reasons_on_one_line(report):
    """Two nodes with one reason are one line that counts them."""
    lines = [line for line in str(report).splitlines() if "its other operand is constant" in line]

    assert len(lines) == 1
    assert lines[0].split()[0] == "2"
    assert "Add, Relu" in lines[0]


def test_report_shows_names_with_brackets(float_model, applied, qdq_model):
    """A name in brackets is a name, not markup."""
    nodes = [NodePlan("[red]a[/x]", "Foo", Compute.FLOAT, "no rule for [bold]")]
    plan = make_plan_value("int8", "onnxruntime", [], nodes)

    text = str(make_quantize_report(float_model, applied, plan, after_sizes=sizes_of(qdq_model)))

    assert "[red]a[/x]" in text
    assert "no rule for [bold]" in text


def test_report_warns_of_a_saturated_activation(float_model, applied, plan, qdq_model):
    """More than 1 % of the values outside the range: a warning with the tensor's name and the share."""
    feeds = {"x": np.float32([[0.5, 50.0, 0.33, 1.0]])}

    report = make_quantize_report(float_model, applied, plan, after_sizes=sizes_of(qdq_model), feeds=feeds)

    assert any("'x' is saturated: 25.0 %" in line for line in report.warnings)


def test_report_warns_of_a_constant_activation(float_model, applied, plan, qdq_model):
    """An activation that never moves is named."""
    feeds = {"x": np.zeros((1, 4), np.float32)}

    report = make_quantize_report(float_model, applied, plan, after_sizes=sizes_of(qdq_model), feeds=feeds)

    assert any("'x' is constant" in line for line in report.warnings)


def test_report_has_no_warning_without_cause(report):
    """A healthy model is quiet."""
    assert report.warnings == ()


def test_report_repeats_a_callers_warning_once(float_model, applied, plan, qdq_model):
    """Warnings of other rooms are kept, each once."""
    report = make_quantize_report(float_model, applied, plan, after_sizes=sizes_of(qdq_model), warnings=["a", "a", "b"])

    assert report.warnings == ("a", "b")


def test_report_as_json_is_json(report):
    """Every number is one that JSON has, and each float node has its reason."""
    data = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))

    assert data["nodes"] == {"float": 2, "integer": 1}
    assert data["float_nodes"][0] == {"name": "node1", "op": "Add", "reason": "its other operand is constant"}
    assert data["bytes"]["after"]["by_kind"]["i8"] == 12


def test_report_ignores_biases_among_the_worst(float_model, applied, plan, qdq_model):
    """A bias is corrected on purpose: its difference is no error."""
    tensors = [t for t in plan.tensors.values() if t.role is Role.BIAS]

    assert not tensors
    assert all(
        t.role != "bias"
        for t in make_quantize_report(float_model, applied, plan, after_sizes=sizes_of(qdq_model)).worst_tensors
    )


def test_report_leaves_the_graph_as_it_was(float_model, applied, plan, qdq_model, feeds):
    """Values that were watched are no graph outputs afterwards: the graph is written with the same bytes."""
    before = ir.to_proto(float_model).SerializeToString()

    make_quantize_report(float_model, applied, plan, after_sizes=sizes_of(qdq_model), feeds=feeds)

    assert ir.to_proto(float_model).SerializeToString() == before
    assert [v.name for node in float_model.graph for v in node.outputs if v.is_graph_output()] == ["y"]


def test_report_warns_of_activations_that_are_not_numbers():
    """An activation with NaN or Inf inside the network is named in a warning, and the rest of it is measured."""
    model = parse("""<ir_version: 10, opset_import: ["": 21]>
        g (float[N, 4] x) => (float[N, 3] y)
        <float[4, 3] w = {1,2,3,4,5,6,7,8,9,10,11,12}> { l = Log(x) y = MatMul(l, w) }""")

    small = bw.quantize(model, "int8", calibration=[np.float32([[1, 2, 0, 4]])])

    assert any("'l'" in text and "1 values" in text and "NaN or Inf" in text for text in small.report.warnings)
    assert any(tensor.name == "l" and np.isfinite(tensor.sqnr_db) for tensor in small.report.worst_tensors)
