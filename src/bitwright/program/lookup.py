"""Lookup tables: how TensorFlow Lite computes a real function on 8-bit and 16-bit tensors.

Every entry is what the kernel's C computes in float32, with the function itself rounded correctly: taken in float64,
then rounded to float32. A C library whose own float32 function is off by an ulp can differ where a value lies within
that ulp of halfway between two integers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bitwright.numerics.rounding import round_half_away
from bitwright.program.tensor import DTYPES, Array, Tensor

Floats = NDArray[np.float32]
#: A function of float32 values that gives float32 values.
Transform = Callable[[Floats], Floats]


def look_up(x: Array, source: Tensor, target: Tensor, transform: Transform, *, xnnpack: bool = False) -> Array:
    """A function, from the integers of one tensor to the integers of another, through the table that a kernel makes.

    Args:
        x: values of `source`, i8, u8 or i16.
        source, target: both of one type, with one scale and zero_point each.
        transform: the real function.
        xnnpack: of 8-bit integers, the table that XNNPACK makes, not LiteRT's own.

    Source: TensorFlow Lite common.h, LUTPopulate and LUTLookup; XNNPACK reference/unary-elementwise.cc.
    """
    if source.dtype == "i16":
        return interpolate(x, table_16bit(source, target, transform))
    low = int(np.iinfo(x.dtype).min)
    return np.asarray(table_8bit(source, target, transform, xnnpack=xnnpack)[x.astype(np.int64) - low])


def table_8bit(source: Tensor, target: Tensor, transform: Transform, *, xnnpack: bool = False) -> Array:
    """The 256 results, from that of the lowest integer on.

    real_out = transform(scale * (q - zero_point)) * (1 / scale_out)
    q_out = clamp(round(real_out) + zero_point_out), ties away from zero
    q_out = clamp(round(real_out + zero_point_out)), ties to even, by XNNPACK
    """
    dtype = DTYPES[source.dtype]
    bounds = np.iinfo(dtype)
    q = np.arange(bounds.min, bounds.max + 1, dtype=np.int64)
    real = np.float32(source.scale) * (q - source.zero_point).astype(np.float32)
    inverse_scale = np.float32(1) / np.float32(target.scale)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled, point = transform(real) * inverse_scale, np.float32(target.zero_point)
        rounded = np.rint(scaled + point) if xnnpack else round_half_away(scaled) + point
    return np.asarray(np.clip(rounded, bounds.min, bounds.max), dtype=dtype)


def table_16bit(source: Tensor, target: Tensor, transform: Transform) -> NDArray[np.int16]:
    """The 513 results at steps of 128 integers, each moved by half the error of interpolation at mid-step."""
    f32 = np.float32
    scale_in, scale_out = f32(source.scale), f32(target.scale)
    start = scale_in * f32(-32768 - source.zero_point)
    stop = scale_in * f32(32767 - source.zero_point)
    low = scale_out * f32(-32768 - target.zero_point)
    high = scale_out * f32(32767 - target.zero_point)
    return populate_16bit(start, stop, f32(65536) / (high - low), transform)


def populate_16bit(
    start: np.floating, stop: np.floating, inverse_scale: np.floating, transform: Callable[..., Array]
) -> NDArray[np.int16]:
    """The table over [start, stop] of transform(x) * inverse_scale, in the float type of its arguments."""
    steps = 512
    real = type(start)
    index = np.arange(steps).astype(real)
    step = (stop - start) / real(steps)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        here = transform(start + index * step) * inverse_scale
        middle = transform(start + index * step + step / real(2)) * inverse_scale
        after = transform(start + (index + real(1)) * step) * inverse_scale
        sample = round_half_away(here)
        interpolated = round_half_away((after + sample) / real(2))
        bias = round_half_away((interpolated - round_half_away(middle)) / real(2))
        last = round_half_away(transform(np.array([stop])) * inverse_scale)
        values = np.concatenate([sample - bias, last])
    return np.asarray(np.clip(np.where(np.isnan(values), 0, values), -32768, 32767), dtype=np.int16)


def interpolate(x: Array, table: NDArray[np.int16]) -> NDArray[np.int16]:
    """Between the two entries of a 513-entry table around each int16 value, in 16-bit arithmetic.

    >>> interpolate(np.int16([0, 64]), np.arange(513, dtype=np.int16) * 10).tolist()
    [2560, 2565]
    """
    values = x.astype(np.int64)
    index = 256 + (values >> 7)
    entries = table.astype(np.int64)
    slope = ((entries[index + 1] - entries[index]) + (1 << 15)) % (1 << 16) - (1 << 15)
    delta = (slope * (values & 0x7F) + 64) >> 7
    return np.asarray(entries[index] + delta).astype(np.int16)
