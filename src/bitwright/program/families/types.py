"""From one storage type to another: CAST, QUANTIZE, DEQUANTIZE."""

from __future__ import annotations

import numpy as np

from bitwright.numerics.fixed_point import wrap
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import expand
from bitwright.numerics.requantize import Rounding
from bitwright.numerics.rounding import round_half_away, to_int32
from bitwright.program.definition import Call, Definition
from bitwright.program.families.elementwise import infer_same
from bitwright.program.fixed_point import Arithmetic, Requantization
from bitwright.program.options import CastOptions
from bitwright.program.pairs import store
from bitwright.program.tensor import DTYPES, Array, Tensor

f32 = np.float32

_CASTABLE = ("f16", "f32", "f64", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "bool")

#: Storage types that QUANTIZE takes from each type.
_QUANTIZABLE = {
    "f32": ("i8", "u8", "i16", "i4"),
    "i8": ("i8", "u8"),
    "u8": ("i8", "u8"),
    "i16": ("i8", "i16", "i32"),
    "i32": ("i8", "i16"),
}

_DEQUANTIZABLE = ("i8", "u8", "i16", "i4", "f16")


# CAST


def _cast(call: Call) -> tuple[Array, ...]:
    """The number, in another type: reals to integers toward zero, and to the nearest bound beyond it.

    Source: TensorFlow Lite cast.cc.
    """
    x, target = call.array(0), DTYPES[call.output.dtype]
    if x.dtype.kind != "f" or target.kind not in "iu":
        with np.errstate(over="ignore"):
            return (x.astype(target),)
    bounds = np.iinfo(target)
    whole = np.trunc(x.astype(np.float64))
    inside = np.where((whole > bounds.min) & (whole < bounds.max), whole, 0).astype(target)
    bounded = np.where(whole <= bounds.min, bounds.min, np.where(whole >= bounds.max, bounds.max, inside))
    return (np.where(np.isnan(whole), bounds.max, bounded).astype(target),)


def _cast_refused(call: Call) -> str:
    for tensor in (call.input(0), call.output):
        if tensor.dtype not in _CASTABLE:
            return f"LiteRT casts no {tensor.dtype}"
    return ""


# QUANTIZE


def _quantize(call: Call) -> tuple[Array, ...]:
    """Reals to integers, or integers of one scale to those of another.

    Reals: round(x / scale) in float32, ties away from zero, as int32 (-2**31 where it does not fit) + zero_point, which
    wraps, clamped. What XNNPACK and, for int16, LiteRT's optimized kernel make of it (`fp32_even`): x times 1 / scale,
    ties to even; XNNPACK clamps before it converts, NaN to the highest.

    Integers: (q - zero_point) rescaled by scale / scale_out, two roundings (`tflite_double`). What XNNPACK makes of
    i8 to i8 and u8 to u8 (`fp32_even`): a factor of 8 fraction bits, one rounding, ties upward.

    Source: TensorFlow Lite quantize.cc, reference/quantize.h, reference/requantize.h; XNNPACK f32-qs8-vcvt, qs8-vcvt.
    """
    x, source, target = call.array(0), call.input(0), call.output
    if source.dtype == "f32":
        return (_quantize_reals(x, target, call.rounding),)
    values = x.astype(np.int64) - source.zero_point
    ratio = f32(source.scale) / f32(target.scale)
    same_bytes = source.dtype == target.dtype in ("i8", "u8")
    if call.rounding == "fp32_even" and same_bytes and 2.0**-8 <= ratio <= 2.0**7:
        rounded = (values * int(np.rint(ratio * f32(256))) + 0x80) >> 8
        return (store(rounded + target.zero_point, target),)
    return (rescaling(call).apply(values),)


def rescaling(call: Call) -> Requantization:
    """How QUANTIZE rescales integers without their zero_point, where XNNPACK leaves them to LiteRT's kernels."""
    arithmetic: Arithmetic = "tflite_single" if call.rounding == "tflite_single" else "tflite_double"
    source, target = call.input(0), call.output
    bounds = np.iinfo(DTYPES[target.dtype])
    multiplier = np.asarray(source.scale / target.scale)
    return Requantization(arithmetic, multiplier, target.zero_point, int(bounds.min), int(bounds.max), target.dtype)


def takes_inverse(target: Tensor, rounding: Rounding) -> bool:
    """Whether QUANTIZE multiplies reals by 1 / scale, ties to even, and not divides them, ties away from zero."""
    return rounding == "fp32_even" and _parameters(target).axis is None and target.dtype != "i4"


def _quantize_reals(x: Array, target: Tensor, rounding: Rounding) -> Array:
    qparams = _parameters(target)
    scale, zero_point = expand(qparams, x.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        if takes_inverse(target, rounding):
            real = np.rint(x * (f32(1) / scale))
            if target.dtype != "i16":
                real = np.where(real < 512, np.maximum(real, -512), 512)
        else:
            real = round_half_away(x / scale)
    bounded = np.clip(wrap(to_int32(real) + zero_point), qparams.kind.qmin, qparams.kind.qmax)
    return np.asarray(bounded, dtype=qparams.kind.dtype)


def _parameters(tensor: Tensor) -> QuantParams:
    assert tensor.qparams is not None
    return tensor.qparams


def _quantize_refused(call: Call) -> str:
    source, target = call.input(0), call.output
    if target.dtype not in _QUANTIZABLE.get(source.dtype, ()):
        return f"LiteRT has no kernel from {source.dtype} to {target.dtype}"
    if target.qparams is None:
        return f"{target.name!r} has no scale"
    if source.dtype == "f32":
        if target.dtype == "i4" and target.qparams.scale.size > 1:
            return f"{target.name!r} of i4 has {target.qparams.scale.size} scales, LiteRT takes one"
        return ""
    if source.qparams is None:
        return f"{source.name!r} has no scale"
    if source.qparams.scale.size > 1 or target.qparams.scale.size > 1:
        return "LiteRT rescales integers of one scale to one scale"
    if source.dtype == target.dtype == "i16" and (source.zero_point or target.zero_point):
        return "int16 to int16 has zero_point 0"
    return ""


# DEQUANTIZE


def _dequantize(call: Call) -> tuple[Array, ...]:
    """The real scale * (q - zero_point) in float32, per tensor or per axis; f16 is widened.

    Source: TensorFlow Lite dequantize.h, reference/dequantize.h.
    """
    x, source = call.array(0), call.input(0)
    if source.dtype == "f16":
        return (x.astype(f32),)
    scale, zero_point = expand(_parameters(source), x.shape)
    return ((x.astype(np.int32) - zero_point).astype(f32) * scale,)


def _dequantize_refused(call: Call) -> str:
    source, target = call.input(0), call.output
    if source.dtype not in _DEQUANTIZABLE or target.dtype != "f32":
        return f"LiteRT has no kernel from {source.dtype} to {target.dtype}"
    if source.dtype == "f16":
        return ""
    if source.qparams is None:
        return f"{source.name!r} of {source.dtype} has no scale"
    if source.dtype == "i16" and source.qparams.scale.size > 1:
        return f"{source.name!r} of i16 has {source.qparams.scale.size} scales, LiteRT takes one"
    return ""


DEFINITIONS: dict[str, Definition] = {
    "CAST": Definition("CAST", infer_same, _cast, options=CastOptions, refuse=_cast_refused),
    "QUANTIZE": Definition("QUANTIZE", infer_same, _quantize, refuse=_quantize_refused),
    "DEQUANTIZE": Definition("DEQUANTIZE", infer_same, _dequantize, refuse=_dequantize_refused),
}
