"""CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV against the real LiteRT, in every type they have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.program.operator import Activation, Padding
from bitwright.program.options import Conv2DOptions, DepthwiseConv2DOptions, TransposeConvOptions
from bitwright.program.program import Program
from bitwright.program.tensor import Tensor
from bitwright.program.verify import verify
from bitwright.program.window import output_size

DRAWN = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

SCHEMES = {
    "CONV_2D": ["i8 i8", "i8 i4", "u8 u8", "i16 i8", "i16 i4"],
    "DEPTHWISE_CONV_2D": ["i8 i8", "u8 u8", "i16 i8"],
    "TRANSPOSE_CONV": ["i8 i8", "u8 u8", "i16 i8"],
}
INTEGER = [pytest.param(kind, scheme, id=f"{kind}-{scheme}") for kind, found in SCHEMES.items() for scheme in found]
EIGHT_BIT = [pytest.param(kind, scheme, id=f"{kind}-{scheme}") for kind in SCHEMES for scheme in ("i8 i8", "u8 u8")]
FLOAT = [
    pytest.param(kind, scheme, id=f"{kind}-{scheme}")
    for kind in SCHEMES
    for scheme in ("f32 f32", "f32 i8", "f32 i4")
    if scheme != "f32 i4" or kind == "CONV_2D"
]


def drawn(draw: Any, peer: Any, kind: str, scheme: str, *, is_even: bool = False) -> tuple[Program, dict[str, Any]]:
    """A convolution of random shape and options, and what is fed."""
    numbers = peer.Numbers(scheme, draw(st.integers(0, 1 << 16)), is_even=is_even)
    batch, size = draw(st.integers(1, 3)), [draw(st.integers(1, 8)) for _ in range(2)]
    kernel, stride = [draw(st.integers(1, 3)) for _ in range(2)], [draw(st.integers(1, 3)) for _ in range(2)]
    dilation = [1, 1] if kind == "TRANSPOSE_CONV" else [draw(st.integers(1, 2)) for _ in range(2)]
    padding = draw(st.sampled_from(Padding))
    activations = [Activation.NONE, Activation.RELU]
    if not numbers.is_float:
        activations += [Activation.RELU6, Activation.RELU_N1_TO_1]
    shared = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "fused_activation_function": draw(st.sampled_from(activations)),
    }
    if kind != "TRANSPOSE_CONV" and padding == Padding.VALID:
        size = [max(s, (k - 1) * d + 1) for s, k, d in zip(size, kernel, dilation, strict=True)]
    channels, results, shape, axis, depth = _filters(draw, kind, kernel)
    is_per_axis = scheme in ("i8 i8", "i8 i4", "i16 i8", "i16 i4") and draw(st.booleans())
    if numbers.is_float:  # one scale goes with neither groups nor depthwise
        is_per_axis = kind == "DEPTHWISE_CONV_2D" or depth != channels or draw(st.booleans())
    x = numbers.data((batch, *size, channels))
    w = numbers.weights(shape, axis=axis if is_per_axis and scheme != "f32 f32" else None)
    bias_type = None
    if scheme.startswith("i16") and kind != "DEPTHWISE_CONV_2D":
        bias_type = shared["quantized_bias_type"] = draw(st.sampled_from(["i32", "i64"]))
    bias = numbers.bias(results, x, w, bias_type)
    if kind == "TRANSPOSE_CONV":
        found = [_transposed_size(draw, *row, padding) for row in zip(size, kernel, stride, strict=True)]
    else:
        found = [output_size(s, k, t, d, padding) for s, k, t, d in zip(size, kernel, stride, dilation, strict=True)]
        shared |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    y = numbers.result((batch, *found, results), x, w, depth * kernel[0] * kernel[1])
    if kind == "CONV_2D":
        program = peer.one_operator(kind, (x, w, bias), y, Conv2DOptions(**shared))
    elif kind == "DEPTHWISE_CONV_2D":
        options = DepthwiseConv2DOptions(**shared, depth_multiplier=results // channels)
        program = peer.one_operator(kind, (x, w, bias), y, options)
    else:
        operands = (peer.constant("s", np.int32(y.shape), "i32"), w, x)
        operands += (bias,) if draw(st.booleans()) else ()
        program = peer.one_operator(kind, operands, y, TransposeConvOptions(**shared))
    return program, {"x": numbers.values(x)}


def _filters(draw: Any, kind: str, kernel: list[int]) -> tuple[int, int, tuple[int, ...], int, int]:
    """Channels of data and result, shape of the weights, their axis, terms of a sum at one place."""
    if kind == "CONV_2D":
        groups = draw(st.sampled_from([1, 1, 2, 3]))
        most = 40 if groups == 1 else 7
        depth, filters = draw(st.integers(1, most)), draw(st.integers(1, most))
        return groups * depth, groups * filters, (groups * filters, *kernel, depth), 0, depth
    if kind == "DEPTHWISE_CONV_2D":
        channels, multiplier = draw(st.integers(1, 40)), draw(st.integers(1, 3))
        return channels, channels * multiplier, (1, *kernel, channels * multiplier), 3, 1
    channels, results = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    return channels, results, (results, *kernel, channels), 0, channels


def _transposed_size(draw: Any, size: int, kernel: int, stride: int, padding: Padding) -> int:
    """A size that a convolution takes to `size`."""
    left = draw(st.integers(0, stride - 1))
    return size * stride - left if padding == Padding.SAME else (size - 1) * stride + kernel + left


@pytest.mark.parametrize(("kind", "scheme"), INTEGER)
def test_convolution_of_integers_is_that_of_the_reference_kernels(peer, kind, scheme):
    """Bit for bit: strides, dilations, groups, paddings, batches, zero_points, activations, one scale or many."""

    @DRAWN
    @given(st.data())
    def check(data):
        program, feeds = drawn(data.draw, peer, kind, scheme, is_even=data.draw(st.booleans()))

        assert peer.differing(peer.litert_run(program, feeds), peer.reference_run(program, feeds)) == 0

    check()


@pytest.mark.parametrize(("kind", "scheme"), EIGHT_BIT)
def test_convolution_rounds_fp32_even_as_xnnpack(peer, kind, scheme):
    """A program of rounding fp32_even has the integers of LiteRT's default, where ties are many as well."""

    @DRAWN
    @given(st.data())
    def check(data):
        program, feeds = drawn(data.draw, peer, kind, scheme, is_even=data.draw(st.booleans()))
        if kind == "TRANSPOSE_CONV" and _has_gaps(program):
            return  # not XNNPACK's
        program = replace(program, rounding="fp32_even")

        wanted = peer.litert_run(program, feeds, "DEFAULT")

        assert peer.differing(wanted, peer.reference_run(program, feeds)) == 0

    check()


