"""Roundings of real values that numpy does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def round_half_away(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The nearest integer, ties away from zero, in the type of x: C's `round`. NaN and infinities stay.

    >>> round_half_away(np.float32([0.5, -0.5, 2.5, 0.49999997])).tolist()
    [1.0, -1.0, 3.0, 0.0]
    """
    whole = np.trunc(x)
    with np.errstate(invalid="ignore"):
        away = np.abs(x - whole) >= x.dtype.type(0.5)
    return np.asarray(whole + np.where(away, np.copysign(x.dtype.type(1), x), x.dtype.type(0)))


def to_int32(x: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """C's conversion of a float to int32 as x86 does it: toward zero; -2**31 for NaN and whatever does not fit.

    >>> to_int32(np.float32([1.9, -1.9, 3e9, np.inf, np.nan])).tolist()
    [1, -1, -2147483648, -2147483648, -2147483648]
    """
    fits = (x >= -(2.0**31)) & (x < 2.0**31)
    return np.where(fits, np.where(fits, x, 0).astype(np.int64), -(1 << 31))
