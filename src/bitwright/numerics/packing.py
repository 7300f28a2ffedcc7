"""Packing: 4-bit and 2-bit integers, several a byte, the first one in the lowest bits (as ONNX stores them)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import QuantParamsError
from bitwright.numerics.qparams import STORAGES, Storage


def pack(q: NDArray[np.integer[Any]], storage: str) -> NDArray[np.uint8]:
    """Integers, one a byte, to packed bytes: element i sits at bit (i * bits) % 8 of byte i * bits // 8.

    Args:
        q: integers of the storage type, any shape; read in C order.
        storage: "i4", "u4", "i2" or "u2".

    Returns:
        u8[ceil(q.size * bits / 8)]; unused high bits of the last byte are 0.

    Raises:
        QuantParamsError: not a packed storage type, or a value out of its range.

    Source: ONNX IR, "4 bit integer types" (low nibble first).

    >>> [f"{byte:08b}" for byte in pack(np.int8([1, -1, 7]), "i4")]
    ['11110001', '00000111']
    """
    kind = _packed_kind(storage)
    flat = np.asarray(q).reshape(-1)
    if flat.size and not kind.qmin <= int(flat.min()) <= int(flat.max()) <= kind.qmax:
        raise QuantParamsError(
            f"{storage} holds {kind.qmin}..{kind.qmax} (got {flat.min()}..{flat.max()})", next="clamp before packing"
        )
    per_byte = 8 // kind.bits
    lanes = np.zeros((-(-flat.size // per_byte), per_byte), dtype=np.uint8)
    lanes.reshape(-1)[: flat.size] = flat.astype(np.int64) & ((1 << kind.bits) - 1)
    lanes <<= np.arange(per_byte, dtype=np.uint8) * np.uint8(kind.bits)
    return np.bitwise_or.reduce(lanes, axis=1) if lanes.size else lanes.reshape(0)


def unpack(packed: NDArray[np.uint8], storage: str, shape: Sequence[int]) -> NDArray[Any]:
    """Packed bytes to integers, one a byte: the inverse of `pack`.

    Args:
        packed: u8, any shape.
        storage: "i4", "u4", "i2" or "u2".
        shape: the shape of the integers.

    Returns:
        int8 or uint8 of the given shape.

    Raises:
        QuantParamsError: not a packed storage type, or a number of bytes that does not fit the shape.

    >>> unpack(np.uint8([0b11110001, 0b0111]), "i4", (3,))
    array([ 1, -1,  7], dtype=int8)
    """
    kind = _packed_kind(storage)
    count = math.prod(shape)
    data = np.asarray(packed, dtype=np.uint8).reshape(-1)
    if data.size != -(-count * kind.bits // 8):
        raise QuantParamsError(
            f"{count} values of {storage} take {-(-count * kind.bits // 8)} bytes (got {data.size})",
            next="give the shape of the unpacked tensor",
        )
    per_byte = 8 // kind.bits
    lanes = data[:, None] >> (np.arange(per_byte, dtype=np.uint8) * np.uint8(kind.bits))
    values = (lanes & np.uint8((1 << kind.bits) - 1)).reshape(-1)[:count].reshape(tuple(shape))
    if not kind.signed:
        return values
    sign = 1 << (kind.bits - 1)
    return ((values ^ np.uint8(sign)).astype(np.int16) - sign).astype(np.int8)


def _packed_kind(storage: str) -> Storage:
    kind = STORAGES.get(storage)
    if kind is None or kind.bits >= 8:
        raise QuantParamsError(f"{storage!r} is not a packed storage type", next="one of i2, u2, i4, u4")
    return kind
