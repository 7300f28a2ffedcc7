"""Requantization as the engine takes it: arrays with one entry a channel."""

from __future__ import annotations

import numpy as np

from bitwright import _engine
from bitwright.numerics.requantize import quantize_multiplier
from bitwright.program.fixed_point import Requantization
from bitwright.runtime.steps.storage import is_biased

_NONE_32, _NONE_F32, _NONE_F64 = np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float64)


def engine_requant(how: Requantization, channels: int) -> _engine.Requant:
    """The same for results as they are stored.

    Args:
        how: with one factor, or one a channel.
        channels: how many the output has.
    """
    factors = how.real_multiplier
    if factors.shape != (channels,):
        factors = np.broadcast_to(factors, (channels,))
    scale, multiplier, shift, scale64 = _NONE_F32, _NONE_32, _NONE_32, _NONE_F64
    if how.arithmetic == "fp32_even":
        scale = np.ascontiguousarray(factors, np.float32)
    elif how.arithmetic == "fp64_away":
        scale64 = np.ascontiguousarray(factors, np.float64)
    else:
        multipliers, shifts = quantize_multiplier(factors)
        multiplier, shift = multipliers.astype(np.int32), shifts.astype(np.int32)
    bias = 128 if is_biased(how.dtype) else 0
    return _engine.Requant(
        how.arithmetic, how.zero_point + bias, how.low + bias, how.high + bias, scale, multiplier, shift, scale64
    )
