"""What the width of sums changes about the steps of convolutions: those of 16-bit data have 64 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright.numerics.fixed_point import wrap
from bitwright.numerics.requantize import quantize_multiplier
from bitwright.program.fixed_point import Requantization
from bitwright.program.tensor import Array
from bitwright.runtime.steps.storage import is_biased

#: A bias lies in [-_LIMIT, _LIMIT): sums then have 48 bits, and with the 15 of a multiplier 63.
_LIMIT = 1 << 46
_MOST_SHIFT = 7
#: Times this, sums of 32 bits and a zero_point stay within 32 bits.
_MOST_MULTIPLIER = 1 - 2.0**-20


def width_reason(how: Requantization, bias: Array | None) -> str:
    """Why 64 bits do not hold what becomes of the sums of 16-bit data; or 32 bits that of `fp64_away`.

    Its results beyond 32 bits are the lowest integer, which wraps with a negative zero_point. i8 results are stored
    with 128 added, where none is negative.
    """
    if not np.isfinite(how.real_multiplier).all():
        return "the scales leave float32"
    if how.arithmetic == "fp64_away" and is_biased(how.dtype):
        return "results may leave 32 bits" if np.max(how.real_multiplier) > _MOST_MULTIPLIER else ""
    if how.arithmetic != "tflite_int64":
        return ""
    if bias is not None and bool(((bias < -_LIMIT) | (bias >= _LIMIT)).any()):
        return "the bias has more than 47 bits"
    _, shift = quantize_multiplier(how.real_multiplier)
    if np.max(shift) > _MOST_SHIFT:
        return f"results are over {1 << _MOST_SHIFT} times finer than their sums"
    return ""


def wide_operands(weights: NDArray[np.int8], bias: Array | None, how: Requantization) -> dict[str, object]:
    """`weights` and `bias` as kernels take them.

    Args:
        weights: i8[O,...].
        bias: [O]; None is zeros. Where sums are 32 bits wide, it wraps.
        how: sums become integers.
    """
    if bias is None:
        wide = np.zeros(len(weights), np.int64)
    else:
        wide = bias.astype(np.int64) if how.arithmetic == "tflite_int64" else wrap(bias)
    return {"weights": np.ascontiguousarray(weights), "bias": wide}
