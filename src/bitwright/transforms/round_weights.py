"""round_weights: large float constants take few values, so that the file compresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import TransformError
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import float_array

#: Smaller constants stay: they cost little, and more depends on each of their values.
SMALLEST_ELEMENTS = 16


def round_weights(model: ir.Model, *, num_steps: int = 256, minimum_size: int = SMALLEST_ELEMENTS) -> Outcome:
    """Put the middle of its bucket in the place of every value of a float32 constant.

        width = (max - min) / num_steps
        rounded = min + width * (min(floor((value - min) / width), num_steps - 1) + 1/2)

    Args:
        model: changed in place; constants that other graphs share stay theirs.
        num_steps: buckets of one constant.
        minimum_size: constants of fewer elements stay.

    Raises:
        TransformError: fewer than one step.

    Source: TensorFlow's Graph Transform Tool, `round_weights`.
    """
    if num_steps < 1:
        raise TransformError(f"num_steps must be at least 1 (got {num_steps})", next="256 is the default")
    rounded = 0
    for value in model.graph.initializers.values():
        array = float_array(value) if value.dtype == ir.DataType.FLOAT or value.dtype is None else None
        if array is None or array.dtype != np.float32 or array.size < max(1, minimum_size):
            continue
        made = in_buckets(array, num_steps)
        if not np.array_equal(made, array, equal_nan=True):
            value.const_value = ir.Tensor(made, name=value.name)
            rounded += 1
    return Outcome(model, rounded > 0, f"{rounded} constants rounded")


def in_buckets(array: NDArray[np.floating[Any]], buckets: int) -> NDArray[np.float32]:
    """Every value of f32[...] as the middle of its bucket; equal values, and what is not finite, as they are.

    >>> in_buckets(np.float32([0, 0.3, 0.6, 1]), 2)
    array([0.25, 0.25, 0.75, 0.75], dtype=float32)
    """
    finite = np.isfinite(array)
    if not finite.any():
        return np.asarray(array, np.float32)
    low, high = float(array[finite].min()), float(array[finite].max())
    if low == high:
        return np.asarray(array, np.float32)
    width = (high - low) / buckets
    index = np.minimum(np.floor((np.where(finite, array, low).astype(np.float64) - low) / width), buckets - 1)
    return np.where(finite, low + width * (index + 0.5), array).astype(np.float32)
