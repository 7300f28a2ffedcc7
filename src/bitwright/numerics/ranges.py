"""From a real range to QuantParams: the one place where scale and zero_point are chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from bitwright.errors import QuantParamsError
from bitwright.numerics.qparams import STORAGES, QuantParams, integer_bounds

#: The smallest scale that is used: below it the reciprocal leaves float32.
SMALLEST_SCALE = np.float32(2.0**-120)


def qparams_from_range(
    low: Any,
    high: Any,
    *,
    storage: str = "i8",
    symmetric: bool = False,
    narrow_range: bool = False,
    axis: int | None = None,
    block_shape: tuple[int, ...] | None = None,
    inside: bool = False,
    bits: int | None = None,
) -> QuantParams:
    """Scale and zero_point that cover [low, high], with real 0 exactly representable.

        asymmetric: scale = (max(high, 0) - min(low, 0)) / (qmax - qmin), zero_point = qmin - round(low / scale)
        symmetric:  scale = max(|low|, |high|) / qmax, zero_point = 0 (the middle of an unsigned type)

    Args:
        low, high: the real range; scalars, or arrays with one entry per channel or per block.
        storage: a key of STORAGES.
        symmetric: zero_point is 0.
        narrow_range: -127..127.
        axis, block_shape: as in QuantParams.
        inside: round the scale toward zero, so that no integer stands for a value beyond the range
            (a ReLU6 output never exceeds 6).
        bits: as in QuantParams.

    Raises:
        QuantParamsError: the range holds NaN or Inf, or low > high.

    >>> qparams_from_range(0.0, 2.55, storage="u8")
    QuantParams(u8, scale=0.01, zero_point=0)
    >>> qparams_from_range(-1.27, 0.5, symmetric=True, narrow_range=True)
    QuantParams(i8, scale=0.01, zero_point=0)
    """
    lows = np.minimum(np.asarray(low, dtype=np.float64), 0.0)
    highs = np.maximum(np.asarray(high, dtype=np.float64), 0.0)
    if not (np.isfinite(lows).all() and np.isfinite(highs).all()):
        raise QuantParamsError(
            "a range with NaN or Inf cannot be quantized", next="look at the samples, or exclude the tensor"
        )
    if np.any(np.asarray(low) > np.asarray(high)):
        raise QuantParamsError("the range is empty: low > high")
    kind = STORAGES[storage]
    lowest, qmax = integer_bounds(storage, bits)
    qmin = lowest + int(narrow_range)
    if symmetric:
        middle = 0 if kind.signed else (qmax + 1) // 2
        # The positive side has one step fewer than the negative one unless the range is narrow.
        real = np.maximum(-lows, highs) / (qmax - middle)
        zero_point = np.full(real.shape, middle, dtype=np.int32)
    else:
        real = (highs - lows) / (qmax - qmin)
        zero_point = np.zeros(real.shape, dtype=np.int32)
    scale = real.astype(np.float32)
    if inside:
        scale = np.where(scale.astype(np.float64) > real, np.nextafter(scale, np.float32(0)), scale)
    scale = np.where(real > SMALLEST_SCALE, scale, np.float32(1.0)).astype(np.float32)
    if not symmetric:
        zero_point = np.clip(np.rint(qmin - lows / scale), qmin, qmax).astype(np.int32)
    return QuantParams(scale, zero_point, storage, axis, block_shape, narrow_range, bits)
