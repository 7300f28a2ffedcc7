"""Given ranges: means and deviations of inputs, and a default for what has no statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bitwright as bw
from bitwright.errors import UsageError
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import dequantize
from bitwright.quantization.given import Given
from bitwright.quantization.planner import make_plan
from bitwright.quantization.recipe import recipe_for_mode
from bitwright.quantization.target import load_target
from bitwright.transforms.pipeline import prepare


@pytest.mark.parametrize(
    "low, high, stats",
    [(0.0, 255.0, (0, 1)), (-1.0, 1.0, (127.5, 127.5)), (0.0, 1.0, (0, 255))],
    ids=["bytes", "around-zero", "unit"],
)
def test_mean_and_deviation_stand_for_a_range(low, high, stats):
    """The three usual pairs, as TFLite's converter documents them."""
    q = Given({"x": stats}).input_qparams("x", "u8")

    np.testing.assert_allclose(dequantize(np.uint8([0, 255]), q), [low, high], atol=float(q.scale[0]) * 0.51)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(0, 255), st.floats(2.0**-20, 2.0**20), st.integers(0, 255))
def test_integers_mean_what_the_equation_says(mean, std, q):
    """Real = (q - mean) / std, up to half a step of the rounded mean."""
    qparams = Given({"x": (mean, std)}).input_qparams("x", "u8")

    real = float(dequantize(np.uint8([q]), qparams)[0])

    assert abs(real - (q - mean) / std) <= (0.5 + 255e-6) / std


def test_halves_of_a_mean_go_up():
    """As TFLite's converter rounds them: 126.5 is 127, 127.5 is 128."""
    points = [int(Given({"x": (m, 1.0)}).input_qparams("x", "u8").zero_point[0]) for m in (126.5, 127.5)]

    assert points == [127, 128]


@pytest.mark.parametrize("target", ["litert", "onnxruntime"])
def test_given_input_has_its_parameters_and_the_rest_is_measured(target, build, quantized, image):
    """Only the named input is told; what moves it has the same parameters."""
    model = build("""g (float[N, 6, 6, 4] x, float[4, 4, 1, 1] w) => (float[N, 4, 6, 6] y)
        { t = Transpose <perm = [0, 3, 1, 2]> (x) y = Conv(t, w) }""")

    plan = quantized(model, "uint8", target=target, input_stats={"x": (127.5, 127.5)}).plan

    assert float(plan.qparams_of("x").scale[0]) == pytest.approx(1 / 127.5)
    assert int(plan.qparams_of("x").zero_point[0]) == 128
    assert plan.qparams_of("t") == plan.qparams_of("x")
    assert plan.tensors["x"].reason == "given mean and standard deviation"
    assert plan.tensors["y"].reason == ("mse" if target == "litert" else "minmax")


@pytest.mark.parametrize("mode", ["int8", "uint8", "int16x8"])
@pytest.mark.parametrize("target", ["litert", "onnxruntime"])
def test_default_range_needs_no_samples(mode, target, build, image):
    """Every activation without a known range has the default one; what a clamp cuts off is left out of it."""
    model = build(image("r = Relu(a) s = Sigmoid(r) m = Mul(r, s) y = Conv(m, w)"))

    made = bw.quantize(model, mode, target=target, default_ranges=(-6, 6))

    plan = made.plan
    assert set(plan.counts()) == {"integer"}
    assert plan.tensors["x"].reason == "default range"
    assert plan.tensors["s"].reason == "known range"
    x, r = plan.qparams_of("x"), plan.qparams_of("r")
    levels = 65534 if mode == "int16x8" else 255
    assert float(x.scale[0]) == pytest.approx(12 / levels, rel=1e-5)
    assert float(r.scale[0]) == pytest.approx((12 if mode == "int16x8" else 6) / levels, rel=1e-5)
    assert made.report.samples == 0
    assert made.report.method is None


def test_default_range_fills_what_calibration_did_not_see(build, samples, image):
    """Statistics of some tensors: the others have the default range, and there is no error."""
    model = build(image("r = Relu(a) y = Conv(r, w)"))
    seen = bw.calibrate(model, samples(model), mode="uint8", target="litert").keep(["x"])

    plan = bw.quantize(model, "uint8", target="litert", statistics=seen, default_ranges=(0, 6)).plan

    assert plan.tensors["x"].reason == "mse"
    assert plan.tensors["r"].reason == plan.tensors["y"].reason == "default range"


