"""prune_channels removes whole channels: what is left computes what it did, and costs what was asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitwright.errors import TransformError
from bitwright.graph.constants import array_of
from bitwright.graph.execution import Execution, random_feeds
from bitwright.transforms.channels.choose import choose, step_scores
from bitwright.transforms.channels.cut import cut
from bitwright.transforms.channels.follow import follow
from bitwright.transforms.channels.groups import Costs, groups_of
from bitwright.transforms.channels.macs import multiply_accumulates
from bitwright.transforms.channels.prune import prune_channels
from bitwright.transforms.channels.trace import Trace
from bitwright.transforms.linear import linear_of
from bitwright.transforms.rewiring import set_constant
from bitwright.transforms.shapes import infer_shapes

MODELS = Path(__file__).parents[2].parent / "shared" / "models"

#: Each graph with the sizes of the groups of channels that may go.
CASES = {
    "chain": (
        "g (float[N,3,8,8] x, float[6,3,3,3] w, float[6] b, float[5,6,3,3] v, float[4,5,1,1] u) => (float[N,4,4,4] y)"
        "{ t = Conv(x, w, b)  r = Relu(t)  s = Conv(r, v)  y = Conv(s, u) }",
        [6, 5],
    ),
    "residual": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[4,6,1,1] v, float[6,4,1,1] u, float[2,6,1,1] z)"
        "=> (float[N,2,8,8] y)"
        "{ t = Conv(x, w)  r = Relu(t)  s = Conv(r, v)  p = Relu(s)  q = Conv(p, u)  a = Add(q, r)  y = Conv(a, z) }",
        [6, 4],
    ),
    "depthwise": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[12,1,3,3] d, float[12] c, float[2,12,1,1] z)"
        "=> (float[N,2,6,6] y)"
        "{ t = Conv(x, w)  r = Clip(t)  s = Conv<group = 6>(r, d, c)  y = Conv(s, z) }",
        [6],
    ),
    "depthwise transposed": (
        "g (float[N,3,8,8] x, float[3,6,1,1] w, float[6,1,3,3] d, float[6] c, float[6,2,1,1] z)"
        "=> (float[N,2,10,10] y)"
        "{ t = ConvTranspose(x, w)  s = ConvTranspose<group = 6>(t, d, c)  y = ConvTranspose(s, z) }",
        [6],
    ),
    "normalization": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[6] g, float[6] h, float[6] m, float[6] var, float[6,1,1] a,"
        " float[2,6,1,1] z) => (float[N,2,8,8] y)"
        "{ t = Conv(x, w)  b = BatchNormalization(t, g, h, m, var)  r = PRelu(b, a)"
        "  i = InstanceNormalization(r, g, h)  y = Conv(i, z) }",
        [6],
    ),
    "constants": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[1,6,1,1] a, float[8] c, float s, float[2,6,1,1] z)"
        "=> (float[N,2,8,8] y)"
        "{ t = Conv(x, w)  b = Add(a, t)  d = Mul(b, c)  e = Sub(d, s)  f = Max(e, a, s)  y = Conv(f, z) }",
        [6],
    ),
    "concat": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[5,3,1,1] v, float[2,14,1,1] z) => (float[N,2,8,8] y)"
        "{ t = Conv(x, w)  s = Conv(x, v)  c = Concat<axis = 1>(t, x, s)  y = Conv(c, z) }",
        [6, 5],
    ),
    "concat of one value twice": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[2,12,1,1] z) => (float[N,2,8,8] y)"
        "{ t = Conv(x, w)  r = Relu(t)  c = Concat<axis = 1>(t, r)  y = Conv(c, z) }",
        [6],
    ),
    "concat of rows": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[6,3,1,1] v, float[2,6,1,1] z) => (float[N,2,16,8] y)"
        "{ t = Conv(x, w)  s = Conv(x, v)  c = Concat<axis = 2>(t, s)  y = Conv(c, z) }",
        [6],
    ),
    "flatten and gemm": (
        "g (float[N,3,4,4] x, float[6,3,1,1] w, float[96,5] v, float[5] b, float[2,5] u) => (float[N,2] y)"
        "{ t = Conv(x, w)  f = Flatten(t)  h = Gemm<beta = 2.0>(f, v, b)  r = Relu(h)  y = Gemm<transB = 1>(r, u) }",
        [6, 5],
    ),
    "reshape and transpose": (
        "g (float[N,3,4,4] x, float[6,3,1,1] w, float[24,5] v) => (float[N,4,5] y) <int64[3] to = {-1, 24, 4}>"
        "{ t = Conv(x, w)  f = Reshape(t, to)  d = Transpose<perm = [0, 2, 1]>(f)  y = MatMul(d, v) }",
        [6],
    ),
    "flat shapes": (
        "g (float[N,3,4,4] x, float[6,3,1,1] w, float[96,5] v, float[96,5] u) => (float[N,5] y)"
        "<int64[2] flat = {-1, 96}, int64[2] rest = {0, -1}>"
        "{ t = Conv(x, w)  f = Reshape(t, flat)  e = Reshape(t, rest)  a = MatMul(f, v)  b = MatMul(e, u)"
        "  y = Add(a, b) }",
        [6],
    ),
    "rows of vectors": (
        "g (float[N,7,3] x, float[3,6] w, float[6] b, float[6,4] v) => (float[N,7,4] y)"
        "{ t = MatMul(x, w)  s = Add(t, b)  r = Gelu(s)  y = MatMul(r, v) }",
        [6],
    ),
    "squeeze and excite": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[4,6] v, float[6,4] u, float[2,6,1,1] z) => (float[N,2,8,8] y)"
        "<int64[2] hw = {2, 3}>"
        "{ t = Conv(x, w)  m = ReduceMean<keepdims = 0>(t, hw)  h = Gemm<transB = 1>(m, v)  r = Relu(h)"
        "  e = Gemm<transB = 1>(r, u)  s = Sigmoid(e)  q = Unsqueeze(s, hw)  p = Mul(t, q)  y = Conv(p, z) }",
        [6, 4],
    ),
    "shortcut padded with zeros": (
        "g (float[N,3,8,8] x, float[4,3,1,1] w, float[8,4,1,1] v, float[2,8,1,1] z) => (float[N,2,4,4] y)"
        "<int64[8] pads = {0,2,0,0,0,2,0,0}, int64[2] at = {0,0}, int64[2] end = {8,8}, int64[2] hw = {2,3},"
        " int64[2] by = {2,2}>"
        "{ t = Conv(x, w)  s = Conv<strides = [2, 2]>(t, v)  c = Slice(t, at, end, hw, by)  p = Pad(c, pads)"
        "  a = Add(s, p)  y = Conv(a, z) }",
        [4, 4],
    ),
    "pooled, padded, resized": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[2,6] z) => (float[N,2] y)"
        "<int64[8] pads = {0,0,1,1,0,0,1,1}, float[4] double = {1,1,2,2}, int64[4] sizes = {1,6,5,5},"
        " int64[2] hw = {2, 3}>"
        "{ t = Conv(x, w)  p = MaxPool<kernel_shape = [2, 2]>(t)  q = Pad(p, pads)  r = Resize(q, , double)"
        "  a = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(r)  g = GlobalAveragePool(a)"
        "  s = Squeeze(g, hw)  y = Gemm<transB = 1>(s, z) }",
        [6],
    ),
    "moved to the last axis": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[6] c, float[6,2] z) => (float[N,8,8,2] y)"
        "{ t = Conv(x, w)  p = Transpose<perm = [0, 2, 3, 1]>(t)  a = Add(p, c)  y = MatMul(a, z) }",
        [6],
    ),
    "one mask for all channels": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[1,3,1,1] v, float[2,6,1,1] z) => (float[N,2,8,8] y)"
        "{ t = Conv(x, w)  m = Conv(x, v)  s = Sigmoid(m)  p = Mul(s, t)  y = Conv(p, z) }",
        [6],
    ),
    "shared weights": (
        "g (float[N,6,8,8] x, float[6,6,1,1] w) => (float[N,6,8,8] y){ t = Conv(x, w)  r = Relu(t)  y = Conv(r, w) }",
        [6],
    ),
}

PINNED = {
    "a graph output": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w) => (float[N,6,8,8] y) { y = Conv(x, w) }",
        "'y' is an output of the graph",
    ),
    "a grouped convolution": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[6,3,1,1] v) => (float[N,6,8,8] y)"
        "{ t = Conv(x, w)  y = Conv<group = 2>(t, v) }",
        "a grouped convolution",
    ),
    "an unknown operator": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[2,6,1,1] z) => (float[N,2,8,8] y)"
        "{ t = Conv(x, w)  s = Softmax<axis = 1>(t)  y = Conv(s, z) }",
        "the operator is not known to channel pruning",
    ),
    "a slice of the channels": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[2,3,1,1] z) => (float[N,2,8,8] y)"
        "<int64[1] at = {0}, int64[1] end = {3}, int64[1] axis = {1}>"
        "{ t = Conv(x, w)  s = Slice(t, at, end, axis)  y = Conv(s, z) }",
        "it is not known to take all channels",
    ),
    "the input": (
        "g (float[N,3,8,8] x, float[3,3,1,1] w, float[2,3,1,1] z) => (float[N,2,8,8] y)"
        "{ t = Conv(x, w)  a = Add(t, x)  y = Conv(a, z) }",
        "it meets a value whose channels stay",
    ),
    "a border of ones": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[2,8,1,1] z) => (float[N,2,8,8] y)"
        "<int64[8] pads = {0,1,0,0,0,1,0,0}, float one = {1.0}>"
        "{ t = Conv(x, w)  p = Pad(t, pads, one)  y = Conv(p, z) }",
        "it pads the channels with other than zeros",
    ),
    "a mean over channels": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[2,1,1,1] z) => (float[N,2,8,8] y)"
        "<int64[1] axis = {1}> { t = Conv(x, w)  m = ReduceMean(t, axis)  y = Conv(m, z) }",
        "it reduces over channels",
    ),
    "its shape": (
        "g (float[N,3,8,8] x, float[6,3,1,1] w, float[2,6,1,1] z) => (float[N,2,8,8] y, int64[4] s)"
        "{ t = Conv(x, w)  s = Shape(t)  y = Conv(t, z) }",
        "the operator is not known to channel pruning",
    ),
    "a computed weight": (
        "g (float[N,3,8,8] x, float[4,2,1,1] x2, float[6,3,1,1] w, float[3,2,1,1] v) => (float[N,4,8,8] y)"
        "{ t = Conv(x2, v)  y = Conv(x, t) }",
        "the weights of the Conv are not a plain float constant",
    ),
    "a subgraph": (
        "g (float[N,3,8,8] x, bool[1] x2, float[6,3,1,1] w, float[2,6,1,1] z) => (float[N,2,8,8] y, float[N,6,8,8] q)"
        "{ t = Conv(x, w)  y = Conv(t, z)"
        "  q = If(x2) <then_branch = a () => (float[N,6,8,8] p) { p = Relu(t) },"
        " else_branch = b () => (float[N,6,8,8] n) { n = Neg(t) }> }",
        "'t' is read inside a subgraph",
    ),
}


def traced(model: ir.Model) -> tuple[ir.Model, Trace]:
    """A copy with shapes, and its trace."""
    copy = model.clone()
    infer_shapes(copy)
    return copy, follow(copy)


def deafened(model: ir.Model, trace: Trace, stays: np.ndarray) -> None:
    """Let every layer give weight 0 to the channels that do not stay: they may be what they like."""
    for layer in trace.layers:
        linear = linear_of(layer.node)
        if layer.inputs is not None and not isinstance(linear, str):
            weight = array_of(layer.node.inputs[1]).copy()
            axis = 1 if linear.outputs_first else 0
            np.moveaxis(weight, axis, 0)[~stays[layer.inputs]] = 0
            set_constant(layer.node, 1, weight, "w")


def assert_cut_is_exact(model, rng, assert_same_output):
    """Some channels of every group are cut: the rest computes what it did where no layer listens to them."""
    smaller, trace = traced(model)
    root = trace.classes()
    gone = np.zeros(trace.count, bool)
    for members in groups_of(trace, root):
        gone[rng.permutation(members)[: rng.integers(1, len(members))] if len(members) > 1 else []] = True
    stays = ~gone[root]
    deaf, its_trace = traced(model)
    deafened(deaf, its_trace, stays)

    cut(trace, stays)

    onnx.shape_inference.infer_shapes(ir.to_proto(smaller), check_type=True, strict_mode=True)
    assert_same_output(deaf, smaller, tolerance=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_trace_finds_the_channels_that_go_together(case, build):
    """Channels that meet are one group, and no others."""
    text, sizes = CASES[case]

    _, trace = traced(build(text))

    assert sizes == [len(members) for members in groups_of(trace, trace.classes())]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_cut_leaves_the_other_channels_as_they_were(case, seed, build, assert_same_output):
    """The smaller graph loads, has consistent shapes, and gives what the whole gives without those channels."""
    assert_cut_is_exact(build(CASES[case][0]), np.random.default_rng(seed), assert_same_output)


@pytest.mark.parametrize("case", PINNED)
def test_prune_channels_leaves_what_it_cannot_follow(case, build, assert_same_output):
    """Channels that meet something unknown stay, and the reason is told."""
    text, reason = PINNED[case]
    model = build(text)

    removal = prune_channels(model, keep=1.0)

    assert any(reason in why for why in removal.pinned.values()), removal.pinned
    _, trace = traced(model)
    assert groups_of(trace, trace.classes()) == []
    with pytest.raises(TransformError, match=r"cannot go below 1\.000") as error:
        prune_channels(model, keep=0.9)
    assert reason in str(error.value.where)


BLOCKS = (
    "g (float[N,3,8,8] x, float[32,3,3,3] w, float[32] g, float[32] h, float[32] m, float[32] var, float[32,1,3,3] d,"
    " float[20,32,1,1] v, float[20] b, float[32,20,1,1] u, float[32,10] z) => (float[N,10] y)"
    "{ t = Conv<pads = [1,1,1,1]>(x, w)  n = BatchNormalization(t, g, h, m, var)  r = Relu(n)"
    "  s = Conv<group = 32, pads = [1,1,1,1]>(r, d)  p = Conv(s, v, b)  q = Relu(p)  o = Conv(q, u)  a = Add(o, r)"
    "  e = GlobalAveragePool(a)  f = Flatten(e)  y = Gemm(f, z) }"
)


@pytest.mark.parametrize("criterion", ["magnitude", "bn"])
@pytest.mark.parametrize(("keep", "multiple_of"), [(0.3, 1), (0.5, 8), (0.77, 4), (0.9, 3), (1.0, 8)])
def test_prune_channels_meets_its_bound(keep, multiple_of, criterion, build):
    """At most the share that was asked, counted anew on the result; the kept numbers are multiples."""
    model = build(BLOCKS)

    removal = prune_channels(model, keep=keep, multiple_of=multiple_of, criterion=criterion)

    before, after = sum(multiply_accumulates(model).values()), sum(multiply_accumulates(removal.model).values())
    assert (before, after) == (removal.macs_before, removal.macs_after)
    assert before == 64 * 32 * 27 + 64 * 32 * 9 + 2 * 64 * 32 * 20 + 320
    assert keep * before * 0.75 < after <= keep * before
    assert all(now % multiple_of == 0 and now < was for was, now in removal.removed.values())
    Execution(removal.model).run(random_feeds(model, batch=2))


def test_prune_channels_removes_no_step_too_many(build):
    """Any one step more of channels would go over what was asked."""
    model = build(CASES["chain"][0])
    share = {}
    for keep in np.linspace(0.12, 1.0, 40):
        removal = prune_channels(model, keep=keep)
        share[keep] = removal.macs_after / removal.macs_before

    whole = 36 * 27 * 6 + 16 * 9 * 30 + 16 * 20
    sizes = {(36 * 27 * o + 16 * 9 * o * p + 16 * p * 4) / whole for o in range(1, 7) for p in range(1, 6)}
    for keep, got in share.items():
        assert min(abs(got - size) for size in sizes) < 1e-12
        assert keep == 1.0 or keep - got < (36 * 27 + 16 * 9 * 5) / whole


def test_choose_gives_back_what_was_not_needed():
    """A costly step that is needed anyway makes the cheap ones before it needless."""
    each, none = np.eye(2, dtype=np.int64), np.zeros((2, 2), np.int64)
    costs = Costs(np.array([1, 10]), np.array([0, 0]), np.array([1, 1]), each, none)

    kept = choose(costs, [np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 1.0, 1.0, 1.0])], 30, 8)

    assert kept.tolist() == [4, 2]


def test_choose_takes_the_steps_of_a_group_in_order():
    """Equal scores stay in order, however their means are rounded."""
    means = step_scores(np.full(27, 0.1), [27, 24, 16, 8])

    assert means == sorted(means)


def test_prune_channels_removes_dead_channels_without_a_trace(build, assert_same_output):
    """Channels that are zero in all that gives them go first, and the result stays the same."""
    model = build(BLOCKS)
    dead = {**dict.fromkeys("wghmdu", slice(8, 24)), "v": slice(0, 10), "b": slice(0, 10)}
    for name, where in dead.items():
        value = model.graph.initializers[name]
        array = value.const_value.numpy().copy()
        array[where] = 0
        value.const_value = ir.Tensor(array, name=name)

    removal = prune_channels(model, keep=0.45)

    names = [node.name or node.outputs[0].name for node in model.graph if node.op_type == "Conv"]
    assert dict(zip(names, [(32, 16), (32, 16), (20, 16), (32, 16)], strict=True)) == removal.removed
    assert_same_output(model, removal.model)


def test_prune_channels_removes_the_smallest_filters(build):
    """By magnitude the filters of least norm go; by the normalization's scale those of least scale."""
    text = CASES["normalization"][0].replace("i = InstanceNormalization(r, g, h)  y = Conv(i, z)", "y = Conv(r, z)")
    weight = np.ones((6, 3)) * np.array([[5], [1], [4], [2], [6], [3]])
    scale = [1, 6, 2, 3, -4, 5]
    model = build(text, w=weight, g=scale)

    by_norm = prune_channels(model, keep=0.5).model
    by_scale = prune_channels(model, keep=0.5, criterion="bn").model

    left = [m.graph.initializers["w"].const_value.numpy()[:, 0, 0, 0].tolist() for m in (by_norm, by_scale)]
    assert left == [[5, 4, 6], [1, 6, 3]]
    assert by_scale.graph.initializers["g"].const_value.numpy().tolist() == [6, -4, 5]


