"""Span: where the contents of one tensor lie in the bytes of a model file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bitwright.formats.bwz.dtypes import DTYPES, OPAQUE


@dataclass(frozen=True)
class Span:
    """A tensor's contents in a model file.

    Args:
        name: the tensor's.
        dtype: ONNX's number of its type.
        shape: of its elements.
        start: the place of its first byte.
        nbytes: how many there are.
    """

    name: str
    dtype: int
    shape: tuple[int, ...]
    start: int
    nbytes: int

    @property
    def coded_shape(self) -> tuple[int, ...]:
        """The shape of what is coded one by one: bytes for packed elements and for those of 16 bytes."""
        kind = DTYPES[self.dtype]
        return self.shape if 8 * kind.width == kind.bits else (self.nbytes // kind.width,)


def bytes_of(dtype: int, shape: tuple[int, ...]) -> int:
    """The bytes of a tensor; packed elements fill up the last byte."""
    return -(-math.prod(shape) * DTYPES[dtype].bits // 8)


def as_told(name: str, dtype: int, shape: tuple[int, ...], start: int, nbytes: int) -> Span:
    """A span; of mere bytes where type and shape do not say so many."""
    known = dtype in DTYPES and min(shape, default=0) >= 0 and bytes_of(dtype, shape) == nbytes
    return Span(name, dtype, shape, start, nbytes) if known else Span(name, OPAQUE, (nbytes,), start, nbytes)


def apart(spans: Iterable[Span]) -> list[Span]:
    """Spans in the order of the file, without those that lie inside another one, each with a name of its own."""
    out: list[Span] = []
    names: set[str] = set()
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.nbytes)):
        if span.start < end:
            continue
        end = span.start + span.nbytes
        name, number = span.name, 2
        while name in names:
            name, number = f"{span.name}:{number}", number + 1
        names.add(name)
        out.append(replace(span, name=name))
    return out
