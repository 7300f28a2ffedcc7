"""Piecewise functions: RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1, LEAKY_RELU, PRELU, HARD_SWISH."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError
from bitwright.numerics.fixed_point import multiply, wrap
from bitwright.numerics.requantize import quantize_multiplier, rounding_divide_by_power_of_two
from bitwright.numerics.rounding import round_half_away
from bitwright.program.broadcasting import broadcast_shape
from bitwright.program.definition import Call, Definition
from bitwright.program.families.elementwise import infer_same
from bitwright.program.fixed_point import Requantization, activation_bounds
from bitwright.program.operands import type_reason
from bitwright.program.operator import Activation
from bitwright.program.options import LeakyReluOptions
from bitwright.program.pairs import is_quantized, pair_reason, scaled, scales_reason, store
from bitwright.program.tensor import Array, Shape

Int64s = NDArray[np.int64]

f32 = np.float32


def _centred(call: Call, index: int = 0) -> Int64s:
    return call.array(index).astype(np.int64) - call.input(index).zero_point


def _ratio(call: Call) -> np.float32:
    return f32(call.input(0).scale) / f32(call.output.scale)


def _quantized_reason(call: Call, *allowed: str) -> str:
    if reason := pair_reason(call, *allowed):
        return reason
    if call.output.dtype != "i16":
        return ""
    if not is_quantized(call.output):
        return f"{call.output.name!r} of i16 has no scale"
    tensors = (*call.inputs, *call.outputs)
    return "int16 operands and results have zero_point 0" if any(t and t.zero_point for t in tensors) else ""


# RELU and its bounded kin


def _bounded(kind: str, low: float, high: float, *types: str) -> Definition:
    def reference(call: Call) -> tuple[Array, ...]:
        """min(max(x, low), high); quantized: rescaled by scale / scale_out in float32, two roundings, then clamped.

        Source: TensorFlow Lite activations.cc, QuantizedReluX.
        """
        x, target = call.array(0), call.output
        if x.dtype == f32:
            return (np.minimum(np.maximum(x, f32(low)), f32(high)),)
        rounded = scaled(_centred(call), float(_ratio(call)), call.rounding) + target.zero_point
        steps = round_half_away(np.array([low, high], dtype=f32) / f32(target.scale))
        bounds = [target.zero_point + int(step) if np.isfinite(step) else None for step in steps]
        return (store(rounded, target, *bounds),)

    def refuse(call: Call) -> str:
        return _quantized_reason(call, "f32", *types)

    return Definition(kind, infer_same, reference, refuse=refuse)


# LEAKY_RELU


def _leaky(call: Call) -> tuple[Array, ...]:
    """The real where it is positive, alpha times it where not.

    Quantized: rescaled by scale / scale_out, with alpha below zero_point, in float32, two roundings (`tflite_double`);
    a negative alpha rounds as its absolute value does. What XNNPACK makes of 8-bit operands (`fp32_even`): factors of
    8 fraction bits, one rounding, ties upward.

    Source: TensorFlow Lite reference/leaky_relu.h; XNNPACK qs8-vlrelu.
    """
    x, alpha = call.array(0), f32(call.options(LeakyReluOptions).alpha)
    if x.dtype == f32:
        return (np.where(x > 0, x, x * alpha),)
    values, target = _centred(call), call.output
    positive = _ratio(call)
    negative = f32(call.input(0).scale) * alpha / f32(target.scale)
    if call.rounding == "fp32_even" and target.dtype != "i16" and _leaky_in_reach(positive, positive * alpha):
        factors = [int(np.rint(slope * f32(256))) for slope in (positive, positive * alpha)]
        rounded = (values * np.where(values >= 0, *factors) + 0x80) >> 8
    else:
        below = scaled(values, abs(float(negative)), call.rounding) * (-1 if negative < 0 else 1)
        rounded = np.where(values >= 0, scaled(values, float(positive), call.rounding), below)
    return (store(rounded + target.zero_point, target),)


def _leaky_in_reach(positive: np.floating, negative: np.floating) -> bool:
    """Whether XNNPACK has factors for these slopes; LiteRT's kernel computes the others."""
    return bool(2.0**-8 <= positive <= 2.0**7 and abs(negative) >= 2.0**-8 and -127.99609375 <= negative <= 2.0**7)


def _leaky_refused(call: Call) -> str:
    return _quantized_reason(call, "f32", "i8", "u8", "i16")


# PRELU


def _prelu_shape(call: Call) -> tuple[Shape, ...]:
    shape = call.input(0).shape
    if broadcast_shape(shape, call.input(1).shape) != shape:
        raise ModelError(
            f"slopes of shape {list(call.input(1).shape)} do not fit {list(shape)}",
            next="they broadcast to the operand, not beyond it",
        )
    return (shape,)


def _prelu(call: Call) -> tuple[Array, ...]:
    """The real where it is not negative, its slope times it where it is.

    Quantized: rescaled by scale / scale_out, or the product by scale * slope's scale / scale_out, in float32, two
    roundings. int16 has int8 slopes.

    Source: TensorFlow Lite reference/prelu.h. XNNPACK leaves it to LiteRT's kernels.
    """
    x, slope = call.array(0), call.array(1)
    if x.dtype == f32:
        return (np.where(x >= 0, x, x * slope),)
    values = _centred(call)
    above, below = slope_rescalings(call)
    return (np.where(values >= 0, above.apply(values), below.apply(values * _centred(call, 1))),)


