"""Planning for LiteRT: every operator with an integer kernel is integer, and has the scale that the kernel demands."""

from __future__ import annotations

from pathlib import Path

import pytest

import bitwright as bw
from bitwright.errors import StatisticsError
from bitwright.quantization.planner import preview
from bitwright.quantization.recipe import recipe_for_mode
from bitwright.transforms.pipeline import prepare

MODES = ("int8", "uint8", "int16x8")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "tail", ["y = Softmax(a)", "y = Sigmoid(a)", "y = Tanh(a)", "b = Add(a, x) c = Relu(b) y = Mul(c, c)"]
)
def test_nothing_stays_float_at_the_end(mode, tail, build, planned, image):
    """What is finer in float is integer all the same: kernels are."""
    plan = planned(build(image(tail)), mode)

    assert set(plan.counts()) == {"integer"}
    assert plan.qparams_of("y") is not None


def test_tail_of_a_product_is_integer(build, planned):
    """The result of a matrix product is quantized, and so is what is added to it."""
    model = build("""g (float[B, N, 16] x, float[16, 12] w, float[12] b) => (float[B, N, 12] y)
        { [dense] a = MatMul(x, w) s = Add(a, b) y = Relu(s) }""")

    plan = planned(model)

    assert plan.counts() == {"integer": 3}
    assert plan.qparams_of("a") is not None


@pytest.mark.parametrize(
    "node, mode, scale, zero_point",
    [
        ("Softmax", "int8", 1 / 256, -128),
        ("Softmax", "uint8", 1 / 256, 0),
        ("Softmax", "int16x8", 1 / 32768, 0),
        ("Sigmoid", "int8", 1 / 256, -128),
        ("Sigmoid", "int16x8", 1 / 32768, 0),
        ("Tanh", "int8", 1 / 128, 0),
        ("Tanh", "uint8", 1 / 128, 128),
        ("Tanh", "int16x8", 1 / 32768, 0),
        ("LogSoftmax", "int8", 16 / 256, 127),
        ("LogSoftmax", "uint8", 16 / 256, 255),
        ("LpNormalization", "int8", 1 / 128, 0),
        ("LpNormalization", "uint8", 1 / 128, 128),
    ],
)
def test_known_ranges_are_those_of_the_kernels(node, mode, scale, zero_point, build, planned, image):
    """Kernels with a known range give it in one scale and zero_point, whatever calibration saw."""
    axis = "" if node in ("Sigmoid", "Tanh") else "<axis = 1>"
    plan = planned(build(image(f"[last] y = {node} {axis} (a)")), mode)

    q = plan.qparams_of("y")
    assert (float(q.scale[0]), int(q.zero_point[0])) == (scale, zero_point)
    assert plan.tensors["y"].reason == "known range"


def test_followers_of_floats_are_integer(build, foreseen, image):
    """An Add of two float results is quantized at its border: its kernel is integer."""
    found = foreseen(build(image("s = Sin(a) t = Cos(a) [sum] y = Add(s, t)")))

    assert found["sum"] == ("integer", "")
    assert found["Sin_s"] == ("float", "no rule quantizes Sin")


def test_moves_between_floats_stay_float(build, foreseen, image):
    """A Transpose from a float node to a float node moves floats; one beside an integer node moves integers."""
    found = foreseen(
        build(
            image(
                "s = Sin(a) [between] t = Transpose(s) y = Cos(t) [beside] u = Transpose(s) z = Abs(u)",
                outputs="float[A, B, C, D] y, float[E, F, G, H] z",
            )
        )
    )

    assert found["between"] == ("float", "its operands are float")
    assert found["beside"] == ("integer", "")


def test_split_before_integers_moves_integers(build, foreseen, image):
    """One integer reader of one part is enough."""
    found = foreseen(
        build(
            image(
                "s = Sin(a) [cut] t, u = Split <axis = 1, num_outputs = 2> (s) y = Abs(t)",
                outputs="float[A, B, C, D] y, float[E, F, G, H] u",
            )
        )
    )

    assert found["cut"][0] == "integer"


@pytest.mark.parametrize(
    "node",
    [
        "AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (a)",
        "MaxPool <kernel_shape = [2, 2]> (a)",
        "GlobalMaxPool(a)",
        'Resize <mode = "linear"> (a, , scales)',
        "Pad(a, pads)",
        'Pad <mode = "reflect"> (a, pads)',
    ],
    ids=lambda text: text.split("(")[0].split()[0],
)
def test_results_of_one_scale_kernels_have_their_operands_parameters(node, build, planned, image):
    """Kernels that do not requantize give integers of their operand's scale."""
    constants = "float[4] scales = {1, 1, 2, 2}, int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}"
    plan = planned(build(image(f"[one] y = {node}", constants=constants)))

    assert plan.compute_of("one") == "integer"
    assert plan.qparams_of("y") == plan.qparams_of("a")
    assert plan.tensors["y"].reason == "as a"


@pytest.mark.parametrize("node", ["GlobalAveragePool(a)", "ReduceMean(a, axes)", "ReduceSum(a, axes)"])
def test_means_and_sums_have_scales_of_their_own(node, build, planned, image):
    """Their kernels requantize: a mean has a smaller range than what it is of, a sum a larger one."""
    plan = planned(build(image(f"[mean] y = {node}", constants="int64[2] axes = {2, 3}")))

    assert plan.compute_of("mean") == "integer"
    assert plan.tensors["y"].reason == "mse"
    assert (plan.qparams_of("y").scale[0] > plan.qparams_of("a").scale[0]) == node.startswith("ReduceSum")


