"""Buffers: the bytes of constants and metadata, each once, at the alignment that kernels load them from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from bitwright.formats.tflite.schema import ALIGNMENT
from bitwright.numerics.packing import pack
from bitwright.program.tensor import Tensor, bits_of

Bytes = NDArray[np.uint8]


def bytes_of(tensor: Tensor) -> Bytes:
    """A constant's bytes as a file holds them: little-endian, C order, 4-bit integers two a byte."""
    assert tensor.data is not None
    if bits_of(tensor.dtype) < 8:
        return pack(tensor.data, tensor.dtype)
    data = np.ascontiguousarray(tensor.data, tensor.data.dtype.newbyteorder("<"))
    return data.reshape(-1).view(np.uint8)


class Buffers:
    """The buffers of a file under construction. Buffer 0 is empty, as the schema asks."""

    def __init__(self) -> None:
        self._contents: list[Bytes] = []

    def add(self, contents: Bytes) -> int:
        """The number of a buffer for these bytes; empty ones get buffer 0."""
        if not contents.size:
            return 0
        self._contents.append(contents)
        return len(self._contents)

    @property
    def nbytes(self) -> int:
        """Bytes that they take in the file at most."""
        return sum(contents.size + ALIGNMENT + 32 for contents in self._contents)

    def share(self) -> list[int]:
        """Drop what is there already: the number that each number given by `add` (and 0) has from now on."""
        alike = Counter(map(_ends, self._contents))
        kept: list[Bytes] = []
        numbers: dict[bytes, int] = {}
        new = [0]
        for contents in self._contents:
            key = hashlib.blake2b(contents.data).digest() if alike[_ends(contents)] > 1 else b""
            number = numbers.get(key) if key else None
            if number is None:
                kept.append(contents)
                number = len(kept)
                if key:
                    numbers[key] = number
            new.append(number)
        self._contents = kept
        return new

    def write(self, builder: flatbuffers.Builder) -> int:
        """The offset of the vector of buffers. Contents lie in the file in the order they were added."""
        tables = [_table(builder, contents) for contents in reversed(self._contents)]
        tflite.BufferStart(builder)
        tables.append(tflite.BufferEnd(builder))
        return offset_vector(builder, tables[::-1])


def offset_vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    """The offset of a vector of tables."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _ends(contents: Bytes) -> tuple[int, bytes, bytes]:
    """What tells most constants apart, without reading them whole."""
    return contents.size, contents[:64].tobytes(), contents[-64:].tobytes()


def _table(builder: flatbuffers.Builder, contents: Bytes) -> int:
    builder.StartVector(1, contents.size, ALIGNMENT)
    builder.head -= contents.size
    builder.Bytes[builder.head : builder.head + contents.size] = contents.data
    data = builder.EndVector()
    tflite.BufferStart(builder)
    tflite.BufferAddData(builder, data)
    return int(tflite.BufferEnd(builder))


class Vectors:
    """Vectors of numbers that tables point to.

    Args:
        builder: of the file.
        share: equal ones once: the zero_points of weights are zeros upon zeros.
    """

    def __init__(self, builder: flatbuffers.Builder, *, share: bool) -> None:
        self._builder = builder
        self._share = share
        self._offsets: dict[tuple[str, bytes], int] = {}

    def add(self, numbers: NDArray[Any]) -> int:
        """The offset of a vector of these numbers."""
        key = (numbers.dtype.str, numbers.tobytes())
        if not self._share or key not in self._offsets:
            self._offsets[key] = int(self._builder.CreateNumpyVector(numbers))
        return self._offsets[key]
