"""fuse_recurrent: loops that are an LSTM or GRU become one, and those that are not stay."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.graph.execution import Execution
from bitwright.transforms.pipeline import apply_transforms, copy_of, prepare

#: Elements of the sequence x [T, N, 3]; states are [N, 4].
STEPS = 5

LSTM = """
    a = MatMul(now, w)  b0 = MatMul(h, r)  s0 = Add(a, b0)  s = Add(s0, b)
    g0, g1, g2, g3 = Split<axis = 1, num_outputs = 4>(s)
    i = Sigmoid(IN)  f = Sigmoid(FORGET)  o = Sigmoid(OUT)  n = Tanh(FRESH)
    kept = Mul(f, c)  fresh = Mul(i, n)  c2 = Add(kept, fresh)  shown = Tanh(c2)  h2 = Mul(o, shown)
"""
LSTM_CONSTANTS = "float[3,16] w, float[4,16] r, float[16] b"
RESET_AFTER = """
    a0 = MatMul(now, w)  a = Add(a0, b)  m0 = MatMul(h, r)  m = Add(m0, d)
    a1, a2, a3 = Split<axis = 1, num_outputs = 3>(a)  m1, m2, m3 = Split<axis = 1, num_outputs = 3>(m)
    zs = Add(a1, m1)  z = Sigmoid(zs)  rs = Add(a2, m2)  rg = Sigmoid(rs)
    inner = Mul(rg, m3)  ns = Add(a3, inner)  n = Tanh(ns)
    left = Sub(one, z)  p = Mul(left, n)  q = Mul(z, h)  h2 = Add(p, q)
"""
RESET_AFTER_CONSTANTS = "float[3,12] w, float[4,12] r, float[12] b, float[12] d"
#: TensorFlow 1's GRUCell: both gates in one Sigmoid, the reset gate first.
RESET_BEFORE = """
    both = Concat<axis = 1>(now, h)  g = Gemm(both, w, b)  gates = Sigmoid(g)
    rg, z = Split<axis = 1, num_outputs = 2>(gates)  rh = Mul(rg, h)
    inner = Concat<axis = 1>(now, rh)  ns = Gemm(inner, r, d)  n = Tanh(ns)
    left = Sub(one, z)  p = Mul(left, n)  q = Mul(z, h)  h2 = Add(p, q)
