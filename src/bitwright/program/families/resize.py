"""Operators that resize images: RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR.

Where output i lies on the input, scale = input size / output size, both less one with align_corners:
i * scale, or (i + 0.5) * scale - 0.5 with half_pixel_centers.

Source: LiteRT tflite/kernels/resize_bilinear.cc, resize_nearest_neighbor.cc and internal/reference/resize_bilinear.h,
resize_nearest_neighbor.h; XNNPACK src/indirection.c and s8-ibilinear.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def _bilinear(call: Call) -> tuple[Array, ...]:
    """The four pixels around, weighted by how near they are."""
    dtype = call.input(0).dtype
    if dtype in ("i8", "u8") and call.rounding == "fp32_even":
        return (_bilinear_q11(call),)
    if dtype in ("i8", "i16"):
        return (_bilinear_q10(call),)
    return (_bilinear_float(call),)


def _bilinear_float(call: Call) -> Array:
    """In float32; for u8 rounded, ties away from zero."""
    rows, columns = _axes(call)
    y, x = rows.positions, columns.positions
    (y0, y1), (x0, x1) = rows.neighbours(np.floor(y), np.ceil(y)), columns.neighbours(np.floor(x), np.ceil(x))
    dy, dx = (y - y0.astype(np.float32))[:, None, None], (x - x0.astype(np.float32))[:, None]
    values = call.array(0).astype(np.float32, copy=False)
    top, bottom = values[:, y0], values[:, y1]
    one = np.float32(1)
    total: Array = top[:, :, x0] * (one - dy) * (one - dx)
    total += bottom[:, :, x0] * dy * (one - dx)
    total += top[:, :, x1] * (one - dy) * dx
    total += bottom[:, :, x1] * dy * dx
    return total if call.output.dtype == "f32" else round_half_away(total).astype(np.uint8)


def _blend(values: Int64s, axis: int, before: Int64s, after: Int64s, weights: Int64s, one: int) -> Int64s:
    """values[before] * (one - weights) + values[after] * weights along an axis."""
    weights = weights.reshape(-1, *(1,) * (values.ndim - 1 - axis))
    return np.take(values, before, axis) * (one - weights) + np.take(values, after, axis) * weights


def _bilinear_q10(call: Call) -> Array:
    """Weights of 10 bits each way; the sum is rounded once, ties away from zero."""
    values: Int64s = call.array(0).astype(np.int64)
    for axis, way in zip((1, 2), _axes(call), strict=True):
        at = way.positions_q10
        before, after = way.neighbours(np.maximum(at, 0) // 1024, (at + 1023) // 1024)
        values = _blend(values, axis, before, after, at - 1024 * before, 1024)
    rounded: Array = np.sign(values) * ((np.abs(values) + (1 << 19)) >> 20)
    return rounded.astype(DTYPES[call.output.dtype])


def _bilinear_q11(call: Call) -> Array:
    """Weights of 11 bits each way, rounded half to even; the sum is rounded once, ties upward: XNNPACK's."""
    values: Int64s = call.array(0).astype(np.int64)
    for axis, way in zip((1, 2), _axes(call), strict=True):
        at = np.clip(_offset_positions(way), np.float32(0), np.float32(way.size - 1))
        before, _ = way.neighbours(at, at)
        weights = np.rint((at - before.astype(np.float32)) * np.float32(2048)).astype(np.int64)
        values = _blend(values, axis, before, np.minimum(before + 1, way.size - 1), weights, 2048)
    return ((values + (1 << 21)) >> 22).astype(DTYPES[call.output.dtype])


def _offset_positions(way: _Axis) -> Floats:
    """`positions`, where XNNPACK adds the half pixel after the product."""
    index = np.arange(way.resized, dtype=np.float32)
    if not way.half_pixel_centers:
        return index * way.scale
    return index * way.scale + (np.float32(0.5) * way.scale - np.float32(0.5))


def _nearest(call: Call) -> tuple[Array, ...]:
    """The pixel that an output lies on."""
    chosen = []
    for way in _axes(call):
        offset = np.float32(0.5 if way.half_pixel_centers else 0)
        at = (np.arange(way.resized, dtype=np.float32) + offset) * way.scale
        index = round_half_away(at) if way.align_corners else np.floor(at)
        chosen.append(np.clip(index.astype(np.int64), 0, way.size - 1))
    return (call.array(0)[:, chosen[0][:, None], chosen[1]],)


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