def test_average_pool_for_onnxruntime_is_measured(build, quantized, image):
    """Sharing a scale is LiteRT's demand alone."""
    plan = quantized(build(image("y = AveragePool <kernel_shape = [2, 2]> (a)"))).plan

    assert plan.tensors["y"].reason == "minmax"


@pytest.mark.parametrize("low, high", [(0, 6), (1, 6), (-3, -1)], ids=["relu6", "above-zero", "below-zero"])
def test_clip_is_integer_wherever_its_bounds_lie(low, high, build, planned, activation_names, image):
    """Nothing is quantized before a fused Clip; bounds without zero are kernels behind."""
    plan = planned(build(image("y = Clip(a, low, high)", constants=f"float low = {{{low}}}, float high = {{{high}}}")))

    assert plan.counts() == {"integer": 2}
    assert activation_names(plan) == ["x", "y"]
    q = plan.qparams_of("y")
    assert (127 - int(q.zero_point[0])) * float(q.scale[0]) <= max(high, 0)


def test_pad_with_a_number_has_room_for_it(build, planned, image):
    """A Pad with 9 gives integers that hold 9, and its operand has the same parameters."""
    constants = "int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}, float fill = {9}"
    plan = planned(build(image("y = Pad(a, pads, fill)", constants=constants)))

    q = plan.qparams_of("y")
    assert (127 - int(q.zero_point[0])) * float(q.scale[0]) == pytest.approx(9, rel=0.01)
    assert plan.qparams_of("a") == q


@pytest.mark.parametrize(
    "attributes, fill, reason",
    [("", "-3e38", "it pads with a mask"), ('<mode = "edge">', "0", "no kernel pads by edge")],
)
def test_pad_that_no_kernel_does_stays_float(attributes, fill, reason, build, foreseen, image):
    """A fill of minus infinity would take the whole range; edges are not repeated by any kernel."""
    constants = f"int64[8] pads = {{0, 0, 1, 1, 0, 0, 1, 1}}, float fill = {{{fill}}}"
    found = foreseen(build(image(f"[pad] y = Pad {attributes} (a, pads, fill)", constants=constants)))

    assert found["pad"][0] == "float"
    assert reason in found["pad"][1]


@pytest.mark.parametrize(
    "node, reason",
    [
        ("Pow(a, cube)", "powers other than the square"),
        ("LpNormalization <axis = 1, p = 1> (a)", "the norm with p = 2 alone"),
        ("Sum(a, x, x)", "partial sums"),
        ('Resize <mode = "cubic"> (a, , scales)', "cubic Resize"),
        ("Div(a, x)", "litert has no i8 kernel for Div"),
    ],
)
def test_forms_without_a_kernel_stay_float(node, reason, build, foreseen, image):
    """Each says what there is no kernel for."""
    constants = "float cube = {3}, float[4] scales = {1, 1, 2, 2}"
    found = foreseen(build(image(f"[odd] y = {node}", constants=constants)))

    assert found["odd"][0] == "float"
    assert reason in found["odd"][1]


def test_convolution_over_three_dimensions_stays_float(build, foreseen):
    """There are kernels for one and two dimensions alone."""
    found = foreseen(
        build("""g (float[1, 2, 4, 4, 4] x, float[2, 2, 1, 1, 1] w, float[1, 4, 9] xr, float[8, 4, 3] v)
            => (float[1, 2, 4, 4, 4] y, float[1, 8, 7] z) { [three] y = Conv(x, w) [one] z = Conv(xr, v) }""")
    )

    assert found["three"] == ("float", "there are kernels for one and two dimensions alone")
    assert found["one"] == ("integer", "")


SHARED = Path(__file__).parents[2] / ".." / "shared" / "models"


@pytest.mark.parametrize("name", ["resnet20_cifar10", "vgg_cifar10", "mobilenetv2_cifar10"])
@pytest.mark.parametrize("mode", MODES)
def test_shared_networks_have_no_float_nodes(name, mode):
    """Every node of three trained networks is integer, but for those that compute on shapes."""
    path = SHARED / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is absent")

    plan = preview(prepare(bw.load(str(path)).graph), "litert", recipe_for_mode(mode))

    assert plan.float_nodes() == []
    assert set(plan.counts()) <= {"integer", "float"}


def test_ranges_have_the_least_squared_error_unless_told(build, samples, image):
    """LiteRT's default is mse, which leaves the least error in whole networks; others are taken when asked."""
    model = build(image("y = Relu(a)"))

    made = bw.quantize(model, target="litert", calibration=samples(model))
    told = bw.quantize(model, target="litert", calibration=samples(model), method="minmax")

    assert made.plan.tensors["x"].reason == made.report.method == "mse"
    assert told.plan.tensors["x"].reason == told.report.method == "minmax"


def test_statistics_of_ranges_alone_give_minmax(build, samples, image):
    """Saved statistics without histograms serve as they are; asking for mse says what is missing."""
    model = build(image("y = Relu(a)"))
    seen = bw.calibrate(model, samples(model), method="minmax", target="litert")
    full = bw.calibrate(model, samples(model), target="litert")

    assert bw.quantize(model, target="litert", statistics=seen).plan.tensors["x"].reason == "minmax"
    assert bw.quantize(model, target="litert", statistics=full).plan.tensors["x"].reason == "mse"
    with pytest.raises(StatisticsError, match="histogram"):
        bw.quantize(model, target="litert", statistics=seen, method="mse")
