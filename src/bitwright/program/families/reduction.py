"""Operators that reduce axes: MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, ARG_MAX, ARG_MIN.

Source: LiteRT tflite/kernels/reduce.cc, internal/reference/reduce.h and arg_min_max.h; XNNPACK operators/reduce-nd.c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError
from bitwright.numerics.fixed_point import wrap
from bitwright.numerics.requantize import quantize_multiplier, tflite_double, tflite_single
from bitwright.numerics.rounding import round_half_away
from bitwright.program.definition import Call, Definition
from bitwright.program.operands import QUANTIZED, axis_of, axis_operand, integers, parameters_reason, type_reason
from bitwright.program.options import ArgMaxOptions, ArgMinOptions, ReducerOptions
from bitwright.program.pairs import store
from bitwright.program.tensor import DTYPES, Array, Shape

Int64s = NDArray[np.int64]

_NUMBERS = ("f32", "i8", "u8", "i16", "i32", "i64")


def reduced_axes(call: Call) -> tuple[int, ...]:
    """The axes that a call reduces, in order, counted from the front."""
    rank = len(call.input(0).shape)
    if rank == 0:
        return ()
    return tuple(sorted({axis_of(axis, rank) for axis in set(integers(call, 1, "the axes"))}))


def _reduced_shape(call: Call) -> tuple[Shape, ...]:
    axes, keep = reduced_axes(call), call.options(ReducerOptions).keep_dims
    shape = call.input(0).shape
    return (tuple(1 if i in axes else size for i, size in enumerate(shape) if keep or i not in axes),)


def reduced_count(call: Call) -> int:
    """How many elements become one."""
    return math.prod(call.input(0).shape[axis] for axis in reduced_axes(call))


def _total(call: Call, dtype: type[np.generic]) -> Array:
    keep = call.options(ReducerOptions).keep_dims
    return np.asarray(np.sum(call.array(0), axis=reduced_axes(call), dtype=dtype, keepdims=keep))


def _refuse_sums(call: Call) -> str:
    if call.input(1).dtype != "i32":
        return f"axes are i32 (got {call.input(1).dtype})"
    reason = type_reason(call, *_NUMBERS)
    if reason or call.input(0).dtype not in QUANTIZED:
        return reason
    if call.input(0).qparams is None or call.output.qparams is None:
        return "integers without parameters have no sum"
    if call.input(0).dtype == "i16" and (call.input(0).zero_point or call.output.zero_point):
        return "i16 has zero_point 0"
    return ""


@dataclass(frozen=True)
class FixedSum:
    """How a sum becomes an integer in fixed point.

        round((sum - count * zero_point) * real_multiplier) + zero_point of the result

    Args:
        multiplier, shift: real_multiplier = multiplier * 2**(shift - 31); a mean's holds 1 / count.
        arithmetic: two roundings or one.
    """

    multiplier: int
    shift: int
    arithmetic: Literal["tflite_double", "tflite_single"]


@dataclass(frozen=True)
class AffineSum:
    """How a sum becomes an integer in float32: round_half_to_even(sum * scale + shift).

        shift = zero_point of the result - (count * zero_point) * scale

    Source: XNNPACK operators/reduce-nd.c: the zero_point of the input is part of that of the conversion from int32.
    """

    scale: np.float32
    shift: np.float32


def sum_rule(call: Call, *, mean: bool) -> FixedSum | AffineSum | None:
    """What makes integers of the sums of a quantized MEAN or SUM.

    Returns:
        None for what LiteRT does apart: SUM of i16 with `fp32_even`.
    """
    count, source, target = reduced_count(call), call.input(0), call.output
    if call.rounding == "fp32_even" and source.dtype != "i16":
        scale = _ratio(call) * (np.float32(1) / np.float32(count)) if mean else _ratio(call)
        return AffineSum(scale, np.float32(target.zero_point) - np.float32(count * source.zero_point) * scale)
    if call.rounding == "fp32_even" and not mean:
        return None
    multiplier, shift = quantize_multiplier(source.scale / target.scale)
    if mean:
        # 1 / count goes into the multiplier, as far as 64 bits and the smallest shift allow.
        extra = min(count.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << extra) // count, shift - extra
    return FixedSum(multiplier, shift, "tflite_single" if call.rounding == "tflite_single" else "tflite_double")


def _ratio(call: Call) -> np.float32:
    """Input scale / output scale in float32."""
    return np.float32(np.float32(call.input(0).scale) / np.float32(call.output.scale))


def _finished(call: Call, total: Int64s, rule: FixedSum | AffineSum) -> Array:
    """Sums as integers of the result."""
    target = call.output
    if isinstance(rule, AffineSum):
        return store(np.rint(total.astype(np.float32) * rule.scale + rule.shift), target)
    accumulator = wrap(wrap(total) - call.input(0).zero_point * reduced_count(call))
    round_fixed = tflite_single if rule.arithmetic == "tflite_single" else tflite_double
    return store(round_fixed(accumulator, rule.multiplier, rule.shift) + target.zero_point, target)


def _mean(call: Call) -> tuple[Array, ...]:
    """The mean; for plain integers it is truncated toward zero."""
    dtype, count = call.input(0).dtype, reduced_count(call)
    if count == 0:
        return (np.full(call.output.shape, np.nan if dtype == "f32" else 0, DTYPES[dtype]),)
    if dtype == "f32":
        return ((_total(call, np.float64) / count).astype(np.float32),)
    total = _total(call, np.int64)
    if dtype not in QUANTIZED:
        return ((np.sign(total) * (np.abs(total) // count)).astype(DTYPES[dtype]),)
    rule = sum_rule(call, mean=True)
    assert rule is not None
    return (_finished(call, total, rule),)


def _sum(call: Call) -> tuple[Array, ...]:
    """The sum; plain integers wrap around.

    The reference kernel of LiteRT 2.3 takes the bytes of i8 and i16 for u8; this is what it means to compute, and
    what later ones do.
    """
    dtype = call.input(0).dtype
    if dtype == "f32":
        return (_total(call, np.float64).astype(np.float32),)
    total = _total(call, np.int64)
    if dtype not in QUANTIZED:
        return (total.astype(DTYPES[dtype]),)
    rule = sum_rule(call, mean=False)
    return (_sum_i16(call, total) if rule is None else _finished(call, total, rule),)


def _sum_i16(call: Call, total: Int64s) -> Array:
    """round_half_away(sum * scale) in float32: LiteRT's optimized kernel, as XNNPACK has none of 16 bits."""
    return store(round_half_away(wrap(total).astype(np.float32) * _ratio(call)), call.output)