def _has_gaps(program: Program) -> bool:
    options, window = program.operators[0].options, program.tensors["w"].shape[1:3]
    return options.padding == Padding.SAME and (window[0] < options.stride_h or window[1] < options.stride_w)


@pytest.mark.parametrize(("kind", "scheme"), FLOAT)
def test_convolution_of_floats_is_near_that_of_the_reference_kernels(peer, kind, scheme):
    """Within 1e-5 of the largest value, float weights or integer ones."""

    @DRAWN
    @given(st.data())
    def check(data):
        program, feeds = drawn(data.draw, peer, kind, scheme)

        wanted, got = peer.litert_run(program, feeds)["y"], peer.reference_run(program, feeds)["y"]

        assert np.abs(wanted - got).max() <= 1e-5 * np.abs(wanted).max(initial=1e-6)

    check()


@pytest.mark.parametrize("asymmetric", [False, True], ids=["one-scale", "many-scales"])
def test_float_data_beside_integer_weights_rounds_away_from_zero(peer, asymmetric):
    """Halves among the quantized activations: before the zero_point is added."""
    channels = 64
    x = (np.arange(channels, dtype=np.float32) - 20) * np.float32(0.5)
    x[:2] = (235, -20) if asymmetric else (127, -20)
    eye = np.eye(channels, dtype=np.int8).reshape(channels, 1, 1, channels)
    scale = np.where(np.arange(channels) < 3, 1.0, 2.0) if asymmetric else 1.0
    w = peer.quantized("w", eye.shape, scale=scale, axis=0 if asymmetric else None, data=eye)
    bias = peer.constant("b", np.zeros(channels, np.float32), "f32")
    shape = (1, 1, 1, channels)
    program = peer.one_operator("CONV_2D", (Tensor("x", shape), w, bias), Tensor("y", shape), Conv2DOptions())

    feeds = {"x": x.reshape(shape)}

    np.testing.assert_array_equal(peer.litert_run(program, feeds)["y"], peer.reference_run(program, feeds)["y"])


