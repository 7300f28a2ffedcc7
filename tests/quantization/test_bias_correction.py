"""Bias correction: the mean error of every output channel is taken off its bias."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.graph.execution import Execution
from bitwright.quantization.bias_correction import expected_shift


def mean_errors(made: ir.Model, reference: ir.Model, feeds: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Mean over samples and positions of each output channel's error, the weights alone being quantized."""
    before, after = Execution(reference), Execution(made)
    errors = [next(iter(after.run(f).values())) - next(iter(before.run(f).values())) for f in feeds]
    error = np.concatenate(errors)
    return error.mean(axis=(0, *range(2, error.ndim)))


LAYERS = {
    "conv": (
        "float[N, 8, 10, 10] x, float[6, 8, 3, 3] w, float[6] b",
        "float[N, 6, 8, 8]",
        "Conv(x, w, b)",
    ),
    "conv-padded-strided": (
        "float[N, 8, 32, 32] x, float[6, 8, 3, 3] w, float[6] b",
        "float[N, 6, 16, 16]",
        "Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, b)",
    ),
    "conv-grouped": (
        "float[N, 8, 10, 10] x, float[6, 4, 3, 3] w, float[6] b",
        "float[N, 6, 8, 8]",
        "Conv <group = 2> (x, w, b)",
    ),
    "conv-depthwise": (
        "float[N, 6, 10, 10] x, float[6, 1, 3, 3] w, float[6] b",
        "float[N, 6, 8, 8]",
        "Conv <group = 6> (x, w, b)",
    ),
    "gemm": ("float[N, 32] x, float[32, 6] w, float[6] b", "float[N, 6]", "Gemm(x, w, b)"),
    "gemm-transB": ("float[N, 32] x, float[6, 32] w, float[6] b", "float[N, 6]", "Gemm <transB = 1> (x, w, b)"),
}


