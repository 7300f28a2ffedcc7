"""Functions of one real: LOGISTIC, TANH, GELU, EXP, LOG, ELU, RSQRT, SQRT, ABS, NEG, SQUARE, SIN, COS, roundings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import SampleError
from bitwright.numerics.erfc import erfc
from bitwright.numerics.fixed_point import inverse_sqrt
from bitwright.numerics.requantize import quantize_multiplier, tflite_double
from bitwright.program.definition import Call, Definition
from bitwright.program.lookup import Floats, Transform, look_up
from bitwright.program.operator import Options
from bitwright.program.options import GeluOptions
from bitwright.program.pairs import is_quantized, pair_reason, power_of_two, scaled, store
from bitwright.program.sigmoid16 import logistic_16bit, logistic_by_gemmlowp, tanh_16bit, tanh_by_gemmlowp
from bitwright.program.tensor import DTYPES, Array, Shape

f32 = np.float32


def infer_same(call: Call) -> tuple[Shape, ...]:
    """The shape of the operand."""
    return (call.input(0).shape,)


def _rounded(function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Transform:
    """A function of float64 values as one of float32 values that is correctly rounded."""

    def transform(x: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return function(x.astype(np.float64)).astype(f32)

    return transform


_exp = _rounded(np.exp)
_log = _rounded(np.log)
_tanh = _rounded(np.tanh)
_expm1 = _rounded(np.expm1)
_erfc = _rounded(erfc)


def _sigmoid(x: Floats) -> Floats:
    return f32(1) / (f32(1) + _exp(-x))


def _logistic_real(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


_sigmoid_in_float64 = _rounded(_logistic_real)


def _elu(x: Floats) -> Floats:
    return np.asarray(np.where(x < 0, _expm1(x), x), dtype=f32)


def _gelu(x: Floats) -> Floats:
    """The product x / 2 * erfc(-x / sqrt(2))."""
    return f32(0.5) * x * _erfc(x * f32(-np.sqrt(0.5)))


def _gelu_by_tanh(x: Floats) -> Floats:
    """The product x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))."""
    with np.errstate(over="ignore"):
        cubic = x + f32(0.044715) * x * x * x
        return f32(0.5) * x * (f32(1) + _tanh(f32(np.sqrt(2 / np.pi)) * cubic))


def _inverse_square_root(x: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(f32(1) / np.sqrt(x), dtype=f32)


def _function(kind: str, transform: Transform, *quantized: str, xnnpack: bool = False) -> Definition:
    """A real function: in float32, and through a lookup table for the quantized types (see `lookup`).

    Args:
        kind: of the operator.
        transform: the function.
        quantized: the types it is looked up for.
        xnnpack: whether XNNPACK takes them over.
    """

    def reference(call: Call) -> tuple[Array, ...]:
        x = call.array(0)
        if x.dtype == f32:
            return (transform(x),)
        by_xnnpack = xnnpack and call.rounding == "fp32_even"
        return (look_up(x, call.input(0), call.output, transform, xnnpack=by_xnnpack),)

    def refuse(call: Call) -> str:
        return _needs_scale(call) or pair_reason(call, "f32", *quantized)

    return Definition(kind, infer_same, reference, refuse=refuse)


def _needs_scale(call: Call) -> str:
    if call.input(0).dtype == "i16" and not is_quantized(call.input(0)):
        return f"{call.input(0).name!r} of i16 has no scale"
    return ""


def _symmetric(call: Call) -> str:
    if call.input(0).dtype == "i16" and (call.input(0).zero_point or call.output.zero_point):
        return "int16 operands and results have zero_point 0"
    return ""


# LOGISTIC and TANH


def _interpolation_reason(call: Call) -> str:
    """Why 16-bit values have no place in the kernel's table: its multiplier is an int32."""
    source = call.input(0)
    if source.dtype == "i16" and source.scale * 4096.0 * 3.0 >= 2.0**31:
        return f"the scale of {source.name!r} is {source.scale:.6g}, the kernel's multiplier holds less than 174763"
    return ""