@pytest.mark.parametrize(
    "mode, options, told",
    [
        ("dynamic", {"default_ranges": (-6, 6)}, "quantizes no activations"),
        ("float16", {"input_stats": {"x": (0, 1)}}, "quantizes no activations"),
        ("uint8", {"default_ranges": (6, -6)}, "the default range cannot be 6..-6"),
        ("uint8", {"default_ranges": (0, float("inf"))}, "the default range cannot be"),
        ("uint8", {"input_stats": {"z": (0, 1)}}, "there is no input 'z'"),
        ("uint8", {"input_stats": {"x": (0, 0)}}, "cannot have mean 0 and standard deviation 0"),
        ("uint8", {"input_stats": {"x": (300, 1)}}, "cannot have mean 300"),
        ("uint8", {"input_stats": {"x": (float("nan"), 1)}}, "cannot have mean nan"),
        ("int8", {"input_stats": {"x": (127.5, 127.5)}}, "input 'x' is i8"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(mode, options, told, build, samples, image):
    """Each is a usage error that says what would do."""
    model = build(image("y = Relu(a)"))

    with pytest.raises(UsageError) as caught:
        bw.quantize(model, mode, target="litert", calibration=samples(model), **options)

    assert told in caught.value.what
    assert caught.value.next


def test_statistics_of_an_input_that_stays_float_are_refused(build, samples, image):
    """Nothing integer reads it, so a mean would change nothing."""
    model = build("""g (float[N, 4] x, float[N, 16] x2, float[16, 8] w) => (float[N, 4] y, float[N, 8] z)
        { y = Sin(x) z = MatMul(x2, w) }""")

    with pytest.raises(UsageError, match="input 'x' is not quantized"):
        bw.quantize(model, "uint8", calibration=samples(model), input_stats={"x": (0, 1)})


def test_calibration_is_still_needed_without_a_default_range(build, image):
    """The means of inputs alone say nothing of what is inside."""
    with pytest.raises(UsageError, match="needs sample inputs"):
        bw.quantize(build(image("y = Relu(a)")), "uint8", target="litert", input_stats={"x": (0, 1)})


@pytest.mark.parametrize(
    "mode, target, option, value, told",
    [
        ("int8", "litert", "input_type", "int16", "input_type cannot be int16 in mode int8"),
        ("int8", "litert", "output_type", "float16", "output_type cannot be float16"),
        ("int16x8", "litert", "input_type", "int8", "input_type cannot be int8"),
        ("dynamic", "litert", "input_type", "int8", "input_type cannot be int8 in mode dynamic"),
        ("int8", "onnxruntime", "input_type", "int8", "input_type is for .tflite files"),
    ],
)
def test_types_of_ports_that_files_do_not_have_are_refused(mode, target, option, value, told, build, samples, image):
    """Integers at a port are those of the activations, in a .tflite file."""
    model = build(image("y = Relu(a)"))
    options = {"calibration": samples(model)} if mode != "dynamic" else {}

    with pytest.raises(UsageError) as caught:
        bw.quantize(model, mode, target=target, **options, **{option: value})

    assert told in caught.value.what
    assert caught.value.next


@pytest.mark.parametrize(
    "mode, types", [("int8", ("int8", "uint8")), ("uint8", ("uint8", "float32")), ("int16x8", ("int16", "int16"))]
)
def test_types_of_ports_are_kept_for_the_file(mode, types, build, quantized, image):
    """The Model carries them to its lowering."""
    made = quantized(build(image("y = Relu(a)")), mode, target="litert", input_type=types[0], output_type=types[1])

    assert (made.input_type, made.output_type) == types
    program = made.to_program()
    held = {"float32": "f32", "int8": "i8", "uint8": "u8", "int16": "i16"}
    assert program.tensors[program.inputs[0].tensor].dtype == held[types[0]]
    assert program.tensors[program.outputs[0].tensor].dtype == held[types[1]]


def test_parameters_that_training_chose_are_taken_as_they_are(build, image):
    """Of an activation and of a weight, by name; what moves the activation has them too."""
    model = prepare(build("g (float[1, 3, 8, 8] x, float[4, 3, 3, 3] w) => (float[1, 4, 6, 6] y) { y = Conv(x, w) }"))
    told = {
        "x": QuantParams(0.125, 3, "u8"),
        "y": QuantParams(0.5, 7, "u8"),
        "w": QuantParams([0.1, 0.2, 0.3, 0.4], 0, "i8", 0, narrow_range=True, bits=4),
    }

    plan = make_plan(model, recipe_for_mode("int8"), load_target("onnxruntime"), given=Given(qparams=told))

    assert {name: plan.qparams_of(name) for name in told} == told
    assert {plan.tensors[name].reason for name in told} == {"trained"}