def test_prune_channels_leaves_its_input_as_it_was(build, assert_same_output):
    """The model is copied."""
    model, same = build(BLOCKS), build(BLOCKS)

    prune_channels(model, keep=0.5)

    assert_same_output(same, model, tolerance=0)
    assert model.graph.initializers["w"].const_value.numpy().shape == (32, 3, 3, 3)


def test_prune_channels_is_deterministic(build):
    """The same graph gives the same bytes."""
    first, second = (prune_channels(build(BLOCKS), keep=0.4).model for _ in range(2))

    assert ir.to_proto(first).SerializeToString() == ir.to_proto(second).SerializeToString()


def test_prune_channels_keeps_excluded_layers(build):
    """Layers whose name matches keep their outputs, and so do those that go with them."""
    model = build(BLOCKS)
    for index, node in enumerate(model.graph):
        node.name = f"{node.op_type}_{index}"

    removal = prune_channels(model, keep=0.7, exclude=["Conv_3"], multiple_of=1)

    assert list(removal.removed) == ["Conv_4"]
    assert {"Conv_0": "excluded", "Conv_3": "excluded", "Conv_6": "excluded"}.items() <= removal.pinned.items()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"keep": 0.0}, "keep must be above 0", id="nothing left"),
        pytest.param({"keep": 1.5}, "keep must be above 0", id="more than all"),
        pytest.param({"keep": float("nan")}, "keep must be above 0", id="no number"),
        pytest.param({"keep": 0.5, "criterion": "luck"}, "no criterion is named 'luck'", id="criterion"),
        pytest.param({"keep": 0.5, "multiple_of": 0}, "multiple_of must be at least 1", id="multiple"),
        pytest.param({"keep": 0.5, "exclude": ["("]}, "is not a regular expression", id="exclude"),
        pytest.param({"keep": 0.01}, "cannot go below", id="too little left"),
    ],
)
def test_prune_channels_refuses(arguments, message, build):
    """What it cannot do, it says."""
    with pytest.raises(TransformError, match=message):
        prune_channels(build(BLOCKS), **arguments)


