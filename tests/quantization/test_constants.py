"""Constants: parameters of weights, biases and constant operands, and the integers they become."""

from __future__ import annotations

import numpy as np
import pytest

import bitwright as bw
from bitwright.errors import QuantParamsError
from bitwright.graph.constants import QuantizedTensor
from bitwright.numerics.metrics import sqnr_db
from bitwright.quantization.plan import Plan

MODES = ("weight-only", "dynamic", "int8", "uint8", "int16x8")

CONV = """g (float[N, 8, 6, 6] x, float[16, 8, 3, 3] w, float[16] b) => (float[N, 16, 4, 4] y)
    { [conv] y = Conv(x, w, b) }"""


def held(model: bw.Model, name: str) -> QuantizedTensor:
    """The integers that a constant is held as."""
    tensor = model.graph.graph.initializers[name].const_value
    assert isinstance(tensor, QuantizedTensor)
    return tensor


def run(model: bw.Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What ONNX Runtime computes from the model's file."""
    from bitwright.graph.execution import open_session

    return open_session(model.to_proto().SerializeToString()).run(None, feeds)


def test_weights_are_per_output_channel_and_symmetric(build, quantized):
    """One scale a channel: its largest magnitude is 127, never -128."""
    model = build(CONV)
    weight = model.graph.initializers["w"].const_value.numpy()

    made = quantized(model)

    q = made.plan.qparams_of("w")
    assert (q.storage, q.axis, q.symmetric) == ("i8", 0, True)
    np.testing.assert_allclose(q.scale, np.abs(weight).reshape(16, -1).max(axis=1) / 127, rtol=1e-6)
    integers = held(made, "w").integers
    assert integers.min() >= -127
    assert set(np.abs(integers.astype(int)).reshape(16, -1).max(axis=1)) == {127}


def test_per_tensor_weights_have_one_scale(build, quantized):
    """per_channel=False gives one scale for the weight and one for the bias."""
    plan = quantized(build(CONV), per_channel=False).plan

    assert plan.qparams_of("w").granularity == plan.qparams_of("b").granularity == "per-tensor"


@pytest.mark.parametrize(
    "node, shape, axis",
    [
        ("MatMul(x, w)", (32, 24), 1),
        ("Gemm(x, w)", (32, 24), 1),
        ("Gemm <transB = 1> (x, w)", (24, 32), 0),
    ],
    ids=["MatMul", "Gemm", "Gemm-transB"],
)
def test_channel_axis_is_that_of_the_outputs(node, shape, axis, build, quantized):
    """Dense weights have one scale per output feature, however they are stored."""
    plan = quantized(build(f"g (float[N, 32] x, float{list(shape)} w) => (float[N, 24] y) {{ y = {node} }}")).plan

    assert plan.qparams_of("w").axis == axis
    assert plan.qparams_of("w").scale.shape == (24,)


@pytest.mark.parametrize("group", [2, 8], ids=["grouped", "depthwise"])
def test_grouped_convolution_has_a_scale_per_output(group, build, quantized):
    """Grouped and depthwise kernels are per output channel as well, and stay close to float."""
    model = build(f"""g (float[N, 8, 6, 6] x, float[16, {8 // group}, 3, 3] w, float[16] b) => (float[N, 16, 4, 4] y)
        {{ [conv] y = Conv <group = {group}> (x, w, b) }}""")

    made = quantized(model)

    assert made.plan.nodes["conv"].compute == "integer"
    assert made.plan.qparams_of("w").scale.shape == (16,)
    assert min(o.sqnr_db for o in bw.compare(bw.load(model), made, runs=1).outputs) > 25


def test_conv_transpose_is_per_output_unless_grouped(build, quantized):
    """[I, O/G, kH, kW]: with groups several outputs share the second dimension, so there is one scale."""
    text = """g (float[N, 8, 6, 6] x, float[8, WIDTH, 2, 2] w, float[16] b) => (float[N, 16, 7, 7] y)
        { [up] y = ConvTranspose <group = GROUP> (x, w, b) }"""
    one = build(text.replace("WIDTH", "16").replace("GROUP", "1"))
    two = build(text.replace("WIDTH", "8").replace("GROUP", "2"))

    for mode in ("weight-only", "int16x8"):
        assert quantized(one, mode).plan.qparams_of("w").axis == 1
        made = quantized(two, mode)
        assert made.plan.qparams_of("w").granularity == "per-tensor"
        assert min(o.sqnr_db for o in bw.compare(bw.load(two), made, runs=1).outputs) > 25


def test_bias_is_int32_with_the_product_of_the_scales(build, quantized):
    """scale_b = scale_x * scale_w, zero_point 0."""
    plan = quantized(build(CONV)).plan

    b = plan.qparams_of("b")
    assert (b.storage, b.symmetric, b.axis) == ("i32", True, 0)
    np.testing.assert_array_equal(b.scale, plan.qparams_of("x").scale * plan.qparams_of("w").scale)


def test_shared_weight_has_one_plan_and_each_node_its_bias(build, quantized):
    """Two convolutions of one weight and one bias: the weight stays one, each bias has its node's scale."""
    model = build("""g (float[N, 8, 6, 6] x, float[8, 8, 1, 1] w, float[8] b) => (float[N, 8, 6, 6] y)
        { [one] a = Conv(x, w, b) r = Relu(a) [two] y = Conv(r, w, b) }""")

    made = quantized(model)

    weights = [t.name for t in made.plan.tensors.values() if t.role == "weight"]
    biases = [t for t in made.plan.tensors.values() if t.role == "bias"]
    assert weights == ["w"]
    assert len(biases) == 2
    assert biases[0].qparams != biases[1].qparams
    assert [n.name for n in made.to_ir().graph.initializers.values()].count("w_quantized") == 1


def test_weight_that_two_nodes_want_along_other_axes_is_quantized_once(build, quantized, samples):
    """A square weight read by MatMul and by Gemm with transB: the second reads it as the first wants it."""
    model = build("""g (float[N, 16] x, float[16, 16] w) => (float[N, 16] y, float[N, 16] z)
        { [one] y = MatMul(x, w) [two] z = Gemm <transB = 1> (x, w) }""")

    for mode in MODES:
        made = quantized(model, mode)
        assert made.plan.nodes["one"].compute != "float"
        if made.plan.nodes["two"].compute == "weight-only" and mode != "weight-only":
            assert "shared with a node that quantizes it otherwise" in made.plan.nodes["two"].reason
        assert min(o.sqnr_db for o in bw.compare(bw.load(model), made, runs=1).outputs) > 25


def test_all_zero_activation_and_weights_are_exact(build, quantized):
    """A network of zeros gives zeros: no scale is 0, none is infinite."""
    model = build(CONV.replace("y = Conv(x, w, b)", "a = Conv(x, w, b) y = Relu(a)"), w=0, b=0)
    zeros = [{"x": np.zeros((1, 8, 6, 6), np.float32)}]

    for mode in MODES:
        made = quantized(model, mode, calibration=zeros)
        np.testing.assert_array_equal(run(made, zeros[0])[0], 0)


@pytest.mark.parametrize("magnitude", [1e-3, 1.0, 1e4], ids=["small", "usual", "large"])
def test_channel_without_weights_gives_its_bias(magnitude, build, quantized):
    """A channel whose weights are all zero gives exactly its bias, up to the result's step."""
    rng = np.random.default_rng(3)
    weight, bias = rng.standard_normal((16, 8, 3, 3)), rng.standard_normal(16) * magnitude
    weight[::3] = 0
    model = build(CONV, w=weight, b=bias)
    feeds = {"x": rng.standard_normal((1, 8, 6, 6)).astype(np.float32)}

    made = quantized(model, calibration=[feeds])

    assert np.abs(held(made, "b").integers.astype(np.int64)).max() <= 2**30
    step = float(made.plan.qparams_of("y").scale[0])
    constant = run(made, feeds)[0][0, ::3]
    np.testing.assert_allclose(constant, np.broadcast_to(bias[::3, None, None], constant.shape), atol=step * 0.51)


@pytest.mark.parametrize("per_channel", [True, False], ids=["per-channel", "per-tensor"])
@pytest.mark.parametrize("mode", ["int8", "uint8", "int16x8"])
def test_huge_bias_fits_int32(mode, per_channel, build, quantized):
    """Biases that tiny weights would push out of int32 make the weight scales grow instead."""
    rng = np.random.default_rng(4)
    weight, bias = rng.standard_normal((16, 8, 3, 3)), rng.standard_normal(16)
    weight[5] *= 1e-9
    bias[5] = 1000.0
    bias[6] = -1e5
    model = build(CONV, w=weight, b=bias)

    made = quantized(model, mode, per_channel=per_channel)

    stored = held(made, "b")
    assert np.abs(stored.integers.astype(np.int64)).max() <= 2**30
    np.testing.assert_allclose(stored.numpy()[5:7], [1000, -1e5], rtol=1e-3)
    assert min(o.sqnr_db for o in bw.compare(bw.load(model), made, runs=1).outputs) > 25


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("mode", MODES)
def test_weight_that_is_not_a_number_is_refused_by_name(bad, mode, build, quantized):
    """The error names the node and the weight."""
    weight = np.ones((16, 8, 3, 3))
    weight[3, 2, 1, 0] = bad
    model = build(CONV, w=weight)
    given = [{"x": np.zeros((1, 8, 6, 6), np.float32)}]

    with pytest.raises(QuantParamsError) as caught:
        quantized(model, mode, calibration=given)

    assert "node 'conv', weight 'w'" in caught.value.where
    assert caught.value.next


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bias_that_is_not_a_number_is_refused_by_name(bad, build, quantized):
    """A bias with NaN or Inf has no int32 form; the error names the node or the bias."""
    bias = np.ones(16)
    bias[3] = bad

    with pytest.raises(QuantParamsError) as caught:
        quantized(build(CONV, b=bias), calibration=[{"x": np.zeros((1, 8, 6, 6), np.float32)}])

    assert "'b'" in str(caught.value.where)


@pytest.mark.parametrize("bad", [np.nan, -np.inf], ids=["nan", "mask"])
def test_constant_operand_that_is_not_a_number_keeps_its_node_float(bad, build, quantized):
    """A mask of minus infinities has no integers: the Add stays float, its neighbours do not."""
    mask = np.zeros((8, 6, 6))
    mask[2, 3, 4] = bad
    model = build(
        """g (float[N, 8, 6, 6] x, float[8, 8, 1, 1] w, float[8, 6, 6] c) => (float[N, 8, 6, 6] y)
        { [one] a = Conv(x, w) [sum] s = Add(a, c) [two] y = Conv(s, w) }""",
        c=mask,
    )

    made = quantized(model)

    assert [str(made.plan.compute_of(name)) for name in ("one", "sum", "two")] == ["integer", "float", "integer"]
    np.testing.assert_array_equal(made.graph.graph.initializers["c"].const_value.numpy()[2, 3, 4], np.float32(bad))


def test_constant_operand_has_its_own_range(build, quantized):
    """The constant of an Add between convolutions is held as integers of its own scale."""
    model = build(
        """g (float[N, 8, 6, 6] x, float[8, 8, 1, 1] w, float[6, 6] c) => (float[N, 8, 6, 6] y)
        { a = Conv(x, w) s = Mul(a, c) y = Conv(s, w) }""",
        c=np.linspace(0.5, 2, 36).reshape(6, 6),
    )

    made = quantized(model)

    q = made.plan.qparams_of("c")
    assert (q.storage, q.granularity) == ("u8", "per-tensor")
    np.testing.assert_allclose(held(made, "c").numpy().ravel(), np.linspace(0.5, 2, 36), atol=float(q.scale[0]) / 2)


@pytest.mark.parametrize("bits, bound", [(8, 127), (4, 7)])
def test_weight_only_integers_use_their_whole_range(bits, bound, build, quantized):
    """8 bits: -127..127; 4 bits: within -8..7."""
    made = quantized(build(CONV), "weight-only", weight_bits=bits)

    integers = held(made, "w").integers
    assert -bound - (bits == 4) <= integers.min() < 0 < integers.max() == bound


@pytest.mark.parametrize("bits, bound", [(4, 7), (2, 1)])
@pytest.mark.parametrize("target", ["onnxruntime", "litert"])
def test_integer_kernels_take_narrow_weights_in_8_bits(bits, bound, target, build, quantized):
    """int8 with 4 or 2 bits: symmetric integers of so many bits for kernels of 8; a plan in JSON keeps them."""
    made = quantized(build(CONV), "int8", weight_bits=bits, target=target)

    tensor, qparams = held(made, "w"), made.plan.qparams_of("w")
    assert (tensor.integers.dtype, np.abs(tensor.integers).max()) == (np.int8, bound)
    assert Plan.from_json(made.plan.to_json()).qparams_of("w") == qparams


def test_blocks_run_along_the_reduced_dimension(build, quantized):
    """Blocks of 16 run along the 40 inputs, however the weight is stored, and over a kernel's taps; ends are ragged."""
    model = build("""g (float[N, 40] x, float[40, 12] w, float[12, 40] v, float[N, 5, 4, 4] xi, float[6, 5, 3, 3] k)
        => (float[N, 12] y, float[N, 12] z, float[N, 6, 2, 2] u)
        { y = MatMul(x, w) z = Gemm <transB = 1> (x, v) u = Conv(xi, k) }""")

    made = quantized(model, "weight-only", weight_bits=4, block_size=16)

    for name in "wv":
        shape = held(made, name).integers.shape
        blocks = made.plan.qparams_of(name).block_shape
        assert dict(zip(shape, blocks, strict=True)) == {40: 16, 12: 1}
        assert sorted(made.plan.qparams_of(name).scale.shape) == [3, 12]
    assert made.plan.qparams_of("k").block_shape == (1, 16)
    assert made.plan.qparams_of("k").scale.shape == (6, 3)  # 45 taps
    assert held(made, "k").numpy().shape == (6, 5, 3, 3)


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_smaller_blocks_are_nearer_to_the_weight(size, build, quantized):
    """Each halving of the block lowers the error."""
    model = build("g (float[N, 256] x, float[256, 16] w) => (float[N, 16] y) { y = MatMul(x, w) }")
    weight = model.graph.initializers["w"].const_value.numpy()

    errors = [
        sqnr_db(weight, held(quantized(model, "weight-only", weight_bits=4, block_size=n), "w").numpy())
        for n in (size, 2 * size)
    ]

    assert errors[0] > errors[1] > 15


def test_float16_leaves_what_does_not_fit(build, quantized):
    """Constants beyond 65504 stay float32; so do those that are too small to be worth it."""
    model = build(
        """g (float[N, 16] x, float[16, 16] w, float[16, 16] v, float[16] b) => (float[N, 16] y)
        { a = MatMul(x, w) c = MatMul(a, v) y = Add(c, b) }""",
        v=70000.0,
    )

    made = quantized(model, "float16")

    assert list(made.plan.tensors) == ["w"]
    assert made.graph.graph.initializers["v"].const_value.numpy()[0, 0] == 70000


def test_unused_and_output_constants_survive(build, quantized):
    """A weight that is also a graph output is still given as a float."""
    model = build("""g (float[N, 16] x, float[16, 16] w) => (float[N, 16] y, float[16, 16] w2)
        { y = MatMul(x, w) w2 = Identity(w) }""")
    weight = model.graph.initializers["w"].const_value.numpy()

    for mode in (*MODES, "float16"):
        made = quantized(model, mode)
        outputs = run(made, {"x": np.ones((2, 16), np.float32)})
        np.testing.assert_allclose(outputs[1], weight, atol=np.abs(weight).max() / 127)
