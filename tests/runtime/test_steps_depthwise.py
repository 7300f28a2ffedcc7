"""DEPTHWISE_CONV_2D in the engine: bit for bit the numpy reference."""

from __future__ import annotations

from typing import Any

import engine_checks
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.program.operator import Activation, Operator, Padding
from bitwright.program.options import DepthwiseConv2DOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor
from bitwright.program.window import output_size
from bitwright.runtime.session import Session

DRAWN = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
ACTIVATIONS = [Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]


def depthwise(
    size: tuple[int, int, int, int],
    window: tuple[int, int] = (3, 3),
    *,
    multiplier: int = 1,
    dtype: str = "i8",
    weights: str = "i8",
    seed: int = 0,
    zero_points: tuple[int, int] = (-5, 9),
    weights_zero_point: int = 0,
    is_per_channel: bool = True,
    scale: float = 0.02,
    **options: Any,
) -> Program:
    """One operator of random weights.

    Args:
        size: of the data: N, H, W, C.
        window: KH, KW.
        multiplier: filters of one channel.
        dtype, weights: types of data and weights.
        seed: of the weights.
        zero_points: of data and results, as distances from the middle of u8 and i8.
        weights_zero_point: of u8 weights.
        is_per_channel: whether weights have a scale a channel.
        scale: of the results.
        options: of the operator.
    """
    rng = np.random.default_rng(seed)
    made = DepthwiseConv2DOptions(depth_multiplier=multiplier, **options)
    results = size[3] * multiplier
    steps = (made.stride_h, made.dilation_h_factor), (made.stride_w, made.dilation_w_factor)
    found = (output_size(size[a + 1], window[a], *steps[a], made.padding) for a in range(2))
    middle = 128 if dtype == "u8" else 0
    bounds = STORAGES[weights]
    held = rng.integers(bounds.qmin, bounds.qmax, (1, *window, results), endpoint=True).astype(bounds.dtype)
    scales = rng.uniform(0.001, 0.02, results) if is_per_channel else 0.01
    parameters = QuantParams(scales, weights_zero_point, weights, 3 if is_per_channel else None)
    bias = rng.integers(-4000, 4000, results).astype(np.int32)
    bias_scale = np.float32(0.05) * parameters.scale
    tensors = [
        Tensor("x", size, dtype, QuantParams(0.05, zero_points[0] + middle, dtype)),
        Tensor("w", held.shape, weights, parameters, held),
        Tensor("b", bias.shape, "i32", QuantParams(bias_scale, 0, "i32", 0 if is_per_channel else None), bias),
        Tensor("y", (size[0], *found, results), dtype, QuantParams(scale, zero_points[1] + middle, dtype)),
    ]
    return Program(
        {t.name: t for t in tensors},
        (Operator("DEPTHWISE_CONV_2D", ("x", "w", "b"), ("y",), made),),
        (Port("x", "x"),),
        (Port("y", "y"),),
    )


def drawn(draw: Any) -> Program:
    """Any shape and options."""
    window = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    stride, dilation = [[draw(st.integers(1, most)) for _ in range(2)] for most in (3, 2)]
    padding = draw(st.sampled_from(Padding))
    height, width = (
        max(draw(st.integers(1, 12)), (k - 1) * d + 1 if padding == Padding.VALID else 1)
        for k, d in zip(window, dilation, strict=True)
    )
    dtype = draw(st.sampled_from(["i8", "u8"]))
    is_per_channel = dtype == "i8" and draw(st.booleans())
    ends = st.sampled_from([-128, -3, 0, 127]) | st.integers(-128, 127)
    return depthwise(
        (draw(st.integers(1, 2)), height, width, draw(st.sampled_from([1, 2, 3, 8, 16, 24, 40, 64, 80]))),
        window,
        multiplier=draw(st.sampled_from([1, 1, 1, 2, 3])),
        dtype=dtype,
        weights=dtype,
        seed=draw(st.integers(0, 99)),
        zero_points=(draw(ends), draw(ends)),
        weights_zero_point=draw(st.integers(0, 255)) if dtype == "u8" else 0,
        is_per_channel=is_per_channel,
        scale=draw(st.sampled_from([0.002, 0.05, 0.5])),
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        dilation_h_factor=dilation[0],
        dilation_w_factor=dilation[1],
        fused_activation_function=draw(st.sampled_from(ACTIVATIONS)),
    )


@given(st.data())
@DRAWN
def test_depthwise_equals_the_reference(data):
    """Any window, stride, dilation, padding, multiplier, type and activation, in every rounding."""
    engine_checks.assert_equals_reference(drawn(data.draw))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("channels", [8, 24, 32, 64, 96, 144, 160])
def test_depthwise_of_usual_layers_equals_the_reference(channels, window, stride):
    """The windows and channels of MobileNets and their like, odd and even sizes, more than one task."""
    size = (1, 15 if channels > 32 else 34, 18 if window == 3 else 17, channels)
    options = {"stride_h": stride, "stride_w": stride, "fused_activation_function": Activation.RELU6}

    engine_checks.assert_equals_reference(depthwise(size, (window, window), **options), threads=(1, 2))


@pytest.mark.parametrize("scale", [1e-5, 0.0002], ids=["beyond-32-bits", "beyond-16-bits"])
def test_depthwise_clamps_results_however_large(scale):
    """Products that leave the integers of the conversion, and factors above 1."""
    engine_checks.assert_equals_reference(depthwise((1, 6, 6, 40), scale=scale))


def test_depthwise_takes_weights_of_four_bits():
    """As eight."""
    engine_checks.assert_equals_reference(depthwise((1, 6, 6, 24), weights="i4"))


@pytest.mark.parametrize(
    ("channels", "multiplier", "zero_point", "kernel"),
    [
        pytest.param(24, 1, 128, "depthwise", id="one-filter"),
        pytest.param(24, 2, 128, "conv", id="two-filters"),
        pytest.param(1, 8, 128, "conv", id="one-channel"),
        pytest.param(24, 1, 3, "conv", id="wide-weights"),
    ],
)
def test_depthwise_chooses_the_kernel(channels, multiplier, zero_point, kernel):
    """The depthwise kernel has one filter a channel, of 8 bits; convolutions in groups do the rest."""
    program = depthwise(
        (1, 5, 5, channels),
        multiplier=multiplier,
        dtype="u8",
        weights="u8",
        weights_zero_point=zero_point,
        is_per_channel=False,
    )
    session = Session(program, isa="scalar", threads=1)
    steps = session.profile({"x": np.zeros((1, 5, 5, channels), np.uint8)})

    assert f"{kernel}.scalar" in [step.kernel for step in steps]
    engine_checks.assert_equals_reference(program)


def test_depthwise_leaves_computed_weights_to_the_reference():
    """They can't be packed beforehand."""
    program = depthwise((1, 4, 4, 8))
    tensors = dict(program.tensors)
    tensors["w"] = Tensor("w", tensors["w"].shape, "i8", tensors["w"].qparams)
    computed = Program(tensors, program.operators, (*program.inputs, Port("w", "w")), program.outputs)

    session = Session(computed, isa="scalar", threads=1)

    assert session.left == {"DEPTHWISE_CONV_2D y": "'w' is computed while the model runs"}