def biased_weight(shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
    """Weights that all round the same way: each is 0.4 of a step above an integer of the scale 1/127."""
    rng = np.random.default_rng(5)
    weight = (rng.integers(-120, 120, shape) + 0.4) / 127
    first = np.moveaxis(weight, channel_axis, 0).reshape(shape[channel_axis], -1)
    first[:, 0] = 1.0
    moved = first.reshape(np.moveaxis(weight, channel_axis, 0).shape)
    return np.moveaxis(moved, 0, channel_axis)


def inputs_with_a_mean(model: ir.Model, count: int = 6) -> list[dict[str, np.ndarray]]:
    """Samples whose channels have means of their own, far from zero, as they have after a ReLU."""
    shape = [d if isinstance(d, int) else 8 for d in model.graph.inputs[0].shape]
    rng = np.random.default_rng(6)
    level = rng.uniform(0.5, 3, shape[1]).reshape(-1, *[1] * (len(shape) - 2))
    return [{"x": (rng.standard_normal(shape) + level).astype(np.float32)} for _ in range(count)]


def layer(kind: str, build) -> ir.Model:
    """One layer with biased rounding errors."""
    inputs, output, text = LAYERS[kind]
    model = build(f"g ({inputs}) => ({output} y) {{ [layer] y = {text} }}")
    shape = model.graph.initializers["w"].shape.numpy()
    weight = biased_weight(tuple(shape), 1 if kind == "gemm" else 0)
    return build(f"g ({inputs}) => ({output} y) {{ [layer] y = {text} }}", w=weight)


@pytest.mark.parametrize("mode", ["int8", "uint8", "int16x8"])
@pytest.mark.parametrize("kind", LAYERS)
def test_bias_correction_removes_the_mean_error(kind, mode, build, quantized):
    """The mean error of the channels, measured in float with the quantized weights, shrinks to almost nothing."""
    model = layer(kind, build)
    feeds = inputs_with_a_mean(model)

    plain = quantized(model, mode, calibration=feeds, bias_correction=False)
    corrected = quantized(model, mode, calibration=feeds)

    before = np.abs(mean_errors(plain.graph, model, feeds)).mean()
    after = np.abs(mean_errors(corrected.graph, model, feeds)).mean()
    assert plain.plan.qparams_of("w") == corrected.plan.qparams_of("w")
    # padding is left out of the mean, so a padded convolution keeps part of its error
    assert after < before * (0.35 if "padded" in kind else 0.1)


def test_bias_correction_of_a_dense_layer_is_exact(build, quantized):
    """With the calibration samples themselves, only the rounding of the bias is left."""
    model = layer("gemm", build)
    feeds = inputs_with_a_mean(model)

    made = quantized(model, calibration=feeds)

    left = np.abs(mean_errors(made.graph, model, feeds))
    assert (left <= made.plan.qparams_of("b").scale * 0.51 + 2e-6).all()


def test_bias_correction_improves_the_file_itself(build, quantized):
    """What ONNX Runtime computes from the integer file is nearer to float."""
    import bitwright as bw

    model = layer("conv", build)
    feeds = inputs_with_a_mean(model)

    plain, corrected = (quantized(model, calibration=feeds, bias_correction=on) for on in (False, True))

    gain = [bw.compare(bw.load(model), m, feeds, runs=1).outputs[0].sqnr_db for m in (plain, corrected)]
    assert gain[1] > gain[0] + 3


def test_bias_correction_changes_no_weight(build, quantized):
    """Only the bias's integers differ."""
    model = layer("conv", build)
    feeds = inputs_with_a_mean(model)

    made = [quantized(model, calibration=feeds, bias_correction=on).graph.graph.initializers for on in (False, True)]

    np.testing.assert_array_equal(made[0]["w"].const_value.integers, made[1]["w"].const_value.integers)
    assert (made[0]["b"].const_value.integers != made[1]["b"].const_value.integers).any()


def node(op: str, **attributes: int) -> ir.Node:
    """One node."""
    return ir.node(op, [ir.val("x"), ir.val("w"), ir.val("b")], attributes)


def test_expected_shift_of_a_convolution_sums_the_taps():
    """[O, I, kH, kW] error: the sum over taps and inputs, weighted by each input's mean."""
    error, mean = np.random.default_rng(0).standard_normal((4, 3, 2, 2)), np.array([1.0, -2.0, 0.5])

    np.testing.assert_allclose(np.einsum("oihw,i->o", error, mean), expected_shift(node("Conv"), error, mean))


def test_expected_shift_of_groups_uses_each_groups_inputs():
    """With two groups, outputs 0..1 see inputs 0..2 and outputs 2..3 see inputs 3..5."""
    error, mean = np.random.default_rng(0).standard_normal((4, 3, 2, 2)), np.arange(6.0)
    expected = [*np.einsum("oihw,i->o", error[:2], mean[:3]), *np.einsum("oihw,i->o", error[2:], mean[3:])]

    np.testing.assert_allclose(expected, expected_shift(node("Conv", group=2), error, mean))


@pytest.mark.parametrize("transposed", [0, 1])
def test_expected_shift_of_gemm_follows_trans_b(transposed):
    """[I, O], or [O, I] with transB."""
    error, mean = np.random.default_rng(0).standard_normal((3, 4)), np.array([1.0, -2.0, 0.5])

    given = error.T if transposed else error
    np.testing.assert_allclose(mean @ error, expected_shift(node("Gemm", transB=transposed), given, mean))


def test_expected_shift_that_does_not_line_up_is_none():
    """A mean along another axis corrects nothing, and neither does a transposed convolution."""
    assert expected_shift(node("Conv"), np.zeros((4, 3, 2, 2)), np.zeros(5)) is None
    assert expected_shift(node("Gemm"), np.zeros((4, 3)), np.zeros(5)) is None
    assert expected_shift(node("ConvTranspose"), np.zeros((4, 3, 2, 2)), np.zeros(4)) is None