def _refuse_extreme(call: Call) -> str:
    return (
        (f"axes are i32 (got {call.input(1).dtype})" if call.input(1).dtype != "i32" else "")
        or type_reason(call, *_NUMBERS)
        or parameters_reason(call.input(0), call.output)
    )


def _extreme(call: Call, *, largest: bool) -> tuple[Array, ...]:
    """The largest or smallest element; over none, the value that any other replaces."""
    dtype = DTYPES[call.input(0).dtype]
    info = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    keep, axes = call.options(ReducerOptions).keep_dims, reduced_axes(call)
    if largest:
        return (np.asarray(np.max(call.array(0), axis=axes, keepdims=keep, initial=info.min)),)
    return (np.asarray(np.min(call.array(0), axis=axes, keepdims=keep, initial=info.max)),)


#: Every product is shifted right by 15 less the shift of its factor.
_MOST_PRODUCT_SHIFT = 14


def _refuse_product(call: Call) -> str:
    if call.input(1).dtype != "i32":
        return f"axes are i32 (got {call.input(1).dtype})"
    quantized = call.input(0).qparams is not None
    reason = type_reason(call, *(("i8", "i16") if quantized else _NUMBERS))
    if reason or not quantized:
        return reason
    if call.output.qparams is None:
        return f"{call.output.name!r} has no scale"
    if call.input(0).scale / call.output.scale ** (1.0 / max(reduced_count(call), 1)) >= 2.0**_MOST_PRODUCT_SHIFT:
        return f"the scale of {call.output.name!r} is too small beside that of its operand"
    return ""


