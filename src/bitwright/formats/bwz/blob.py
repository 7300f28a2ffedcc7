"""Blob: the bytes of one tensor, coded in the way that takes the fewest. The inverse is `unblob.py`.

| method | what follows |
|---|---|
| RAW | the bytes |
| CODED | a codebook of the patterns that come, contexts, the entropy-coded index of each element |
| PLANES | the first bytes of all elements, the second ones, ...: each RAW or CODED; floats turned left by one bit, so that a plane holds the exponent |
| SPARSE | the commonest pattern, the gaps between the elements that have another, those elements |
"""  # noqa: E501 - a table

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from bitwright.formats.bwz.contexts import Contexts, choose_contexts
from bitwright.formats.bwz.numbers import number
from bitwright.formats.bwz.symbols import Bytes, Symbols, code, coded_bytes, symbols_of


class Method(IntEnum):
    """The first byte of a blob."""

    RAW, CODED, PLANES, SPARSE = range(4)


#: A gap this long is spelled as a step that has no element behind it, and the rest of the gap.
LONGEST_GAP = 255
#: Codebooks of bytes with more patterns than this are bitmaps.
MOST_LISTED_BYTES = 32

#: Fewer elements than this share of the others are not worth their positions.
_LEAST_ZEROS = 0.1
#: A plane or a whole tensor is looked at in part before it is coded whole: of so many elements, at so many places.
_PROBE, _PROBES = 1 << 14, 4
#: What a symbol takes in a codebook and a table, about; what coding must come down to.
_SYMBOL_BYTES, _WORTH = 0.7, 0.985


def blob_of(data: Bytes, width: int, shape: tuple[int, ...], *, is_float: bool = False) -> bytes:
    """A tensor's blob.

    Args:
        data: its bytes, a whole number of elements.
        width: bytes of an element: 1, 2, 4 or 8.
        shape: of the elements.
        is_float: whether they are floats.
    """
    symbols = symbols_of(data, width)
    blob = _of_many(data, width, is_float) if symbols is None else _of_few(data, symbols, shape, is_float)
    return blob if len(blob) <= data.size else _raw(data)


def _raw(data: Bytes) -> bytes:
    return bytes((Method.RAW,)) + data.tobytes()


def _of_few(data: Bytes, symbols: Symbols, shape: tuple[int, ...], is_float: bool) -> bytes:
    """Of elements with few patterns."""
    book, width = len(_codebook(symbols)), symbols.patterns.itemsize
    if 2 * book > data.size and width > 1:
        return _planes(data, width, is_float)
    contexts, dense_bytes = choose_contexts(symbols, shape)
    commonest = symbols.commonest
    if 2 * symbols.counts[commonest] > symbols.indices.size and symbols.alphabet > 1:
        positions = np.flatnonzero(symbols.indices != commonest)
        gaps, rest = gaps_of(positions), symbols.without(commonest, positions)
        if coded_bytes(gaps, LONGEST_GAP + 1) + coded_bytes(rest.indices, rest.alphabet) < dense_bytes:
            pattern = symbols.patterns[commonest : commonest + 1].tobytes()
            return _sparse(pattern, gaps, positions.size, _coded(rest, Contexts((positions.size,))))
    if dense_bytes + book > data.size // 2 and width > 1:
        planes = _planes(data, width, is_float)
        if len(planes) < dense_bytes + book:
            return planes
    return _coded(symbols, contexts) if dense_bytes + book <= data.size else _raw(data)


def _of_many(data: Bytes, width: int, is_float: bool) -> bytes:
    """Of elements with many patterns; those that are zero are left out where they are enough."""
    elements = data.view(f"<u{width}")
    if elements.size - np.count_nonzero(elements) < _LEAST_ZEROS * elements.size:
        return _planes(data, width, is_float)
    positions = np.flatnonzero(elements)
    left = elements[positions].view(np.uint8)
    symbols = symbols_of(left, width)
    inner = _planes(left, width, is_float) if symbols is None else _coded(symbols, Contexts((positions.size,)))
    return _sparse(bytes(width), gaps_of(positions), positions.size, inner)


def _coded(symbols: Symbols, contexts: Contexts) -> bytes:
    parts = [bytes((Method.CODED,)), number(symbols.alphabet), _codebook(symbols), contexts.to_bytes()]
    if symbols.alphabet > 1:
        parts.append(code(symbols.indices, symbols.alphabet, contexts.of_elements(), contexts.count))
    return b"".join(parts)


def _codebook(symbols: Symbols) -> bytes:
    """The patterns one after another; many of one byte as a bit for each that there is, the lowest first."""
    if symbols.patterns.itemsize > 1 or symbols.alphabet <= MOST_LISTED_BYTES:
        return symbols.patterns.tobytes()
    there = np.zeros(256, np.uint8)
    there[symbols.patterns] = 1
    return np.packbits(there, bitorder="little").tobytes()


def _sparse(background: bytes, gaps: Bytes, count: int, inner: bytes) -> bytes:
    positions = _plane(gaps)
    head = [bytes((Method.SPARSE,)), background, number(count), number(gaps.size), number(len(positions))]
    return b"".join((*head, positions, inner))


def gaps_of(positions: NDArray[np.int64]) -> Bytes:
    """How many elements lie before each of the positions and behind the one before it, longest gaps in steps.

    >>> gaps_of(np.array([0, 1, 5, 600]))
    array([  0,   0,   3, 255, 255,  84], dtype=uint8)
    """
    if not positions.size:
        return np.zeros(0, np.uint8)
    gaps = np.diff(positions, prepend=-1) - 1
    steps = gaps // LONGEST_GAP
    out = np.full(positions.size + int(steps.sum()), LONGEST_GAP, np.uint8)
    out[np.cumsum(steps + 1) - 1] = gaps - LONGEST_GAP * steps
    return out


def _planes(data: Bytes, width: int, is_float: bool) -> bytes:
    elements = data.view(f"<u{width}")
    if width == 1:
        return _plane(data)
    if is_float:
        elements = elements << 1 | elements >> (8 * width - 1)
    planes = [_plane(np.ascontiguousarray(elements.view(np.uint8)[place::width])) for place in range(width)]
    head = bytes((Method.PLANES, is_float))
    return b"".join((head, *(number(len(plane)) for plane in planes), *planes))


def _plane(data: Bytes) -> bytes:
    """Bytes: CODED or RAW."""
    if not _pays(data):
        return _raw(data)
    symbols = symbols_of(data, 1)
    if symbols is None:
        return _raw(data)
    coded = _coded(symbols, Contexts((data.size,)))
    return coded if len(coded) <= data.size else _raw(data)


def _pays(data: Bytes) -> bool:
    """Whether bytes are likely to take fewer when coded, with their codebook and table; judged by a part of many."""
    part = data
    if data.size > _PROBE * _PROBES:
        starts = range(0, data.size - _PROBE, data.size // _PROBES)
        part = np.concatenate([data[start : start + _PROBE] for start in starts])
    counts = np.bincount(part)
    counts = counts[counts > 0]
    bits = np.log2(part.size) - (counts * np.log2(counts)).sum() / part.size if part.size else 0.0
    return bool(data.size * bits / 8 + counts.size * _SYMBOL_BYTES < _WORTH * data.size)
