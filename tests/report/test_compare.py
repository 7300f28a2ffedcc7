"""Two models beside each other."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bitwright.errors import SampleError, UsageError
from bitwright.graph.text import parse
from bitwright.report.compare import compare

FEW = {"runs": 3}


@pytest.fixture
def data(rows):
    """250 rows with the labels that the float model gives them: more than two batches."""
    return rows(np.random.default_rng(0).standard_normal((250, 4)))


def test_compare_equal_models_agrees(float_model, held, data):
    """A model agrees with itself: no error, the same size."""
    found = compare(held(float_model), held(float_model.clone()), data, **FEW)

    assert found.agreement == 1.0
    assert found.ratio == 1.0
    assert [o.sqnr_db for o in found.outputs] == [math.inf]
    assert found.samples == 250


def test_compare_gives_accuracy_where_there_are_labels(float_model, held, rows):
    """Top-1 of each model, counted over all batches; the drop is in points."""
    inputs = np.random.default_rng(0).standard_normal((250, 4)).astype(np.float32)
    weight = float_model.graph.initializers["w"].const_value.numpy()
    right = np.maximum(inputs @ weight + np.float32([0.5, -0.5, 0]), 0).argmax(axis=1)
    labels = right.tolist()
    labels[:50] = [(label + 1) % 3 for label in labels[:50]]
    broken = parse("""<ir_version: 10, opset_import: ["": 21]>
    net (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = {0,0,0, 0,0,0, 0,0,0, 0,0,0}, float[3] b = {1, 0, 0}>
    { h = MatMul(x, w) s = Add(h, b) y = Relu(s) }""")

    found = compare(held(float_model), held(broken), rows(inputs, labels), **FEW)

    assert found.a.accuracy == 0.8
    assert found.b.accuracy == np.mean(np.asarray(labels) == 0)
    assert found.accuracy_drop == pytest.approx(100 * (found.a.accuracy - found.b.accuracy))
    assert found.agreement == np.mean(right == 0)


def test_compare_without_labels_gives_no_accuracy(float_model, qdq_model, held, data):
    """Agreement and SQNR take its place."""
    found = compare(held(float_model), held(qdq_model), data, **FEW)

    assert found.a.accuracy is None
    assert found.accuracy_drop is None
    assert found.agreement == 1.0
    assert found.outputs[0].sqnr_db > 40


def test_compare_lists_layers_in_graph_order(float_model, qdq_model, held, data):
    """Every value that both graphs have, the weight's dequantized form left out."""
    found = compare(held(float_model), held(qdq_model), data, **FEW)

    assert [(v.name, v.op) for v in found.layers if v.name != "y"] == [("h", "MatMul"), ("s", "Add")]


def test_compare_finds_the_layer_that_is_wrong(float_model, held, data):
    """An error shows from the node that makes it onwards."""
    wrong = parse("""<ir_version: 10, opset_import: ["": 21]>
    net (float[N, 4] x) => (float[N, 3] y)
    <float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12.7}, float[3] b = {9, 9, 9}>
    { h = MatMul(x, w) s = Add(h, b) y = Relu(s) }""")
    found = {v.name: v.sqnr_db for v in compare(held(float_model), held(wrong), data, **FEW).layers}

    assert found["h"] == math.inf
    assert found["s"] < 10


def test_compare_without_data_uses_random_inputs(float_model, qdq_model, held):
    """Size, latency and error need no data."""
    found = compare(held(float_model), held(qdq_model), None, **FEW)

    assert found.samples == 0
    assert "random inputs" in str(found)


def test_compare_measures_latency_in_turns(float_model, qdq_model, held, data):
    """Median, least and most of as many runs as asked."""
    found = compare(held(float_model), held(qdq_model), data, runs=5)

    for side in (found.a, found.b):
        assert 0 < side.latency.min_ms <= side.latency.median_ms <= side.latency.max_ms
    assert (found.runs, found.threads) == (5, 1)


def test_compare_runs_models_with_a_fixed_batch(held, rows):
    """Without a free batch dimension samples go one by one."""
    fixed = parse("""<ir_version: 10, opset_import: ["": 21]>
    g (float[1, 4] x) => (float[1, 4] y) { y = Softmax(x) }""")

    found = compare(held(fixed), held(fixed.clone()), rows(np.ones((7, 4))), **FEW)

    assert (found.samples, found.agreement) == (7, 1.0)


def test_compare_reads_samples_once(float_model, qdq_model, held, data):
    """A stream is read a single time, and no more of it than there is."""
    compare(held(float_model), held(qdq_model), data, **FEW)

    assert data.given == 250


def test_compare_refuses_other_inputs(float_model, held):
    """Different names are a usage error that lists both."""
    renamed = parse("""<ir_version: 10, opset_import: ["": 21]>
    net (float[N, 4] z) => (float[N, 4] y) { y = Relu(z) }""")

    with pytest.raises(UsageError, match="different inputs: x against z"):
        compare(held(float_model, "a.onnx"), held(renamed, "b.onnx"), None, **FEW)


def test_compare_refuses_no_samples(float_model, held, rows):
    """Empty data is an error, not a figure over nothing."""
    with pytest.raises(SampleError, match="no sample"):
        compare(held(float_model), held(float_model.clone()), rows(np.ones((0, 4))), **FEW)


def test_compare_names_the_samples_that_do_not_fit(float_model, held, rows):
    """ONNX Runtime's refusal is told with the model and the samples."""
    with pytest.raises(SampleError) as caught:
        compare(held(float_model, "a.onnx"), held(float_model.clone(), "b.onnx"), rows(np.ones((3, 5))), **FEW)

    assert "a.onnx, samples 0 to 2" in str(caught.value)


def test_comparison_shows_the_worst_layers_in_graph_order(held):
    """Of many layers the text keeps the 20 worst, in graph order; JSON and --full have all."""
    nodes = "\n".join(f"v{i + 1} = {'Relu' if i % 2 else 'Neg'}(v{i})" for i in range(30))
    text = f"""<ir_version: 10, opset_import: ["": 21]>
    g (float[N, 4] v0) => (float[N, 4] v30) {{ {nodes} }}"""
    model = parse(text)

    found = compare(held(model), held(model.clone()), None, **FEW)

    assert len(json.loads(found.to_json())["layers"]) == len(found.layers) == 30
    assert "the 20 worst of 30" in str(found)
    layers = str(found).split("layer by layer")[1]
    assert sum(line.split()[-1:] == ["exact"] for line in layers.splitlines()) == 20


def test_comparison_as_json_is_json(float_model, held, data):
    """Infinite SQNR is a word, so that any JSON reader takes it."""
    found = compare(held(float_model), held(float_model.clone()), data, **FEW)

    read = json.loads(found.to_json(), parse_constant=lambda name: pytest.fail(name))

    assert read["outputs"] == [{"name": "y", "sqnr_db": "inf"}]
    assert read["latency"]["batch"] == 1
