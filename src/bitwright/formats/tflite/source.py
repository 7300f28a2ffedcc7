"""Source: the bytes that are read, with an account of the work, so that no file costs more than its size warrants.

The published classes trust the file. Here every vector is counted before it is walked: a file whose vectors are longer
than itself, or share one another's bytes over and over, runs out of its account and is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError

#: What a file may cost: so many bytes read or copied for each byte it has, and some for a very small one.
_PER_BYTE = 8
_FREE = 1 << 16
#: Bytes of a vector's entry and of the smallest table behind it.
_TABLE_BYTES = 16


class Source:
    """A .tflite file in memory.

    Args:
        data: all of it. Constants become views of it.
    """

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self._left = _PER_BYTE * len(data) + _FREE

    def spend(self, nbytes: int) -> None:
        """Take bytes from the account.

        Raises:
            ModelError: there are none left.
        """
        self._left -= nbytes
        if self._left < 0:
            raise DamagedError("vectors longer than the file")

    def tables(self, table: Any, name: str) -> list[Any]:
        """The tables of a vector field; none when it is absent."""
        count = int(getattr(table, f"{name}Length")())
        self._check_length(count * _TABLE_BYTES)
        self.spend(count * _TABLE_BYTES)
        entry = getattr(table, name)
        return [entry(index) for index in range(count)]

    def numbers(self, table: Any, name: str) -> NDArray[Any]:
        """A vector field of numbers; of none when it is absent. A view."""
        count = int(getattr(table, f"{name}Length")())
        if not count:
            return np.empty(0, np.int32)
        self._check_length(count)
        values: NDArray[Any] = getattr(table, f"{name}AsNumpy")()
        self.spend(values.nbytes)
        return values

    def text(self, table: Any, name: str) -> str:
        """A text field; "" when it is absent. Bytes that are not UTF-8 are shown in hexadecimal."""
        value = getattr(table, name)()
        if value is None:
            return ""
        self.spend(len(value))
        return str(bytes(value), "utf-8", "backslashreplace")

    def contents(self, buffer: Any) -> NDArray[np.uint8]:
        """The bytes of a buffer, inside the FlatBuffer or after it. A view that cannot be written to."""
        offset, size = int(buffer.Offset()), int(buffer.Size())
        if offset > 1:
            if offset + size > len(self.data):
                raise DamagedError(f"a buffer at byte {offset} beyond the end")
            view = np.frombuffer(self.data, np.uint8, size, offset)
        elif count := int(buffer.DataLength()):
            self._check_length(count)
            view = buffer.DataAsNumpy()
        else:
            view = np.empty(0, np.uint8)
        view.setflags(write=False)
        return view

    def _check_length(self, nbytes: int) -> None:
        if nbytes > len(self.data):
            raise DamagedError("vectors longer than the file")


class DamagedError(ModelError):
    """The file is not whole.

    Args:
        how: what it has, such as "offsets that lead nowhere".
    """

    def __init__(self, how: str) -> None:
        super().__init__(f"not a whole .tflite file: it has {how}", next="copy or download it again")
