"""Functions of whole rows, the last dimension: SOFTMAX, LOG_SOFTMAX, L2_NORMALIZATION."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError
from bitwright.numerics.fixed_point import (
    exp_on_negative_values,
    inverse_sqrt,
    leading_zeros,
    log_of_at_least_one,
    multiply,
    reciprocal,
    rescale,
    wrap,
)
from bitwright.numerics.requantize import (
    INT32_MIN,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
    tflite_double,
)
from bitwright.program.definition import Call, Definition
from bitwright.program.lookup import interpolate, populate_16bit
from bitwright.program.operator import Activation
from bitwright.program.options import L2NormOptions, SoftmaxOptions
from bitwright.program.pairs import is_quantized, pair_reason, scaled, scales_reason, store
from bitwright.program.tensor import Array, Shape, Tensor

Int64s = NDArray[np.int64]

f32 = np.float32

#: Integer bits of differences to the largest element, of sums of exponentials, and of LOG_SOFTMAX's results.
DIFFERENCE_BITS, SUM_BITS, LOG_BITS = 5, 12, 4


def _infer(call: Call) -> tuple[Shape, ...]:
    shape = call.input(0).shape
    if not shape:
        raise ModelError(f"{call.input(0).name!r} is a scalar, not rows", next="it needs one dimension at least")
    if not shape[-1]:
        raise ModelError(f"{call.input(0).name!r} of {list(shape)} has rows of nothing")
    return (shape,)


# SOFTMAX


def _softmax(call: Call) -> tuple[Array, ...]:
    """The share exp(beta * x) / sum(exp(beta * x)) along the last dimension.

    8-bit to 8-bit or int16: exponentials and the reciprocal of their sum in 32-bit fixed point, whatever the program's
    rounding. LiteRT's reference kernel stops at a row of 8-bit results whose sum is 512 or more; here its results that
    round to 0 are 0. With `fp32_even`, what LiteRT's optimized kernels, the default ones, make of them: a table of
    float32 exponentials. int16 to int16: two tables of 513 entries.

    Source: TensorFlow Lite reference/softmax.h, activations.cc (SoftmaxPrepare); optimized_ops.h, Softmax.
    """
    beta, x = call.options(SoftmaxOptions).beta, call.array(0)
    if x.dtype == f32:
        return (_softmax_of_reals(x, f32(beta)),)
    if x.dtype == np.int16:
        return (_softmax_16bit(call, beta),)
    if call.rounding == "fp32_even":
        return (_softmax_by_table(call, beta),)
    return (_softmax_8bit(call, beta),)


def _softmax_of_reals(x: Array, beta: np.floating) -> Array:
    exponentials = np.exp((x - x.max(axis=-1, keepdims=True)) * beta)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True, dtype=f32), dtype=f32)


def _differences(x: Array) -> Int64s:
    values = x.astype(np.int64)
    return np.asarray(values - values.max(axis=-1, keepdims=True))


def _difference_factor(scale: float, beta: float) -> tuple[int, int, int]:
    """Multiplier and shift of differences to Q5, and the lowest difference whose exponential counts.

    Source: TensorFlow Lite quantization_util.cc, PreprocessSoftmaxScaling and CalculateInputRadius.
    """
    multiplier, shift = quantize_multiplier(min(beta * scale * (1 << (31 - DIFFERENCE_BITS)), 2.0**30 - 1))
    radius = ((1 << DIFFERENCE_BITS) - 1) * (1 << (31 - DIFFERENCE_BITS)) / (1 << shift)
    return multiplier, shift, -math.floor(radius)


def _difference_reason(source: Tensor, beta: float) -> str:
    """Why differences of an operand have no factor to Q5: LiteRT stops where it is not above 1."""
    if beta * source.scale * (1 << (31 - DIFFERENCE_BITS)) > 1:
        return ""
    return f"the scale of {source.name!r} is too small (got {source.scale:.6g})"


@dataclass(frozen=True)
class FixedExponentials:
    """The exponentials of the 256 differences -255 ... 0 of 8-bit elements to their row's largest, in fixed point.

    Args:
        lowest: the lowest difference whose exponential counts.
        in_q5: the differences times scale * beta, in Q5; 0 for those that do not count.
        exponentials: in Q0; 0 for those that do not count.
    """

    lowest: int
    in_q5: Int64s
    exponentials: Int64s


def fixed_exponentials(scale: float, beta: float) -> FixedExponentials:
    """The table of an operand's scale.

    >>> fixed_exponentials(0.1, 1.0).exponentials[[0, -2, -1]].tolist()
    [0, 1943123572, 2147483647]
    """
    multiplier, shift, lowest = _difference_factor(scale, beta)
    differences = np.arange(-255, 1, dtype=np.int64)
    counted = differences >= lowest
    in_q5 = multiply(np.where(counted, differences, 0) << shift, multiplier)
    return FixedExponentials(lowest, in_q5, np.where(counted, exp_on_negative_values(in_q5, DIFFERENCE_BITS), 0))


def _sum_of_exponentials(exponentials: Int64s) -> Int64s:
    return wrap(rescale(exponentials, 0, SUM_BITS).sum(axis=-1, keepdims=True))


def _softmax_8bit(call: Call, beta: float) -> Array:
    exponentials = fixed_exponentials(call.input(0).scale, beta).exponentials[255 + _differences(call.array(0))]
    inverse, shift = reciprocal(_sum_of_exponentials(exponentials), SUM_BITS)
    bits = 16 if call.output.dtype == "i16" else 8
    low = 0 if call.output.dtype == "u8" else -(1 << (bits - 1))
    rounded = rounding_divide_by_power_of_two(multiply(inverse, exponentials), shift + 31 - bits)
    return store(rounded + low, call.output)


def _softmax_by_table(call: Call, beta: float) -> Array:
    """Exponentials of float32 by difference; the sum and the quotient in float32, rounded half to even."""
    target = call.output
    exponentials, total = _tabled_exponentials(call, beta)
    inverse = f32(1) / (total * f32(target.scale))
    return store(np.rint(exponentials * inverse).astype(np.int64) + target.zero_point, target)


def real_exponentials(scale: float, beta: float) -> NDArray[np.float32]:
    """The exponentials of the 256 differences -255 ... 0 of 8-bit elements to their row's largest, in float32."""
    step = f32(scale) * f32(beta)
    return np.asarray(np.exp((step * np.arange(-255, 1, dtype=f32)).astype(np.float64)), dtype=f32)


