"""Lists of transforms on graphs, and what every quantization runs first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.errors import TransformError
from bitwright.graph.execution import Execution
from bitwright.graph.text import parse
from bitwright.transforms.pipeline import apply_transforms, available, prepare

MODELS = Path(__file__).parents[2].parent / "shared" / "models"
CHAIN = "g (float[N,3] x, float[3,4] w, float[4] m) => (float[N,4] y) { t = Gemm(x, w)  u = Mul(t, m)  y = Relu(u) }"
CYCLE = (
    '<ir_version: 10, opset_import: ["": 21]> g (float[2] x) => (float[2] y) { t = Add(x, u)  u = Relu(t)  y = Neg(u) }'
)


def test_apply_transforms_leaves_the_given_graph(build, ops):
    """The original stays as it was, and its constants are shared until they are made anew."""
    before = build(CHAIN)
    weight = before.graph.initializers["w"].const_value
    values = weight.numpy().copy()

    after = apply_transforms(before, "fold_batch_norms").model

    assert ops(before) == ["Gemm", "Mul", "Relu"]
    assert ops(after) == ["Gemm", "Relu"]
    assert before.graph.initializers["w"].const_value is weight
    np.testing.assert_array_equal(weight.numpy(), values)
    assert after.graph.initializers["w"].const_value is not weight


def test_apply_transforms_refuses_an_unknown_name(build):
    """An unknown transform is refused before anything runs, with what was meant and what there is."""
    with pytest.raises(TransformError) as error:
        apply_transforms(build(CHAIN), "fold_batch_norm")

    assert "did you mean fold_batch_norms?" in str(error.value)
    assert "sort_by_execution_order" in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("equalize(speed=3)", "equalize has no argument 'speed'"),
        ("equalize(iterations=many)", "must be a whole number"),
        ("equalize(ignore_errors=perhaps)", "ignore_errors of equalize must be true or false"),
    ],
)
def test_apply_transforms_refuses_wrong_arguments(text, expected, build):
    """Arguments are checked against what the transform takes."""
    with pytest.raises(TransformError, match=expected):
        apply_transforms(build(CHAIN), text)


def test_apply_transforms_refuses_a_cycle():
    """A graph with a cycle is an error that says so."""
    with pytest.raises(TransformError, match="cycle"):
        apply_transforms(parse(CYCLE), "sort_by_execution_order")


def test_apply_transforms_ignores_errors_when_asked(build):
    """A failing step is noted, its half-done work is thrown away, and the rest goes on."""
    before = build(CHAIN)

    after = apply_transforms(before, "strip_unused_nodes(outputs=u, inputs=none, ignore_errors=true) fold_batch_norms")

    assert [step.modified for step in after.steps] == [False, True]
    assert "error ignored" in after.steps[0].message
    assert "none" in after.steps[0].message
    assert [v.name for v in after.model.graph.outputs] == ["y"]


def test_apply_transforms_keeps_named_values(build, ops):
    """A value that inputs or outputs name survives a fold that would have taken it away."""
    before = build(CHAIN)

    after = apply_transforms(before, "fold_batch_norms strip_unused_nodes", outputs=["t"]).model

    assert ops(after) == ["Gemm"]
    assert [v.name for v in after.graph.outputs] == ["t"]


def test_apply_transforms_without_cutting_keeps_the_outputs(build):
    """Naming values alone does not change the outputs."""
    after = apply_transforms(build(CHAIN), "fold_batch_norms", outputs=["t"]).model

    assert [v.name for v in after.graph.outputs] == ["y"]


def test_apply_transforms_refuses_unknown_values(build):
    """Inputs and outputs must be there, whether or not a transform uses them."""
    with pytest.raises(TransformError, match="no value of the graph is named 'z'"):
        apply_transforms(build(CHAIN), "fold_batch_norms", outputs=["z"])


def test_available_describes_every_transform():
    """Each transform has its line."""
    lines = available()

    assert {"equalize", "fold_constants", "strip_unused_nodes"} <= set(lines)
    assert all(line and "\n" not in line for line in lines.values())


def test_prepare_lifts_and_folds(build, assert_same_output, ops):
    """Constant nodes, overridable initializers, Identity, a written-out normalization and a bias end in one Gemm."""
    before = build(
        "g (float[N,3] x, float[3,4] w, float[4] b) => (float[N,4] y)"
        "{ c = Constant<value = float[4] {1.0, 2.0, 3.0, 4.0}>()  i = Identity(x)"
        "  t = MatMul(i, w)  u = Mul(t, c)  n = Neg(b)  v = Add(u, n)  y = Relu(v) }"
    )
    before.graph.inputs.append(before.graph.initializers["w"])

    after = prepare(before)

    assert ops(after) == ["Gemm", "Relu"]
    assert [v.name for v in after.graph.inputs] == ["x"]
    assert all(node.name for node in after.graph)
    assert all(v.shape is not None for node in after.graph for v in node.outputs)
    assert_same_output(before, after)


def test_prepare_gives_unique_names(build):
    """Every node has a name of its own."""
    before = build("g (float[2] x) => (float[2] y) { [a] t = Relu(x)  [a] u = Neg(t)  y = Abs(u) }")

    names = [node.name for node in prepare(before).graph]

    assert len(set(names)) == 3
    assert names[0] == "a"


def test_prepare_passes_subgraphs_through(build, assert_same_output):
    """A control-flow subgraph is the same behind it, and sees the values that it captured."""
    before = build(
        "g (float[N,3] x, bool xc, float[3,4] w, float[4] m) => (float[N,4] z)"
        "{ t = Gemm(x, w)  u = Mul(t, m)"
        "  z = If(xc) <then_branch = a () => (float[N,4] p) { c = Constant<value = float {2.0}>()  p = Mul(u, c) },"
        "              else_branch = b () => (float[N,4] q) { i = Identity(u)  q = Neg(i) }> }"
    )

    after = prepare(before)

    branches = [sorted(node.op_type for node in graph) for graph in after.graph.subgraphs()]
    assert sorted(branches) == [["Constant", "Mul"], ["Identity", "Neg"]]
    assert [node.op_type for node in after.graph] == ["Gemm", "If"]
    assert_same_output(before, after)


@pytest.mark.parametrize("name", ["resnet20_cifar10", "vgg_cifar10", "mobilenetv2_cifar10", "mnist_cnn"])
def test_prepare_keeps_real_models(name, assert_same_output, ops):
    """Trained networks lose every BatchNormalization and keep what they compute."""
    path = MODELS / f"{name}.onnx"
    if not path.exists():
        pytest.skip("the shared models are not here")
    before = ir.load(path)

    after = prepare(before)

    assert "BatchNormalization" not in ops(after)
    assert_same_output(before, after, tolerance=1e-4)


def test_prepare_does_not_import_the_optimizer_for_nothing():
    """A graph without constant computations is prepared without onnxscript."""
    code = (
        "import sys; from bitwright.graph.text import parse; from bitwright.transforms.pipeline import prepare\n"
        "prepare(parse('''<ir_version: 10, opset_import: [\"\": 21]>\n"
        "g (float[2] x) => (float[2] y) {y = Relu(x)}'''))\n"
        "assert 'onnxscript' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_prepare_keeps_a_computation_that_cannot_be_done(build, ops):
    """A constant computation that fails here is left to the runtime."""
    before = build(
        "g (float[2] x, float[3] a, float[2] b) => (float[2] y) { c = Add(a, b)  d = Neg(x)  y = Add(d, c) }"
    )

    assert ops(prepare(before)) == ["Add", "Neg", "Add"]


def test_prepare_result_runs_after_unsorted_input(build):
    """A file whose nodes are not in order is copied all the same."""
    before = build("g (float[2] x) => (float[2] y) { y = Relu(t)  t = Neg(x) }")

    after = apply_transforms(before, "sort_by_execution_order").model

    assert [node.op_type for node in after.graph] == ["Neg", "Relu"]
    Execution(after).run({"x": np.ones(2, np.float32)})
