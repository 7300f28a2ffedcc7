"""Planning for LiteRT: the weights, biases and storage types that its kernels take."""

from __future__ import annotations

import json

import numpy as np
import pytest

import bitwright as bw
from bitwright.errors import UsageError
from bitwright.quantization.recipe import Recipe


def test_sixteen_bits_have_no_zero_point_and_long_biases(build, planned, quantized):
    """int16x8 for LiteRT: i16 symmetric, i8 weights, i64 biases; ONNX Runtime's biases stay i32."""
    text = """g (float[N, 4, 6, 6] x, float[8, 4, 3, 3] w, float[8] b) => (float[N, 8, 4, 4] y)
        { a = Conv(x, w, b) y = Relu(a) }"""

    plan = planned(build(text), "int16x8")

    assert {plan.qparams_of(name).storage for name in "xy"} == {"i16"}
    assert plan.qparams_of("y").symmetric
    assert (plan.qparams_of("w").storage, plan.qparams_of("w").axis) == ("i8", 0)
    b = plan.qparams_of("b")
    assert (b.storage, b.axis) == ("i64", 0)
    np.testing.assert_array_equal(b.scale, plan.qparams_of("x").scale * plan.qparams_of("w").scale)
    assert quantized(build(text), "int16x8").plan.qparams_of("b").storage == "i32"


def test_legacy_weights_have_one_scale_and_a_zero_point(build, planned, image):
    """uint8 for LiteRT: activations and weights u8 with one scale, biases i32."""
    weight = np.abs(np.random.default_rng(0).standard_normal((4, 4, 1, 1)))
    plan = planned(build(image("y = Relu(a)"), w=weight), "uint8")

    w = plan.qparams_of("w")
    assert (w.storage, w.granularity, int(w.zero_point[0])) == ("u8", "per-tensor", 0)
    assert plan.qparams_of("x").storage == plan.qparams_of("y").storage == "u8"


@pytest.mark.parametrize("mode, expected", [("int8", "integer"), ("int16x8", "integer"), ("uint8", "float")])
def test_product_of_two_activations_has_no_legacy_kernel(mode, expected, build, foreseen, image):
    """BATCH_MATMUL knows i8 and i16."""
    found = foreseen(build(image("[product] y = MatMul(a, x)")), mode)

    assert found["product"][0] == expected


def test_matrix_on_the_left_is_a_weight_by_row(build, planned, image):
    """W x is a FULLY_CONNECTED of the transposed: one scale a row, symmetric."""
    plan = planned(build(image("[left] y = MatMul(v, a)", more=", float[5, 6] v")))

    v = plan.qparams_of("v")
    assert plan.compute_of("left") == "integer"
    assert (v.storage, v.axis, v.symmetric) == ("i8", 0, True)


@pytest.mark.parametrize("mode, storage", [("int8", "i8"), ("int16x8", "i16")])
def test_batch_of_matrices_is_an_operand(mode, storage, build, planned, image):
    """BATCH_MATMUL takes both its operands in the storage type of activations."""
    plan = planned(build(image("[batch] y = MatMul(a, v)", more=", float[4, 6, 7] v")), mode)

    assert plan.compute_of("batch") == "integer"
    assert plan.qparams_of("v").storage == storage
    assert plan.qparams_of("v").granularity == "per-tensor"


def test_constant_operands_are_quantized_as_activations(build, planned, image):
    """The constant of a Mul and the slope of a PRelu: i8 in their own range."""
    model = build(image("m = Mul(a, c) y = PRelu(m, s)", more=", float[6, 6] c, float[4, 1, 1] s"), c=2.0, s=0.25)

    plan = planned(model)

    assert plan.counts() == {"integer": 3}
    for name, value in {"c": 2.0, "s": 0.25}.items():
        q = plan.qparams_of(name)
        assert (q.storage, q.granularity) == ("i8", "per-tensor")
        assert (127 - int(q.zero_point[0])) * float(q.scale[0]) == pytest.approx(value, rel=1e-5)


def test_table_that_is_looked_up_is_integers(build, planned):
    """Rows of a constant table are looked up as integers, in the range of the whole table."""
    model = build("""g (int64[5] x, float[9, 16] t, float[16, 8] v) => (float[5, 8] y)
        { [look] r = Gather(t, x) y = MatMul(r, v) }""")

    plan = planned(model, calibration=[{"x": np.array([0, 3, 8, 1, 1])}])

    assert plan.counts() == {"integer": 2}
    assert plan.qparams_of("r") == plan.qparams_of("t")


