"""Convolutions of 16-bit data by 8-bit weights in the engine: bit for bit the numpy references."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import engine_checks
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.program.operator import Activation, Operator, Options, Padding
from bitwright.program.options import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    TransposeConvOptions,
)
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor
from bitwright.program.window import output_size
from bitwright.runtime.session import Session

DRAWN = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
ACTIVATIONS = [Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]
CHANNELS = st.sampled_from([1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 31, 33, 64, 65])
SCALE = 1e-4


def operator(
    kind: str,
    data: tuple[int, ...],
    weights: tuple[int, ...],
    results: tuple[int, ...],
    options: Options,
    *,
    weights_dtype: str = "i8",
    bias_dtype: str = "i64",
    most_bias: int = 1 << 20,
    is_per_channel: bool = True,
    spread: float = 0.2,
    seed: int = 0,
) -> Program:
    """One operator of random weights.

    Args:
        data, weights, results: shapes.
        most_bias: size of its elements.
        is_per_channel: whether weights have a scale a channel.
        spread: of the results in terms of their range, about.
    """
    rng = np.random.default_rng(seed)
    bounds = STORAGES[weights_dtype]
    held = rng.integers(bounds.qmin, bounds.qmax, weights, endpoint=True).astype(bounds.dtype)
    channels, axis = (weights[3], 3) if kind == "DEPTHWISE_CONV_2D" else (weights[0], 0)
    scales = rng.uniform(0.005, 0.02, channels) if is_per_channel else np.float64(0.01)
    parameters = QuantParams(scales, 0, weights_dtype, axis if is_per_channel else None)
    bias = rng.integers(-most_bias, most_bias, channels).astype(STORAGES[bias_dtype].dtype)
    bias_parameters = QuantParams(np.float32(SCALE) * parameters.scale, 0, bias_dtype, 0 if is_per_channel else None)
    deviation = SCALE * 18900 * 0.01 * 74 * math.sqrt(math.prod(weights) / channels)
    tensors = [
        Tensor("x", data, "i16", QuantParams(SCALE, 0, "i16")),
        Tensor("w", held.shape, weights_dtype, parameters, held),
        Tensor("b", bias.shape, bias_dtype, bias_parameters, bias),
        Tensor("y", results, "i16", QuantParams(deviation / 32768 / spread, 0, "i16")),
        Tensor("s", (4,), "i32", None, np.int32(results) if len(results) == 4 else np.zeros(4, np.int32)),
    ]
    names = ("s", "w", "x", "b") if kind == "TRANSPOSE_CONV" else ("x", "w", "b")
    return Program(
        {t.name: t for t in tensors if t.name in (*names, "y")},
        (Operator(kind, names, ("y",), options),),
        (Port("x", "x"),),
        (Port("y", "y"),),
    )


def sizes(size: tuple[int, ...], window: tuple[int, int], options: Conv2DOptions | DepthwiseConv2DOptions) -> list[int]:
    """Height and width of the results."""
    steps = (options.stride_h, options.dilation_h_factor), (options.stride_w, options.dilation_w_factor)
    return [output_size(size[a + 1], window[a], *steps[a], options.padding) for a in range(2)]


def conv(
    size: tuple[int, int, int, int],
    window: tuple[int, int] = (3, 3),
    results: int = 16,
    *,
    groups: int = 1,
    options: Conv2DOptions | None = None,
    **others: Any,
) -> Program:
    """A CONV_2D of data [N,H,W,C]."""
    given = options or Conv2DOptions()
    weights = (results, *window, size[3] // groups)
    return operator("CONV_2D", size, weights, (size[0], *sizes(size, window, given), results), given, **others)


def depthwise(
    size: tuple[int, int, int, int],
    window: tuple[int, int] = (3, 3),
    *,
    options: DepthwiseConv2DOptions | None = None,
    **others: Any,
) -> Program:
    """A DEPTHWISE_CONV_2D of data [N,H,W,C]."""
    given = options or DepthwiseConv2DOptions()
    results = size[3] * given.depth_multiplier
    weights = (1, *window, results)
    found = (size[0], *sizes(size, window, given), results)
    return operator("DEPTHWISE_CONV_2D", size, weights, found, given, **others)


def fully_connected(
    rows: int, depth: int, results: int, options: FullyConnectedOptions | None = None, **others: Any
) -> Program:
    """A FULLY_CONNECTED of data [rows,depth]."""
    given = options or FullyConnectedOptions()
    return operator("FULLY_CONNECTED", (rows, depth), (results, depth), (rows, results), given, **others)


def with_weights(program: Program, weights: Any) -> Program:
    """The same with other elements."""
    held = np.full_like(program.tensors["w"].data, weights)
    return replace(program, tensors=program.tensors | {"w": replace(program.tensors["w"], data=held)})


def drawn_others(draw: Any, *, takes_32_bits: bool) -> dict[str, Any]:
    """Any types and parameters."""
    bias_dtype = draw(st.sampled_from(["i64", "i32"])) if takes_32_bits else "i64"
    return {
        "bias_dtype": bias_dtype,
        "most_bias": draw(st.sampled_from([1 << 20, 1 << (30 if bias_dtype == "i32" else 46)])),
        "is_per_channel": draw(st.booleans()),
        "spread": draw(st.sampled_from([0.02, 0.2, 2, 500])),
        "seed": draw(st.integers(0, 99)),
    }


def drawn(draw: Any, kind: str) -> Program:
    """Any convolution of that kind."""
    window, stride, dilation = [(draw(st.integers(1, most)), draw(st.integers(1, most))) for most in (5, 3, 2)]
    shared: dict[str, Any] = {
        "padding": draw(st.sampled_from(Padding)),
        "stride_h": stride[0],
        "stride_w": stride[1],
        "fused_activation_function": draw(st.sampled_from(ACTIVATIONS)),
    }
    size = [draw(st.integers(1, 9)) for _ in range(2)]
    batch, channels = draw(st.integers(1, 3)), draw(CHANNELS)
    others = drawn_others(draw, takes_32_bits=kind != "DEPTHWISE_CONV_2D")
    bias_type = "i32" if others["bias_dtype"] == "i32" else "f32"
    if kind == "TRANSPOSE_CONV":
        is_same = shared["padding"] == Padding.SAME
        found = (n * s if is_same else (n - 1) * s + k for n, k, s in zip(size, window, stride, strict=True))
        results = draw(CHANNELS)
        options = TransposeConvOptions(**shared, quantized_bias_type=bias_type)
        weights = (results, *window, channels)
        return operator(kind, (batch, *size, channels), weights, (batch, *found, results), options, **others)
    if shared["padding"] == Padding.VALID:
        size = [max(n, (k - 1) * d + 1) for n, k, d in zip(size, window, dilation, strict=True)]
    shared |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    if kind == "DEPTHWISE_CONV_2D":
        multiplier = draw(st.sampled_from([1, 1, 1, 2, 3]))
        given_options = DepthwiseConv2DOptions(**shared, depth_multiplier=multiplier)
        return depthwise((batch, size[0], size[1], channels), window, options=given_options, **others)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    filters = draw(CHANNELS) if groups == 1 else draw(st.integers(1, 9))
    given_size = (batch, size[0], size[1], groups * channels)
    conv_options = Conv2DOptions(**shared, quantized_bias_type=bias_type)
    return conv(given_size, window, groups * filters, groups=groups, options=conv_options, **others)


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
@given(st.data())
@DRAWN
def test_convolution_of_16_bits_equals_the_reference(kind, data):
    """Any window, stride, dilation, padding, groups, multiplier, bias and activation, in every rounding."""
    engine_checks.assert_equals_reference(drawn(data.draw, kind))


@given(st.data())
@DRAWN
def test_fully_connected_of_16_bits_equals_the_reference(data):
    """Any rows, depth, bias and activation, in every rounding."""
    rows, depth, results = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 700)), data.draw(CHANNELS)
    others = drawn_others(data.draw, takes_32_bits=True)
    options = FullyConnectedOptions(
        fused_activation_function=data.draw(st.sampled_from(ACTIVATIONS)),
        quantized_bias_type="i32" if others["bias_dtype"] == "i32" else "f32",
    )

    engine_checks.assert_equals_reference(fully_connected(rows, depth, results, options, **others))


@pytest.mark.parametrize("bias_dtype", ["i64", "i32"])
@pytest.mark.parametrize("depth", [511, 512, 513, 1024, 5000])
def test_sums_wider_than_32_bits_equal_the_reference(depth, bias_dtype):
    """-32768 times -127 over and over: kept in 64 bits, or wrapped to 32 where the bias has 32."""
    feeds = {"x": np.full((1, 2, 3, depth), -32768, np.int16)}
    options = Conv2DOptions(quantized_bias_type="i32" if bias_dtype == "i32" else "f32")
    program = with_weights(
        conv((1, 2, 3, depth), (1, 1), 18, options=options, bias_dtype=bias_dtype, spread=0.01), -127
    )

    engine_checks.assert_equals_reference(program, feeds=feeds)
    rows = with_weights(fully_connected(3, depth, 18, spread=0.01), [[-127], [127]] * 9)
    engine_checks.assert_equals_reference(rows, feeds={"x": feeds["x"].reshape(6, depth)[:3]})


def test_wide_sums_of_a_window_equal_the_reference():
    """Chunks end within rows of the window, of an odd count of elements."""
    feeds = {"x": np.full((1, 6, 6, 61), -32768, np.int16)}

    engine_checks.assert_equals_reference(with_weights(conv((1, 6, 6, 61), spread=0.01), 127), feeds=feeds)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(conv((1, 28, 28, 64), (1, 1), 65), id="pointwise"),
        pytest.param(conv((1, 14, 14, 64), (3, 3), 64), id="three-by-three"),
        pytest.param(
            conv((1, 28, 28, 3), (7, 7), options=Conv2DOptions(stride_h=2, stride_w=2), most_bias=1 << 40), id="first"
        ),
        pytest.param(depthwise((1, 15, 18, 144)), id="depthwise"),
        pytest.param(depthwise((2, 9, 9, 40), options=DepthwiseConv2DOptions(depth_multiplier=2)), id="two-filters"),
        pytest.param(depthwise((1, 30, 30, 8), (25, 25)), id="large-window"),
    ],
)
def test_usual_layers_of_16_bits_equal_the_reference(program):
    """More than one task, divided between threads."""
    engine_checks.assert_equals_reference(program, threads=(1, 2))


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(conv((1, 6, 6, 24), weights_dtype="i4"), id="conv"),
        pytest.param(fully_connected(2, 40, 7, weights_dtype="i4"), id="fully-connected"),
    ],
)
def test_weights_of_four_bits_are_as_eight(program):
    """Beside 16-bit data too."""
    engine_checks.assert_equals_reference(program)


@pytest.mark.parametrize(
    ("channels", "options", "kernel"),
    [
        pytest.param(24, {}, "conv16.avx2_depthwise", id="one-filter"),
        pytest.param(24, {"depth_multiplier": 2}, "conv16.avx2", id="two-filters"),
        pytest.param(1, {"depth_multiplier": 8}, "conv16.avx2", id="one-channel"),
    ],
)
@pytest.mark.skipif("avx2" not in engine_checks.USABLE_ISAS, reason="this machine has no AVX2")
def test_depthwise_of_16_bits_chooses_the_kernel(channels, options, kernel):
    """One for a filter a channel; convolutions in groups do the rest."""
    program = depthwise((1, 5, 5, channels), options=DepthwiseConv2DOptions(**options))
    steps = Session(program, isa="avx2", threads=1).profile({"x": np.zeros((1, 5, 5, channels), np.int16)})

    assert kernel in [step.kernel for step in steps]


def test_padded_images_of_16_bits_are_read_with_their_border():
    """A PAD before a convolution is no step."""
    program = conv((1, 7, 8, 5), options=Conv2DOptions(padding=Padding.VALID))
    x, pads = program.tensors["x"], np.int32([[0, 0], [1, 0], [0, 2], [0, 0]])
    inner, sizes_of_pads = replace(x, name="i", shape=(1, 6, 6, 5)), Tensor("p", pads.shape, "i32", None, pads)
    padded = replace(
        program,
        tensors=program.tensors | {"i": inner, "p": sizes_of_pads},
        operators=(Operator("PAD", ("i", "p"), ("x",), Options()), *program.operators),
        inputs=(Port("i", "i"),),
    )

    engine_checks.assert_equals_reference(padded)
    steps = Session(padded, isa="scalar", threads=1).profile({"i": np.zeros((1, 6, 6, 5), np.int16)})
    kernels = [step.kernel for step in steps]
    assert [kernel for kernel in kernels if not kernel.startswith(("copy", "fill"))] == ["conv16.scalar"]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        pytest.param(conv((1, 3, 3, 4), most_bias=1 << 50), "the bias has more than 47 bits", id="bias"),
        pytest.param(conv((1, 3, 3, 4), spread=1e8), "results are over 128 times finer than their sums", id="scale"),
    ],
)
def test_what_64_bits_do_not_hold_is_left_to_the_reference(program, reason):
    """A bias of more than 47 bits, a factor of 128 or more."""
    session = Session(program, isa="scalar", threads=1)

    assert {"CONV_2D y": reason} == session.left
