"""Reading: a .bwz file -> its tensors one by one, or the model file that was packed."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, ModelError, UsageError
from bitwright.formats.bwz.blob import Method
from bitwright.formats.bwz.dtypes import DTYPES, array_of
from bitwright.formats.bwz.errors import DamagedError
from bitwright.formats.bwz.layout import HEADER_BYTES, Entry, head_of, read_header, read_index
from bitwright.formats.bwz.numbers import Cursor
from bitwright.formats.bwz.sniff import FORMATS
from bitwright.formats.bwz.symbols import Bytes
from bitwright.formats.bwz.unblob import data_of


class Packed:
    """A .bwz file, of which the index is read and nothing decoded yet.

    Args:
        data: the whole file.
        where: what errors call it.

    Raises:
        ModelError: it is not a .bwz file, or not what was written.
    """

    def __init__(self, data: bytes | memoryview, *, where: str | None = None) -> None:
        self._data = memoryview(data)
        self._where = where
        try:
            self._header = read_header(self._data)
            head = memoryview(head_of(self._header, self._data))
            cursor = Cursor(head, "the index")
            entries, padding = read_index(cursor, self._header.model_bytes)
            self._skeleton = cursor.rest()
            self._entries = {entry.span.name: entry for entry in entries}
            if len(self._entries) != len(entries):
                raise DamagedError("the index: two tensors have one name")
            self._place(padding)
        except BitwrightError as error:
            error.where = error.where or where
            raise

    def _place(self, padding: int) -> None:
        """Find the blobs, and what of the skeleton comes before each tensor."""
        self._blobs: dict[str, int] = {}
        self._before: dict[str, int] = {}
        at, cut = HEADER_BYTES + self._header.stored_bytes, 0
        for name, entry in self._entries.items():
            self._blobs[name], self._before[name] = at, entry.span.start - cut
            at += entry.blob_bytes
            cut += 0 if entry.is_kept else entry.span.nbytes
        if at + padding != len(self._data):
            raise DamagedError("it is not as long as its index says")
        if any(self._data[at:]):
            raise DamagedError("the bytes at its end are not zeros")
        if cut + len(self._skeleton) != self._header.model_bytes:
            raise DamagedError("its tensors and the rest do not make up the model")

    @property
    def suffix(self) -> str:
        """The suffix of the packed file's format: ".onnx" or ".tflite"."""
        return FORMATS[self._header.format]

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The tensors by name, in the order of the model file."""
        return self._entries

    @property
    def nbytes(self) -> int:
        """Bytes of this file."""
        return len(self._data)

    @property
    def model_bytes(self) -> int:
        """Bytes of the packed file."""
        return self._header.model_bytes

    def method(self, name: str) -> Method | None:
        """How a tensor is coded; None when it stays in the skeleton."""
        entry = self._entry(name)
        return None if entry.is_kept else Method(self._blob(name, entry)[0])

    def tensor(self, name: str) -> NDArray[Any]:
        """One tensor, and no other is decoded; it cannot be written to.

        Raises:
            UsageError: there is no tensor of that name.
            ModelError: its bytes are not what was written.
        """
        entry = self._entry(name)
        made = array_of(self._bytes(name, entry), entry.span.dtype, entry.span.shape)
        made.flags.writeable = False
        return made

    def contents(self) -> bytes:
        """The model file that was packed, byte for byte.

        Raises:
            ModelError: a part of the file is not what was written.
        """
        parts: list[Any] = []
        at = 0
        for name, entry in self._entries.items():
            if not entry.is_kept:
                parts += [self._skeleton[at : self._before[name]], self._bytes(name, entry)]
                at = self._before[name]
        parts.append(self._skeleton[at:])
        made = b"".join(parts)
        if zlib.crc32(made) != self._header.model_crc:
            raise self._damaged("the unpacked model's checksum does not fit")
        return made

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            raise UsageError(f"no tensor is named {name!r}", where=self._where, next="`bitwright inspect` lists them")
        return self._entries[name]

    def _blob(self, name: str, entry: Entry) -> memoryview:
        """A tensor's blob, checked.

        Raises:
            ModelError: its checksum does not fit.
        """
        blob = self._data[self._blobs[name] : self._blobs[name] + entry.blob_bytes]
        if zlib.crc32(blob) != entry.crc:
            raise self._damaged(f"the checksum of tensor {name!r} does not fit")
        if blob[0] not in list(Method):
            raise self._damaged(f"tensor {name!r}: no method has the number {blob[0]}")
        return blob

    def _bytes(self, name: str, entry: Entry) -> Bytes:
        span = entry.span
        if entry.is_kept:
            start = self._before[name]
            return np.frombuffer(self._skeleton[start : start + span.nbytes], np.uint8)
        width = DTYPES[span.dtype].width
        try:
            return data_of(self._blob(name, entry), width, span.coded_shape, span.nbytes // width, f"tensor {name!r}")
        except BitwrightError as error:
            error.where = error.where or self._where
            raise

    def _damaged(self, how: str) -> DamagedError:
        error = DamagedError(how)
        error.where = self._where
        return error


def open_bwz(path: str | os.PathLike[str]) -> Packed:
    """A .bwz file.

    Raises:
        ModelError: it cannot be read, or is not what was written.
    """
    where = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(
            f"the model cannot be read: {error.strerror or error}", where=where, next="check the path"
        ) from error
    return Packed(data, where=where)
