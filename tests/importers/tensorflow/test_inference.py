"""Frozen graphs as training scripts leave them: dropout, switches, ports that are half told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

import bitwright as bw
from bitwright.errors import UsageError

X = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def graph_of(tf) -> Callable[[Callable[[Any], None]], Any]:
    """The GraphDef of what a function builds on a placeholder "x" [2, 6]."""

    def make(build: Callable[[Any], None]) -> Any:
        with tf.Graph().as_default() as graph:
            build(tf.compat.v1.placeholder(tf.float32, (2, 6), name="x"))
        return graph.as_graph_def()

    return make


def ports(model: bw.Model) -> tuple[list[str], list[str]]:
    graph = model.graph.graph
    return [str(v.name) for v in graph.inputs], [str(v.name) for v in graph.outputs]


def kinds(model: bw.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.graph)


def answers(model: bw.Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    content = ir.to_proto(model.to_ir()).SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, feeds)


def of_two(tf: Any, x: Any, keep: Any) -> Any:
    return tf.compat.v1.nn.dropout(x, keep_prob=keep)


def of_one(tf: Any, x: Any, keep: Any) -> Any:
    """As TensorFlow 1 wrote it before 1.13."""
    return tf.realdiv(x, keep) * tf.floor(keep + (tf.compat.v1.random_uniform((2, 6)) * 1.0 + 0.0))


def of_fifteen(tf: Any, x: Any, keep: Any) -> Any:
    """As TensorFlow 1 wrote it last."""
    mask = tf.compat.v1.random_uniform((2, 6)) >= 1.0 - keep
    return (x * (1.0 / keep)) * tf.cast(mask, tf.float32)


@pytest.mark.parametrize("dropout", [of_two, of_one, of_fifteen], ids=["2", "1.0", "1.15"])
@pytest.mark.parametrize("shape", [(), None], ids=["number", "no-shape"])
def test_dropout_whose_keep_is_fed_goes_with_its_placeholder(dropout, shape, tf, graph_of):
    """What is left has one input and nothing random."""

    def build(x: Any) -> None:
        keep = tf.compat.v1.placeholder(tf.float32, shape, name="keep_prob")
        tf.nn.relu(dropout(tf, x * 2.0, keep), name="y")

    for told in ({}, {"inputs": ["x"]}):
        model = bw.load(graph_of(build), **told)

        assert ports(model) == (["x"], ["y"])
        assert set(kinds(model)) == {"Mul", "Relu"}
        np.testing.assert_allclose(np.maximum(2 * X, 0), answers(model, {"x": X})[0])


def test_random_number_that_is_no_dropout_stays(tf, graph_of):
    """Noise, and a choice by data, are left as they are."""

    def build(x: Any) -> None:
        noisy = x * tf.floor(tf.compat.v1.random_uniform((2, 6)) + 1.0 + x)
        tf.where(x >= 0.0, x * 2.0, tf.zeros((2, 6)), name="chosen")
        tf.identity(noisy, name="noisy")

    model = bw.load(graph_of(build), outputs=["noisy", "chosen"])

    assert kinds(model)["RandomUniform"] == 1
    np.testing.assert_allclose(np.maximum(2 * X, 0), answers(model, {"x": X})[1])


def test_placeholder_with_a_default_is_its_default_unless_it_is_named(tf, graph_of):
    """Training switches go with the branch that they switch off."""

    def build(x: Any) -> None:
        training = tf.compat.v1.placeholder_with_default(False, (), name="is_training")
        scale = tf.compat.v1.placeholder_with_default(2.0, (), name="scale")
        tf.compat.v1.disable_control_flow_v2()
        try:
            tf.multiply(tf.compat.v1.cond(training, lambda: x * 9.0, lambda: x + 1.0), scale, name="y")
        finally:
            tf.compat.v1.enable_control_flow_v2()

    graph_def = graph_of(build)
    model, named = bw.load(graph_def), bw.load(graph_def, inputs=["x", "scale"])

    assert ports(model) == (["x"], ["y"])
    assert set(kinds(model)) == {"Add", "Mul"}
    np.testing.assert_allclose(2 * X + 2, answers(model, {"x": X})[0], rtol=1e-6)
    np.testing.assert_allclose(3 * X + 3, answers(named, {"x": X, "scale": np.array(3, np.float32)})[0], rtol=1e-6)


def test_saved_model_of_tensorflow_1_loses_its_training_switches(tf, tmp_path):
    """Placeholders outside the signature are their defaults; dropout is gone."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 6), name="x")
        keep = v1.placeholder_with_default(1.0, (), name="keep_prob")
        weights = v1.get_variable("weights", initializer=np.eye(6, 3, dtype=np.float32))
        y = v1.nn.dropout(x @ weights, keep_prob=keep)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"features": x}, {"scores": y})

    model = bw.load(tmp_path / "saved")

    assert ports(model) == (["features"], ["scores"])
    assert set(kinds(model)) == {"MatMul"}
    np.testing.assert_allclose(X[:, :3], answers(model, {"features": X})[0])


