"""Edits of TensorFlow's list: what they must not do. What they do is in tests/golden."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.errors import TransformError
from bitwright.transforms.pipeline import apply_transforms

CONV = "g (float[N,2,6,6] x, float[3,2,3,3] w) => (float[N,3,A,B] y) "


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("<int64[8] p = {0,0,1,2,0,0,0,1}> { t = Pad(x, p)  y = Conv(t, w) }", id="asymmetric"),
        pytest.param(
            "<int64[4] p = {1,2,0,1}, int64[2] a = {-2,3}, float z = {0}> { t = Pad(x, p, z, a)  y = Conv(t, w) }",
            id="some-axes",
        ),
        pytest.param(
            '<int64[8] p = {0,0,1,1,0,0,1,1}> { t = Pad(x, p)  y = Conv<strides=[2,2], auto_pad="VALID">(t, w) }',
            id="valid",
        ),
    ],
)
def test_fuse_convolutions_computes_the_same(body, build, ops, assert_same_output):
    """Zeros on any side of the image go into the convolution."""
    before = build(CONV + body)

    after = apply_transforms(before, "fuse_convolutions")

    assert after.modified
    assert ops(after.model) == ["Conv"]
    assert_same_output(before, after.model)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<int64[8] p = {0,0,-1,0,0,0,0,0}> { t = Pad(x, p)  y = Conv(t, w) }", "cuts"),
        ("<int64[8] p = {1,0,0,0,0,0,0,0}> { t = Pad(x, p)  y = Conv(t, w) }", "beside the image"),
        ("<int64[8] p = {0,0,1,0,0,0,0,0}, float one = {1}> { t = Pad(x, p, one)  y = Conv(t, w) }", "than 0"),
        (
            '<int64[8] p = {0,0,1,0,0,0,0,0}> { t = Pad(x, p)  y = Conv<auto_pad="SAME_UPPER">(t, w) }',
            "size of its image",
        ),
        ("<float[4] s = {1,1,2,2}> { t = Resize(x, , s)  y = Conv(t, w) }", "does not resize"),
    ],
)
def test_fuse_convolutions_says_what_it_leaves(body, reason, build):
    """What a convolution cannot do itself stays, with the reason."""
    after = apply_transforms(build(CONV + body), "fuse_convolutions")

    assert not after.modified
    assert reason in after.steps[0].message


def test_fuse_convolutions_keeps_a_pad_that_others_read(build, ops, assert_same_output):
    """Only the convolution stops reading it."""
    before = build(
        "g (float[N,2,6,6] x, float[3,2,3,3] w) => (float[N,3,6,6] y, float[N,2,8,8] z) "
        "<int64[8] p = {0,0,1,1,0,0,1,1}> { t = Pad(x, p)  y = Conv(t, w)  z = Relu(t) }"
    )

    after = apply_transforms(before, "fuse_convolutions")

    assert ops(after.model) == ["Pad", "Conv", "Relu"]
    assert_same_output(before, after.model)


def test_obfuscate_names_computes_the_same(build, assert_same_output):
    """Names are all that changes; inputs, outputs and the values that a call pins keep theirs."""
    before = build(
        "g (float[N,4] x, float[4,4] secret) => (float[N,4] y)"
        "{ [inner] hidden = MatMul(x, secret)  [more] pinned = Relu(hidden)  [last] y = Neg(pinned) }"
    )
    before.graph[0].metadata_props["source"] = "secret.py, line 3"

    after = apply_transforms(before, "obfuscate_names", outputs=["y", "pinned"])

    text = ir.to_onnx_text(after.model)
    assert all(word not in text for word in ("secret", "hidden", "inner", "more", "last"))
    assert "pinned" in text
    assert not after.model.graph[0].metadata_props
    assert_same_output(before, after.model)
    assert before.graph.initializers["secret"].const_value.name == "secret"


def test_obfuscate_names_reaches_branches(build, assert_same_output):
    """Values of subgraphs are renamed with those that capture them."""
    before = build(
        "g (float[2] x, float[2] a) => (float[2] y) { t = Add(x, a)  s = ReduceSum<keepdims=0>(t)  c = Cast<to=9>(s)"
        "  y = If(c) <then_branch = one () => (float[2] p) { p = Add(x, t) },"
        "             else_branch = two () => (float[2] q) { q = Sub(x, t) }> }"
    )

    after = apply_transforms(before, "obfuscate_names")

    assert "p" not in {value.name for node in after.model.graph.all_nodes() for value in node.outputs}
    assert_same_output(before, after.model)


def test_remove_nodes_keeps_the_names_of_outputs(build, ops):
    """The output of a node that goes is its input, under the output's name."""
    before = build("g (float[2] x) => (float[2] y) { t = Neg(x)  y = Relu(t) }")

    after = apply_transforms(before, "remove_nodes(op=Relu)").model

    assert ops(after) == ["Neg"]
    assert [value.name for value in after.graph.outputs] == ["y"]


