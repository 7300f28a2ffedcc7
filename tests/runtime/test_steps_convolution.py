"""CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED in the engine: bit for bit the numpy references."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import engine_checks
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.program.operator import Activation, Operator, Padding
from bitwright.program.options import Conv2DOptions, FullyConnectedOptions, Options, TransposeConvOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor
from bitwright.program.window import output_size
from bitwright.runtime.session import Session
from bitwright.runtime.steps.transpose_convolution import Phase, phases

DRAWN = settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
ACTIVATIONS = [Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]
CHANNELS = st.sampled_from([1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 31, 33, 64, 65])
SCALE = 0.05


def operator(
    kind: str,
    data: Sequence[int],
    weights: Sequence[int],
    results: Sequence[int],
    options: Options,
    *,
    dtype: str = "i8",
    weights_dtype: str = "",
    seed: int = 0,
    zero_points: tuple[int, int] = (-5, 9),
    weights_zero_point: int = 0,
    is_per_channel: bool = True,
    has_bias: bool = True,
    spread: float = 0.2,
) -> Program:
    """One operator of random weights.

    Args:
        kind: CONV_2D, TRANSPOSE_CONV or FULLY_CONNECTED.
        data, weights, results: shapes.
        options: of the operator.
        dtype, weights_dtype: types of data and weights; weights have that of the data when not given.
        seed: of the weights.
        zero_points: of data and results, as distances from the middle of u8 and i8.
        weights_zero_point: of u8 weights.
        is_per_channel: whether weights have a scale a channel.
        has_bias: whether there is one.
        spread: of the results in terms of their range, about.
    """
    rng = np.random.default_rng(seed)
    middle = 128 if dtype == "u8" else 0
    bounds = STORAGES[weights_dtype or dtype]
    held = rng.integers(bounds.qmin, bounds.qmax, tuple(weights), endpoint=True).astype(bounds.dtype)
    channels = weights[0]
    scales = rng.uniform(0.005, 0.02, channels) if is_per_channel else np.float64(0.01)
    parameters = QuantParams(scales, weights_zero_point, weights_dtype or dtype, 0 if is_per_channel else None)
    bias = rng.integers(-4000, 4000, channels).astype(np.int32)
    bias_parameters = QuantParams(np.float32(SCALE) * parameters.scale, 0, "i32", 0 if is_per_channel else None)
    deviation = SCALE * 0.01 * 74 * 74 * math.sqrt(math.prod(weights[1:]))
    tensors = [
        Tensor("x", tuple(data), dtype, QuantParams(SCALE, zero_points[0] + middle, dtype)),
        Tensor("w", held.shape, weights_dtype or dtype, parameters, held),
        Tensor("b", bias.shape, "i32", bias_parameters, bias),
        Tensor("y", tuple(results), dtype, QuantParams(deviation / 128 / spread, zero_points[1] + middle, dtype)),
        Tensor("s", (4,), "i32", None, np.int32(results) if len(results) == 4 else np.zeros(4, np.int32)),
    ]
    names = ("s", "w", "x") if kind == "TRANSPOSE_CONV" else ("x", "w")
    names += ("b",) if has_bias else ()
    return Program(
        {t.name: t for t in tensors if t.name in (*names, "y")},
        (Operator(kind, names, ("y",), options),),
        (Port("x", "x"),),
        (Port("y", "y"),),
    )


def conv(
    size: tuple[int, int, int, int],
    window: tuple[int, int] = (3, 3),
    results: int = 16,
    *,
    groups: int = 1,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: Padding = Padding.SAME,
    activation: Activation = Activation.NONE,
    **others: Any,
) -> Program:
    """A CONV_2D of data [N,H,W,C]."""
    options = Conv2DOptions(
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        dilation_h_factor=dilation[0],
        dilation_w_factor=dilation[1],
        fused_activation_function=activation,
    )
    found = (output_size(size[a + 1], window[a], stride[a], dilation[a], padding) for a in range(2))
    weights = (results, *window, size[3] // groups)
    return operator("CONV_2D", size, weights, (size[0], *found, results), options, **others)


def transpose_conv(
    size: tuple[int, int, int, int],
    window: tuple[int, int] = (3, 3),
    results: int = 16,
    *,
    stride: tuple[int, int] = (2, 2),
    left: tuple[int, int] = (0, 0),
    padding: Padding = Padding.SAME,
    activation: Activation = Activation.NONE,
    **others: Any,
) -> Program:
    """A TRANSPOSE_CONV of data [N,H,W,C]; left: what the convolution back to the data leaves at the end."""
    options = TransposeConvOptions(
        padding=padding, stride_h=stride[0], stride_w=stride[1], fused_activation_function=activation
    )
    found = (
        n * s - rest if padding == Padding.SAME else (n - 1) * s + k + rest
        for n, k, s, rest in zip(size[1:3], window, stride, left, strict=True)
    )
    weights = (results, *window, size[3])
    return operator("TRANSPOSE_CONV", size, weights, (size[0], *found, results), options, **others)


def drawn_types(draw: Any) -> dict[str, Any]:
    """Any types and parameters."""
    dtype = draw(st.sampled_from(["i8", "u8"]))
    ends = st.sampled_from([-128, -3, 0, 127]) | st.integers(-128, 127)
    return {
        "dtype": dtype,
        "seed": draw(st.integers(0, 99)),
        "zero_points": (draw(ends), draw(ends)),
        "weights_zero_point": draw(st.integers(0, 255)) if dtype == "u8" else 0,
        "is_per_channel": dtype == "i8" and draw(st.booleans()),
        "spread": draw(st.sampled_from([0.02, 0.2, 2])),
    }


def drawn_image(draw: Any, kind: str) -> Program:
    """Any CONV_2D or TRANSPOSE_CONV."""
    window, stride, dilation = [(draw(st.integers(1, most)), draw(st.integers(1, most))) for most in (5, 3, 2)]
    padding = draw(st.sampled_from(Padding))
    size = [draw(st.integers(1, 9)) for _ in range(2)]
    batch, results = draw(st.integers(1, 3)), draw(CHANNELS)
    shared = drawn_types(draw) | {"padding": padding, "activation": draw(st.sampled_from(ACTIVATIONS))}
    if kind == "TRANSPOSE_CONV":
        left = [draw(st.integers(0, s - 1)) for s in stride]
        if padding == Padding.SAME:
            left = [min(rest, n * s - 1) for n, s, rest in zip(size, stride, left, strict=True)]
        given_size = (batch, size[0], size[1], draw(CHANNELS))
        has_bias = draw(st.booleans())
        options = shared | {"stride": stride, "left": tuple(left), "has_bias": has_bias}
        return transpose_conv(given_size, window, results, **options)
    if padding == Padding.VALID:
        size = [max(n, (k - 1) * d + 1) for n, k, d in zip(size, window, dilation, strict=True)]
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    depth, filters = (draw(CHANNELS), draw(CHANNELS)) if groups == 1 else (draw(st.integers(1, 9)),) * 2
    options = shared | {"stride": stride, "dilation": dilation, "groups": groups}
    return conv((batch, size[0], size[1], groups * depth), window, groups * filters, **options)


@given(st.data())
@DRAWN
def test_conv_equals_the_reference(data):
    """Any window, stride, dilation, padding, groups, type and activation, in every rounding."""
    engine_checks.assert_equals_reference(drawn_image(data.draw, "CONV_2D"))


@given(st.data())
@DRAWN
def test_transpose_conv_equals_the_reference(data):
    """Any window, stride, padding, type and activation, windows smaller than the stride too, in every rounding."""
    engine_checks.assert_equals_reference(drawn_image(data.draw, "TRANSPOSE_CONV"))


@pytest.mark.parametrize(
    ("size", "window", "results", "stride"),
    [
        pytest.param((1, 28, 28, 64), 1, 65, 1, id="pointwise"),
        pytest.param((1, 14, 14, 64), 3, 64, 1, id="three-by-three"),
        pytest.param((1, 28, 28, 3), 7, 16, 2, id="first-layer"),
        pytest.param((1, 7, 7, 256), 1, 129, 1, id="few-pixels"),
        pytest.param((2, 15, 13, 32), 3, 24, 2, id="odd-sizes"),
    ],
)
def test_conv_of_usual_layers_equals_the_reference(size, window, results, stride):
    """More than one task, divided between threads."""
    program = conv(size, (window, window), results, stride=(stride, stride), activation=Activation.RELU6)

    engine_checks.assert_equals_reference(program, threads=(1, 2))


def test_conv_takes_weights_of_four_bits():
    """As eight."""
    engine_checks.assert_equals_reference(conv((1, 6, 6, 24), weights_dtype="i4"))


@pytest.mark.parametrize("zero_point", [0, 3, 128, 255])
def test_conv_takes_weights_wider_than_eight_bits(zero_point):
    """u8 weights without their zero_point need up to nine bits."""
    program = conv((1, 6, 7, 9), dtype="u8", weights_zero_point=zero_point, is_per_channel=False)

    engine_checks.assert_equals_reference(program)


@given(st.data())
@DRAWN
def test_fully_connected_equals_the_reference(data):
    """Any rows, depth, type and activation, in every rounding."""
    rows, depth, results = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 300)), data.draw(CHANNELS)
    options = FullyConnectedOptions(fused_activation_function=data.draw(st.sampled_from(ACTIVATIONS)))
    others = drawn_types(data.draw) | {"has_bias": data.draw(st.booleans())}

    program = operator("FULLY_CONNECTED", (rows, depth), (results, depth), (rows, results), options, **others)

    engine_checks.assert_equals_reference(program)


def test_fully_connected_keeps_dimensions():
    """[2,3,40] by [7,40] is [2,3,7]."""
    options = FullyConnectedOptions(keep_num_dims=True)

    engine_checks.assert_equals_reference(operator("FULLY_CONNECTED", (2, 3, 40), (7, 40), (2, 3, 7), options))


def test_phases_of_a_transposed_convolution():
    """SAME, 3 taps, stride 2: even results have both ends of the window, last one first, odd ones the middle."""
    even, odd = phases(data=4, window=3, results=8, stride=2, before=0)

    assert even == Phase(first=0, taps=(2, 0), before=1, after=0)
    assert odd == Phase(first=1, taps=(1,), before=0, after=0)


def test_transpose_conv_without_taps_is_the_bias():
    """Results between windows that leave gaps are the requantized bias."""
    program = transpose_conv((1, 3, 3, 5), (1, 1), 4, stride=(3, 3), padding=Padding.VALID, left=(2, 2))

    engine_checks.assert_equals_reference(program)


def test_transpose_conv_leaves_results_beyond_the_window_to_the_reference():
    """A result that is far larger than data and window give would need a border of that size."""
    program = transpose_conv((1, 3, 3, 5), (2, 2), 4, padding=Padding.VALID, left=(30, 0))

    engine_checks.assert_equals_reference(program, all_in_engine=False)
    reasons = Session(program, isa="scalar", threads=1).left

    assert reasons == {"TRANSPOSE_CONV y": "the result is 15 pixels larger than the window reaches"}


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(conv((1, 4, 4, 8)), id="conv"),
        pytest.param(transpose_conv((1, 4, 4, 8)), id="transpose-conv"),
    ],
)
def test_convolution_leaves_computed_weights_to_the_reference(program):
    """They can't be packed beforehand."""
    tensors = program.tensors | {"w": replace(program.tensors["w"], data=None)}
    computed = Program(tensors, program.operators, (*program.inputs, Port("w", "w")), program.outputs)

    session = Session(computed, isa="scalar", threads=1)

    assert {f"{program.operators[0].kind} y": "'w' is computed while the model runs"} == session.left
