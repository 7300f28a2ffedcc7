"""Names of a model file's external data files, read from its bytes without loading its constants."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

# Field numbers of onnx.proto (release 1.20): ModelProto.graph, GraphProto.initializer, TensorProto.external_data,
# StringStringEntryProto.key and .value.
_GRAPH, _INITIALIZER, _EXTERNAL_DATA, _KEY, _VALUE = 7, 5, 13, 1, 2

Span = tuple[int, int]


def external_locations(path: Path) -> set[str]:
    """The data files that the constants of a model's main graph lie in; none for a file that is not a model.

    Large constants are stepped over, not read: a model of 100 MB takes no memory.
    """
    if not path.stat().st_size:
        return set()
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return set(_locations(data, (0, len(data))))
        except (IndexError, UnicodeDecodeError):
            return set()


def _locations(data: mmap.mmap, model: Span) -> Iterator[str]:
    for graph in _fields(data, model, _GRAPH):
        for tensor in _fields(data, graph, _INITIALIZER):
            for entry in _fields(data, tensor, _EXTERNAL_DATA):
                if any(data[a:b] == b"location" for a, b in _fields(data, entry, _KEY)):
                    yield from (data[a:b].decode() for a, b in _fields(data, entry, _VALUE))


def _fields(data: mmap.mmap, span: Span, wanted: int) -> Iterator[Span]:
    """Where the length-delimited fields of one number lie in a message.

    Source: protobuf encoding, wire types 0 (varint), 1 (64 bits), 2 (length-delimited), 5 (32 bits).
    """
    at, end = span
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise IndexError("a field passes the end of its message")
            if key >> 3 == wanted:
                yield at, at + length
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise IndexError("not a protobuf message")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError("not a protobuf message")