def test_prune_channels_refuses_a_free_image_size(build):
    """A share of an unknown number is no number."""
    model = build("g (float[N,3,H,8] x, float[4,3,1,1] w) => (float[N,4,H,8] y) { y = Conv(x, w) }")

    with pytest.raises(TransformError, match="the size of 'x' is not known"):
        prune_channels(model, keep=0.5)


@st.composite
def networks(draw: st.DrawFn) -> str:
    """A small network as text: convolutions, sums, concatenations and gates in any order, then a classifier."""
    inputs, lines = ["float[N,3,8,8] x"], []
    values = [("x", 3)]

    def add(line: str, channels: int) -> None:
        name = f"t{len(lines)}"
        lines.append(f"{name} = {line}")
        values.append((name, channels))

    def given_constant(shape: str) -> str:
        inputs.append(f"float[{shape}] w{len(inputs)}")
        return f"w{len(inputs) - 1}"

    for _ in range(draw(st.integers(2, 8))):
        name, channels = draw(st.sampled_from(values[-3:]))
        kind = draw(st.sampled_from(["conv", "conv", "depthwise", "relu", "sum", "concat", "gate", "scale", "pool"]))
        same = [other for other, number in values if number == channels]
        if kind == "conv":
            out = draw(st.integers(1, 9))
            weight, bias = given_constant(f"{out},{channels},3,3"), given_constant(f"{out}")
            add(f"Conv<pads = [1,1,1,1]>({name}, {weight}, {bias})", out)
        elif kind == "depthwise":
            add(f"Conv<group = {channels}>({name}, {given_constant(f'{channels},1,1,1')})", channels)
        elif kind == "relu":
            add(f"Relu({name})", channels)
        elif kind == "sum":
            add(f"Add({name}, {draw(st.sampled_from(same))})", channels)
        elif kind == "concat":
            other, more = draw(st.sampled_from(values))
            add(f"Concat<axis = 1>({name}, {other})", channels + more)
        elif kind == "gate":
            add(f"GlobalAveragePool({name})", channels)
            gate, _ = values.pop()
            add(f"Mul({name}, {gate})", channels)
        elif kind == "scale":
            add(f"Mul({given_constant(f'{channels},1,1')}, {name})", channels)
        else:
            add(f"MaxPool<kernel_shape = [3,3], pads = [1,1,1,1]>({name})", channels)
    name, channels = values[-1]
    lines += [f"f = Flatten({name})", f"y = Gemm(f, {given_constant(f'{channels * 64},2')})"]
    return f"g ({', '.join(inputs)}) => (float[N,2] y) {{ {'  '.join(lines)} }}"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=networks(), seed=st.integers(0, 99))
