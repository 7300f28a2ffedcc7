"""How the engine stores tensors: 8-bit activations as u8 whatever the Program calls them."""

from __future__ import annotations

import numpy as np

from bitwright.program.tensor import Array, Tensor

#: Storage type of a Program -> type of the engine.
TYPES = {"i8": "u8", "u8": "u8", "bool": "u8", "i16": "i16", "i32": "i32", "i64": "i64", "f32": "f32"}

#: Bytes of one element, by type of the engine.
ITEM_BYTES = {"u8": 1, "i16": 2, "i32": 4, "i64": 8, "f32": 4}


def is_biased(dtype: str) -> bool:
    """Whether the engine stores q + 128 for q."""
    return dtype == "i8"


def stored_zero_point(tensor: Tensor) -> int:
    """The zero_point of a tensor as it is stored."""
    return tensor.zero_point + (128 if is_biased(tensor.dtype) else 0)


def stored(array: Array) -> Array:
    """A constant's elements as they are stored.

    >>> stored(np.int8([-128, 0, 127]))
    array([  0, 128, 255], dtype=uint8)
    """
    return array.view(np.uint8) ^ np.uint8(0x80) if array.dtype == np.int8 else array