def slope_rescalings(call: Call) -> tuple[Requantization, Requantization]:
    """How quantized PRELU rescales: what is not negative, and the products of the rest by their slopes."""
    target = call.output
    product_scale = f32(call.input(0).scale) * f32(call.input(1).scale) / f32(target.scale)
    above, below = (
        Requantization(
            "tflite_single" if call.rounding == "tflite_single" else "tflite_double",
            np.asarray(factor),
            target.zero_point,
            *activation_bounds(Activation.NONE, target),
            target.dtype,
        )
        for factor in (_ratio(call), product_scale)
    )
    return above, below


def _prelu_refused(call: Call) -> str:
    """The kernel for int16 reads its slopes as int8: two int16 operands would be read wrong."""
    source, slope = call.input(0), call.input(1)
    if reason := type_reason(call, "f32", "i8", "u8", "i16"):
        return reason
    wanted = "i8" if source.dtype == "i16" else source.dtype
    if slope.dtype != wanted:
        return f"slopes {slope.name!r} are {slope.dtype}, LiteRT takes {wanted} for {source.dtype}"
    if source.dtype == "i16" and not (is_quantized(source) and is_quantized(slope)):
        return f"{source.name!r} of i16 has no scale"
    if source.dtype == "i16" and (source.zero_point or call.output.zero_point):
        return "int16 operands and results have zero_point 0"
    return scales_reason(source, call.output) or scales_reason(slope)


# HARD_SWISH


def _hard_swish(call: Call) -> tuple[Array, ...]:
    """The product x * min(max(x + 3, 0), 6) / 6; quantized in 16-bit fixed point, whatever the program's rounding.

    Source: TensorFlow Lite activations.cc, HardSwishPrepare; reference/hard_swish.h. XNNPACK leaves the quantized ones
    to LiteRT's kernels.
    """
    x, target = call.array(0), call.output
    if x.dtype == f32:
        return (x * np.minimum(f32(6), np.maximum(f32(0), x + f32(3))) / f32(6),)
    output_multiplier, output_exponent, gate_multiplier, gate_exponent = _hard_swish_factors(call)
    fine = _centred(call) << 7
    on_output_scale = multiply(fine, output_multiplier, 16)
    gate = fine
    if gate_exponent > 0:
        gate = _saturate(gate << min(gate_exponent - 1, 31))
    gate = multiply(gate, gate_multiplier, 16)
    if gate_exponent > 0:
        gate = _saturate(gate << 1)
    elif gate_exponent < 0:
        gate = _shift_right(gate, -gate_exponent)
    gate = wrap(gate + (1 << 15), 17) >> 1
    product = gate * on_output_scale
    toward_zero = np.where(product < 0, -(-product >> 15), product >> 15)
    rounded = wrap(_shift_right(toward_zero, -output_exponent) + target.zero_point, 16)
    return (store(rounded, target),)


def _hard_swish_factors(call: Call) -> tuple[int, int, int, int]:
    """Multiplier and exponent to the scale of the result, and to that of the gate, where 3 is 32768: of 15 bits."""
    fine_scale = f32(1 / 128) * f32(call.input(0).scale)
    factors: list[int] = []
    for scale in (f32(call.output.scale), f32(3) / f32(32768)):
        multiplier, exponent = quantize_multiplier(float(fine_scale / scale))
        factors += [min((multiplier + (1 << 15)) >> 16, 32767), exponent]
    return factors[0], factors[1], factors[2], factors[3]


def _saturate(x: Int64s) -> Int64s:
    return np.clip(x, -32768, 32767)


def _shift_right(x: Int64s, amount: int) -> Int64s:
    """Of int16, rounding half away from zero; by 16 bits and more what the 16-bit mask of the source makes of it."""
    if amount <= 15:
        return rounding_divide_by_power_of_two(x, amount)
    return np.where(x < 0, -1, 1)


def _hard_swish_refused(call: Call) -> str:
    if reason := _quantized_reason(call, "f32", "i8", "u8"):
        return reason
    if call.output.dtype != "f32" and _hard_swish_factors(call)[1] > 0:
        return f"the scale of {call.output.name!r} is below 1/128 of its operand's"
    return ""


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        _bounded("RELU", 0.0, math.inf, "i8", "u8", "i16"),
        _bounded("RELU6", 0.0, 6.0, "i8", "u8", "i16"),
        _bounded("RELU_N1_TO_1", -1.0, 1.0, "i8", "u8"),
        _bounded("RELU_0_TO_1", 0.0, 1.0, "i8", "u8"),
        Definition("LEAKY_RELU", infer_same, _leaky, options=LeakyReluOptions, refuse=_leaky_refused),
        Definition("PRELU", _prelu_shape, _prelu, inputs=(2, 2), refuse=_prelu_refused),
        Definition("HARD_SWISH", infer_same, _hard_swish, refuse=_hard_swish_refused),
    )
}
