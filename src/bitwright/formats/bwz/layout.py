"""Layout: the header of a .bwz file, its index, and what a file may claim (docs/bwz.md says it byte by byte)."""

from __future__ import annotations

import lzma
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from bitwright.formats.bwz.dtypes import DTYPES
from bitwright.formats.bwz.errors import DamagedError
from bitwright.formats.bwz.numbers import Cursor, number
from bitwright.formats.bwz.sniff import FORMATS, MAGIC
from bitwright.formats.bwz.span import Span, bytes_of
from bitwright.formats.suffixes import TFLITE

VERSION = 1

#: magic, version, format, compression of the head, 0, bytes and CRC of the model file, bytes of the head, its bytes
#: when compressed, their CRC; then the CRC of all this.
_HEADER = struct.Struct("<8sBBBBQIIII")
HEADER_BYTES = _HEADER.size + 4

#: The most bytes of a model: what a protobuf message and the offsets of a FlatBuffer reach.
MOST_MODEL_BYTES = (1 << 31) - 1
#: What a file may claim to hold: so many bytes for each of its own, and some for a very small one.
_PER_BYTE, _FREE = 4096, 1 << 26
_MOST_RANK = 32
#: Heads that are larger than this are deflated, as LZMA takes its time; and how far back LZMA looks at most.
_LARGE_HEAD = 1 << 21


class Compression(IntEnum):
    """How the head is compressed."""

    STORED, DEFLATE, LZMA, LZMA_WORDS = range(4)


@dataclass(frozen=True)
class Header:
    """The first bytes of a file, checked.

    Args:
        format: of the packed file, by number.
        compression: of the head.
        model_bytes, model_crc: of the packed file.
        head_bytes: of the head.
        stored_bytes, stored_crc: of the head as it lies in the file.
    """

    format: int
    compression: int
    model_bytes: int
    model_crc: int
    head_bytes: int
    stored_bytes: int
    stored_crc: int

    def to_bytes(self) -> bytes:
        sizes = (self.model_bytes, self.model_crc, self.head_bytes, self.stored_bytes, self.stored_crc)
        told = _HEADER.pack(MAGIC, VERSION, self.format, self.compression, 0, *sizes)
        return told + struct.pack("<I", zlib.crc32(told))


@dataclass(frozen=True)
class Entry:
    """A tensor in the index.

    Args:
        span: its place in the model file.
        blob_bytes: of its blob; 0 when it stays in the skeleton.
        crc: of its blob.
    """

    span: Span
    blob_bytes: int
    crc: int

    @property
    def is_kept(self) -> bool:
        """Whether its bytes lie in the skeleton."""
        return self.blob_bytes == 0


def read_header(data: memoryview) -> Header:
    """The header of a file.

    Raises:
        DamagedError: it is not one, or says what cannot be.
    """
    if len(data) < HEADER_BYTES or bytes(data[: len(MAGIC)]) != MAGIC:
        raise DamagedError("it does not start as one")
    told = data[: _HEADER.size]
    if zlib.crc32(told) != struct.unpack_from("<I", data, _HEADER.size)[0]:
        raise DamagedError("the header's checksum does not fit")
    _, version, model_format, compression, zero, *sizes = _HEADER.unpack(told)
    if version != VERSION:
        raise DamagedError(f"it has version {version}, and {VERSION} is read")
    header = Header(model_format, compression, *sizes)
    if model_format not in FORMATS or compression not in list(Compression) or zero:
        raise DamagedError("the header names a format that there is not")
    if header.stored_bytes > len(data) - HEADER_BYTES:
        raise DamagedError("its end is missing")
    if header.model_bytes > MOST_MODEL_BYTES or max(header.model_bytes, header.head_bytes) > most_claimed(len(data)):
        raise DamagedError(f"it claims {max(header.model_bytes, header.head_bytes):,} bytes, more than it can hold")
    return header


def most_claimed(file_bytes: int) -> int:
    """The most bytes that a file of so many may unpack to."""
    return _PER_BYTE * file_bytes + _FREE


