"""Small networks, float: what LiteRT computes of them, and how many operators the change of layout cost."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.graph.execution import random_feeds
from bitwright.lowering.layout import layouts_of
from bitwright.lowering.lower import lower

#: name -> (graph as text, inputs that are fed, TRANSPOSE operators that cannot be done without).
NETWORKS = {
    "residual": (
        """net (float[N, 3, 9, 9] x, float[8, 3, 3, 3] w1, float[8] b1, float[8, 8, 3, 3] w2, float[8] b2,
            float[8, 3, 1, 1] w3) => (float[N, 8, 5, 5] y) {
            c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1, b1) r = Relu(c)
            d = Conv <auto_pad = "SAME_UPPER"> (r, w2, b2) s = Conv <strides = [2, 2]> (x, w3)
            a = Add(d, s) y = Relu(a)
        }""",
        1,
        0,
    ),
    "squeeze-and-excite": (
        """net (float[1, 8, 6, 6] x, float[8, 8, 3, 3] w, float[4, 8] w1, float[4] b1, float[8, 4] w2)
            => (float[1, 8, 6, 6] y) <int64[2] places = {2, 3}> {
            c = Conv <pads = [1, 1, 1, 1]> (x, w) m = ReduceMean <keepdims = 0> (c, places)
            g = Gemm <transB = 1> (m, w1, b1) r = Relu(g) h = Gemm <transB = 1> (r, w2) s = HardSigmoid(h)
            u = Unsqueeze(s, places) y = Mul(u, c)
        }""",
        1,
        0,
    ),
    "flatten-then-dense": (
        """net (float[1, 3, 6, 6] x, float[8, 3, 3, 3] w, float[10, 128] w1, float[10] b1) => (float[1, 10] y) {
            c = Conv(x, w) f = Flatten(c) r = Relu(f) g = Gemm <transB = 1> (r, w1, b1) y = Softmax(g)
        }""",
        1,
        0,
    ),
    "channel-shuffle": (
        """net (float[1, 8, 6, 6] x, float[12, 8, 1, 1] w1, float[12, 1, 3, 3] w2, float[12] b2, float[5, 12, 1, 1] w3)
            => (float[1, 5, 6, 6] y) <int64[5] split = {1, 3, 4, 6, 6}, int64[4] join = {1, 12, 6, 6}> {
            a = Conv(x, w1) b = Reshape(a, split) c = Transpose <perm = [0, 2, 1, 3, 4]> (b) d = Reshape(c, join)
            e = Conv <group = 12, pads = [1, 1, 1, 1]> (d, w2, b2) f = Relu(e) y = Conv(f, w3)
        }""",
        1,
        0,
    ),
    "channel-shuffle-then-concat": (
        """net (float[1, 8, 6, 6] x, float[12, 8, 1, 1] w1) => (float[1, 12, 6, 6] y)
            <int64[5] split = {1, 3, 4, 6, 6}, int64[4] join = {1, 12, 6, 6}> {
            a = Conv(x, w1) b = Reshape(a, split) c = Transpose <perm = [0, 2, 1, 3, 4]> (b) d = Reshape(c, join)
            e = Concat <axis = 1> (d, a) f, g = Split <axis = 1, num_outputs = 2> (e) y = Sub(f, g)
        }""",
        1,
        1,
    ),
    "made-for-channels-last": (
        """net (float[1, 6, 6, 3] x, float[8, 3, 3, 3] w) => (float[1, 4, 4, 8] y) {
            t = Transpose <perm = [0, 3, 1, 2]> (x) c = Conv(t, w) r = Relu(c) y = Transpose <perm = [0, 2, 3, 1]> (r)
        }""",
        1,
        0,
    ),
    "detection-head": (
        """net (float[1, 3, 8, 8] x, float[12, 3, 3, 3] w1, float[8, 3, 3, 3] w2) => (float[1, 210, 4] y)
            <int64[3] boxes = {1, -1, 4}> {
            a = Conv <pads = [1, 1, 1, 1]> (x, w1) b = Transpose <perm = [0, 2, 3, 1]> (a) c = Reshape(b, boxes)
            d = Conv <strides = [2, 2]> (x, w2) e = Transpose <perm = [0, 2, 3, 1]> (d) f = Reshape(e, boxes)
            y = Concat <axis = 1> (c, f)
        }""",
        1,
        0,
    ),
    "attention": (
        """net (float[1, 7, 16] x, float[16, 16] wq, float[16, 16] wk, float[16, 16] wv, float[16] bv, float[16, 16] wo,
            float[16] g, float[16] s) => (float[1, 7, 16] y)
            <int64[4] heads = {1, 7, 4, 4}, int64[3] whole = {1, 7, 16}, float half = {0.5}> {
            q0 = MatMul(x, wq) q1 = Reshape(q0, heads) q = Transpose <perm = [0, 2, 1, 3]> (q1)
            k0 = MatMul(x, wk) k1 = Reshape(k0, heads) k = Transpose <perm = [0, 2, 3, 1]> (k1)
            v0 = MatMul(x, wv) v2 = Add(v0, bv) v1 = Reshape(v2, heads) v = Transpose <perm = [0, 2, 1, 3]> (v1)
            p = MatMul(q, k) h = Mul(p, half) a = Softmax <axis = -1> (h) o = MatMul(a, v)
            o1 = Transpose <perm = [0, 2, 1, 3]> (o) o2 = Reshape(o1, whole) o3 = MatMul(o2, wo) r = Add(o3, x)
            y = LayerNormalization <axis = -1> (r, g, s)
        }""",
        1,
        4,
    ),
    "one-dimensional": (
        """net (float[1, 5, 20] x, float[8, 5, 3] w1, float[8] b1, float[8, 1, 3] w2) => (float[1, 8] y)
            <int64[1] time = {2}> {
            c = Conv <pads = [1, 1]> (x, w1, b1) r = Relu(c) p = MaxPool <kernel_shape = [2], strides = [2]> (r)
            d = Conv <group = 8, dilations = [2]> (p, w2) y = ReduceMean <keepdims = 0> (d, time)
        }""",
        1,
        0,
    ),
    "pyramid": (
        """net (float[1, 3, 8, 8] x, float[4, 3, 3, 3] w1, float[8, 4, 3, 3] w2, float[4, 12, 1, 1] w3,
            float[4, 2, 4, 4] w4) => (float[1, 2, 16, 16] y) <float[4] twice = {1, 1, 2, 2}> {
            a = Conv <pads = [1, 1, 1, 1]> (x, w1) b = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
            c = Conv <pads = [1, 1, 1, 1]> (b, w2) u = Resize <mode = "linear"> (c, , twice)
            j = Concat <axis = 1> (u, a) d = Conv(j, w3)
            y = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1]> (d, w4)
        }""",
        1,
        0,
    ),
    "group-normalization": (
        """net (float[1, 8, 4, 4] x, float[8, 8, 1, 1] w, float[8] g, float[8] s) => (float[1, 8, 4, 4] y) {
            c = Conv(x, w) n = GroupNormalization <num_groups = 2> (c, g, s) y = InstanceNormalization(n, g, s)
        }""",
        1,
        0,
    ),
    "broadcasts": (
        """net (float[1, 4, 6, 6] x, float[4, 4, 1, 1] w, float[6, 6] plane, float[1, 4, 6, 1] rows, float one)
            => (float[1, 4, 6, 6] y) <int64[1] channels = {1}> {
            c = Conv(x, w) a = Add(c, plane) m = Mul(rows, a) l = ReduceMax(m, channels) s = Sub(l, m) y = Div(s, one)
        }""",
        1,
        0,
    ),
    "shape-of-the-data": (
        """net (float[N, 3, 8, 8] x, float[4, 3, 3, 3] w, float[144, 3] w1) => (float[N, 3] y)
            <int64 first = {0}, int64[1] zero = {0}, int64[1] rest = {-1}> {
            c = Conv(x, w) s = Shape(c) n = Gather(s, first) u = Unsqueeze(n, zero) t = Concat <axis = 0> (u, rest)
            f = Reshape(c, t) y = Gemm(f, w1)
        }""",
        1,
        0,
    ),
    "several-outputs-of-one-value": (
        """net (float[1, 4] x) => (float[1, 4] same, float[1, 4] y, float[2, 2] z) <int64[2] square = {2, 2}> {
            y = Relu(x) same = Identity(x) z = Reshape(y, square)
        }""",
        1,
        0,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_lower_network_computes_what_onnx_runtime_does(name, network, on_onnx_runtime, on_litert):
    """Within 1e-5 of the largest value, on LiteRT's reference kernels and by default."""
    text, inputs, _ = NETWORKS[name]
    model = network(text, inputs)
    program = lower(model, None)
    feeds = random_feeds(model)
    wanted = on_onnx_runtime(model, feeds)

    for resolver in ("BUILTIN_REF", "AUTO"):
        made = on_litert(program, feeds, resolver)

        assert {k: v.shape for k, v in wanted.items()} == {k: v.shape for k, v in made.items()}
        for output, array in wanted.items():
            assert np.abs(array - made[output]).max() <= 1e-5 * np.abs(array).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_lower_network_transposes_no_more_than_it_must(name, network):
    """Layouts are carried through; what cannot be expressed so costs one TRANSPOSE a place."""
    text, inputs, most = NETWORKS[name]

    program = lower(network(text, inputs), None)

    assert most == sum(operator.kind == "TRANSPOSE" for operator in program.operators)


