"""Columns: many tables of one kind, read field by field, each field of all of them at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.formats.tflite.source import DamagedError, Source, text_of

Ints = NDArray[np.int64]
#: The fields of the schema's table Buffer.
_DATA, _OFFSET, _SIZE = range(3)


class Columns:
    """Tables of one kind. Every method gives an entry for each of them.

    Args:
        source: the file.
        tables: their places.
        count: how many of their first fields are read.
    """

    def __init__(self, source: Source, tables: Ints, count: int) -> None:
        self._source = source
        self._tables = tables
        vtables = tables - source.gather(tables, "<i4")
        if vtables.min(initial=0) < 0:
            raise DamagedError("offsets that lead nowhere")
        entries = np.arange(4, 4 + 2 * count, 2)[:, None]
        held = entries < source.gather(vtables, "<u2")
        self._fields = source.gather((entries + vtables) * held, "<u2") * held.astype(np.int64)
        self._held = self._fields > 0
        self._in_any = [bool(number.any()) for number in self._held]

    def has(self, field: int) -> NDArray[np.bool_]:
        """Whether the field is there."""
        held: NDArray[np.bool_] = self._held[field]
        return held

    def numbers(self, field: int, kind: str) -> list[Any]:
        """A field that holds a number of a numpy type; 0 where it is left out."""
        if not self._in_any[field]:
            return [0] * len(self._tables)
        held = self._held[field]
        numbers = self._source.gather((self._tables + self._fields[field]) * held, kind) * held
        found: list[Any] = numbers.tolist()
        return found

    def tables(self, field: int) -> Ints:
        """The places of the tables that a field points to; where it is left out, those of the tables themselves."""
        places = self._tables + self._fields[field]
        found: Ints = places + self._source.gather(places, "<u4") * self._held[field]
        return found

    def vectors(self, field: int, width: int, *, spent: bool = True) -> tuple[Ints, Ints]:
        """Where the elements of vectors begin, and how many bytes they take; 0 where they are left out.

        Args:
            field: of vectors.
            width: bytes of an element.
            spent: whether they are copied, which the source's account pays for.
        """
        if not self._in_any[field]:
            return np.zeros_like(self._tables), np.zeros_like(self._tables)
        places = self.tables(field)
        starts = places + 4
        sizes = self._source.gather(places, "<u4") * (self._held[field] * width)
        self._source.check_end(int((starts + sizes).max(initial=0)))
        if spent:
            self._source.spend(int(sizes.sum()))
        return starts, sizes

    def integers(self, field: int) -> list[tuple[int, ...]]:
        """Vectors of int32; () where they are left out."""
        if not self._in_any[field]:
            return [()] * len(self._tables)
        starts, sizes = self.vectors(field, 4)
        ends = sizes.cumsum()
        total = int(ends[-1]) if ends.size else 0
        places = np.arange(0, total, 4) + (starts - ends + sizes).repeat(sizes >> 2)
        flat = self._source.gather(places, "<i4").tolist()
        bounds = (ends >> 2).tolist()
        return [tuple(flat[start:end]) for start, end in zip([0, *bounds], bounds, strict=False)]

    def texts(self, field: int) -> list[str]:
        """Texts; "" where they are left out."""
        return [text_of(part) for part in self.parts(*self.vectors(field, 1))]

    def parts(self, starts: Ints, sizes: Ints) -> list[memoryview]:
        """The bytes of vectors."""
        data = self._source.data
        return [data[start:end] for start, end in zip(starts.tolist(), (starts + sizes).tolist(), strict=True)]


def contents_of(source: Source, buffers: Ints) -> list[tuple[int, int]]:
    """Where the bytes of buffers begin, inside the FlatBuffer or after it, and how many there are."""
    columns = Columns(source, buffers, 3)
    starts, sizes = columns.vectors(_DATA, 1, spent=False)
    found: list[tuple[int, int]] = list(zip(starts.tolist(), sizes.tolist(), strict=True))
    if columns.has(_OFFSET).any():
        places = zip(columns.numbers(_OFFSET, "<u8"), columns.numbers(_SIZE, "<u8"), strict=True)
        for index, (start, size) in enumerate(places):
            if start > 1:
                if start + size > len(source.data):
                    raise DamagedError(f"a buffer at byte {start} beyond the end")
                found[index] = start, size
    return found
