"""Decisions: how every node computes, and the reason where it stays float."""

from __future__ import annotations

import numpy as np
import pytest

import bitwright as bw
from bitwright.errors import UnsupportedOpError

RESIDUAL = """
g (float[N, 4, 6, 6] x, float[4, 4, 3, 3] w1, float[4] b1, float[4, 4, 1, 1] w2, float[4] b2) => (float[N, 4, 6, 6] y) {
  [main] a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
  [short] s = Conv (x, w2, b2)
  [join] t = Add(a, s)
  [act] r = Relu(t)
  [last] y = Conv <pads = [1, 1, 1, 1]> (r, w1)
}"""


def test_residual_add_is_quantized_once_after_its_relu(build, quantized, activation_names):
    """Conv, Conv, Add and Relu are integer; the sum before the ReLU has no parameters, the result after it has."""
    plan = quantized(build(RESIDUAL)).plan

    assert {n.compute for n in plan.nodes.values()} == {"integer"}
    assert activation_names(plan) == ["x", "a", "s", "r", "y"]
    assert plan.nodes["join"].reason == "one kernel with Relu act"
    assert plan.qparams_of("r").zero_point.item() == 0


@pytest.mark.parametrize("low, high", [(0, 6), (-1, 1), (0, 0.37)], ids=["relu6", "hardtanh", "odd"])
def test_clip_is_fused_and_its_range_stays_inside(low, high, build, quantized, activation_names):
    """No integer after a Clip stands for a value beyond its bounds, and nothing is quantized before it."""
    model = build(
        f"""g (float[N, 3, 8, 8] x, float[8, 3, 3, 3] w, float[4, 8, 1, 1] v) => (float[N, 4, M, M] y)
        <float low = {{{low}}}, float high = {{{high}}}> {{
          a = Conv(x, w) r = Clip(a, low, high) y = Conv(r, v)
        }}""",
        w=np.random.default_rng(0).standard_normal((8, 3, 3, 3)) * 3,
    )

    plan = quantized(model).plan

    assert activation_names(plan) == ["x", "r", "y"]
    q = plan.qparams_of("r")
    step, point = float(q.scale[0]), int(q.zero_point[0])
    assert (255 - point) * step <= high
    assert (255 - point) * step > high - 2 * step
    assert (0 - point) * step >= low - step / 2  # the zero_point is an integer: half a step may be beyond


def test_clip_that_calibration_never_fills_has_the_range_that_was_seen(build, quantized):
    """A Clip(0, 100) whose input never passes 5 is not quantized to 100."""
    model = build("""g (float[N, 3, 8, 8] x, float[8, 3, 3, 3] w) => (float[N, 8, M, M] y)
        <float low = {0}, float high = {100}> { a = Conv(x, w) y = Clip(a, low, high) }""")

    assert quantized(model).plan.qparams_of("y").scale[0] * 255 < 10


def test_relu_with_a_second_reader_of_its_input_is_not_fused(build, quantized, activation_names):
    """A sum that a ReLU and another node read is quantized itself."""
    model = build("""g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w) => (float[N, 4, 6, 6] y)
        { a = Conv(x, w) r = Relu(a) y = Add(a, r) }""")

    plan = quantized(model).plan

    assert {"a", "r", "y"} <= set(activation_names(plan))


def test_relu_after_a_graph_output_is_not_fused(build, quantized, activation_names):
    """A value that is also a graph output is given quantized, not swallowed by the ReLU behind it."""
    model = build("""g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w) => (float[N, 4, 6, 6] a, float[N, 4, 6, 6] y)
        { a = Conv(x, w) y = Relu(a) }""")

    made = quantized(model)

    assert {"a", "y"} <= set(activation_names(made.plan))
    assert [v.name for v in made.to_ir().graph.outputs] == ["a", "y"]


def test_two_relus_in_a_row_are_both_integer(build, quantized):
    """A clamp behind a clamp is a step of its own."""
    model = build("""g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w) => (float[N, 4, 6, 6] y)
        { a = Conv(x, w) r = Relu(a) s = Relu(r) y = Conv(s, w) }""")

    assert quantized(model).plan.counts() == {"integer": 4}


