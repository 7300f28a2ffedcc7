"""StoredArray: rows of a .npy file, read when they are asked for and not kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class StoredArray:
    """The first axis of an array on disk. Indexing reads; nothing stays in memory, unlike the pages of a memory map.

    Args:
        mapped: the array memory-mapped, in C order; only its place in the file is taken from it.
        path: the file.
    """

    def __init__(self, mapped: np.memmap[Any, Any], path: Path) -> None:
        self.shape: tuple[int, ...] = mapped.shape
        self.dtype: np.dtype[Any] = mapped.dtype
        self.ndim: int = mapped.ndim
        self._offset: int = mapped.offset
        self._row_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  lives as long as the samples

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> NDArray[Any]:
        """One row, or a run of them; safe to call from several threads."""
        rows = range(self.shape[0])[index if isinstance(index, slice) else slice(index, index + 1)]
        length = len(rows) * self._row_bytes
        data = bytearray(length)
        view, done = memoryview(data), 0
        while done < length:
            read = os.preadv(self._file.fileno(), [view[done:]], self._offset + rows.start * self._row_bytes + done)
            if not read:
                raise EOFError(f"the file ends inside row {rows.start}")
            done += read
        array = np.frombuffer(data, self.dtype).reshape(len(rows), *self.shape[1:])
        return array if isinstance(index, slice) else array[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)


def stored(loaded: NDArray[Any], path: Path) -> NDArray[Any] | StoredArray:
    """The same array, read row by row where its layout allows."""
    if isinstance(loaded, np.memmap) and loaded.ndim > 0 and loaded.size and loaded.flags.c_contiguous:
        return StoredArray(loaded, path)
    return loaded
