"""Blobs back into the bytes of tensors, whatever bytes they are: the inverse of `blob.py`."""

from __future__ import annotations

import numpy as np

from bitwright.formats.bwz.blob import LONGEST_GAP, MOST_LISTED_BYTES, Method
from bitwright.formats.bwz.contexts import read_contexts
from bitwright.formats.bwz.numbers import Cursor
from bitwright.formats.bwz.symbols import MOST_PATTERNS, Bytes, decode


def data_of(blob: memoryview, width: int, shape: tuple[int, ...], size: int, what: str) -> Bytes:
    """A tensor's bytes.

    Args:
        blob: what `blob_of` made, or anything else.
        width: bytes of an element.
        shape: of the elements, as given to `blob_of`.
        size: elements.
        what: what errors call the tensor.

    Raises:
        DamagedError: it is not the blob of such a tensor.
    """
    cursor = Cursor(blob, what)
    made = _any(cursor, width, shape, size)
    cursor.end()
    return made


def _any(cursor: Cursor, width: int, shape: tuple[int, ...], size: int) -> Bytes:
    method = cursor.take(1)[0]
    if method == Method.SPARSE:
        return _sparse(cursor, width, size)
    return _dense(cursor, method, width, shape, size)


def _dense(cursor: Cursor, method: int, width: int, shape: tuple[int, ...], size: int) -> Bytes:
    if method == Method.PLANES and width > 1:
        return _planes(cursor, width, size)
    return _plane(cursor, method, width, shape, size)


def _plane(cursor: Cursor, method: int, width: int, shape: tuple[int, ...], size: int) -> Bytes:
    if method == Method.RAW:
        return np.frombuffer(cursor.take(size * width), np.uint8)
    if method == Method.CODED:
        return _coded(cursor, width, shape, size)
    raise cursor.damaged(f"no method has the number {method}")


def _coded(cursor: Cursor, width: int, shape: tuple[int, ...], size: int) -> Bytes:
    alphabet = cursor.number()
    if not 1 <= alphabet <= min(MOST_PATTERNS, size):
        raise cursor.damaged(f"a codebook of {alphabet} patterns")
    if width > 1 or alphabet <= MOST_LISTED_BYTES:
        patterns = np.frombuffer(cursor.take(alphabet * width), f"<u{width}")
    else:
        patterns = np.flatnonzero(np.unpackbits(np.frombuffer(cursor.take(32), np.uint8), bitorder="little"))
        patterns = patterns.astype(np.uint8)
        if patterns.size != alphabet:
            raise cursor.damaged("a codebook that does not have as many patterns as it says")
    contexts = read_contexts(cursor, shape)
    if alphabet == 1:
        return np.full(size, patterns[0]).view(np.uint8)
    indices = decode(cursor.rest(), size, alphabet, contexts.of_elements(), contexts.count)
    if indices is None:
        raise cursor.damaged("it cannot be decoded")
    made: Bytes = patterns[indices].view(np.uint8)
    return made


def _planes(cursor: Cursor, width: int, size: int) -> Bytes:
    is_float = cursor.take(1)[0]
    if is_float > 1:
        raise cursor.damaged("planes of no known kind")
    lengths = [cursor.number() for _ in range(width)]
    out = np.empty(size * width, np.uint8)
    for place, length in enumerate(lengths):
        plane = Cursor(cursor.take(length), cursor.what)
        out[place::width] = _plane(plane, plane.take(1)[0], 1, (size,), size)
        plane.end()
    if is_float:
        elements = out.view(f"<u{width}")
        out = (elements >> 1 | elements << (8 * width - 1)).view(np.uint8)
    return out


def _sparse(cursor: Cursor, width: int, size: int) -> Bytes:
    background = np.frombuffer(cursor.take(width), f"<u{width}")[0]
    count, gap_count = cursor.number(), cursor.number()
    if count > size or not count <= gap_count <= count + size // LONGEST_GAP:
        raise cursor.damaged("more positions than elements")
    inner = Cursor(cursor.take(cursor.number()), cursor.what)
    gaps = _plane(inner, inner.take(1)[0], 1, (gap_count,), gap_count)
    inner.end()
    there = gaps < LONGEST_GAP
    positions = np.cumsum(gaps.astype(np.int64) + there)[there] - 1
    if positions.size != count or (count and positions[-1] >= size):
        raise cursor.damaged("positions that lie outside of it")
    out = np.full(size, background)
    out[positions] = _dense(cursor, cursor.take(1)[0], width, (count,), count).view(f"<u{width}")
    return out.view(np.uint8)
