"""quantize, dequantize, fake_quantize: the three forms of the equation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import QuantParamsError
from bitwright.numerics.qparams import QuantParams

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


def quantize(x: Floats, qparams: QuantParams) -> Integers:
    """Map real values to integers.

        q = clamp(round_half_to_even(x / scale) + zero_point, qmin, qmax)

    Args:
        x: real values, f32, any shape. With an axis, x.shape[axis] == len(scale).
        qparams: scale (real step), zero_point, axis or blocks, storage type.

    Returns:
        Integers of the storage type (4-bit types unpacked, one a byte), same shape as x.

    Raises:
        QuantParamsError: the number of scales does not fit x.

    Source: ONNX QuantizeLinear-23.

    >>> quantize(np.float32([-1.0, 0.0, 0.3125, 99.0]), QuantParams(scale=(0.125,), zero_point=(3,)))
    array([ -5,   3,   5, 127], dtype=int8)
    """
    scale, zero_point = expand(qparams, x.shape)
    q = np.asarray(np.rint(np.asarray(x, dtype=np.float32) / scale))
    # Clamp in float: float32 holds every bound up to 16 bits exactly. int32 and int64 (biases) are done in float64.
    if qparams.kind.bits > 16:
        wide = np.rint(np.asarray(x, dtype=np.float64) / scale) + zero_point
        limit = float(min(qparams.qmax, 1 << 62))  # above that float64 has no neighbour of int64's bounds
        return np.clip(wide, -limit - 1, limit).astype(qparams.kind.dtype)
    q += zero_point.astype(np.float32)
    np.clip(q, qparams.qmin, qparams.qmax, out=q)
    return q.astype(qparams.kind.dtype)


def dequantize(q: Integers, qparams: QuantParams) -> NDArray[np.float32]:
    """Map integers to the real values they stand for.

        real = scale * (q - zero_point)

    Args:
        q: integers of the storage type, any shape.
        qparams: as they were quantized.

    Returns:
        Real values, f32, same shape.

    Raises:
        QuantParamsError: the number of scales does not fit q.

    Source: ONNX DequantizeLinear-23.

    >>> dequantize(np.int8([-5, 3, 5, 127]), QuantParams(scale=(0.125,), zero_point=(3,)))
    array([-1. ,  0. ,  0.25, 15.5 ], dtype=float32)
    """
    scale, zero_point = expand(qparams, q.shape)
    if qparams.symmetric:
        return q.astype(np.float32) * scale
    return (q.astype(np.int32) - zero_point).astype(np.float32) * scale


def fake_quantize(x: Floats, qparams: QuantParams) -> NDArray[np.float32]:
    """Quantize, then dequantize: what x becomes, in float.

    >>> fake_quantize(np.float32([0.3125, 99.0]), QuantParams(scale=(0.125,), zero_point=(3,)))
    array([ 0.25, 15.5 ], dtype=float32)
    """
    return dequantize(quantize(x, qparams), qparams)


def expand(qparams: QuantParams, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Scale and zero_point in a shape that broadcasts against a tensor of `shape`.

    Raises:
        QuantParamsError: the number of scales does not fit.
    """
    if qparams.block_shape is not None:
        return _expand_blocks(qparams, shape)
    if qparams.axis is None:
        return qparams.scale.reshape(()), qparams.zero_point.reshape(())
    rank = len(shape)
    axis = qparams.axis + rank if qparams.axis < 0 else qparams.axis
    if not 0 <= axis < rank:
        raise QuantParamsError(f"axis {qparams.axis} does not exist in a tensor of rank {rank}")
    if shape[axis] != qparams.scale.size:
        raise QuantParamsError(
            f"scale must have {shape[axis]} entries along axis {axis} (got {qparams.scale.size})",
            next="per-channel parameters need one scale per index of the axis",
        )
    view = [1] * rank
    view[axis] = -1
    return qparams.scale.reshape(view), qparams.zero_point.reshape(view)


def _expand_blocks(qparams: QuantParams, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    blocks = qparams.block_shape
    assert blocks is not None
    expected = tuple(-(-n // b) for n, b in zip(shape, blocks, strict=True)) if len(shape) == len(blocks) else None
    if expected != qparams.scale.shape:
        raise QuantParamsError(
            f"blocks of {blocks} over shape {shape} need scales of {expected}, got {qparams.scale.shape}"
        )
    scale, zero_point = qparams.scale, qparams.zero_point
    for axis, (size, block) in enumerate(zip(shape, blocks, strict=True)):
        if block > 1:
            index = np.arange(size) // block
            scale, zero_point = scale.take(index, axis=axis), zero_point.take(index, axis=axis)
    return scale, zero_point
