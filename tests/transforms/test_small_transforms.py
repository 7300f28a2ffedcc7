"""The smaller transforms: what they must not do. What they do is in tests/golden."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.errors import TransformError
from bitwright.graph.execution import Execution
from bitwright.transforms.pipeline import apply_transforms


def test_fold_constants_keeps_dequantized_weights(build, ops):
    """Weights that are spelled as DequantizeLinear stay integers."""
    before = build(
        "g (float[N,2] x) => (float[N,2] y) <int8[2,2] w = {1,2,3,4}, float s = {0.5}, int8 z = {0}>"
        "{ d = DequantizeLinear(w, s, z)  y = MatMul(x, d) }"
    )

    after = apply_transforms(before, "fold_constants")

    assert ops(after.model) == ["DequantizeLinear", "MatMul"]


def test_fold_constants_keeps_small_spellings_of_large_results(build, ops):
    """A constant that would grow by more than the limit stays a computation."""
    before = build(
        "g (float[1000,1000] x, float[1,1] a) => (float[1000,1000] y) <int64[2] s = {1000,1000}>"
        "{ e = Expand(a, s)  y = Add(x, e) }"
    )

    assert ops(apply_transforms(before, "fold_constants").model) == ["Expand", "Add"]
    assert ops(apply_transforms(before, "fold_constants(growth_limit_bytes=8000000)").model) == ["Add"]


def test_fold_constants_keeps_chance(build, ops):
    """Random numbers are drawn when the graph runs."""
    before = build("g (float[2] x, float[2] a) => (float[2] y) { r = RandomNormalLike(a)  y = Add(x, r) }")

    assert ops(apply_transforms(before, "fold_constants").model) == ["RandomNormalLike", "Add"]


def test_fold_constants_leaves_what_decides_a_branch(build, ops):
    """A condition stays a computation; what else is constant is folded."""
    before = build(
        "g (float[2] x, float[2] a, float[2] b) => (float[2] y)"
        "{ n = Size(x)  two = Constant<value_int = 2>()  c = Equal(n, two)  s = Add(a, b)"
        "  y = If(c) <then_branch = one () => (float[2] p) { p = Add(x, s) },"
        "             else_branch = two () => (float[2] q) { q = Sub(x, s) }> }"
    )

    assert ops(apply_transforms(before, "fold_constants").model) == ["Size", "Equal", "If"]


def test_infer_shapes_knows_sequences(build):
    """A sequence of tensors is not a tensor."""
    before = build(
        "g (float[2] x) => (float[2] y) { s = SequenceConstruct(x, x)  y = ConcatFromSequence<axis = 0>(s) }"
    )

    after = apply_transforms(before, "infer_shapes").model

    assert isinstance(after.graph[0].outputs[0].type, ir.SequenceType)


def test_infer_shapes_keeps_large_constants(build):
    """Constants that took part by their shape alone are there afterwards, and are no inputs."""
    before = build("g (float[N,64] x, float[64,64] w) => (float[N,64] y) { t = MatMul(x, w)  y = Relu(t) }")

    after = apply_transforms(before, "infer_shapes", outputs=["t"]).model

    assert [v.name for v in after.graph.inputs] == ["x"]
    assert after.graph.initializers["w"].const_value is before.graph.initializers["w"].const_value
    assert str(after.graph[0].outputs[0].shape) == "[N,64]"


def test_merge_duplicate_nodes_keeps_chance_apart(build, ops):
    """Two draws are two draws, also where the seed is the same operator's default."""
    before = build("g (float[2] x) => (float[2] y) { a = Bernoulli(x)  b = Bernoulli(x)  y = Sub(a, b) }")

    after = apply_transforms(before, "merge_duplicate_nodes")

    assert ops(after.model) == ["Bernoulli", "Bernoulli", "Sub"]
    assert all("kept_apart" not in node.attributes for node in after.model.graph)


def test_merge_duplicate_nodes_keeps_outputs(build, assert_same_output):
    """Equal results that the graph gives out under two names stay under two names."""
    before = build("g (float[2] x) => (float[2] y, float[2] z) { y = Neg(x)  z = Neg(x) }")

    after = apply_transforms(before, "merge_duplicate_nodes")

    assert_same_output(before, after.model)


def test_remove_identities_keeps_the_interface(build, ops, assert_same_output):
    """An Identity from an input to an output, or to a second output, stays."""
    before = build(
        "g (float[2] x) => (float[2] y, float[2] z, float[2] p) { y = Identity(x)  z = Neg(x)  p = Identity(z) }"
    )

    after = apply_transforms(before, "remove_identities")

    assert ops(after.model) == ["Identity", "Neg", "Identity"]
    assert_same_output(before, after.model)


