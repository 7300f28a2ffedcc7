"""Activations that are quantized as they arrive: what LiteRT's kernels do with float data beside integer weights.

Weights are -127..127, as TensorFlow Lite's quantization specification has them: with -128 LiteRT's x86 kernels for
rows of 16 and more give sums that are plainly wrong, which is not followed here. XNNPACK (LiteRT's default) quantizes
rows asymmetrically, ties to even, whatever the operator says: its reals are others, as near to the float ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.numerics.rounding import round_half_away
from bitwright.program.tensor import Array

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Quantized:
    """Rows of integers, zero_points taken off.

    Args:
        centred: [B,K], q - zero_point, int64.
        scale: [B], f32.
    """

    centred: NDArray[np.int64]
    scale: Floats


def quantize_rows(x: Array, *, asymmetric: bool) -> Quantized:
    """Every row on a scale of its own.

    Args:
        x: f32 [B,K].
        asymmetric: from the lowest to the highest real, 0 included, on -128..127; else from -max|x| to max|x| on
            -127..127.
    """
    return _asymmetric(x) if asymmetric else _symmetric(x)


def _symmetric(x: Floats) -> Quantized:
    """Integers round_half_away(x * (127 / max|x|)), scale max|x| / 127; a row of zeros has scale 1.

    Source: TensorFlow Lite portable_tensor_utils.cc, PortableSymmetricQuantizeFloats.
    """
    largest = np.abs(x).max(axis=1, initial=0, keepdims=True).astype(np.float32)
    is_zero = largest == 0
    inverse_scale = np.float32(127) / np.where(is_zero, np.float32(1), largest)
    q = np.clip(round_half_away(x * inverse_scale), -127, 127).astype(np.int64)
    scale = np.where(is_zero, np.float32(1), largest / np.float32(127))
    return Quantized(q, scale[:, 0])


def _asymmetric(x: Floats) -> Quantized:
    """Integers clamp(zero_point + round_half_away(x * (1 / scale))), scale (highest - lowest) / 255 taken in float64.

    The zero_point is that of whichever end of the range has the smaller rounding error; a row of zeros has scale 1.

    Source: TensorFlow Lite portable_tensor_utils.cc, PortableAsymmetricQuantizeFloats, and LiteRT itself, which adds
    the zero_point after rounding.
    """
    lowest = np.minimum(x.min(axis=1, initial=0, keepdims=True), 0).astype(np.float64)
    highest = np.maximum(x.max(axis=1, initial=0, keepdims=True), 0).astype(np.float64)
    scale = np.where(lowest == highest, 1.0, (highest - lowest) / 255)
    from_lowest, from_highest = -128 - lowest / scale, 127 - highest / scale
    is_lowest_better = 128 + np.abs(lowest / scale) < 127 + np.abs(highest / scale)
    zero_point = np.clip(round_half_away(np.where(is_lowest_better, from_lowest, from_highest)), -128, 127)
    inverse_scale = np.float32(1) / scale.astype(np.float32)
    q = np.clip(zero_point + round_half_away(x * inverse_scale), -128, 127)
    return Quantized((q - zero_point).astype(np.int64), scale.astype(np.float32)[:, 0])


def scaled_sums(sums: Array, row_scale: Array, weight_scale: Array, bias: Array | None) -> Floats:
    """Sums of integer products as reals: sums * (row scale * weight scale) + bias, in float32.

    Args:
        sums: integers, any shape.
        row_scale, weight_scale, bias: f32, broadcast against sums.
    """
    reals: Any = sums.astype(np.float32) * (row_scale * weight_scale)
    return np.asarray(reals if bias is None else reals + bias, dtype=np.float32)