def _logistic(call: Call) -> tuple[Array, ...]:
    """1 / (1 + exp(-x)). 8-bit through a table; int16 by interpolation, its scale 2**-12 without rescaling.

    With `fp32_even`, XNNPACK's table and, for that scale of int16, gemmlowp's function (LiteRT's optimized kernel).

    Source: TensorFlow Lite activations.cc, SigmoidPrepare; XNNPACK reference/unary-elementwise.cc.
    """
    x, tensor = call.array(0), call.input(0)
    if tensor.dtype == "i16":
        shift = 0 if power_of_two(tensor.scale) == -12 else None
        if call.rounding == "fp32_even" and shift is not None:
            return (logistic_by_gemmlowp(x),)
        return (logistic_16bit(x, scale=tensor.scale, shift=shift),)
    if tensor.dtype == "f32":
        return (_sigmoid(x),)
    if call.rounding == "fp32_even":
        return (look_up(x, tensor, call.output, _sigmoid_in_float64, xnnpack=True),)
    return (look_up(x, tensor, call.output, _sigmoid),)


def _logistic_refused(call: Call) -> str:
    if reason := _needs_scale(call) or pair_reason(call, "f32", "i8", "u8", "i16") or _symmetric(call):
        return reason
    if reason := _interpolation_reason(call):
        return reason
    fixed = {"i8": 2.0**-8, "u8": 2.0**-8, "i16": 2.0**-15}.get(call.output.dtype)
    if fixed is not None and call.output.scale != fixed:
        return f"the scale of {call.output.name!r} is {call.output.scale:.6g}, LiteRT takes {fixed:.6g}"
    return ""


def _hyperbolic_tangent(call: Call) -> tuple[Array, ...]:
    """The hyperbolic tangent. 8-bit through a table; int16 by interpolation, scales 2**-12 and 2**-11 unrescaled.

    With `fp32_even`, XNNPACK's table and, for those scales of int16, gemmlowp's function (LiteRT's optimized kernel).

    Source: TensorFlow Lite activations.cc, TanhPrepare; XNNPACK reference/unary-elementwise.cc.
    """
    x, tensor = call.array(0), call.input(0)
    if tensor.dtype == "i16":
        shift = {-12: 0, -11: 1}.get(power_of_two(tensor.scale) or 0)
        if call.rounding == "fp32_even" and shift is not None:
            return (tanh_by_gemmlowp(x, shift),)
        return (tanh_16bit(x, scale=tensor.scale, shift=shift),)
    if tensor.dtype == "f32":
        return (_tanh(x),)
    return (look_up(x, tensor, call.output, _tanh, xnnpack=call.rounding == "fp32_even"),)


def _hyperbolic_tangent_refused(call: Call) -> str:
    if reason := _needs_scale(call) or pair_reason(call, "f32", "i8", "u8", "i16") or _symmetric(call):
        return reason
    if reason := _interpolation_reason(call):
        return reason
    if call.output.dtype == "i16" and power_of_two(call.output.scale) != -15:
        return f"the scale of {call.output.name!r} is {call.output.scale:.6g}, LiteRT takes {2.0**-15:.6g}"
    return ""


# GELU, LOG


def _gaussian(call: Call) -> tuple[Array, ...]:
    """A real times the probability that a normal number is below it, exact or by tanh (`approximate`).

    Quantized through a table.

    Source: TensorFlow Lite reference/gelu.h.
    """
    transform = _gaussian_transform(call)
    x = call.array(0)
    return (transform(x) if x.dtype == f32 else look_up(x, call.input(0), call.output, transform),)


def _gaussian_transform(call: Call) -> Transform:
    return _gelu_by_tanh if call.options(GeluOptions).approximate else _gelu


def _gaussian_refused(call: Call) -> str:
    return _needs_scale(call) or pair_reason(call, "f32", "i8", "u8", "i16")


def _logarithm(call: Call) -> tuple[Array, ...]:
    """log(x); quantized through a table, where what is not positive gives the lowest result.

    Source: TensorFlow Lite elementwise.cc, LogLUTPrepare.
    """
    x = call.array(0)
    return (_log(x) if x.dtype == f32 else look_up(x, call.input(0), call.output, _logarithm_transform(call)),)


def _logarithm_transform(call: Call) -> Transform:
    target = call.output
    lowest = f32(np.iinfo(DTYPES[target.dtype]).min - target.zero_point) * f32(target.scale)
    return lambda real: np.where(real <= 0, lowest, _log(real))


def _logarithm_refused(call: Call) -> str:
    return _needs_scale(call) or pair_reason(call, "f32", "i8", "i16") or _symmetric(call)


