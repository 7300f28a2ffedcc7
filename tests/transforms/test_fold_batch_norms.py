"""fold_batch_norms keeps what is computed, in every trap that is known."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.graph.constants import QuantizedTensor
from bitwright.numerics.qparams import QuantParams
from bitwright.transforms.pipeline import apply_transforms

BN = "float[{c}] scale, float[{c}] shift, float[{c}] mean, float[{c}] variance"

FOLDED = {
    "conv": (
        f"g (float[N,3,8,8] x, float[4,3,3,3] w, float[4] b, {BN.format(c=4)}) => (float[N,4,h,k] y)"
        "{ t = Conv(x, w, b)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["Conv"],
    ),
    "conv without bias": (
        f"g (float[N,3,8,8] x, float[4,3,3,3] w, {BN.format(c=4)}) => (float[N,4,h,k] y)"
        "{ t = Conv(x, w)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["Conv"],
    ),
    "groups": (
        f"g (float[N,4,8,8] x, float[6,2,3,3] w, {BN.format(c=6)}) => (float[N,6,h,k] y)"
        "{ t = Conv<group = 2, pads = [1,0,0,2]>(x, w)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["Conv"],
    ),
    "depthwise": (
        f"g (float[N,4,8,8] x, float[4,1,3,3] w, {BN.format(c=4)}) => (float[N,4,h,k] y)"
        "{ t = Conv<group = 4>(x, w)  y = BatchNormalization<epsilon = 0.01>(t, scale, shift, mean, variance) }",
        ["Conv"],
    ),
    "one dimension": (
        f"g (float[N,3,8] x, float[4,3,3] w, {BN.format(c=4)}) => (float[N,4,h] y)"
        "{ t = Conv(x, w)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["Conv"],
    ),
    "transposed": (
        f"g (float[N,3,8,8] x, float[3,4,3,3] w, float[4] b, {BN.format(c=4)}) => (float[N,4,h,k] y)"
        "{ t = ConvTranspose(x, w, b)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["ConvTranspose"],
    ),
    "transposed groups": (
        f"g (float[N,4,8,8] x, float[4,3,3,3] w, {BN.format(c=6)}) => (float[N,6,h,k] y)"
        "{ t = ConvTranspose<group = 2, strides = [2,2]>(x, w)"
        "  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["ConvTranspose"],
    ),
    "gemm": (
        f"g (float[N,3] x, float[3,4] w, float[4] b, {BN.format(c=4)}) => (float[N,4] y)"
        "{ t = Gemm(x, w, b)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["Gemm"],
    ),
    "gemm alpha beta transB": (
        f"g (float[N,3] x, float[4,3] w, float[1,4] b, {BN.format(c=4)}) => (float[N,4] y)"
        "{ t = Gemm<alpha = 0.5, beta = 3.0, transB = 1>(x, w, b)"
        "  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["Gemm"],
    ),
    "gemm beta without bias": (
        f"g (float[N,3] x, float[3,4] w, {BN.format(c=4)}) => (float[N,4] y)"
        "{ t = Gemm<beta = 0.0>(x, w)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["Gemm"],
    ),
    "gemm scalar bias": (
        "g (float[N,3] x, float[3,4] w, float b, float[4] m) => (float[N,4] y) { t = Gemm(x, w, b)  y = Mul(t, m) }",
        ["Gemm"],
    ),
    "matmul": (
        f"g (float[N,3] x, float[3,4] w, {BN.format(c=4)}) => (float[N,4] y)"
        "{ t = MatMul(x, w)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        ["MatMul", "Add"],
    ),
    "matmul with bias": (
        f"g (float[N,3] x, float[3,4] w, float[4] b, {BN.format(c=4)}) => (float[N,4] y)"
        "{ t = MatMul(x, w)  u = Add(b, t)  y = BatchNormalization(u, scale, shift, mean, variance) }",
        ["MatMul", "Add"],
    ),
    "matmul times constant": (
        "g (float[N,5,3] x, float[3,4] w, float[1,1,4] m) => (float[N,5,4] y) { t = MatMul(x, w)  y = Mul(t, m) }",
        ["MatMul"],
    ),
    "written out": (
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[1,4,1,1] m, float[4,1,1] a, float[4,1,1] d, float s)"
        "=> (float[N,4,h,k] y)"
        "{ t = Conv(x, w)  u = Sub(t, a)  v = Div(u, d)  p = Mul(m, v)  q = Add(a, p)  r = Sub(s, q)  y = Relu(r) }",
        ["Conv", "Relu"],
    ),
    "bias as add": (
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[4,1,1] a) => (float[N,4,h,k] y){ t = Conv(x, w)  y = Add(t, a) }",
        ["Conv"],
    ),
}

LEFT = {
    "second reader": (
        f"g (float[N,3,8,8] x, float[4,3,3,3] w, {BN.format(c=4)}) => (float[N,4,h,k] y, float[N,4,h,k] z)"
        "{ t = Conv(x, w)  y = BatchNormalization(t, scale, shift, mean, variance)  z = Relu(t) }",
        "the result of the Conv is seen elsewhere",
    ),
    "graph output": (
        f"g (float[N,3,8,8] x, float[4,3,3,3] w, {BN.format(c=4)}) => (float[N,4,h,k] t, float[N,4,h,k] y)"
        "{ t = Conv(x, w)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        "the result of the Conv is seen elsewhere",
    ),
    "captured by a branch": (
        f"g (float[N,3,8,8] x, bool xc, float[4,3,3,3] w, {BN.format(c=4)}) => (float[N,4,h,k] y, float[N,4,h,k] z)"
        "{ t = Conv(x, w)  y = BatchNormalization(t, scale, shift, mean, variance)"
        "  z = If(xc) <then_branch = a () => (float[N,4,h,k] p) { p = Relu(t) },"
        "              else_branch = b () => (float[N,4,h,k] q) { q = Neg(t) }> }",
        "the result of the Conv is seen elsewhere",
    ),
    "rank not known": (
        f"g (float[N,5,3] x, float[3,5] w, {BN.format(c=5)}) => (float[N,5,5] y)"
        "{ t = MatMul(x, w)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        "axis 1 is not known to be the channels before it",
    ),
    "weights from an input": (
        f"g (float[N,3,8,8] x, float[4,3,3,3] xw, {BN.format(c=4)}) => (float[N,4,h,k] y)"
        "{ t = Conv(x, xw)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        "the weights of the Conv are not a plain float constant",
    ),
    "bias from an input": (
        f"g (float[N,3,8,8] x, float[4] xb, float[4,3,3,3] w, {BN.format(c=4)}) => (float[N,4,h,k] y)"
        "{ t = Conv(x, w, xb)  y = BatchNormalization(t, scale, shift, mean, variance) }",
        "the bias of the Conv is not constant",
    ),
    "nothing before": (
        f"g (float[N,4,8,8] x, {BN.format(c=4)}) => (float[N,4,8,8] y)"
        "{ y = BatchNormalization(x, scale, shift, mean, variance) }",
        "no Conv, ConvTranspose, Gemm or MatMul before it",
    ),
}

UNTOUCHED = {
    "one per row": (
        "g (float[N,3,4,4] x, float[4,3,1,1] w, float[4] m) => (float[N,4,4,4] y){ t = Conv(x, w)  y = Mul(t, m) }"
    ),
    "broadcasts": (
        "g (float[N,3,4,4] x, float[1,3,1,1] w, float[5,1,1] m) => (float[N,5,4,4] y){ t = Conv(x, w)  y = Mul(t, m) }"
    ),
    "adds an axis": (
        "g (float[N,3] x, float[3,4] w, float[1,1,4] m) => (float[1,N,4] y){ t = Gemm(x, w)  y = Mul(t, m) }"
    ),
    "constant over": ("g (float[N,3] x, float[3,4] w, float[4] m) => (float[N,4] y){ t = Gemm(x, w)  y = Div(m, t) }"),
    "with itself": ("g (float[N,3] x, float[3,4] w) => (float[N,4] y){ t = Gemm(x, w)  y = Add(t, t) }"),
    "matmul and bias": (
        "g (float[N,3] x, float[3,4] w, float[4] b) => (float[N,4] y){ t = MatMul(x, w)  y = Add(t, b) }"
    ),
    "batched weights": (
        "g (float[2,5,3] x, float[2,3,4] w, float[4] m) => (float[2,5,4] y){ t = MatMul(x, w)  y = Mul(t, m) }"
    ),
}


@pytest.mark.parametrize("case", FOLDED)
def test_fold_batch_norms_keeps_the_result(case, build, assert_same_output, ops):
    """What is folded computes the same, under the same output name."""
    text, expected = FOLDED[case]
    before = build(text)

    after = apply_transforms(before, "fold_batch_norms")

    assert expected == ops(after.model)
    assert after.modified
    assert_same_output(before, after.model)


@pytest.mark.parametrize("case", LEFT)
def test_fold_batch_norms_says_why_it_leaves(case, build, assert_same_output, ops):
    """What cannot be folded stays, with its reason."""
    text, reason = LEFT[case]
    before = build(text)

    after = apply_transforms(before, "fold_batch_norms")

    assert not after.modified
    assert reason in after.steps[0].message
    assert "BatchNormalization" in ops(after.model)
    assert_same_output(before, after.model)


@pytest.mark.parametrize("case", UNTOUCHED)
def test_fold_batch_norms_leaves_what_is_not_per_channel(case, build, assert_same_output, ops):
    """Constants that are not one a channel of this result stay."""
    before = build(UNTOUCHED[case])

    after = apply_transforms(before, "fold_batch_norms")

    assert not after.modified
    assert ops(before) == ops(after.model)


def test_fold_batch_norms_copies_a_shared_weight(build, assert_same_output, ops):
    """A weight and bias used by two convolutions are copied, not changed in place."""
    before = build(
        f"g (float[N,3,8,8] x, float[4,3,3,3] w, float[4] b, {BN.format(c=4)}) => (float[N,4,6,6] y, float[N,4,6,6] z)"
        "{ t = Conv(x, w, b)  y = BatchNormalization(t, scale, shift, mean, variance)  z = Conv(x, w, b) }"
    )

    after = apply_transforms(before, "fold_batch_norms")

    assert ops(after.model) == ["Conv", "Conv"]
    assert_same_output(before, after.model)


@pytest.mark.parametrize("attributes", ["training_mode = 1", "training_mode = 0"])
def test_fold_batch_norms_leaves_training(attributes, build, ops):
    """A BatchNormalization in training mode uses the batch's own statistics."""
    outputs = "y, m, v" if attributes.endswith("1") else "y"
    before = build(
        f"g (float[N,3,8,8] x, float[4,3,3,3] w, {BN.format(c=4)}) => (float[N,4,h,k] y)"
        f"{{ t = Conv(x, w)  {outputs} = BatchNormalization<{attributes}>(t, scale, shift, mean, variance) }}"
    )

    after = apply_transforms(before, "fold_batch_norms")

    assert after.modified == attributes.endswith("0")
    assert "training" in after.steps[0].message or after.modified


