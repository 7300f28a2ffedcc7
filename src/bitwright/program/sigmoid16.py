"""LOGISTIC and TANH on int16: interpolation in one table of 256 entries, with a sigmoid at every 1/24.

Scales that need no rescaling go another way in LiteRT's optimized kernels, the default ones: gemmlowp's functions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright.numerics import fixed_point
from bitwright.program.tensor import Array

Int64s = NDArray[np.int64]


def logistic_16bit(x: Array, *, scale: float, shift: int | None) -> NDArray[np.int16]:
    """Logistic of int16 values, zero_point 0, as int16 of scale 2**-15.

    Args:
        x: int16 values.
        scale: of x.
        shift: 0 where the scale is 2**-12, which needs no rescaling; None for any other scale.

    Source: TensorFlow Lite integer_ops/logistic.h, Logistic.
    """
    position = _position(x, scale, shift)
    values = _interpolated(np.abs(position), fraction_bits=9, saturated=0x7FFF << 10)
    signed = np.where(position >= 0, values + (1 << 9), (1 << 25) - values + (1 << 9) - 1)
    return (signed >> 10).astype(np.int16)


def tanh_16bit(x: Array, *, scale: float, shift: int | None) -> NDArray[np.int16]:
    """Tanh of int16 values, zero_point 0, as int16 of scale 2**-15: 2 * logistic(2 * x) - 1.

    Args:
        x: int16 values.
        scale: of x.
        shift: 0 or 1 where the scale is 2**-12 or 2**-11, which need no rescaling; None for any other scale.

    Source: TensorFlow Lite integer_ops/tanh.h, Tanh.
    """
    position = _position(x, scale, shift)
    values = _interpolated(np.abs(position), fraction_bits=8, saturated=0xFFFF << 8)
    signed = np.where(position >= 0, values - (1 << 23) + (1 << 7), -values + (1 << 23) + (1 << 7) - 1)
    return (signed >> 8).astype(np.int16)


def logistic_by_gemmlowp(x: Array) -> NDArray[np.int16]:
    """Logistic of int16 values of scale 2**-12. Source: TensorFlow Lite optimized_ops.h, Logistic."""
    return fixed_point.logistic(x, 3, bits=16).astype(np.int16)


def tanh_by_gemmlowp(x: Array, shift: int) -> NDArray[np.int16]:
    """Tanh of int16 values of scale 2**(shift - 12). Source: TensorFlow Lite optimized_ops.h, Tanh."""
    return fixed_point.tanh(fixed_point.shift_left(x, shift, bits=16), 3, bits=16).astype(np.int16)


def _position(x: Array, scale: float, shift: int | None) -> Int64s:
    """The values on a scale of 1 / (3 * 4096), whose upper bits are a place in the table."""
    values = x.astype(np.int64)
    if shift is not None:
        return values * (3 << shift)
    multiplier, right_shift = scale * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and right_shift <= 30:
        multiplier, right_shift = multiplier * 2.0, right_shift + 1
    half = (1 << right_shift) >> 1
    return (values * int(multiplier) + half) >> right_shift


def _interpolated(position: Int64s, *, fraction_bits: int, saturated: int) -> Int64s:
    table = _table()
    index = np.minimum(position >> fraction_bits, 254)
    fraction = position & ((1 << fraction_bits) - 1)
    values = (table[index] << fraction_bits) + fraction * (table[index + 1] - table[index])
    return np.where(position >> fraction_bits >= 255, saturated, values)


def _table() -> Int64s:
    """65536 * logistic(i / 24) for i = 0..255, each raised by half the error of interpolation at mid-step.

    Source: TensorFlow Lite common.h, sigmoid_table_uint16, whose last entry is the largest uint16.
    """
    index = np.arange(256)
    here, middle, after = (65536 / (1 + np.exp(-(index + step) / 24.0)) for step in (0.0, 0.5, 1.0))
    table = np.rint(here + (middle - (here + after) / 2) / 2).astype(np.int64)
    table[-1] = 65535
    return np.asarray(table)