def test_concat_quantizes_each_operand_for_itself(build, quantized):
    """Concat's operands keep the parameters of their own ranges; its result is measured."""
    model = build(
        """g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w, float[4, 4, 1, 1] v) => (float[N, 8, 6, 6] y)
        { a = Conv(x, w) b = Conv(x, v) [join] y = Concat <axis = 1> (a, b) }""",
        v=10.0,
    )

    plan = quantized(model).plan

    assert plan.compute_of("join") == "integer"
    assert plan.qparams_of("a").scale[0] < plan.qparams_of("b").scale[0] / 3
    # one range holds both operands
    assert plan.qparams_of("y").scale[0] >= plan.qparams_of("b").scale[0]


@pytest.mark.parametrize(
    "move",
    [
        "m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)",
        "m = Reshape(a, shape)",
        "m = Transpose <perm = [0, 2, 3, 1]> (a)",
        "m = Slice(a, starts, ends, axes)",
        "m = Flatten(a)",
        "m = Unsqueeze(a, axes)",
        "m = Gather <axis = 1> (a, starts)",
        "m, n = Split <axis = 1, num_outputs = 2> (a)",
        "m = Resize <mode = \"nearest\"> (a, , scales)",
        "m = DepthToSpace <blocksize = 2> (a)",
    ],
    ids=lambda text: text.split("=")[1].split()[0].split("(")[0],
)  # fmt: skip
def test_moves_share_their_operands_parameters(move, build, quantized):
    """An operator that only moves values gives integers of its operand's scale and zero_point."""
    output = "n" if ", n" in move else "a"
    model = build(f"""g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w) => (float[A, B, C, D] m, float[E, F, G, H] {output})
        <int64[3] shape = {{0, 2, 72}}, int64[1] starts = {{1}}, int64[1] ends = {{3}}, int64[1] axes = {{1}},
         float[4] scales = {{1, 1, 2, 2}}>
        {{ a = Conv(x, w) {move} }}""")
    for value in model.graph.outputs:
        value.shape = None

    plan = quantized(model).plan

    assert set(plan.counts()) == {"integer"}
    assert plan.qparams_of("m") == plan.qparams_of("a")
    assert plan.tensors["m"].reason == "as a"


def test_move_before_integers_moves_integers(build, quantized, decided):
    """A Transpose of the float input, read by convolutions alone, is integer and shares the input's parameters."""
    model = build("""g (float[N, 6, 6, 4] x, float[4, 4, 1, 1] w) => (float[N, 4, 6, 6] y)
        { t = Transpose <perm = [0, 3, 1, 2]> (x) y = Conv(t, w) }""")

    plan = quantized(model).plan

    assert plan.counts() == {"integer": 2}
    assert plan.qparams_of("t") == plan.qparams_of("x")


def test_move_that_float_nodes_read_too_stays_float(build, decided):
    """A Transpose whose result a float operator needs as well is not worth quantizing."""
    model = build("""g (float[N, 6, 6, 4] x, float[4, 4, 1, 1] w) => (float[N, 4, 6, 6] y, float[N, 4, 6, 6] z)
        { t = Transpose <perm = [0, 3, 1, 2]> (x) y = Conv(t, w) z = Sin(t) }""")

    # the convolution quantizes t for itself, so it is there as integers anyway, but the input is not
    found = decided(model)

    assert found["Sin_z"][0] == "float"
    assert found["Conv_y"][0] == "integer"


def test_softmax_and_sigmoid_at_the_end_stay_float(build, decided):
    """Nothing integer takes their result, and [0, 1] in steps of 1/256 is coarser than float."""
    model = build("""g (float[N, 16] x, float[16, 12] w) => (float[N, 12] y, float[N, 12] z)
        { a = MatMul(x, w) y = Softmax(a) z = Sigmoid(a) }""")

    found = decided(model)

    assert found["Softmax_y"][0] == found["Sigmoid_z"][0] == "float"
    assert "finer in float" in found["Softmax_y"][1]