# RSQRT, ABS, NEG


def _reciprocal_square_root(call: Call) -> tuple[Array, ...]:
    """1 / sqrt(x). int8 in fixed point, of 0 the largest result; int16 through a table.

    Raises:
        SampleError: a negative integer operand, for which LiteRT stops.

    Source: TensorFlow Lite elementwise.cc, RsqrtEvalQuantizedInt8.
    """
    x, source, target = call.array(0), call.input(0), call.output
    if x.dtype == f32:
        return (_inverse_square_root(x),)
    value = x.astype(np.int64) - source.zero_point
    if (value < 0).any():
        raise SampleError(
            f"{target.name!r} is the root of a negative number, which LiteRT refuses for integers",
            next="keep the operand at or above its zero_point",
        )
    if x.dtype == np.int16:
        largest = f32(32767) * f32(target.scale)
        return (look_up(x, source, target, lambda r: np.where(r <= 0, largest, _inverse_square_root(r))),)
    bits = 20
    root, root_shift = inverse_sqrt(value)
    multiplier, shift = quantize_multiplier(float(1.0 / (np.sqrt(f32(source.scale)) * f32(target.scale)).astype(float)))
    data = tflite_double(1, root, root_shift + bits)
    rounded = tflite_double(data, multiplier, shift - bits) + target.zero_point
    return (np.where(value == 0, np.int8(127), store(rounded, target)),)


def _reciprocal_square_root_refused(call: Call) -> str:
    return _needs_scale(call) or pair_reason(call, "f32", "i8", "i16") or _symmetric(call)


def _absolute(call: Call) -> tuple[Array, ...]:
    """|x|; quantized: |q - zero_point| rescaled by scale / scale_out in float32, two roundings, unless they are equal.

    Source: TensorFlow Lite elementwise.cc, AbsEvalQuantized.
    """
    x, source, target = call.array(0), call.input(0), call.output
    if not is_quantized(source):
        return (np.abs(x),)
    value = np.abs(x.astype(np.int64) - source.zero_point)
    if source.scale != target.scale:
        value = scaled(value, float(f32(source.scale) / f32(target.scale)), call.rounding)
    return (store(value + target.zero_point, target),)


def _absolute_refused(call: Call) -> str:
    return pair_reason(call, "f32", "i8", "i16", "i32") or _symmetric(call)


def _negative(call: Call) -> tuple[Array, ...]:
    """-x: of reals, or of integers as they stand, whatever their parameters; the lowest integer stays.

    Source: TensorFlow Lite neg.cc: a quantized result is right when both have the same scale and zero_point 0.
    """
    return (np.negative(call.array(0)),)


def _negative_refused(call: Call) -> str:
    return pair_reason(call, "f32", "i8", "i16", "i32", "i64")


def _definition(
    kind: str,
    reference: Callable[[Call], tuple[Array, ...]],
    refuse: Callable[[Call], str],
    options: type[Options] = Options,
) -> Definition:
    return Definition(kind, infer_same, reference, options=options, refuse=refuse)


#: The real functions that int16 tensors are interpolated by (see `table_16bit`).
INTERPOLATED: dict[str, Callable[[Call], Transform]] = {
    "EXP": lambda call: _exp,
    "GELU": _gaussian_transform,
    "LOG": _logarithm_transform,
}

DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        _definition("LOGISTIC", _logistic, _logistic_refused),
        _definition("TANH", _hyperbolic_tangent, _hyperbolic_tangent_refused),
        _definition("GELU", _gaussian, _gaussian_refused, GeluOptions),
        _definition("LOG", _logarithm, _logarithm_refused),
        _definition("RSQRT", _reciprocal_square_root, _reciprocal_square_root_refused),
        _definition("ABS", _absolute, _absolute_refused),
        _definition("NEG", _negative, _negative_refused),
        _function("EXP", _exp, "i8", "i16"),
        _function("ELU", _elu, "i8", xnnpack=True),
        _function("SQRT", _rounded(np.sqrt)),
        _function("SQUARE", _rounded(np.square)),
        _function("SIN", _rounded(np.sin)),
        _function("COS", _rounded(np.cos)),
        _function("FLOOR", _rounded(np.floor)),
        _function("CEIL", _rounded(np.ceil)),
        _function("ROUND", _rounded(np.rint)),
    )
}