"""
RESET_BEFORE_CONSTANTS = "float[7,8] w, float[7,4] r, float[8] b, float[4] d"
CELLS = {
    "reset-after": (RESET_AFTER, RESET_AFTER_CONSTANTS, "GRU"),
    "reset-before": (RESET_BEFORE, RESET_BEFORE_CONSTANTS, "GRU"),
}


def lstm_step(order: str) -> str:
    """The step of an LSTM whose gates lie in an order of i, f, o and n."""
    text = LSTM
    for gate, placeholder in zip("ifon", ("IN", "FORGET", "OUT", "FRESH"), strict=True):
        text = text.replace(f"({placeholder})", f"(g{order.index(gate)})")
    return text


def loop(
    step: str,
    constants: str,
    *,
    states: str = "h",
    at: str = "Identity(t)",
    times: int = STEPS,
    going: str = "Identity(go)",
    every: str = "h2",
    outputs: str = "hT, y",
) -> str:
    """A graph with a Loop over x that starts from x_h and x_c, which are inputs as well."""
    names = states.split()
    types = {**{f"{name}T": "float[N,4]" for name in names}, "y": f"float[{STEPS},N,4]"}
    inputs = ", ".join(f"float[N,4] x_{name}" for name in names)
    carried = ", ".join(f"float[N,4] {name}" for name in names)
    after = ", ".join(f"float[N,4] {name}2" for name in names)
    shown = ", ".join(f"{types[name]} {name}" for name in outputs.split(", "))
    numbers = f"float one = {{1}}, int64 two = {{2}}, int64 last = {{{STEPS - 1}}}, int64 times = {{{times}}}"
    return (
        f"g (float[{STEPS},N,3] x, {inputs}, {constants}) => ({shown}) <{numbers}, bool yes = {{1}}>"
        f"{{ [walk] {', '.join(f'{name}T' for name in names)}, y = Loop<body = step (int64 t, bool go, {carried}) =>"
        f" (bool go2, {after}, float[N,4] out)"
        f" {{ go2 = {going}  at = {at}  now = Gather<axis = 0>(x, at) {step}  out = Identity({every}) }}>"
        f"(times, yes, {', '.join(f'x_{name}' for name in names)}) }}"
    )


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def reason(before: ir.Model) -> str:
    """What the transform says of a graph that it leaves as it is."""
    result = apply_transforms(before, "fuse_recurrent")
    assert not result.modified
    assert "Loop" in kinds(result.model) or "Scan" in kinds(result.model)
    return result.steps[0].message


@pytest.mark.parametrize("order", ["ifno", "info", "iofn", "fion"], ids=["keras", "tensorflow-1", "onnx", "other"])
def test_fuse_recurrent_finds_an_lstm_whatever_the_order_of_its_gates(order, build, assert_same_output):
    """All hidden states, the last one and the last cell are those of the loop."""
    before = build(loop(lstm_step(order), LSTM_CONSTANTS, states="h c", outputs="hT, cT, y"))

    after = apply_transforms(before, "fuse_recurrent")

    assert kinds(after.model) == ["Unsqueeze", "Unsqueeze", "LSTM", "Squeeze", "Squeeze", "Squeeze"]
    assert_same_output(before, after.model)


@pytest.mark.parametrize("name", CELLS)
def test_fuse_recurrent_finds_a_gru(name, build, assert_same_output):
    """Gates in two products or one, the reset before or after the product with the state."""
    step, constants, kind = CELLS[name]
    before = build(loop(step, constants))

    after = apply_transforms(before, "fuse_recurrent")

    assert kinds(after.model) == ["Unsqueeze", kind, "Squeeze", "Squeeze"]
    assert after.model.graph[1].attributes.get("linear_before_reset") == (
        None if name == "reset-before" else ir.AttrInt64("linear_before_reset", 1)
    )
    assert_same_output(before, after.model)


def test_fuse_recurrent_keeps_the_bits_of_the_weights(build):
    """Probing gives the matrices back as they were, gates in ONNX's order."""
    before = build(loop(lstm_step("ifno"), LSTM_CONSTANTS, states="h c", outputs="hT"))
    weight = before.graph.initializers["w"].const_value.numpy()
    enter, forget, fresh, leave = np.split(weight.T, 4)

    after = apply_transforms(before, "fuse_recurrent").model

    assert kinds(after) == ["Unsqueeze", "Unsqueeze", "LSTM", "Squeeze"]
    held = next(node for node in after.graph if node.op_type == "LSTM").inputs[1].const_value.numpy()
    np.testing.assert_array_equal(np.concatenate([enter, leave, forget, fresh])[None], held)


def test_fuse_recurrent_starts_from_nothing_where_the_states_are_zeros(build, ops):
    """Zeros of a shape that is found when the graph runs are no operand; nothing reads what made them."""
    before = build(
        loop(RESET_AFTER, RESET_AFTER_CONSTANTS)
        .replace(
            "{ [walk]",
            "{ n1 = Shape<start = 1, end = 2>(x)  size = Constant<value_ints = [4]>()  to = Concat<axis = 0>(n1, size)"
            "  zero = Constant<value_float = 0.0>()  zeros = Expand(zero, to) [walk]",
        )
        .replace("(times, yes, x_h)", "(times, yes, zeros)")
    )

    after = apply_transforms(before, "fuse_recurrent strip_unused_nodes")

    assert ops(after.model) == ["GRU", "Squeeze", "Squeeze"]
    assert len([v for v in after.model.graph[0].inputs if v is not None]) == 4


def test_fuse_recurrent_counts_steps_that_follow_from_a_shape(build, ops):
    """A loop that runs as often as its sequence is long is a layer for every length."""
    text = loop(RESET_AFTER, RESET_AFTER_CONSTANTS, outputs="y", going="Less(t, length)")
    text = text.replace("float[5,", "float[T,").replace(
        "{ [walk]", "{ dims = Shape(x)  zero = Constant<value_int = 0>()  length = Gather(dims, zero) [walk]"
    )
    before = build(text.replace("(times, yes,", "(length, yes,"))
    whole = apply_transforms(before, "fuse_recurrent strip_unused_nodes").model
    cut = build(text.replace("(times, yes,", "(two, yes,"))

    assert ops(whole) == ["Unsqueeze", "GRU", "Squeeze"]
    feeds = {"x": np.ones((7, 2, 3), np.float32), "x_h": np.ones((2, 4), np.float32)}
    np.testing.assert_allclose(Execution(before).run(feeds)["y"], Execution(whole).run(feeds)["y"], atol=1e-5)
    assert "it does not run once for every element of its sequence (2 times for" in reason(cut)