def _product(call: Call) -> tuple[Array, ...]:
    """The product; plain integers wrap around.

    For quantized ones every partial product is requantized by input scale / output scale**(1 / count), so that it
    stays in range: current = (current * (q - zero_point)) * multiplier, and once more at the end.
    """
    keep, axes = call.options(ReducerOptions).keep_dims, reduced_axes(call)
    x = call.array(0)
    if call.input(0).qparams is None:
        with np.errstate(over="ignore"):
            return (np.asarray(np.prod(x, axis=axes, dtype=x.dtype, keepdims=keep)),)
    count = reduced_count(call)
    if not x.size:
        return (np.zeros(call.output.shape, x.dtype),)
    if count == 1 and call.rounding == "fp32_even":
        return (x.reshape(call.output.shape),)  # LiteRT's optimized kernel takes this for a copy, whatever the scales
    multiplier, shift = quantize_multiplier(call.input(0).scale / call.output.scale ** (1.0 / count))
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    steps = np.transpose(x, (*axes, *kept)).reshape(count, -1).astype(np.int64) - call.input(0).zero_point
    current = steps[0]
    for step in steps[1:]:
        current = _requantized_product(current * step, multiplier, shift)
    current = _requantized_product(current, multiplier, shift) + call.output.zero_point
    return (store(current, call.output).reshape(call.output.shape),)


def _requantized_product(x: Int64s, multiplier: int, shift: int) -> Int64s:
    """round(x * real_multiplier), ties upward, with the multiplier reduced to 16 bits."""
    reduced = (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    total_shift = 15 - shift
    return wrap((x * reduced + (1 << (total_shift - 1))) >> total_shift)


def _position_shape(call: Call) -> tuple[Shape, ...]:
    shape = call.input(0).shape
    axis = axis_operand(call, 1, len(shape))
    if shape[axis] == 0:
        raise ModelError(f"there is nothing along axis {axis} of {list(shape)}")
    return (shape[:axis] + shape[axis + 1 :],)


def _refuse_position(call: Call) -> str:
    options = call.operator.options
    assert isinstance(options, ArgMaxOptions | ArgMinOptions)
    dtype = call.input(0).dtype
    if dtype not in ("f32", "i8", "u8", "i32", "bool"):
        return f"LiteRT has no kernel for {dtype}, it takes f32, i8, u8, i32, bool"
    if call.output.dtype not in ("i32", "i64") or call.output.dtype != options.output_type:
        return f"the result is {call.output.dtype}, output_type is {options.output_type}; both must be i32 or i64"
    return ""


def _position(call: Call, *, largest: bool) -> tuple[Array, ...]:
    """The first index of the largest or smallest element; NaN is passed over."""
    axis = axis_operand(call, 1, len(call.input(0).shape))
    x = call.array(0)
    if x.dtype.kind == "f":
        x = np.where(np.isnan(x), -np.inf if largest else np.inf, x)
    index = np.argmax(x, axis=axis) if largest else np.argmin(x, axis=axis)
    return (np.asarray(index, DTYPES[call.output.dtype]),)


_AXES = (2, 2)

DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        Definition("MEAN", _reduced_shape, _mean, _AXES, ReducerOptions, _refuse_sums),
        Definition("SUM", _reduced_shape, _sum, _AXES, ReducerOptions, _refuse_sums),
        Definition(
            "REDUCE_MAX", _reduced_shape, partial(_extreme, largest=True), _AXES, ReducerOptions, _refuse_extreme
        ),
        Definition(
            "REDUCE_MIN", _reduced_shape, partial(_extreme, largest=False), _AXES, ReducerOptions, _refuse_extreme
        ),
        Definition("REDUCE_PROD", _reduced_shape, _product, _AXES, ReducerOptions, _refuse_product),
        Definition(
            "ARG_MAX", _position_shape, partial(_position, largest=True), _AXES, ArgMaxOptions, _refuse_position
        ),
        Definition(
            "ARG_MIN", _position_shape, partial(_position, largest=False), _AXES, ArgMinOptions, _refuse_position
        ),
    )
}