def padding_for(file_bytes: int, model_bytes: int) -> int:
    """Zeros that a file needs at its end so that it may hold a model of so many bytes."""
    return max(0, -(-(model_bytes - _FREE) // _PER_BYTE) - file_bytes)


def compressed(head: bytes, suffix: str) -> tuple[Compression, bytes]:
    """A head in few bytes: that of a FlatBuffer consists of words of 32 bits."""
    if len(head) > _LARGE_HEAD:
        way = Compression.DEFLATE
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        made = packer.compress(head) + packer.flush()
    else:
        way = Compression.LZMA_WORDS if suffix == TFLITE else Compression.LZMA
        made = lzma.compress(head, lzma.FORMAT_RAW, filters=_lzma(way, len(head)))
    return (way, made) if len(made) < len(head) else (Compression.STORED, head)


def head_of(header: Header, data: memoryview) -> bytes:
    """The head, decompressed.

    Raises:
        DamagedError: it is not what was written.
    """
    stored = data[HEADER_BYTES : HEADER_BYTES + header.stored_bytes]
    if zlib.crc32(stored) != header.stored_crc:
        raise DamagedError("the index's checksum does not fit")
    try:
        head = _decompressed(Compression(header.compression), stored, header.head_bytes + 1)
    except (zlib.error, lzma.LZMAError) as error:
        raise DamagedError("the index cannot be decompressed") from error
    if len(head) != header.head_bytes:
        raise DamagedError("the index is not as long as the header says")
    return head


def _lzma(way: Compression, window: int) -> list[dict[str, int]]:
    """LZMA2 that looks back so far; a reader may look back farther than the writer did."""
    lc, lp = (0, 2) if way is Compression.LZMA_WORDS else (3, 0)
    size = max(1 << 12, window)
    return [{"id": lzma.FILTER_LZMA2, "dict_size": size, "lc": lc, "lp": lp, "pb": 2, "nice_len": 273}]


def _decompressed(compression: Compression, stored: memoryview, most: int) -> bytes:
    if compression is Compression.STORED:
        return bytes(stored)
    if compression is Compression.DEFLATE:
        return zlib.decompressobj(-15).decompress(stored, most)
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_lzma(compression, _LARGE_HEAD)).decompress(stored, most)


def index_bytes(entries: list[Entry], padding: int) -> bytes:
    """The index: how many zeros end the file, how many tensors there are, then each."""
    out = [number(padding), number(len(entries))]
    end = 0
    for entry in entries:
        span, name = entry.span, entry.span.name.encode()
        out += [number(len(name)), name, number(span.dtype), number(len(span.shape)), *map(number, span.shape)]
        out += [number(span.start - end), number(entry.blob_bytes)]
        if not entry.is_kept:
            out.append(struct.pack("<I", entry.crc))
        end = span.start + span.nbytes
    return b"".join(out)


def read_index(cursor: Cursor, model_bytes: int) -> tuple[list[Entry], int]:
    """The entries, and how many zeros end the file.

    Raises:
        DamagedError: tensors that do not lie in the model one after another, or are of no known type.
    """
    padding, count = cursor.number(), cursor.number()
    entries: list[Entry] = []
    end = 0
    for _ in range(count):
        name, dtype, rank = cursor.text(), cursor.number(), cursor.number()
        if dtype not in DTYPES or rank > _MOST_RANK:
            raise cursor.damaged(f"tensor {name!r} has a type or rank that there is not")
        shape = tuple(cursor.number() for _ in range(rank))
        start, nbytes = end + cursor.number(), bytes_of(dtype, shape)
        end = start + nbytes
        if not nbytes or end > model_bytes:
            raise cursor.damaged(f"tensor {name!r} lies outside of the model")
        blob_bytes = cursor.number()
        crc = struct.unpack("<I", cursor.take(4))[0] if blob_bytes else 0
        entries.append(Entry(Span(name, dtype, shape, start, nbytes), blob_bytes, crc))
    return entries, padding
