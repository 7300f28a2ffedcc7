"""Operators that resize images: RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR.

Where output i lies on the input, scale = input size / output size, both less one with align_corners:
i * scale, or (i + 0.5) * scale - 0.5 with half_pixel_centers.

Source: LiteRT tflite/kernels/resize_bilinear.cc, resize_nearest_neighbor.cc and internal/reference/resize_bilinear.h,
resize_nearest_neighbor.h; XNNPACK src/indirection.c and s8-ibilinear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError
from bitwright.numerics.rounding import round_half_away
from bitwright.program.definition import Call, Definition
from bitwright.program.operands import integers, need_rank, type_reason
from bitwright.program.options import ResizeBilinearOptions, ResizeNearestNeighborOptions
from bitwright.program.tensor import DTYPES, Array, Shape

Floats = NDArray[np.float32]
Int64s = NDArray[np.int64]


def _infer(call: Call) -> tuple[Shape, ...]:
    n, h, w, c = need_rank(call.input(0), 4)
    height, width = integers(call, 1, "the size", length=2)
    if min(h, w, height, width) < 1:
        raise ModelError(f"[{h}, {w}] cannot be resized to [{height}, {width}]")
    return ((n, height, width, c),)


@dataclass(frozen=True)
class _Axis:
    """How one axis is resized."""

    size: int
    resized: int
    align_corners: bool
    half_pixel_centers: bool

    @property
    def steps(self) -> tuple[int, int]:
        """(input, output) sizes whose quotient is the scale."""
        short = int(self.align_corners and self.resized > 1)
        return self.size - short, self.resized - short

    @property
    def scale(self) -> np.float32:
        size, resized = self.steps
        return np.float32(size) / np.float32(resized)

    @property
    def positions(self) -> Floats:
        """Where every output lies on the input, in float32."""
        index = np.arange(self.resized, dtype=np.float32)
        if not self.half_pixel_centers:
            return index * self.scale
        return (index + np.float32(0.5)) * self.scale - np.float32(0.5)

    @property
    def positions_q10(self) -> Int64s:
        """The same in units of 1/1024, as LiteRT's integer kernel has it: a rounded scale times the index."""
        size, resized = self.steps
        scale = (1024 * size + resized // 2) // resized
        index = np.arange(self.resized, dtype=np.int64)
        return index * scale + scale // 2 - 512 if self.half_pixel_centers else index * scale

    def neighbours(self, low: Array, high: Array) -> tuple[Int64s, Int64s]:
        """The pixels on both sides, within the input."""
        return np.maximum(low.astype(np.int64), 0), np.minimum(high.astype(np.int64), self.size - 1)


def _axes(call: Call) -> tuple[_Axis, _Axis]:
    options = call.operator.options
    assert isinstance(options, ResizeBilinearOptions | ResizeNearestNeighborOptions)
    h, w = call.input(0).shape[1:3]
    height, width = call.output.shape[1:3]
    flags = (options.align_corners, options.half_pixel_centers)
    return _Axis(h, height, *flags), _Axis(w, width, *flags)


class Taps(NamedTuple):
    """How one axis is blended: for every output, values[before] * (one - weight) + values[after] * weight.

    Args:
        before, after: the pixels on both sides.
        weight: of the one after.
    """

    before: Int64s
    after: Int64s
    weight: Int64s | Floats


class Bilinear(NamedTuple):
    """How RESIZE_BILINEAR blends four pixels.

    Args:
        rows, columns: the taps of H and of W.
        bits: weights are integers, one is 2**bits, and the sum is rounded once; 0: they are float32, one is 1.
        away: whether ties of that rounding go away from zero; else upward.
    """

    rows: Taps
    columns: Taps
    bits: int
    away: bool


def bilinear_taps(call: Call) -> Bilinear:
    """Integers as LiteRT's kernel has them (10 bits) or as XNNPACK has them (11 bits), or floats."""
    dtype = call.input(0).dtype
    rows, columns = _axes(call)
    if dtype in ("i8", "u8") and call.rounding == "fp32_even":
        return Bilinear(_taps_q11(rows), _taps_q11(columns), 11, False)
    if dtype in ("i8", "i16"):
        return Bilinear(_taps_q10(rows), _taps_q10(columns), 10, True)
    return Bilinear(_taps_float(rows), _taps_float(columns), 0, False)


def _taps_float(way: _Axis) -> Taps:
    at = way.positions
    before, after = way.neighbours(np.floor(at), np.ceil(at))
    return Taps(before, after, at - before.astype(np.float32))


def _taps_q10(way: _Axis) -> Taps:
    at = way.positions_q10
    before, after = way.neighbours(np.maximum(at, 0) // 1024, (at + 1023) // 1024)
    return Taps(before, after, at - 1024 * before)


def _taps_q11(way: _Axis) -> Taps:
    """Weights are rounded half to even."""
    at = np.clip(_offset_positions(way), np.float32(0), np.float32(way.size - 1))
    before, _ = way.neighbours(at, at)
    weights = np.rint((at - before.astype(np.float32)) * np.float32(2048)).astype(np.int64)
    return Taps(before, np.minimum(before + 1, way.size - 1), weights)


def _bilinear(call: Call) -> tuple[Array, ...]:
    """The four pixels around, weighted by how near they are."""
    how = bilinear_taps(call)
    return (_blended(call, how) if how.bits else _blended_float(call, how),)


def _blended_float(call: Call, how: Bilinear) -> Array:
    """In float32; for u8 rounded, ties away from zero."""
    (y0, y1, dy), (x0, x1, dx) = how.rows, how.columns
    dy, dx = dy[:, None, None], dx[:, None]
    values = call.array(0).astype(np.float32, copy=False)
    top, bottom = values[:, y0], values[:, y1]
    one = np.float32(1)
    total: Array = top[:, :, x0] * (one - dy) * (one - dx)
    total += bottom[:, :, x0] * dy * (one - dx)
    total += top[:, :, x1] * (one - dy) * dx
    total += bottom[:, :, x1] * dy * dx
    return total if call.output.dtype == "f32" else round_half_away(total).astype(np.uint8)


def _blended(call: Call, how: Bilinear) -> Array:
    """In integers; the sum is rounded once."""
    values: Int64s = call.array(0).astype(np.int64)
    for axis, (before, after, weight) in zip((1, 2), (how.rows, how.columns), strict=True):
        weight = weight.reshape(-1, *(1,) * (values.ndim - 1 - axis))
        values = np.take(values, before, axis) * ((1 << how.bits) - weight) + np.take(values, after, axis) * weight
    half, shift = 1 << 2 * how.bits - 1, 2 * how.bits
    rounded = np.sign(values) * ((np.abs(values) + half) >> shift) if how.away else (values + half) >> shift
    return rounded.astype(DTYPES[call.output.dtype])


def _offset_positions(way: _Axis) -> Floats:
    """`positions`, where XNNPACK adds the half pixel after the product."""
    index = np.arange(way.resized, dtype=np.float32)
    if not way.half_pixel_centers:
        return index * way.scale
    return index * way.scale + (np.float32(0.5) * way.scale - np.float32(0.5))


def nearest_pixels(call: Call) -> tuple[Int64s, Int64s]:
    """The row and the column of the input that each of the output's is."""
    chosen = []
    for way in _axes(call):
        offset = np.float32(0.5 if way.half_pixel_centers else 0)
        at = (np.arange(way.resized, dtype=np.float32) + offset) * way.scale
        index = round_half_away(at) if way.align_corners else np.floor(at)
        chosen.append(np.clip(index.astype(np.int64), 0, way.size - 1))
    return chosen[0], chosen[1]


def _nearest(call: Call) -> tuple[Array, ...]:
    """The pixel that an output lies on."""
    rows, columns = nearest_pixels(call)
    return (call.array(0)[:, rows[:, None], columns],)


def _refuse_bilinear(call: Call) -> str:
    options = call.options(ResizeBilinearOptions)
    if options.align_corners and options.half_pixel_centers:
        return "align_corners and half_pixel_centers exclude each other"
    return _size_reason(call) or type_reason(call, "f32", "i8", "u8", "i16")


def _refuse_nearest(call: Call) -> str:
    return _size_reason(call) or type_reason(call, "f32", "f16", "i8", "u8", "i16", "u16", "i32", "u32", "bool")


def _size_reason(call: Call) -> str:
    size = call.input(1)
    fits = size.dtype == "i32" and size.shape == (2,)
    return "" if fits else f"the size is i32[2] (got {size.dtype}{list(size.shape)})"


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        Definition("RESIZE_BILINEAR", _infer, _bilinear, (2, 2), ResizeBilinearOptions, _refuse_bilinear),
        Definition("RESIZE_NEAREST_NEIGHBOR", _infer, _nearest, (2, 2), ResizeNearestNeighborOptions, _refuse_nearest),
    )
}