def test_fold_batch_norms_leaves_integers(build):
    """Weights that are held as integers are not turned back into floats."""
    before = build("g (float[N,3] x, float[3,4] w, float[4] m) => (float[N,4] y) { t = Gemm(x, w)  y = Mul(t, m) }")
    integers = np.ones((3, 4), np.int8)
    before.graph.initializers["w"].const_value = QuantizedTensor(
        integers, QuantParams(scale=(0.5,), zero_point=(0,)), name="w"
    )

    after = apply_transforms(before, "fold_batch_norms")

    assert not after.modified
    assert isinstance(after.model.graph.initializers["w"].const_value, QuantizedTensor)


def test_fold_batch_norms_leaves_overridable_constants(build):
    """An initializer that is an input as well can be given by the caller."""
    before = build("g (float[N,3] x, float[3,4] w, float[4] m) => (float[N,4] y) { t = Gemm(x, w)  y = Mul(t, m) }")
    before.graph.inputs.append(before.graph.initializers["w"])

    assert not apply_transforms(before, "fold_batch_norms").modified


def test_fold_batch_norms_leaves_what_would_overflow(build):
    """Folding that gives infinite weights does not happen."""
    before = build(
        "g (float[N,3] x, float[3,4] w, float[4] m) => (float[N,4] y) { t = Gemm(x, w)  y = Mul(t, m) }",
        w=[3e38] * 12,
        m=[10.0] * 4,
    )

    assert not apply_transforms(before, "fold_batch_norms").modified


def test_fold_batch_norms_keeps_the_node_name(build):
    """The convolution keeps its name, because plans and recipes go by it."""
    before = build(
        "g (float[N,3] x, float[3,4] w, float[4] m) => (float[N,4] y) { [fc] t = Gemm(x, w)  y = Mul(t, m) }"
    )

    after = apply_transforms(before, "fold_batch_norms").model

    assert [(node.name, node.outputs[0].name) for node in after.graph] == [("fc", "y")]
    assert isinstance(after, ir.Model)
    assert set(after.graph.initializers) == {"w"}