def test_remove_nodes_says_what_it_leaves(build):
    """More inputs than asked, a second result, the only way to an output."""
    before = build(
        "g (float[2] x, float[2] x2) => (float[2] y, bool[2] m, float[2] z)"
        "{ t = Add(x, x2)  d, m = Dropout(t)  y = Relu(d)  z = Identity(x) }"
    )

    after = apply_transforms(before, "remove_nodes(op=Add, op=Dropout, op=Identity)")

    assert not after.modified
    for reason in ("Add of 2 inputs", "Dropout of more than one result", "Identity that names an output"):
        assert reason in after.steps[0].message
    assert apply_transforms(before, "remove_nodes(op=Add, max_inputs=2)").modified


@pytest.mark.parametrize("steps", [256, 16, 1])
def test_round_weights_leaves_so_many_values(steps, build):
    """No constant has more values than steps, and none is further than half a step away."""
    before = build("g (float[N,64] x, float[64,64] w) => (float[N,64] y) { y = MatMul(x, w) }")

    after = apply_transforms(before, f"round_weights(num_steps={steps})").model

    old, new = (model.graph.initializers["w"].const_value.numpy() for model in (before, after))
    assert len(np.unique(new)) <= steps
    assert np.abs(new - old).max() <= (old.max() - old.min()) / steps / 2 * 1.001
    assert not np.array_equal(old, new)


def test_round_weights_keeps_what_is_not_finite(build):
    """A mask of infinities stays one."""
    mask = np.where(np.arange(16) % 2, -np.inf, np.arange(16) / 7)
    before = build("g (float[16] x, float[16] w) => (float[16] y) { y = Add(x, w) }", w=mask)

    after = apply_transforms(before, "round_weights(num_steps=2)").model

    np.testing.assert_array_equal(np.isneginf(mask), np.isneginf(after.graph.initializers["w"].const_value.numpy()))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("remove_nodes", "remove_nodes needs op"),
        ("rename_op(old_op_name=Relu)", "rename_op needs new_op_name"),
        ("remove_attribute(op_name=Relu)", "remove_attribute needs attribute_name"),
        ("rename_attribute(old_attribute_name=a)", "rename_attribute needs new_attribute_name"),
        ("round_weights(num_steps=0)", "num_steps must be at least 1"),
        ("round_weights(num_steps=few)", "num_steps of round_weights must be a whole number"),
        ("strip_unused_nodes(inputs=t, shape=wide)", "shape of strip_unused_nodes must be numbers with commas"),
        ("strip_unused_nodes(inputs=t, type=quint9)", "no type is called 'quint9'"),
        ("strip_unused_nodes(name=t, name=x, type_for_name=float)", "type_for_name is given 1 times for 2 names"),
    ],
)
def test_edits_refuse_wrong_arguments(text, told, build):
    """What a call lacks or cannot mean is said."""
    with pytest.raises(TransformError, match=told.replace("(", r"\(")):
        apply_transforms(build("g (float[2] x) => (float[2] y) { t = Relu(x)  y = Neg(t) }"), text)


def test_strip_unused_nodes_tells_types_by_name(build):
    """Every name has its own type and shape; what the graph knows stays."""
    before = build(
        "g (float[N,3] x) => (float[N,3] y, float[N,3] z)"
        "{ a = custom.Front(x)  b = custom.Back(x)  c = Neg(x)  y = Relu(a)  z = Add(b, c) }",
        header='<ir_version: 10, opset_import: ["": 21, "custom": 1]>\n',
    )

    text = 'strip_unused_nodes(name=a, type_for_name=float, shape_for_name="2,3", name=b, type_for_name=float, '
    after = apply_transforms(before, text + 'shape_for_name="4,3", type=int32)', inputs=["a", "b", "c"]).model

    found = {value.name: (value.dtype, str(value.shape)) for value in after.graph.inputs}
    assert found == {
        "a": (ir.DataType.FLOAT, "[2,3]"),
        "b": (ir.DataType.FLOAT, "[4,3]"),
        "c": (ir.DataType.FLOAT, "[N,3]"),
    }