def test_lower_says_which_ports_have_channels_last(network):
    """An image network's input and output move; the metadata names the order of their dimensions."""
    program = lower(network(*NETWORKS["residual"][:2]), None)

    moved = layouts_of(program)
    assert (dict(moved.inputs), dict(moved.outputs)) == ({"x": (0, 2, 3, 1)}, {"y": (0, 2, 3, 1)})
    assert program.tensors["x"].shape == (1, 9, 9, 3)


def test_lower_leaves_an_input_that_is_transposed_first(network):
    """A model made for channels last keeps its face, and no port is named."""
    program = lower(network(*NETWORKS["made-for-channels-last"][:2]), None)

    assert dict(program.metadata) == {}
    assert [program.tensors[p.tensor].shape for p in (*program.inputs, *program.outputs)] == [
        (1, 6, 6, 3),
        (1, 4, 4, 8),
    ]


def test_lower_leaves_the_graph_as_it_was(network):
    """Neither nodes nor constants of the given graph change."""
    model = network(*NETWORKS["channel-shuffle"][:2])
    before = [(node.name, [v.name for v in node.inputs]) for node in model.graph]
    weights = {name: value.const_value.numpy().copy() for name, value in model.graph.initializers.items()}

    lower(model, None)

    assert before == [(node.name, [v.name for v in node.inputs]) for node in model.graph]
    assert all(
        np.array_equal(array, model.graph.initializers[name].const_value.numpy()) for name, array in weights.items()
    )