def test_fuse_recurrent_leaves_a_loop_that_data_stops(build):
    """A length that is an input may be any."""
    text = loop(RESET_AFTER, RESET_AFTER_CONSTANTS).replace("float[N,4] x_h", "float[N,4] x_h, int64 x_times", 1)

    assert "how often it runs depends on data" in reason(build(text.replace("(times, yes", "(x_times, yes")))


CLIPPED = lstm_step("ifno").replace(
    "c2 = Add(kept, fresh)",
    "c1 = Add(kept, fresh)  low = Constant<value_float = -50.0>()  high = Constant<value_float = 50.0>()"
    " c2 = Clip(c1, low, high)",
)
STAYING = {
    "fewer-steps": (RESET_AFTER, RESET_AFTER_CONSTANTS, {"times": 4}, "(4 times for 5)"),
    "stopped": (RESET_AFTER, RESET_AFTER_CONSTANTS, {"going": "Less(t, two)"}, "(3 times for 5)"),
    "backwards": (RESET_AFTER, RESET_AFTER_CONSTANTS, {"at": "Sub(last, t)"}, "from the first element to the last"),
    "other-sum": (RESET_AFTER.replace("Sub(one, z)", "Mul(one, z)"), RESET_AFTER_CONSTANTS, {}, "not that of a GRU"),
    "peephole": (
        lstm_step("ifno").replace("i = Sigmoid(g0)", "peep = Add(g0, c)  i = Sigmoid(peep)"),
        LSTM_CONSTANTS,
        {"states": "h c"},
        "not that of an LSTM",
    ),
    "clipped-cell": (CLIPPED, LSTM_CONSTANTS, {"states": "h c"}, "not that of an LSTM"),
    "every-cell": (lstm_step("ifno"), LSTM_CONSTANTS, {"states": "h c", "every": "c2"}, "more of it is read"),
    "one-row-for-all": (RESET_AFTER, RESET_AFTER_CONSTANTS, {}, "one row for each row"),
}


@pytest.mark.parametrize("name", STAYING)
def test_fuse_recurrent_leaves_what_is_no_layer_and_says_why(name, build):
    """The loop stays, whatever it is, with a reason."""
    step, constants, options, expected = STAYING[name]
    text = loop(step, constants, **options)
    if name == "one-row-for-all":
        text = text.replace("float[N,4] x_h", "float[1,4] x_h", 1)

    assert expected in reason(build(text))


def test_fuse_recurrent_hands_on_what_a_loop_hands_on(build, ops):
    """A value that comes out of the loop as it went in is read where it came from."""
    step = RESET_AFTER.replace("(now, w)", "(now, ww)")
    before = build(
        "g (float[5,N,3] x, float[N,4] x_h, float[3,12] w, float[4,12] r, float[12] b, float[12] d)"
        " => (float[N,4] z2) <float one = {1}, int64 times = {5}, bool yes = {1}>"
        "{ [walk] hT, wT = Loop<body = step (int64 t, bool go, float[N,4] h, float[3,12] ww) =>"
        " (bool go2, float[N,4] h2, float[3,12] w2)"
        f" {{ go2 = Identity(go)  w2 = Identity(ww)  now = Gather<axis = 0>(x, t) {step} }}>"
        "(times, yes, x_h, w)  s = ReduceSum<keepdims = 0>(wT)  z2 = Mul(hT, s) }"
    )

    after = apply_transforms(before, "fuse_recurrent")

    assert ops(after.model) == ["Unsqueeze", "GRU", "Squeeze", "ReduceSum", "Mul"]
    assert after.model.graph[3].inputs[0].name == "w"


def test_prepare_makes_layers_of_loops_and_reads_nothing_twice(build):
    """Every quantization sees the layer; the sequence is read by it alone."""
    before = build(loop(RESET_AFTER, RESET_AFTER_CONSTANTS))

    after = prepare(before)

    assert [use.node.op_type for use in after.graph.inputs[0].uses()] == ["GRU"]
    assert "Loop" in kinds(copy_of(before))