def test_dynamic_takes_grouped_and_one_dimensional_convolutions(build, foreseen):
    """LiteRT has hybrid kernels for both, and for transposed convolutions and recurrent layers."""
    model = build("""g (float[N, 16, 6, 6] x, float[16, 1, 3, 3] w, float[16, 16, 2, 2] v, float[1, 16, 9] xr,
        float[16, 16, 3] u, float[3, 2, 16] xs, float[1, 32, 16] lw, float[1, 32, 8] lr)
        => (float[N, 16, A, B] y, float[1, 16, 7] z, float[3, 1, 2, 8] s) {
            [depth] a = Conv <group = 16> (x, w) [up] y = ConvTranspose(a, v) [row] z = Conv(xr, u)
            [cell] s = LSTM <hidden_size = 8> (xs, lw, lr)
        }""")

    found = foreseen(model, "dynamic")

    assert {name: found[name][0] for name in ("depth", "up", "row", "cell")} == dict.fromkeys(
        ("depth", "up", "row", "cell"), "dynamic"
    )


def test_dynamic_grouped_convolution_needs_a_scale_a_channel(build, foreseen):
    """With one scale a weight LiteRT's grouped hybrid kernels read beyond it: weights alone are integers then."""
    model = build("""g (float[N, 16, 6, 6] x, float[16, 1, 3, 3] w) => (float[N, 16, 4, 4] y)
        { [depth] y = Conv <group = 16> (x, w) }""")

    found = foreseen(model, "dynamic", per_channel=False)

    assert found["depth"] == ("weight-only", "grouped convolutions with dynamic activations take one scale a channel")


def test_recurrent_layers_of_an_integer_network_are_dynamic(build, planned):
    """There is no integer LSTM: its weights are integers, its activations are quantized as they arrive."""
    model = build("""g (float[3, 2, 16] x, float[1, 32, 16] w, float[1, 32, 8] r, float[8, 8] v)
        => (float[3, 1, 2, 8] y)
        { [cell] s = LSTM <hidden_size = 8> (x, w, r) y = MatMul(s, v) }""")

    plan = planned(model, calibration=[{"x": np.ones((3, 2, 16), np.float32)}])

    assert plan.compute_of("cell") == "dynamic"
    assert plan.qparams_of("w").storage == "i8"


def test_four_bit_weights_have_a_scale_a_channel(build, planned):
    """A .tflite file holds no blocks: 4 bits come per channel."""
    model = build("g (float[N, 40] x, float[40, 16] w) => (float[N, 16] y) { y = MatMul(x, w) }")

    w = planned(model, "weight-only", weight_bits=4).qparams_of("w")

    assert (w.storage, w.granularity, w.axis) == ("i4", "per-channel", 1)


def test_blocks_are_refused(build, samples):
    """A block size, as an option or in a recipe, is a usage error that says what there is instead."""
    model = build("g (float[N, 64] x, float[64, 16] w) => (float[N, 16] y) { y = MatMul(x, w) }")
    blocks = '[{"compute": "weight-only", "weight_storage": "i4", "weight_granularity": "per-block"}]'

    for options in ({"mode": "weight-only", "block_size": 32}, {"recipe": Recipe.from_json(blocks)}):
        with pytest.raises(UsageError) as caught:
            bw.quantize(model, target="litert", **options)
        assert "no blocks" in caught.value.what
        assert "one scale a channel" in caught.value.next


@pytest.mark.parametrize(
    "entry, told",
    [
        ({"activation_storage": "u8"}, "u8 activations with i8 weights"),
        ({"weight_storage": "u8"}, "i8 activations with u8 weights"),
        ({"weight_symmetric": False}, "i8 weights with a zero_point"),
        ({"activation_storage": "i16"}, "i16 activations with a zero_point"),
        (
            {"activation_storage": "u8", "weight_storage": "u8", "weight_symmetric": False},
            "u8 weights with a scale a channel",
        ),
    ],
)
def test_storage_types_that_no_kernel_takes_together_are_refused(entry, told, build, samples, image):
    """The error names the node, and what kernels take."""
    model = build(image("y = Relu(a)"))
    recipe = Recipe.from_json(json.dumps([{"compute": "integer", **entry}]))

    with pytest.raises(UsageError) as caught:
        bw.quantize(model, recipe, target="litert", calibration=samples(model))

    assert told in caught.value.what
    assert "first" in caught.value.where
    assert caught.value.next


def test_unsigned_activations_with_signed_weights_are_refused_in_mode_int8(build, samples, image):
    """activation_type u8 is ONNX Runtime's; LiteRT's is mode uint8."""
    model = build(image("y = Relu(a)"))

    with pytest.raises(UsageError, match="u8 activations with i8 weights"):
        bw.quantize(model, target="litert", activation_type="u8", calibration=samples(model))


@pytest.mark.parametrize("mode", ["dynamic", "weight-only"])
def test_gemm_keeps_its_weight_as_it_is(mode, build, planned):
    """TFLite's weights are [O, K], as Gemm with transB has them."""
    model = build("""g (float[N, 32] x, float[24, 32] w, float[24] b) => (float[N, 24] y)
        { [dense] y = Gemm <transB = 1> (x, w, b) }""")

    assert planned(model, mode).qparams_of("w").axis == 0
