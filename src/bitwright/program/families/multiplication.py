"""Products, quotients and powers: MUL, DIV, FLOOR_DIV, FLOOR_MOD, POW."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import SampleError
from bitwright.numerics.fixed_point import leading_zeros, multiply, reciprocal
from bitwright.numerics.requantize import quantize_multiplier, rounding_divide_by_power_of_two
from bitwright.numerics.rounding import to_int32
from bitwright.program.definition import Call, Definition
from bitwright.program.fixed_point import Arithmetic, Requantization, activation_bounds
from bitwright.program.options import DivOptions, MulOptions
from bitwright.program.pairs import clamp_plain, is_quantized, of_two, pair_reason, store, takes
from bitwright.program.tensor import Array, Tensor

Int64s = NDArray[np.int64]


def _multiply(call: Call) -> tuple[Array, ...]:
    """The product, then the fused activation. Reals and plain integers as numpy has them; integers wrap.

    Quantized: the product of (q - zero_point), see `product_requantization`.
    """
    if not is_quantized(call.output):
        with np.errstate(over="ignore", invalid="ignore"):
            activation = call.options(MulOptions).fused_activation_function
            return (clamp_plain(call.array(0) * call.array(1), activation, call),)
    return (product_requantization(call).apply(_centred(call, 0) * _centred(call, 1)),)


def product_requantization(call: Call) -> Requantization:
    """How quantized MUL rescales products: once by scale_a * scale_b / scale_out, taken in float32, with two roundings
    (`tflite_double`). What XNNPACK makes of 8-bit operands (`fp32_even`): the product in float32 times the same factor,
    ties to even.

    Source: TensorFlow Lite mul.cc, integer_ops/mul.h; XNNPACK qs8-vmul.
    """
    first, second, out = (np.float32(tensor.scale) for tensor in (call.input(0), call.input(1), call.output))
    multiplier = first * second / out
    arithmetic: Arithmetic = call.rounding
    if arithmetic == "fp32_even" and not (call.output.dtype != "i16" and 2.0**-16 <= multiplier < 2.0**8):
        arithmetic = "tflite_double"
    low, high = activation_bounds(call.options(MulOptions).fused_activation_function, call.output)
    return Requantization(arithmetic, np.asarray(multiplier), call.output.zero_point, low, high, call.output.dtype)


def _multiply_refused(call: Call) -> str:
    activation = call.options(MulOptions).fused_activation_function
    if reason := pair_reason(call, "f32", "i8", "u8", "i16", "i32", "i64", activation=activation):
        return reason
    return _int16_reason(call)


def _divide(call: Call) -> tuple[Array, ...]:
    """The quotient, then the fused activation. Plain integers are divided toward zero.

    Quantized: a times a reciprocal of b in fixed point, then rescaled by scale_a / (scale_b * scale_out): three
    roundings, whatever the program's own. XNNPACK leaves it to LiteRT's kernels.

    Raises:
        SampleError: an integer divisor is zero.

    Source: TensorFlow Lite div.cc, reference/div.h.
    """
    activation = call.options(DivOptions).fused_activation_function
    if call.output.dtype == "f32":
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return (clamp_plain(call.array(0) / call.array(1), activation, call),)
    dividend, divisor = np.broadcast_arrays(_centred(call, 0), _centred(call, 1))
    if not divisor.all():
        raise SampleError(
            f"{call.output.name!r} divides by zero, which LiteRT refuses for integers",
            next="keep the divisor away from its zero_point",
        )
    if not is_quantized(call.output):
        quotient = np.where(dividend * divisor < 0, -1, 1) * (np.abs(dividend) // np.abs(divisor))
        return (clamp_plain(quotient.astype(np.int32), activation, call),)
    rounded = _quotient(dividend, divisor, call) + call.output.zero_point
    return (store(rounded, call.output, *activation_bounds(activation, call.output)),)


def _quotient(dividend: Int64s, divisor: Int64s, call: Call) -> Int64s:
    first, second, out = (np.float32(tensor.scale) for tensor in (call.input(0), call.input(1), call.output))
    multiplier, shift = quantize_multiplier(float(first / (second * out)))
    inverse, inverse_shift = reciprocal(np.abs(divisor), 31)
    signed = np.where(divisor < 0, -dividend, dividend)
    headroom = np.where(signed < 0, leading_zeros(-2 * signed - 1), leading_zeros(signed) - 1)
    unscaled = multiply(signed << headroom, inverse)
    return _shift_right(multiply(unscaled, multiplier), inverse_shift + headroom - shift)


def _shift_right(x: Int64s, amount: Int64s) -> Int64s:
    """Rounding half away from zero; by more than 31 bits what x86 makes of it: x >> (amount - 32), up where x >= 0.

    A quotient far below the scale of the result meets such shifts, and is no longer near it: LiteRT asserts that there
    are none, in debug builds only.
    """
    beyond = (x >> (amount & 31)) + (x >= 0)
    return np.where(amount > 31, beyond, rounding_divide_by_power_of_two(x, np.minimum(amount, 31)))


def _divide_refused(call: Call) -> str:
    activation = call.options(DivOptions).fused_activation_function
    if reason := pair_reason(call, "f32", "i8", "u8", "i16", "i32", activation=activation):
        return reason
    if call.output.dtype == "i16" and not is_quantized(call.output):
        return f"{call.output.name!r} of i16 has no scale"
    return _int16_reason(call)


def _whole_quotient(call: Call) -> tuple[Array, ...]:
    """The largest integer not above a / b. Source: TensorFlow Lite floor_div.cc."""
    with np.errstate(all="ignore"):
        return (np.floor_divide(*_whole_operands(call)),)


def _remainder(call: Call) -> tuple[Array, ...]:
    """What the whole quotient leaves, of the sign of the divisor. Source: TensorFlow Lite floor_mod.cc."""
    with np.errstate(all="ignore"):
        return (np.mod(*_whole_operands(call)),)


def _whole_operands(call: Call) -> tuple[Array, Array]:
    """Raises: SampleError: an integer divisor is zero."""
    if call.output.dtype != "f32" and not call.array(1).all():
        raise SampleError(
            f"{call.output.name!r} divides by zero, which LiteRT refuses for integers",
            next="keep the divisor away from zero",
        )
    return call.array(0), call.array(1)


def _power(call: Call) -> tuple[Array, ...]:
    """The first operand to the power of the second; of integers in float64, -2**31 where int32 does not hold it.

    Raises:
        SampleError: a negative exponent of integers, for which LiteRT stops.

    Source: TensorFlow Lite pow.cc.
    """
    base, exponent = call.array(0), call.array(1)
    if base.dtype.kind == "i" and (exponent < 0).any():
        raise SampleError(f"{call.output.name!r} has a negative exponent, which LiteRT refuses for integers")
    with np.errstate(all="ignore"):
        if base.dtype.kind == "i":
            return (to_int32(np.power(base.astype(np.float64), exponent)).astype(np.int32),)
        return (np.power(base, exponent),)


def _centred(call: Call, index: int) -> Int64s:
    return call.array(index).astype(np.int64) - call.input(index).zero_point


def _int16_reason(call: Call) -> str:
    tensors: tuple[Tensor, ...] = (call.input(0), call.input(1), call.output)
    if call.output.dtype == "i16" and any(tensor.zero_point for tensor in tensors):
        return "int16 operands and results have zero_point 0"
    return ""


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        of_two("MUL", _multiply, _multiply_refused, MulOptions),
        of_two("DIV", _divide, _divide_refused, DivOptions),
        of_two("FLOOR_DIV", _whole_quotient, takes("f32", "i32")),
        of_two("FLOOR_MOD", _remainder, takes("f32", "i32", "i64")),
        of_two("POW", _power, takes("f32", "i32")),
    )
}
