"""Source: the bytes that are read, with an account of the work, so that no file costs more than its size warrants.

A FlatBuffer's table starts with the distance to its vtable: two sizes, then the place of each field, counted from the
table, in the schema's order; 0 is a field that is left out. Everything else is found by distances from where they
stand. All of them are unsigned but the one to the vtable, so that places only grow, and what lies behind the end of the
file makes `unpack_from` raise struct.error.

Every vector is counted before it is walked: a file whose vectors are longer than itself, or share one another's bytes
over and over, runs out of its account and is refused.

Source: FlatBuffers docs/source/internals.md.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError

#: What a file may cost: so many bytes read or copied for each byte it has, and some for a very small one.
_PER_BYTE = 8
_FREE = 1 << 16
#: What reading a table may take, the smallest with its entry being 12 bytes long.
_TABLE_BYTES = 64

#: How a number of some type is read: (bytes, place) -> (number,).
Read = Callable[[memoryview, int], tuple[Any, ...]]
BOOL: Read
INT8: Read
INT32: Read
UINT32: Read
FLOAT32: Read
BOOL, INT8, INT32, UINT32, FLOAT32 = (Struct(f"<{code}").unpack_from for code in "?biIf")
_UINT16 = Struct("<H").unpack_from


class Source:
    """A .tflite file in memory.

    Args:
        data: all of it, 8 bytes at least. Constants become views of it, which cannot be written to.
    """

    def __init__(self, data: memoryview) -> None:
        self.data = data.toreadonly()
        self._size = len(data)
        self._left = _PER_BYTE * len(data) + _FREE
        self._windows: dict[str, NDArray[Any]] = {}

    def spend(self, nbytes: int) -> None:
        """Take bytes from the account.

        Raises:
            ModelError: there are none left.
        """
        self._left -= nbytes
        if self._left < 0:
            raise DamagedError("vectors longer than the file")

    def check_end(self, end: int) -> None:
        """Refuse what lies behind the end of the file.

        Raises:
            ModelError: something ends there.
        """
        if end > self._size:
            raise DamagedError("vectors longer than the file")

    def root(self) -> int:
        """The place of the file's table."""
        return int(UINT32(self.data, 0)[0])

    def vtable(self, table: int) -> int:
        """The place of a table's vtable."""
        place = table - int(INT32(self.data, table)[0])
        if place < 0:
            raise DamagedError("offsets that lead nowhere")
        return place

    def fields(self, vtable: int, count: int) -> tuple[int, ...]:
        """The places of the first fields of a vtable's tables, counted from the table; 0 where one is left out."""
        held = min(count, max(0, _UINT16(self.data, vtable)[0] - 3) // 2)
        places: tuple[int, ...] = unpack_from(f"<{held}H", self.data, vtable + 4)
        return (*places, *(0,) * (count - held))

    def fields_of(self, table: int, count: int) -> tuple[int, ...]:
        """The same of one table."""
        return self.fields(self.vtable(table), count)

    def number(self, table: int, field: int, read: Read) -> Any:
        """A field that holds a number; 0 when it is left out."""
        return read(self.data, table + field)[0] if field else 0

    def vector(self, table: int, field: int, width: int) -> tuple[int, int]:
        """The place of a vector's first element and how many there are, of `width` bytes each."""
        if not field:
            return 0, 0
        place = table + field
        place += UINT32(self.data, place)[0]
        count = UINT32(self.data, place)[0]
        self.check_end(place + 4 + count * width)
        self.spend(count * width)
        return place + 4, count

    def tables(self, table: int, field: int) -> NDArray[np.int64]:
        """The places of the tables in a vector; none when it is left out."""
        start, count = self.vector(table, field, 4)
        self.spend(count * (_TABLE_BYTES - 4))
        places: NDArray[np.int64] = np.arange(start, start + 4 * count, 4) + np.ndarray(count, "<u4", self.data, start)
        return places

    def integers(self, table: int, field: int) -> tuple[int, ...]:
        """A vector of int32; () when it is left out."""
        start, count = self.vector(table, field, 4)
        integers: tuple[int, ...] = unpack_from(f"<{count}i", self.data, start)
        return integers

    def text(self, table: int, field: int) -> str:
        """A text; "" when it is left out. Bytes that are not UTF-8 are shown in hexadecimal."""
        start, count = self.vector(table, field, 1)
        return text_of(self.data[start : start + count])

    def gather(self, places: NDArray[np.int64], kind: str) -> NDArray[Any]:
        """The numbers of a numpy type that lie at places, none of which is negative."""
        window = self._windows.get(kind)
        if window is None:
            count = self._size - np.dtype(kind).itemsize + 1
            window = self._windows[kind] = np.ndarray((count,), kind, self.data, 0, (1,))
        try:
            return window[places]
        except IndexError as error:
            raise DamagedError("offsets that lead nowhere") from error


class DamagedError(ModelError):
    """The file is not whole.

    Args:
        how: what it has, such as "offsets that lead nowhere".
    """

    def __init__(self, how: str) -> None:
        super().__init__(f"not a whole .tflite file: it has {how}", next="copy or download it again")


def text_of(contents: memoryview) -> str:
    """Bytes as text; those that are not UTF-8 in hexadecimal."""
    return str(contents, "utf-8", "backslashreplace")
