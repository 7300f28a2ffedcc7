"""Parameters of weights: the largest magnitude, or the scale of least squared error, per tensor, channel or block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import QuantParamsError
from bitwright.numerics.qparams import STORAGES, QuantParams, integer_bounds
from bitwright.numerics.ranges import qparams_from_range

#: Fractions of the largest magnitude that `mse` tries, coarse to fine around the best.
_FRACTIONS = np.linspace(0.4, 1.0, 31)

Floats = NDArray[np.floating[Any]]


def as_matrix(weight: Floats) -> Floats:
    """The matrix [shape[0], rest] over which weights of more than two dimensions are cut into blocks."""
    return weight if weight.ndim <= 2 else weight.reshape(weight.shape[0], -1)


def choose_weight_qparams(
    weight: Floats,
    *,
    storage: str = "i8",
    axis: int | None = None,
    block_shape: tuple[int, ...] | None = None,
    symmetric: bool = True,
    method: str = "minmax",
    bits: int | None = None,
) -> QuantParams:
    """Parameters for a constant weight.

    Args:
        weight: f32; for blocks, its matrix view.
        storage: i8, u8 or i4.
        axis: output-channel axis for per-channel; None for per-tensor or blocks.
        block_shape: elements per scale in each dimension.
        symmetric: zero_point 0 and, for signed 8-bit kernels, -127..127.
        method: "minmax", or "mse": the scale of least squared error.
        bits: of integers narrower than the storage type: -7..7 for 4.

    Raises:
        QuantParamsError: the weight holds NaN or Inf.
    """
    if not np.isfinite(weight).all():
        raise QuantParamsError("a weight holds NaN or Inf", next="repair the model: such a weight has no integer form")
    narrow = symmetric and STORAGES[storage].bits == 8 and STORAGES[storage].signed
    groups, shape = _group(weight, axis, block_shape)
    low, high = groups.min(axis=1), groups.max(axis=1)
    options: dict[str, Any] = {
        "storage": storage,
        "symmetric": symmetric,
        "narrow_range": narrow,
        "axis": axis,
        "block_shape": block_shape,
        "bits": bits,
    }
    if method == "mse" and not symmetric:
        raise QuantParamsError(
            "least squared error is found for symmetric weights alone", next="take minmax, or symmetric weights"
        )
    if method == "mse":
        low, high = _least_squares(groups, storage, narrow, bits)
    return qparams_from_range(low.reshape(shape), high.reshape(shape), **options)


def _group(weight: Floats, axis: int | None, block_shape: tuple[int, ...] | None) -> tuple[Floats, tuple[int, ...]]:
    """The weight as [groups, elements], one scale a row (short blocks padded with zeros), and the scale's shape."""
    if block_shape is not None:
        counts = tuple(-(-n // b) for n, b in zip(weight.shape, block_shape, strict=True))
        padding = [(0, c * b - n) for c, b, n in zip(counts, block_shape, weight.shape, strict=True)]
        padded = np.pad(weight, padding) if any(after for _, after in padding) else weight
        split = padded.reshape([x for c, b in zip(counts, block_shape, strict=True) for x in (c, b)])
        rank = len(counts)
        order = [2 * i for i in range(rank)] + [2 * i + 1 for i in range(rank)]
        return split.transpose(order).reshape(int(np.prod(counts)), -1), counts
    if axis is None:
        return weight.reshape(1, -1), (1,)
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1), (weight.shape[axis],)


def _least_squares(groups: Floats, storage: str, narrow: bool, bits: int | None) -> tuple[Floats, Floats]:
    """Symmetric ranges [-r, r] of least squared error, group by group: r is a fraction of the largest magnitude."""
    kind = STORAGES[storage]
    lowest, highest = integer_bounds(storage, bits)
    middle = 0 if kind.signed else (highest + 1) // 2
    qmin, qmax = lowest + int(narrow) - middle, highest - middle
    largest = np.abs(groups).max(axis=1).astype(np.float32)
    best_error = np.full(largest.shape, np.inf, dtype=np.float32)
    best = largest.copy()
    buffer = np.empty_like(groups, dtype=np.float32)
    for fraction in _FRACTIONS:
        scale = np.maximum(largest * np.float32(fraction / qmax), np.float32(1e-30))[:, None]
        np.divide(groups, scale, out=buffer)
        np.rint(buffer, out=buffer)
        np.clip(buffer, qmin, qmax, out=buffer)
        buffer *= scale
        buffer -= groups
        error = np.einsum("ij,ij->i", buffer, buffer)
        better = error < best_error
        best_error[better] = error[better]
        best[better] = largest[better] * np.float32(fraction)
    return -best, best