def split(tf: Any, x: Any) -> None:
    first, second, _ = tf.split(x, 3, axis=1, name="thirds")
    tf.add(first, second * 3.0, name="sum")


def test_placeholder_that_is_needed_and_not_named_is_refused(tf, graph_of):
    """It would be an input that nobody asked for."""

    def build(x: Any) -> None:
        tf.multiply(x, tf.compat.v1.placeholder(tf.float32, (), name="gain"), name="y")

    with pytest.raises(UsageError, match="'gain'") as caught:
        bw.load(graph_of(build), inputs=["x"], outputs=["y"])

    assert "x,gain" in str(caught.value.next)


def test_placeholders_that_outputs_do_not_need_are_no_inputs(tf, graph_of):
    """Labels of a training graph stay away when the outputs are named."""

    def build(x: Any) -> None:
        labels = tf.compat.v1.placeholder(tf.float32, (2, 6), name="labels")
        tf.reduce_mean(tf.nn.relu(x, name="y") - labels, name="loss")

    assert ports(bw.load(graph_of(build), outputs=["y"])) == (["x"], ["y"])


def test_names_may_be_one_text(tf, graph_of):
    """inputs="x" is the node x, whatever its letters."""
    graph_def = graph_of(lambda x: split(tf, x))

    assert ports(bw.load(graph_def, inputs="x", outputs="thirds:1")) == (["x"], ["thirds:1"])


def test_output_that_is_fed_is_what_is_fed(tf, graph_of):
    """A second result of a node as input and output; a node that is fed at one result is computed at another."""
    graph_def = graph_of(lambda x: split(tf, x))
    third = X[:, :2]

    fed = bw.load(graph_def, inputs=["thirds:1", "thirds"], outputs=["thirds:1", "sum"])
    half = bw.load(graph_def, inputs=["thirds", "x"], outputs=["sum"])

    name = ports(fed)[0][0]
    np.testing.assert_array_equal(third, answers(fed, {name: third, "thirds": third})[0])
    assert ports(half)[0] == ["thirds", "x"]
    np.testing.assert_allclose(third + 3 * X[:, 2:4], answers(half, {"thirds": third, "x": X})[0], rtol=1e-6)


@pytest.mark.parametrize("name", ["thirds:7", "thirds:z", "nothing"])
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_tensor_that_a_node_does_not_give_is_refused(name, side, tf, graph_of):
    """With those that it gives."""

    def build(x: Any) -> None:
        split(tf, x)
        tf.no_op(name="nothing")

    with pytest.raises(UsageError, match="no tensor") as caught:
        bw.load(graph_of(build), **{side: [name]})

    assert ("gives no tensor" if name == "nothing" else "thirds:0, thirds:1, thirds:2") in str(caught.value.next)


def test_graph_def_with_nodes_that_give_nothing_tells_its_outputs(tf, graph_of):
    """An assertion or a saver at the end is no output."""

    def build(x: Any) -> None:
        with tf.control_dependencies([tf.debugging.assert_non_negative(tf.abs(x))]):
            tf.identity(x * 2.0, name="y")
        tf.raw_ops.SaveV2(prefix="p", tensor_names=["t"], shape_and_slices=[""], tensors=[x])
        tf.print("seen")

    assert ports(bw.load(graph_of(build))) == (["x"], ["y"])
