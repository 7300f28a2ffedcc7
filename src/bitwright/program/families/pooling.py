"""Operators that pool windows: AVERAGE_POOL_2D, MAX_POOL_2D.

A window reaches over the border where padding is SAME; only what lies inside counts. Both are taken first along H,
then along W: the work grows with the sum of the window's sides, not with their product.

Source: LiteRT tflite/kernels/pooling.cc, internal/reference/pooling.h and integer_ops/pooling.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bitwright.program.definition import Call, Definition
from bitwright.program.fixed_point import REAL_BOUNDS, activation_bounds
from bitwright.program.operands import QUANTIZED, need_rank, type_reason
from bitwright.program.operator import Padding
from bitwright.program.options import Pool2DOptions
from bitwright.program.tensor import DTYPES, Array, Shape
from bitwright.program.window import output_size, padding_before

#: Adds what windows see at one offset to what they saw before: (so far, now) -> None, in place.
Gather = Callable[[Array, Array], None]


def _infer(call: Call) -> tuple[Shape, ...]:
    n, h, w, c = need_rank(call.input(0), 4)
    (window_h, stride_h), (window_w, stride_w) = pool_sides(call)
    padding = call.options(Pool2DOptions).padding
    return ((n, output_size(h, window_h, stride_h, 1, padding), output_size(w, window_w, stride_w, 1, padding), c),)


def pool_sides(call: Call) -> tuple[tuple[int, int], tuple[int, int]]:
    """(window, stride) along H and along W."""
    options = call.options(Pool2DOptions)
    return (options.filter_height, options.stride_h), (options.filter_width, options.stride_w)


def pool_bounds(call: Call) -> tuple[int, int]:
    """The lowest and highest integer of a quantized result, after the fused activation."""
    return activation_bounds(call.options(Pool2DOptions).fused_activation_function, call.output)


def _refuse(call: Call) -> str:
    activation = call.options(Pool2DOptions).fused_activation_function
    if activation not in REAL_BOUNDS:
        return f"LiteRT pools without a fused {activation}"
    reason = type_reason(call, "f32", "i8", "u8", "i16")
    if reason or call.input(0).dtype not in QUANTIZED:
        return reason
    return "integers need parameters" if call.input(0).qparams is None or call.output.qparams is None else ""


def _pool(x: Array, axis: int, window: int, stride: int, padding: Padding, start: float, gather: Gather) -> Array:
    """Every window along one axis, made of one element of all windows at a time."""
    size = x.shape[axis]
    count = output_size(size, window, stride, 1, padding)
    pooled = np.full((*x.shape[:axis], count, *x.shape[axis + 1 :]), start, x.dtype)
    for windows, seen in _offsets(size, count, window, stride, padding):
        lead = (slice(None),) * axis
        gather(pooled[(*lead, windows)], x[(*lead, seen)])
    return pooled


def _offsets(size: int, count: int, window: int, stride: int, padding: Padding) -> Iterator[tuple[slice, slice]]:
    """For each place in a window: which windows have it inside the tensor, and which elements they see there."""
    before, _ = padding_before(size, window, stride, 1, padding)
    for place in range(max(0, before - (count - 1) * stride), min(window, before + size)):
        first = max(0, -(-(before - place) // stride))
        last = min(count - 1, (size - 1 + before - place) // stride)
        if first <= last:
            seen = first * stride - before + place
            yield slice(first, last + 1), slice(seen, seen + (last - first) * stride + 1, stride)


def _add(total: Array, seen: Array) -> None:
    total += seen


def _keep_larger(largest: Array, seen: Array) -> None:
    np.maximum(largest, seen, out=largest)


def _average(call: Call) -> tuple[Array, ...]:
    """The mean of what lies inside; for integers rounded to the nearest, ties away from zero."""
    padding, (_, h, w, _) = call.options(Pool2DOptions).padding, call.input(0).shape
    x = call.array(0)
    total = x if x.dtype == np.float32 else x.astype(np.int64)
    counts = []
    for axis, size, (window, stride) in zip((1, 2), (h, w), pool_sides(call), strict=True):
        total = _pool(total, axis, window, stride, padding, 0, _add)
        counts.append(_pool(np.ones(size, np.int64), 0, window, stride, padding, 0, _add))
    count = (counts[0][:, None] * counts[1])[:, :, None]
    if x.dtype == np.float32:
        return (_activated(call, total / count.astype(np.float32)),)
    return (_activated(call, np.sign(total) * ((np.abs(total) + count // 2) // count)),)


def _largest(call: Call) -> tuple[Array, ...]:
    x = call.array(0)
    lowest = float(np.finfo(x.dtype).min) if x.dtype == np.float32 else int(np.iinfo(x.dtype).min)
    for axis, (window, stride) in zip((1, 2), pool_sides(call), strict=True):
        x = _pool(x, axis, window, stride, call.options(Pool2DOptions).padding, lowest, _keep_larger)
    return (_activated(call, x),)


def _activated(call: Call, x: Array) -> Array:
    """After the fused activation, in the type of the result."""
    if x.dtype != np.float32:
        return np.clip(x, *pool_bounds(call)).astype(DTYPES[call.output.dtype])
    low, high = REAL_BOUNDS[call.options(Pool2DOptions).fused_activation_function]
    return np.clip(x, -np.inf if low is None else low, np.inf if high is None else high)


DEFINITIONS: dict[str, Definition] = {
    "AVERAGE_POOL_2D": Definition("AVERAGE_POOL_2D", _infer, _average, (1, 1), Pool2DOptions, _refuse),
    "MAX_POOL_2D": Definition("MAX_POOL_2D", _infer, _largest, (1, 1), Pool2DOptions, _refuse),
}