def test_remove_identities_keeps_a_dropout_whose_mask_is_read(build, ops):
    """Only a Dropout that is nothing but an identity goes."""
    before = build("g (float[2] x) => (float[2] y, bool[2] m) { t, m = Dropout(x)  y = Neg(t) }")

    assert ops(apply_transforms(before, "remove_identities").model) == ["Dropout", "Neg"]


@pytest.mark.parametrize(
    "second",
    [
        "QuantizeLinear(d, t, z)",  # another scale
        "QuantizeLinear(d, s, o)",  # another zero point
        "QuantizeLinear<output_dtype = 2>(d, s)",  # another type
        "QuantizeLinear(d, xs, z)",  # a scale that is not constant
    ],
)
def test_remove_redundant_quantization_keeps_other_parameters(second, build, ops):
    """Parameters that differ, or may differ, requantize."""
    before = build(
        "g (int8[4] x, float xs) => (float[4] y) "
        f"<float s = {{0.5}}, float t = {{0.25}}, int8 z = {{3}}, int8 o = {{4}}>"
        f"{{ d = DequantizeLinear(x, s, z)  q = {second}  c = Cast<to = 1>(q)  y = Neg(c) }}"
    )

    assert not apply_transforms(before, "remove_redundant_quantization").modified


def test_remove_redundant_quantization_keeps_integers(build):
    """For every int8, Q(DQ(q)) is q, so that what follows computes the same."""
    before = build(
        "g (int8[256] x) => (float[256] y) <float s = {0.0123}, int8 z = {-7}>"
        "{ d = DequantizeLinear(x, s, z)  q = QuantizeLinear(d, s, z)  y = Cast<to = 1>(q) }"
    )
    feeds = {"x": np.arange(-128, 128, dtype=np.int8)}

    after = apply_transforms(before, "remove_redundant_quantization")

    assert after.modified
    np.testing.assert_array_equal(Execution(before).run(feeds)["y"], Execution(after.model).run(feeds)["y"])


def test_split_shared_biases_shares_the_bytes(build, assert_same_output):
    """A copied bias is the same tensor under another name; weights stay shared."""
    before = build(
        "g (float[N,3] x, float[3,3] w, float[3] b) => (float[N,3] z)"
        "{ [one] t = Gemm(x, w, b)  [two] u = Gemm(t, w, b)  z = Add(u, b) }"
    )

    after = apply_transforms(before, "split_shared_biases").model

    biases = [str(node.inputs[2].name) for node in after.graph if node.op_type == "Gemm"]
    assert len({*biases, "b"}) == 3
    assert {node.inputs[1].name for node in after.graph if node.op_type == "Gemm"} == {"w"}
    assert all(
        after.graph.initializers[name].const_value is before.graph.initializers["b"].const_value for name in biases
    )
    assert_same_output(before, after)


def test_strip_unused_nodes_cuts_at_inner_values(build):
    """A named inner value becomes an input with its shape; what fed it goes, inputs and constants too."""
    before = build(
        "g (float[N,3] x, float[N,3] x2, float[3,4] w) => (float[N,4] y) "
        "{ t = Add(x, x2)  u = Relu(t)  y = MatMul(u, w) }"
    )

    after = apply_transforms(before, "strip_unused_nodes", inputs=["u"], outputs=["y"]).model

    assert [(v.name, str(v.shape)) for v in after.graph.inputs] == [("u", "[N,3]")]
    assert [node.op_type for node in after.graph] == ["MatMul"]
    Execution(after).run({"u": np.ones((2, 3), np.float32)})


def test_strip_unused_nodes_keeps_inputs_that_are_needed(build):
    """An input that was not named but is needed stays, behind those that were named."""
    before = build("g (float[2] x, float[2] x2) => (float[2] y) { t = Relu(x)  y = Add(t, x2) }")

    after = apply_transforms(before, "strip_unused_nodes(inputs=t)").model

    assert [v.name for v in after.graph.inputs] == ["t", "x2"]


def test_strip_unused_nodes_names_what_was_meant(build):
    """An unknown name is refused with a near one."""
    with pytest.raises(TransformError, match="did you mean 'tensor'"):
        apply_transforms(
            build("g (float[2] x) => (float[2] y) { tensor = Relu(x) y = Neg(tensor) }"),
            "strip_unused_nodes(outputs=tensr)",
        )
