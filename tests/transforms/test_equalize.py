"""equalize keeps what is computed and makes the ranges of two layers meet."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.errors import TransformError
from bitwright.transforms.pipeline import apply_transforms

PAIRS = {
    "relu": (
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[4] b, float[5,4,3,3] v) => (float[N,5,4,4] y)"
        "{ t = Conv(x, w, b)  r = Relu(t)  y = Conv(r, v) }"
    ),
    "nothing between": (
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[5,4,3,3] v) => (float[N,5,4,4] y)"
        "{ t = Conv(x, w)  y = Conv(t, v) }"
    ),
    "leaky": (
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[4] b, float[5,4,3,3] v) => (float[N,5,4,4] y)"
        "{ t = Conv(x, w, b)  r = LeakyRelu<alpha = 0.3>(t)  y = Conv(r, v) }"
    ),
    "prelu": (
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[4] b, float[4,1,1] a, float[5,4,3,3] v) => (float[N,5,4,4] y)"
        "{ t = Conv(x, w, b)  r = PRelu(t, a)  y = Conv(r, v) }"
    ),
    "depthwise": (
        "g (float[N,3,8,8] x, float[4,3,1,1] w, float[4] b, float[4,1,3,3] d, float[4] c, float[5,4,1,1] v)"
        "=> (float[N,5,6,6] y)"
        "{ t = Conv(x, w, b)  r = Relu(t)  s = Conv<group = 4>(r, d, c)  q = Relu(s)  y = Conv(q, v) }"
    ),
    "groups": (
        "g (float[N,4,8,8] x, float[6,2,3,3] w, float[4,3,1,1] v) => (float[N,4,6,6] y)"
        "{ t = Conv<group = 2>(x, w)  r = Relu(t)  y = Conv<group = 2>(r, v) }"
    ),
    "transposed": (
        "g (float[N,4,8,8] x, float[4,3,3,3] w, float[6] b, float[6,2,3,3] v) => (float[N,4,12,12] y)"
        "{ t = ConvTranspose<group = 2>(x, w, b)  r = Relu(t)  y = ConvTranspose<group = 2>(r, v) }"
    ),
    "gemm": (
        "g (float[N,3] x, float[3,4] w, float[4] b, float[5,4] v) => (float[N,5] y)"
        "{ t = Gemm<beta = 2.0>(x, w, b)  r = Relu(t)  y = Gemm<transB = 1>(r, v) }"
    ),
    "matmul": (
        "g (float[N,3] x, float[3,4] w, float[4,5] v) => (float[N,5] y)"
        "{ t = MatMul(x, w)  r = Relu(t)  y = MatMul(r, v) }"
    ),
    "shared weights": (
        "g (float[N,4,8,8] x, float[4,4,3,3] w, float[4] b) => (float[N,4,4,4] y)"
        "{ t = Conv(x, w, b)  r = Relu(t)  y = Conv(r, w, b) }"
    ),
}

DECLINED = {
    "bounded": (
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float low, float high, float[5,4,3,3] v) => (float[N,5,4,4] y)"
        "{ t = Conv(x, w)  r = Clip(t, low, high)  y = Conv(r, v) }",
        "a bounded Clip between",
    ),
    "sigmoid": (
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[5,4,3,3] v) => (float[N,5,4,4] y)"
        "{ t = Conv(x, w)  r = Sigmoid(t)  y = Conv(r, v) }",
        "Sigmoid between",
    ),
    "second reader": (
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[5,4,3,3] v) => (float[N,5,4,4] y, float[N,4,6,6] r)"
        "{ t = Conv(x, w)  r = Relu(t)  y = Conv(r, v) }",
        "",
    ),
    "bias from an input": (
        "g (float[N,3,8,8] x, float[4] xb, float[4,3,3,3] w, float[5,4,3,3] v) => (float[N,5,4,4] y)"
        "{ t = Conv(x, w, xb)  y = Conv(t, v) }",
        "the bias of the Conv is not constant",
    ),
}


@pytest.mark.parametrize("case", PAIRS)
def test_equalize_keeps_the_result(case, build, assert_same_output):
    """The float meaning stays."""
    before = build(PAIRS[case])

    after = apply_transforms(before, "equalize")

    assert after.modified
    assert_same_output(before, after.model)


@pytest.mark.parametrize("case", DECLINED)
def test_equalize_says_why_it_declines(case, build):
    """A pair that is none stays, with the reason."""
    text, reason = DECLINED[case]

    after = apply_transforms(build(text), "equalize")

    assert not after.modified
    assert reason in after.steps[0].message


def test_equalize_makes_ranges_equal(build):
    """Behind it, the largest weight of each channel is the same on both sides."""
    before = build(PAIRS["relu"])

    after = apply_transforms(before, "equalize").model.graph.initializers

    w, v = (after[name].const_value.numpy() for name in ("w", "v"))
    np.testing.assert_allclose(np.abs(w).max(axis=(1, 2, 3)), np.abs(v).max(axis=(0, 2, 3)), rtol=1e-3)


def test_equalize_converges_over_three_layers(build):
    """Over a chain, every pair ends equal, not only the last that was looked at."""
    before = build(PAIRS["depthwise"])

    after = apply_transforms(before, "equalize").model.graph.initializers

    w, d, v = (after[name].const_value.numpy() for name in ("w", "d", "v"))
    np.testing.assert_allclose(np.abs(w).max(axis=(1, 2, 3)), np.abs(d).max(axis=(1, 2, 3)), rtol=1e-2)
    np.testing.assert_allclose(np.abs(d).max(axis=(1, 2, 3)), np.abs(v).max(axis=(0, 2, 3)), rtol=1e-2)


def test_equalize_leaves_dead_channels(build, assert_same_output):
    """A channel without weights is not scaled: its bias would grow without bound."""
    w = np.random.default_rng(0).standard_normal((4, 3))
    w[1] = 0
    w[2] = 1e-20
    before = build(
        "g (float[N,3] x, float[4,3] w, float[4] b, float[5,4] v) => (float[N,5] y)"
        "{ t = Gemm<transB = 1>(x, w, b)  r = Relu(t)  y = Gemm<transB = 1>(r, v) }",
        w=w,
    )

    after = apply_transforms(before, "equalize").model

    biases = [before.graph.initializers["b"].const_value.numpy(), after.graph.initializers["b"].const_value.numpy()]
    np.testing.assert_array_equal(biases[0][1:3], biases[1][1:3])
    assert_same_output(before, after)


def test_equalize_refuses_no_iterations(build):
    """At least one round."""
    with pytest.raises(TransformError, match="iterations must be at least 1"):
        apply_transforms(build(PAIRS["relu"]), "equalize(iterations=0)")