def test_sigmoid_between_integers_has_its_known_range(build, quantized):
    """A gate between convolutions is integer with scale 1/256 whatever calibration saw."""
    model = build("""g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w) => (float[N, 4, 6, 6] y)
        { a = Conv(x, w) s = Sigmoid(a) m = Mul(a, s) y = Conv(m, w) }""")

    plan = quantized(model).plan

    assert plan.counts() == {"integer": 4}
    assert plan.qparams_of("s").scale[0] == np.float32(1 / 256)
    assert plan.qparams_of("s").zero_point[0] == 0


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param("y = Add(a, b)", id="add"),
        pytest.param("s = Add(a, b) y = Relu(s)", id="add-relu"),
        pytest.param("s = Add(a, b) r = Relu(s) y = Mul(r, b)", id="add-relu-mul"),
    ],
)
def test_tail_of_a_product_stays_float_when_nothing_integer_follows(tail, build, decided):
    """MatMul gives a float; what is elementwise behind it, to the end of the network, is finer in float."""
    model = build(f"""g (float[B, N, 16] x, float[16, 12] w, float[12] b) => (float[B, N, 12] y)
        {{ [dense] a = MatMul(x, w) {tail} }}""")

    found = decided(model)

    assert found.pop("dense") == ("integer", "gives its result as float")
    assert {compute for compute, _ in found.values()} == {"float"}
    assert any("takes float results of a matrix product" in reason for _, reason in found.values())


def test_product_add_chain_between_products_gives_integers_once(build, quantized, activation_names):
    """Between two dense layers of a rank-3 network nothing is quantized twice."""
    model = build("""g (float[B, N, 16] x, float[16, 12] w, float[12] b, float[12, 8] v) => (float[B, N, 8] y)
        { [one] a = MatMul(x, w) s = Add(a, b) r = Relu(s) [two] y = MatMul(r, v) }""")

    plan = quantized(model).plan

    assert plan.compute_of("one") == plan.compute_of("two") == "integer"
    assert "s" not in activation_names(plan)  # fused with the ReLU, or float
    assert "r" in activation_names(plan)


@pytest.mark.parametrize("mode", ["float16", "weight-only", "dynamic", "int8", "uint8", "int16x8"])
def test_unknown_operators_stay_float_with_their_names(mode, build, decided):
    """Operators without a rule, of ONNX and of another domain, say that no rule quantizes them."""
    model = build("""g (float[N, 16] x, float[16, 16] w) => (float[N, 16] y)
        { a = MatMul(x, w) s = Sin(a) y = other.domain.Thing(s) }""")

    found = decided(model, mode)

    assert found["Sin_s"][0] == found["Thing_y"][0] == "float"
    assert found["MatMul_a"][0] != "float"
    if mode != "float16":
        assert found["Sin_s"][1] == "no rule quantizes Sin"
        assert found["Thing_y"][1] == "no rule quantizes other.domain::Thing"


@pytest.mark.parametrize("mode", ["weight-only", "dynamic", "int8", "uint8", "int16x8"])
@pytest.mark.parametrize("kind", ["float16", "double"])
def test_other_floating_types_stay_as_they_are(mode, kind, build, decided):
    """A graph of float16 or double is left alone, and says why."""
    model = build(f"""g ({kind}[N, 16] x, {kind}[16, 16] w) => ({kind}[N, 16] y) {{ a = MatMul(x, w) y = Relu(a) }}""")

    found = decided(model, mode)

    assert {compute for compute, _ in found.values()} == {"float"}
    assert f"computes in {kind}, not float32" in found["MatMul_a"][1]


@pytest.mark.parametrize("mode", ["float16", "dynamic", "int8"])
def test_integer_arithmetic_is_left_alone(mode, build, decided):
    """Nodes that compute on integers already are not asked to be quantized, and strict does not count them."""
    model = build("""g (int64[N, 16] x) => (int64[N, 16] y) <int64[2] shape = {-1, 16}>
        { s = Add(x, x) y = Reshape(s, shape) }""")

    assert set(decided(model, mode).values()) == {("float", "gives no floating-point result")}
    assert bw.quantize(model, mode, calibration=[{"x": np.ones((2, 16), np.int64)}], strict=True).plan is not None