def test_convolution_by_blocks_of_rows_is_the_whole(peer, monkeypatch):
    """Large images are laid out a few rows at a time, small ones several at a time."""
    import bitwright.program.convolve as convolve

    numbers = peer.Numbers("i8 i8", 7)
    x, w = numbers.data((3, 9, 8, 5)), numbers.weights((4, 3, 3, 5), axis=0)
    y = numbers.result((3, 9, 8, 4), x, w, 45)
    program = peer.one_operator("CONV_2D", (x, w, numbers.bias(4, x, w)), y, Conv2DOptions())
    feeds = {"x": numbers.values(x)}
    whole = peer.reference_run(program, feeds)

    for elements in (1, 900, 3000, 4000):
        monkeypatch.setattr(convolve, "_BLOCK", elements)
        assert peer.differing(whole, peer.reference_run(program, feeds)) == 0


def example(peer: Any, kind: str = "CONV_2D", scheme: str = "i8 i8", **changes: Any) -> Program:
    """A small call that has a kernel, some of its tensors changed."""
    numbers = peer.Numbers(scheme, 1)
    depthwise, transposed = kind == "DEPTHWISE_CONV_2D", kind == "TRANSPOSE_CONV"
    x = numbers.data((1, 5, 5, 4))
    w = numbers.weights((1, 3, 3, 4) if depthwise else (4, 3, 3, 4), axis=None if scheme == "u8 u8" else 3 * depthwise)
    tensors = {"x": x, "w": w, "b": numbers.bias(4, x, w), "y": numbers.result((1, 5, 5, 4), x, w, 36)}
    options = changes.pop("options", None)
    tensors |= {name: change(tensors[name]) for name, change in changes.items()}
    operands = tuple(tensors[name] for name in "xwb" if tensors[name] is not None)
    if transposed:
        operands = (peer.constant("s", np.int32([1, 5, 5, 4]), "i32"), operands[1], operands[0], *operands[2:])
    default = {"CONV_2D": Conv2DOptions, "DEPTHWISE_CONV_2D": DepthwiseConv2DOptions}.get(kind, TransposeConvOptions)
    return peer.one_operator(kind, operands, tensors["y"], options or default())


def with_qparams(**fields: Any) -> Any:
    """A change of a tensor's parameters."""

    def change(tensor: Tensor) -> Tensor:
        old = tensor.qparams
        assert old is not None
        held = {"scale": old.scale, "zero_point": old.zero_point, "storage": old.storage, "axis": old.axis} | fields
        return replace(tensor, qparams=type(old)(**held))

    return change


def as_plain(dtype: str) -> Any:
    """A change of a constant's type, without parameters."""
    return lambda t: replace(t, dtype=dtype, qparams=None, data=t.data.astype(dtype.replace("i", "int")))


