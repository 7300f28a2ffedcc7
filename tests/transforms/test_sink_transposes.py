"""sink_transposes: what it moves, what it merges, and what stays where it is."""

from __future__ import annotations

import pytest

from bitwright.transforms.pipeline import copy_of
from bitwright.transforms.sink_transposes import sink_transposes

IN, OUT = "Transpose<perm=[0,3,1,2]>", "Transpose<perm=[0,2,3,1]>"


@pytest.fixture
def sunk(build, assert_same_output):
    """The graph of a text after the pass; it computes what it computed."""

    def make(text):
        before = build(text)
        after = copy_of(before)
        sink_transposes(after)
        assert_same_output(before, after)
        return after

    return make


def test_sink_transposes_cancels_inverses_around_arithmetic(sunk, ops):
    """Constants are transposed the other way: a bias of the last axis becomes one of axis 1."""
    after = sunk(
        "g (float[2,4,5,3] x, float[3] b, float[1,4,1,3] c) => (float[2,4,5,3] y)"
        f"{{ t = {IN}(x)  r = Relu(t)  u = {OUT}(r)  a = Add(u, b)  m = Mul(c, a)  v = {IN}(m)  s = Sigmoid(v)"
        f"  y = {OUT}(s) }}"
    )

    assert ops(after) == ["Relu", "Add", "Mul", "Sigmoid"]


def test_sink_transposes_lets_a_bias_reach_its_convolution(sunk, ops):
    """What is left stands at the border of the graph."""
    after = sunk(
        "g (float[2,6,6,3] x, float[4,3,3,3] w, float[4] b) => (float[2,4,4,4] y)"
        f"{{ t = {IN}(x)  c = Conv(t, w)  u = {OUT}(c)  a = Add(u, b)  y = Relu(a) }}"
    )

    assert ops(after) == ["Transpose", "Conv", "Add", "Relu", "Transpose"]
    assert after.graph.outputs[0].name == "y"


def test_sink_transposes_goes_through_sums_and_joins_of_both_sides(sunk, ops):
    """Residual sums, and a Concat of channels, whose axis moves."""
    after = sunk(
        "g (float[2,3,4,5] x, float[2,3,4,5] x2) => (float[2,6,4,5] y)"
        f"{{ t = {OUT}(x)  u = {OUT}(x2)  a = Add(t, u)  c = Concat<axis=-1>(a, u)  y = {IN}(c) }}"
    )

    assert ops(after) == ["Add", "Concat"]


@pytest.mark.parametrize(("keepdims", "shape"), [(0, "2,3"), (1, "2,1,1,3")], ids=["dropped", "kept"])
def test_sink_transposes_goes_through_reductions(keepdims, shape, sunk, ops):
    """A mean over the image: its axes are others, and nothing is left to order when they are dropped."""
    after = sunk(
        f"g (float[2,3,4,5] x) => (float[{shape}] y) <int64[2] axes = {{1, -2}}>"
        f"{{ t = {OUT}(x)  y = ReduceMean<keepdims={keepdims}>(t, axes) }}"
    )

    assert ops(after) == ["ReduceMean", "Transpose"][: 1 + keepdims]


def test_sink_transposes_leaves_a_reader_of_the_other_layout_its_own(sunk, ops):
    """A Transpose that is read by what does not move stays for it; the others go."""
    after = sunk(
        "g (float[2,3,4,5] x) => (float[2,3,4,5] y, float[2,60] z) <int64[2] shape = {2, 60}>"
        f"{{ t = {OUT}(x)  r = Relu(t)  y = {IN}(r)  z = Reshape(t, shape) }}"
    )

    assert sorted(ops(after)) == ["Relu", "Reshape", "Transpose"]


def test_sink_transposes_keeps_a_result_that_is_a_graph_output_as_well(sunk, ops):
    """Each output has its name and its layout."""
    after = sunk(
        f"g (float[2,3,4,5] x) => (float[2,4,5,3] a, float[2,3,4,5] y) {{ t = {OUT}(x)  a = Relu(t)  y = {IN}(a) }}"
    )

    assert sorted(ops(after))[:1] == ["Relu"]
    assert [value.name for value in after.graph.outputs] == ["a", "y"]


def test_sink_transposes_stops_at_operands_of_two_layouts(sunk, ops):
    """A sum of something transposed and something that is not."""
    after = sunk(f"g (float[2,3,4,5] x, float[2,4,5,3] x2) => (float[2,4,5,3] y) {{ t = {OUT}(x)  y = Add(t, x2) }}")

    assert ops(after) == ["Transpose", "Add"]