@pytest.mark.parametrize(
    "attributes, reason",
    [
        ("alpha = 0.5", "alpha"),
        ("beta = 2.0", "beta"),
        ("transA = 1", "transA"),
    ],
)
@pytest.mark.parametrize("mode", ["dynamic", "int8"])
def test_gemm_with_factors_has_no_integer_form(mode, attributes, reason, build, decided):
    """Gemm with alpha, beta or transA says so; its weights are stored as integers all the same."""
    model = build(f"""g (float[16, 16] x, float[16, 16] w, float[16] b) => (float[16, 16] y)
        {{ [dense] y = Gemm <{attributes}> (x, w, b) }}""")

    compute, why = decided(model, mode)["dense"]

    assert compute == "weight-only"
    assert reason in why


def test_weights_that_are_not_constant_stay_float(build, decided):
    """A convolution whose weights are an input is float in every mode; a product of two activations may be integer."""
    model = build("""g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] xw, float[4, 4, 1, 1] w)
        => (float[N, 4, 6, 6] y, float[N, 4, 6, 6] z)
        { [free] y = Conv(x, xw) [a] p = Conv(x, w) [b] q = Conv(x, w) [both] z = MatMul(p, q) }""")

    for mode in ("weight-only", "dynamic", "int8"):
        assert decided(model, mode)["free"] == ("float", "its weights are not constant")
    assert decided(model)["both"][0] == "integer"


def test_bias_that_is_not_constant_keeps_the_convolution_float(build, decided):
    """An integer bias needs a constant."""
    model = build("""g (float[N, 4, 6, 6] x, float[4] xb, float[4, 4, 1, 1] w) => (float[N, 4, 6, 6] y)
        { [c] y = Conv(x, w, xb) }""")

    assert decided(model)["c"] == ("float", "its bias is not constant")


def test_conv_transpose_waits_for_a_kernel(build, decided):
    """ONNX Runtime has no integer ConvTranspose at 8 bits, so its weights alone are integers; at 16 bits it has QDQ."""
    model = build("""g (float[N, 4, 6, 6] x, float[4, 8, 2, 2] w, float[8] b) => (float[N, 8, 7, 7] y)
        { [up] y = ConvTranspose(x, w, b) }""")

    assert decided(model)["up"] == ("weight-only", "onnxruntime has no u8 kernel for ConvTranspose")
    assert decided(model, "weight-only")["up"][0] == "weight-only"
    assert decided(model, "int16x8")["up"][0] == "integer"


def test_pad_with_another_value_stays_float(build, decided):
    """A pad of minus infinity before a pooling has no integer."""
    text = """g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w) => (float[N, 4, 8, 8] y)
        <int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}, float fill = {VALUE}>
        { a = Conv(x, w) [pad] y = Pad(a, pads, fill) }"""

    assert decided(build(text.replace("VALUE", "-9")), "int16x8")["pad"][1] == "it pads with a value other than zero"
    assert decided(build(text.replace("VALUE", "0")), "int16x8")["pad"][0] == "integer"


def test_clip_without_zero_in_its_bounds_stays_float(build, decided):
    """Real 0 must be an integer, which [1, 6] leaves out."""
    model = build("""g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w) => (float[N, 4, 6, 6] y)
        <float low = {1}, float high = {6}> { a = Conv(x, w) [clip] y = Clip(a, low, high) }""")

    assert decided(model)["clip"] == ("float", "its bounds leave out zero")


def test_max_pool_whose_indices_are_wanted_stays_float(build, decided):
    """Integer pooling gives no indices."""
    model = build("""g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w) => (float[N, 4, 3, 3] y, int64[N, 4, 3, 3] i)
        { a = Conv(x, w) [pool] y, i = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a) }""")

    assert decided(model)["pool"] == ("float", "its indices are wanted")


