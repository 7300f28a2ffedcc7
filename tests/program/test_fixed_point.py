"""Roundings and bounds of fused activations, as LiteRT has them, on accumulators that are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bitwright.program.fixed_point import activation_bounds
from bitwright.program.operator import Activation, Padding
from bitwright.program.options import (
    BatchMatMulOptions,
    Conv2DOptions,
    FullyConnectedOptions,
    TransposeConvOptions,
)
from bitwright.program.program import Port, Program


def of_accumulators(peer: Any, values: Any, real: float, **options: Any) -> Program:
    """CONV_2D whose accumulators are the bias, times a real multiplier, zero_points 0."""
    count = len(values)
    x = peer.quantized("x", (1, 1, 1, 1), scale=1.0)
    w = peer.quantized("w", (count, 1, 1, 1), scale=real, data=np.zeros((count, 1, 1, 1), np.int8))
    bias = peer.quantized("b", (count,), "i32", scale=real, data=np.int32(values))
    y = peer.quantized("y", (1, 1, 1, count), scale=1.0)
    return peer.one_operator("CONV_2D", (x, w, bias), y, Conv2DOptions(**options))


FED = {"x": np.zeros((1, 1, 1, 1), np.int8)}


@pytest.mark.parametrize(
    ("rounding", "resolver", "expected"),
    [
        pytest.param("tflite_double", "BUILTIN_REF", [1, -1, 2, -2, 3, -3], id="double"),
        pytest.param("fp32_even", "DEFAULT", [0, 0, 2, -2, 2, -2], id="xnnpack"),
        pytest.param("tflite_single", None, [1, 0, 2, -1, 3, -2], id="single"),
    ],
)
def test_convolution_tie_rule(peer, rounding, resolver, expected):
    """0.5, 1.5 and 2.5 on both sides of zero; LiteRT has the first two."""
    program = replace(of_accumulators(peer, [2, -2, 6, -6, 10, -10], 0.25), rounding=rounding)

    assert expected == peer.reference_run(program, FED)["y"].ravel().tolist()
    if resolver is not None:
        assert expected == peer.litert_run(program, FED, resolver)["y"].ravel().tolist()


@pytest.mark.parametrize("activation", [Activation.RELU6, Activation.RELU_N1_TO_1])
@pytest.mark.parametrize("scale", [0.4, 2.0, 2.4, 12.0])
@pytest.mark.parametrize(
    ("rounding", "resolver"), [("tflite_double", "BUILTIN_REF"), ("fp32_even", "DEFAULT")], ids=["kernels", "xnnpack"]
)
@pytest.mark.parametrize("odd", [0, 7])
def test_activation_bound_between_two_integers(peer, activation, scale, rounding, resolver, odd):
    """6 or 1 over the scale may be a half, which LiteRT's kernels round away from zero and XNNPACK to even."""
    program = of_accumulators(peer, range(-32, 32), 1.0, fused_activation_function=activation)
    tensors = dict(program.tensors)
    for name, zero_point in (("x", 0), ("b", 0), ("y", odd)):
        held = tensors[name]
        tensors[name] = replace(held, qparams=peer.QuantParams(scale, zero_point, held.dtype))
    program = replace(program, tensors=tensors, rounding=rounding)

    assert peer.differing(peer.litert_run(program, FED, resolver), peer.reference_run(program, FED)) == 0


def test_convolution_multiplies_beyond_int32_as_x86(peer):
    """A multiplier that takes accumulators out of int32 wraps them."""
    program = of_accumulators(peer, [1 << 20, -(1 << 20), 3 << 20, 1, -1, 0], float(1 << 12))

    assert peer.differing(peer.litert_run(program, FED), peer.reference_run(program, FED)) == 0


@pytest.mark.parametrize(
    ("rounding", "resolver", "scales", "accumulator", "expected"),
    [
        pytest.param(
            "fp32_even",
            "DEFAULT",
            (0.0645972192287445, 0.014860434457659721, 8.872307777404785),
            549931,
            60,
            id="xnnpack-in-float32",
        ),
        pytest.param(
            "fp32_even",
            "DEFAULT",
            (0.02580900676548481, 0.01740039885044098, 4.134186267852783),
            455685,
            50,
            id="xnnpack-product-first",
        ),
        pytest.param(
            "tflite_double",
            "BUILTIN_REF",
            (0.0211854949593544, 0.013741863891482353, 3.2032623291015625),
            885735,
            81,
            id="kernels-in-float64",
        ),
    ],
)
def test_real_multiplier_is_taken_as_litert_does(peer, rounding, resolver, scales, accumulator, expected):
    """Scales whose product over the result's scale is one float in one order and type, its neighbour in another."""
    program = replace(of_accumulators(peer, [accumulator], 1.0), rounding=rounding)
    tensors = dict(program.tensors)
    for name, scale in zip("xwy", scales, strict=True):
        tensors[name] = replace(tensors[name], qparams=peer.QuantParams(scale, 0))
    tensors["b"] = replace(
        tensors["b"], qparams=peer.QuantParams(np.float32(scales[0]) * np.float32(scales[1]), 0, "i32")
    )
    program = replace(program, tensors=tensors)

    assert [expected] == peer.litert_run(program, FED, resolver)["y"].ravel().tolist()
    assert [expected] == peer.reference_run(program, FED)["y"].ravel().tolist()