def _tabled_exponentials(call: Call, beta: float) -> tuple[Array, Array]:
    """The exponential of each difference in float32, and the sum of each row, added in order."""
    exponentials = real_exponentials(call.input(0).scale, beta)[255 + _differences(call.array(0))]
    return exponentials, np.add.accumulate(exponentials, axis=-1, dtype=f32)[..., -1:]


def softmax_tables_16bit() -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Of exp over [-10, 0] and of 1 / (1 + x) over [0, 1], each of 513 entries in Q15."""
    scale = 2.0 / 65535
    inverse_scale = np.float64(65536 / (scale * 32767 - scale * -32768))
    return (
        populate_16bit(np.float64(-10), np.float64(0), inverse_scale, np.exp),
        populate_16bit(np.float64(0), np.float64(1), inverse_scale, lambda x: 1 / (1 + x)),
    )


def softmax_factor_16bit(scale: float, beta: float) -> float:
    """What differences of int16 elements are multiplied by to be places in the table of exponentials."""
    return float(f32(scale) * f32(beta)) / (10.0 / 65535.0)


def _softmax_16bit(call: Call, beta: float) -> Array:
    """Exponentials and the reciprocal of their sum from tables, and the sum of a row, all in Q15."""
    exp_table, inverse_table = softmax_tables_16bit()
    factor = softmax_factor_16bit(call.input(0).scale, beta)
    place = scaled(_differences(call.array(0)), factor, call.rounding) + 32767
    exponentials = interpolate(np.clip(place, -32768, 32767), exp_table).astype(np.int64)
    total = exponentials.sum(axis=-1, keepdims=True)
    headroom = leading_zeros(total)
    mantissa = ((total << (headroom - 1)) + (1 << 13)) >> 14
    place_of_sum = np.clip(mantissa - (1 << 15) - (1 << 16), -32768, 32767)
    inverse = interpolate(place_of_sum, inverse_table).astype(np.int64)
    right_shift = 31 - headroom
    rounded = (exponentials * inverse + (np.int64(1) << (right_shift - 1))) >> right_shift
    return store(rounded, call.output, 0, 32767)


def _softmax_refused(call: Call) -> str:
    source, target = call.input(0), call.output
    outputs = {"f32": ("f32",), "i8": ("i8", "i16"), "u8": ("u8", "i16"), "i16": ("i16",)}.get(source.dtype)
    if outputs is None or target.dtype not in outputs:
        return f"LiteRT has no kernel from {source.dtype} to {target.dtype}"
    if source.dtype == "f32":
        return ""
    if not (is_quantized(source) and is_quantized(target)):
        return f"{source.name!r} or {target.name!r} has no scale"
    if reason := scales_reason(source) or scales_reason(target):
        return reason
    if call.options(SoftmaxOptions).beta <= 0:
        return "quantized operands need a positive beta"
    if source.dtype == "i16":
        return _softmax_16bit_refused(call)
    if reason := _difference_reason(source, call.options(SoftmaxOptions).beta):
        return reason
    expected = {("i8", "i8"): (2.0**-8, -128)}.get((source.dtype, target.dtype))
    return _fixed_reason(call, *expected, tolerance=1e-3) if expected else ""


def _softmax_16bit_refused(call: Call) -> str:
    if call.input(0).zero_point:
        return "int16 operands have zero_point 0"
    if len(call.input(0).shape) > 4:
        return "int16 rows come in 4 dimensions at most"
    return _fixed_reason(call, 2.0**-15, 0, tolerance=1e-3)


def _fixed_reason(call: Call, scale: float, zero_point: int, *, tolerance: float = 0.0) -> str:
    target = call.output
    if abs(target.scale - scale) > tolerance * scale or target.zero_point != zero_point:
        return (
            f"{target.name!r} has scale {target.scale:.6g} and zero_point {target.zero_point}, LiteRT takes "
            f"{scale:.6g} and {zero_point}"
        )
    return ""


# LOG_SOFTMAX


def _log_softmax(call: Call) -> tuple[Array, ...]:
    """The logarithm of that share, x - log(sum(exp(x))), along the last dimension.

    8-bit in fixed point, on a scale of 1/16; with `fp32_even`, what LiteRT's optimized kernels, the default ones, make
    of it: float32.

    Source: TensorFlow Lite integer_ops/log_softmax.h; optimized_ops.h, LogSoftmax.
    """
    x = call.array(0)
    if x.dtype == f32:
        shifted = x - x.max(axis=-1, keepdims=True)
        return (np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True, dtype=f32)), dtype=f32),)
    if call.rounding == "fp32_even":
        return (_log_softmax_by_table(call),)
    table = fixed_exponentials(call.input(0).scale, 1.0)
    differences = _differences(x)
    log_sum = log_of_at_least_one(
        _sum_of_exponentials(table.exponentials[255 + differences]), SUM_BITS, DIFFERENCE_BITS
    )
    reached = np.maximum(table.lowest - 1, tflite_double(wrap(log_sum + INT32_MIN), *factor_of_q5(call)))
    rounded = rounding_divide_by_power_of_two(table.in_q5[255 + differences] - log_sum, 31 - DIFFERENCE_BITS - LOG_BITS)
    bounds = np.iinfo(x.dtype)
    return (store(np.where(differences > reached, rounded + bounds.max, bounds.min), call.output),)


def factor_of_q5(call: Call) -> tuple[int, int]:
    """Multiplier and shift that make differences of 8-bit integers of reals in Q5."""
    multiplier, shift, _ = _difference_factor(call.input(0).scale, 1.0)
    return quantize_multiplier((1 << (31 - shift)) / multiplier)


def _log_softmax_by_table(call: Call) -> Array:
    x, target = call.array(0), call.output
    total = _tabled_exponentials(call, 1.0)[1]
    scale_in, scale_out = f32(call.input(0).scale), f32(target.scale)
    # The C library's log, which the engine calls as well: numpy's own may differ in the last bit of float64.
    log_total = np.array([math.log(row) for row in total.ravel().tolist()], f32).reshape(total.shape)
    base = (scale_in * x.max(axis=-1, keepdims=True).astype(f32) + log_total) / scale_out
    return store(np.rint(scale_in / scale_out * x.astype(f32) - base).astype(np.int64) + target.zero_point, target)


def _log_softmax_refused(call: Call) -> str:
    if reason := pair_reason(call, "f32", "i8", "u8"):
        return reason
    if call.output.dtype == "f32":
        return ""
    if reason := _difference_reason(call.input(0), 1.0):
        return reason
    return _fixed_reason(call, 1 / 16, 127 if call.output.dtype == "i8" else 255)


# L2_NORMALIZATION


def _l2_normalization(call: Call) -> tuple[Array, ...]:
    """The quotient x / sqrt(sum(x**2)) along the last dimension, 0 in a row of zeros.

    8-bit in fixed point, on a scale of 1/128.

    Source: TensorFlow Lite integer_ops/l2normalization.h, reference/l2normalization.h.
    """
    x = call.array(0)
    if x.dtype == f32:
        norm = np.sqrt(np.square(x).sum(axis=-1, keepdims=True, dtype=f32))
        return (np.asarray(x / np.maximum(norm, f32(1e-6)), dtype=f32),)
    values = x.astype(np.int64) - call.input(0).zero_point
    multiplier, shift = inverse_sqrt(np.square(values).sum(axis=-1, keepdims=True))
    if x.dtype == np.uint8:
        rounded = tflite_double(128 * values, multiplier, shift)
    else:
        rounded = tflite_double(values, multiplier, shift + 7)
    return (store(rounded + call.output.zero_point, call.output),)


def _l2_normalization_refused(call: Call) -> str:
    activation = call.options(L2NormOptions).fused_activation_function
    if activation is not Activation.NONE:
        return f"LiteRT has no fused {activation} here"
    if reason := pair_reason(call, "f32", "i8", "u8"):
        return reason
    if call.output.dtype == "f32":
        return ""
    return _fixed_reason(call, 1 / 128, 0 if call.output.dtype == "i8" else 128)


DEFINITIONS: dict[str, Definition] = {
    "SOFTMAX": Definition("SOFTMAX", _infer, _softmax, options=SoftmaxOptions, refuse=_softmax_refused),
    "LOG_SOFTMAX": Definition("LOG_SOFTMAX", _infer, _log_softmax, refuse=_log_softmax_refused),
    "L2_NORMALIZATION": Definition(
        "L2_NORMALIZATION", _infer, _l2_normalization, options=L2NormOptions, refuse=_l2_normalization_refused
    ),
}