def test_dynamic_leaves_grouped_convolutions_to_their_weights(build, decided):
    """Grouped convolutions store integer weights and compute in float: ONNX Runtime is slower with them dynamic."""
    model = build("""g (float[N, 16, 6, 6] x, float[16, 1, 3, 3] w, float[16, 16, 1, 1] v) => (float[N, 16, 4, 4] y)
        { [depth] a = Conv <group = 16> (x, w) [point] y = Conv(a, v) }""")

    found = decided(model, "dynamic")

    assert found["depth"][0] == "weight-only"
    assert found["point"][0] == "dynamic"


@pytest.mark.parametrize("mode", ["weight-only", "dynamic", "float16"])
def test_small_weights_are_not_worth_it(mode, build, decided):
    """Below 128 elements, scales and names take more room than integers save."""
    model = build("g (float[N, 4] x, float[4, 4] w) => (float[N, 4] y) { [tiny] y = MatMul(x, w) }")

    assert decided(model, mode)["tiny"][0] == "float"


def test_strict_lists_every_float_node_with_its_reason(build, samples):
    """One error names them all; nodes that were excluded are not counted."""
    model = build("""g (float[N, 16] x, float[16, 16] w) => (float[N, 16] y)
        { [dense] a = MatMul(x, w) [sine] s = Sin(a) [cosine] c = Cos(s) [mine] y = Tan(c) }""")

    with pytest.raises(UnsupportedOpError) as caught:
        bw.quantize(model, "int8", calibration=samples(model), strict=True, exclude=["mine"])

    told = str(caught.value)
    assert "2 of 4 nodes would stay float" in told
    assert "Sin sine: no rule quantizes Sin" in told
    assert "Cos cosine: no rule quantizes Cos" in told
    assert "mine" not in told
    assert bw.quantize(model, "int8", calibration=samples(model), strict=True, exclude=["sine|cosine|mine"]).plan


def test_exclude_keeps_a_node_float_and_its_neighbours_integer(build, quantized):
    """The excluded node reads and gives floats; the file still runs."""
    model = build(RESIDUAL)

    made = quantized(model, exclude=["^short$"])

    assert made.plan.nodes["short"].compute == "float"
    assert made.plan.nodes["short"].reason == "left float by the recipe"
    assert made.plan.compute_of("main") == made.plan.compute_of("join") == "integer"


def test_control_flow_body_that_captures_a_quantized_value_gets_the_float(build, quantized):
    """An If's branches read a convolution's result from outside: they read its dequantized value."""
    model = build("""g (float[1, 4, 6, 6] x, bool xc, float[4, 4, 1, 1] w) => (float[1, 4, 6, 6] y) {
        a = Conv(x, w)
        r = Relu(a)
        [choice] y = If (xc) <
          then_branch = yes () => (float[1, 4, 6, 6] u) { u = Sin(r) },
          else_branch = no () => (float[1, 4, 6, 6] v) { v = Neg(r) }
        >
    }""")
    feeds = [
        {"x": np.random.default_rng(i).standard_normal((1, 4, 6, 6)).astype(np.float32), "xc": np.array(bool(i % 2))}
        for i in range(4)
    ]

    made = quantized(model, calibration=feeds)

    assert made.plan.compute_of("choice") == "float"
    for sample in feeds:
        reference = bw.compare(bw.load(model), made, [sample], runs=1)
        assert reference.outputs[0].sqnr_db > 25


@pytest.mark.parametrize("mode", ["dynamic", "int8"])
def test_zero_size_values_do_not_stop_it(mode, build, quantized):
    """A value with no elements is left float; the rest is quantized."""
    model = build("""g (float[N, 16] x, float[16, 16] w, float[0, 16] e) => (float[M, 16] y)
        { a = MatMul(x, w) c = Concat <axis = 0> (a, e) y = MatMul(c, w) }""")

    made = quantized(model, mode)

    assert "float" not in {made.plan.nodes[n].compute for n in made.plan.nodes if n.startswith("MatMul")}