def test_cut_is_exact_for_any_network(text, seed, build, assert_same_output):
    """Whatever is connected to whatever: the other channels stay as they were."""
    assert_cut_is_exact(build(text, seed=seed), np.random.default_rng(seed), assert_same_output)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=networks(), keep=st.floats(0.2, 1.0))
def test_prune_channels_meets_its_bound_for_any_network(text, keep, build):
    """The multiply-accumulates, counted anew, are at most what was asked; or it says that it cannot be."""
    model = build(text)
    try:
        removal = prune_channels(model, keep=keep)
    except TransformError as error:
        assert "cannot go below" in error.what
        return

    assert sum(multiply_accumulates(removal.model).values()) == removal.macs_after <= keep * removal.macs_before
    Execution(removal.model).run(random_feeds(model, batch=2))


@pytest.mark.parametrize("name", ["resnet20_cifar10", "vgg_cifar10", "mobilenetv2_cifar10"])
def test_prune_channels_halves_real_models(name):
    """Trained networks lose half of their multiply-accumulates, to within 1 %, and only the classifier stays whole."""
    path = MODELS / f"{name}.onnx"
    if not path.exists():
        pytest.skip("the shared models are not here")
    model = ir.load(path)

    removal = prune_channels(model, keep=0.5)

    assert 0.49 < removal.macs_after / removal.macs_before <= 0.5
    assert len(removal.pinned) == 1
    assert sum(multiply_accumulates(removal.model).values()) == removal.macs_after
    feeds = random_feeds(model, batch=2)
    assert [array.shape for array in Execution(removal.model).run(feeds).values()] == [(2, 10)]
