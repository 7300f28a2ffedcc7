"""Types of elements by ONNX's numbers (TensorProto.DataType), which the container uses for models of all formats."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright.numerics.packing import unpack


class DType(NamedTuple):
    """A type: its name, the bits of an element, whether it is a float with a sign, an exponent and a mantissa."""

    name: str
    bits: int
    is_float: bool = False

    @property
    def width(self) -> int:
        """Bytes that are coded as one; packed elements go by the byte, pairs of numbers one by one."""
        return self.bits // 8 if self.bits in (8, 16, 32, 64) else 8 if self.bits > 64 else 1


#: Bytes that say nothing of themselves.
OPAQUE = 2

DTYPES: dict[int, DType] = {
    1: DType("f32", 32, True),
    2: DType("u8", 8),
    3: DType("i8", 8),
    4: DType("u16", 16),
    5: DType("i16", 16),
    6: DType("i32", 32),
    7: DType("i64", 64),
    9: DType("bool", 8),
    10: DType("f16", 16, True),
    11: DType("f64", 64, True),
    12: DType("u32", 32),
    13: DType("u64", 64),
    14: DType("c64", 64),
    15: DType("c128", 128),
    16: DType("bf16", 16, True),
    17: DType("f8e4m3fn", 8),
    18: DType("f8e4m3fnuz", 8),
    19: DType("f8e5m2", 8),
    20: DType("f8e5m2fnuz", 8),
    21: DType("u4", 4),
    22: DType("i4", 4),
    23: DType("f4e2m1", 4),
    24: DType("f8e8m0", 8),
    25: DType("u2", 2),
    26: DType("i2", 2),
}
NUMBERS: dict[str, int] = {kind.name: number for number, kind in DTYPES.items()}

_NUMPY = {"f16": "<f2", "f32": "<f4", "f64": "<f8", "c64": "<c8", "c128": "<c16", "bool": "?"}
_PACKED = ("i4", "u4", "i2", "u2")


def array_of(data: NDArray[np.uint8], dtype: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """A tensor's bytes as an array; 4-bit and 2-bit integers one a byte.

    Types that numpy does not have come as unsigned integers of their bits (bf16: uint16); f4e2m1 as packed bytes.
    """
    kind = DTYPES[dtype]
    if kind.name in _PACKED:
        return unpack(data, kind.name, shape)
    if kind.name in _NUMPY:
        return data.view(_NUMPY[kind.name]).reshape(shape)
    if kind.bits < 8:
        return data
    if kind.name[0] in "iu":
        return data.view(f"<{kind.name[0]}{kind.bits // 8}").reshape(shape)
    return data.view(f"<u{kind.bits // 8}").reshape(shape)