def nothing(tensor: Tensor) -> None:
    """A change that leaves the operand out."""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param({"b": nothing}, "without a bias", id="no-bias"),
        pytest.param({"kind": "DEPTHWISE_CONV_2D", "b": nothing}, "without a bias", id="no-depthwise-bias"),
        pytest.param({"x": lambda t: replace(t, qparams=None)}, "has no scale", id="no-parameters"),
        pytest.param({"w": as_plain("i32")}, "no kernel for i8 by i32", id="types"),
        pytest.param({"b": as_plain("i64")}, "is i64, the kernel takes i32", id="bias"),
        pytest.param({"w": with_qparams(axis=3)}, "along axis 3", id="other-axis"),
        pytest.param({"w": with_qparams(zero_point=[1] * 4)}, "zero_point 0", id="zero-point-with-axis"),
        pytest.param({"w": with_qparams(scale=1, zero_point=1, axis=None)}, "has a zero_point", id="zero-point"),
        pytest.param({"y": with_qparams(scale=[1, 1, 1, 1], zero_point=0, axis=3)}, "several scales", id="result-axis"),
        pytest.param({"scheme": "i16 i8", "x": with_qparams(zero_point=1)}, "have zero_point 0", id="int16-zero-point"),
        pytest.param({"scheme": "u8 u8", "b": with_qparams(scale=9)}, "has scale 9", id="bias-scale"),
        pytest.param(
            {"options": Conv2DOptions(fused_activation_function=Activation.TANH)}, "no fused TANH", id="activation"
        ),
        pytest.param(
            {"kind": "DEPTHWISE_CONV_2D", "scheme": "f32 i8", "w": with_qparams(scale=1, zero_point=0, axis=None)},
            "one a channel",
            id="depthwise-one-scale",
        ),
        pytest.param(
            {"kind": "DEPTHWISE_CONV_2D", "scheme": "i16 i8", "options": DepthwiseConv2DOptions(depth_multiplier=2)},
            "depth_multiplier is 2",
            id="depth-multiplier",
        ),
    ],
)
def test_convolution_refuses_what_has_no_kernel(peer, arguments, reason):
    """With the reason."""
    with pytest.raises(ModelError, match=reason):
        verify(example(peer, **arguments))


@pytest.mark.parametrize("kind", SCHEMES)
def test_convolution_example_has_a_kernel(peer, kind):
    """What the refusals change is whole."""
    verify(example(peer, kind))


@pytest.mark.parametrize(
    ("kind", "weights", "result", "problem"),
    [
        pytest.param("CONV_2D", (4, 3, 3, 3), (1, 5, 5, 4), "3 input channels do not divide 4", id="channels"),
        pytest.param("CONV_2D", (3, 3, 3, 2), (1, 5, 5, 3), "3 results do not divide into 2 groups", id="groups"),
        pytest.param("CONV_2D", (4, 7, 7, 4), (1, 5, 5, 4), "no window of 7", id="window"),
        pytest.param("CONV_2D", (5, 3, 3, 4), (1, 3, 3, 5), "4 values for 5 channels", id="bias"),
        pytest.param("CONV_2D", (4, 3, 3), (1, 3, 3, 4), "3 dimensions", id="rank"),
        pytest.param("DEPTHWISE_CONV_2D", (1, 3, 3, 6), (1, 3, 3, 6), "every of 4 channels", id="depthwise"),
        pytest.param("TRANSPOSE_CONV", (4, 3, 3, 2), (1, 7, 7, 4), "do not fit data of 4", id="transposed-channels"),
        pytest.param("TRANSPOSE_CONV", (4, 3, 3, 4), (2, 7, 7, 4), "does not fit", id="transposed-shape"),
    ],
)
def test_convolution_says_which_shapes_do_not_fit(peer, kind, weights, result, problem):
    """What meets what."""
    x, y = Tensor("x", (1, 5, 5, 4)), Tensor("y", result)
    w, bias = (peer.constant(n, np.zeros(s, np.float32), "f32") for n, s in (("w", weights), ("b", (4,))))
    operands: Any = (x, w, bias)
    options: Any = Conv2DOptions(padding=Padding.VALID)
    if kind == "DEPTHWISE_CONV_2D":
        options = DepthwiseConv2DOptions(padding=Padding.VALID)
    if kind == "TRANSPOSE_CONV":
        operands = (peer.constant("s", np.int32(result), "i32"), w, x, bias)
        options = TransposeConvOptions(padding=Padding.VALID)

    with pytest.raises(ModelError, match=problem):
        verify(peer.one_operator(kind, operands, y, options))