def test_convolution_multiplies_beyond_int32_as_xnnpack(peer):
    """What leaves int32 is the highest or lowest integer."""
    program = of_accumulators(peer, [1 << 30, -(1 << 30), 1, -1, 0], 100.0)

    made = peer.reference_run(replace(program, rounding="fp32_even"), FED)

    assert peer.differing(peer.litert_run(program, FED, "DEFAULT"), made) == 0


def test_activation_bounds_of_a_scale_next_to_nothing(peer):
    """They are those of the storage type."""
    tensor = peer.quantized("y", (1,), scale=1e-44, zero_point=3)

    assert activation_bounds(Activation.RELU6, tensor) == (3, 127)
    assert activation_bounds(Activation.RELU_N1_TO_1, tensor, on_xnnpack=True) == (-128, 127)


def conv_4bit(peer: Any) -> tuple[Program, dict[str, Any]]:
    program = of_accumulators(peer, TIES, 0.25)
    w = program.tensors["w"]
    tensors = dict(program.tensors) | {"w": replace(w, dtype="i4", qparams=peer.QuantParams(0.25, 0, "i4"))}
    return replace(program, tensors=tensors), FED


def conv_of_computed_weights(peer: Any) -> tuple[Program, dict[str, Any]]:
    program = of_accumulators(peer, TIES, 0.25)
    w = program.tensors["w"]
    tensors = dict(program.tensors) | {"w": replace(w, data=None)}
    return replace(program, tensors=tensors, inputs=(*program.inputs, Port("w", "w"))), FED | {"w": w.data}


def transpose_conv_with_gaps(peer: Any) -> tuple[Program, dict[str, Any]]:
    held = of_accumulators(peer, TIES, 0.25).tensors
    shape = (1, 1, 2, len(TIES))
    operands = (peer.constant("s", np.int32(shape), "i32"), held["w"], held["x"], held["b"])
    options = TransposeConvOptions(padding=Padding.SAME, stride_w=2)
    return peer.one_operator("TRANSPOSE_CONV", operands, replace(held["y"], shape=shape), options), FED


def fully_connected_with_zero_point(peer: Any) -> tuple[Program, dict[str, Any]]:
    x, y = peer.quantized("x", (len(TIES), 1)), peer.quantized("y", (len(TIES), 1))
    w = peer.quantized("w", (1, 1), scale=0.25, zero_point=1, data=np.int8([[2]]))
    program = peer.one_operator("FULLY_CONNECTED", (x, w, None), y, FullyConnectedOptions())
    return program, {"x": np.int8(TIES).reshape(-1, 1)}


def batch_matmul_with_zero_point(peer: Any) -> tuple[Program, dict[str, Any]]:
    program, feeds = fully_connected_with_zero_point(peer)
    held = program.tensors
    return peer.one_operator("BATCH_MATMUL", (held["x"], held["w"]), held["y"], BatchMatMulOptions()), feeds


TIES = [2, -2, 6, -6, 10, -10]


@pytest.mark.parametrize(
    "make",
    [
        conv_4bit,
        conv_of_computed_weights,
        transpose_conv_with_gaps,
        fully_connected_with_zero_point,
        batch_matmul_with_zero_point,
    ],
)
def test_what_xnnpack_leaves_is_rounded_by_the_kernels(peer, make):
    """0.5, 1.5 and 2.5 in a program of rounding fp32_even: away from zero, and LiteRT's default is not XNNPACK's."""
    program, feeds = make(peer)
    away, even = [1, -1, 2, -2, 3, -3], [0, 0, 2, -2, 2, -2]

    assert away == first(peer.reference_run(replace(program, rounding="fp32_even"), feeds))
    assert away == first(peer.litert_run(program, feeds))
    assert even != first(peer.litert_run(program, feeds, "DEFAULT"))


def first(outputs: dict[str, np.ndarray]) -> list[int]:
    return outputs["y"].ravel()[: len(TIES)].tolist()
