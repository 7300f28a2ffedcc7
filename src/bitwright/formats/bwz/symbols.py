"""Symbols: elements as indices into the patterns that come, and the calls of the entropy coder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import _engine

Bytes = NDArray[np.uint8]
#: u8 for up to 256 patterns, else u16.
Indices = NDArray[Any]

#: The most patterns of a codebook.
MOST_PATTERNS = 4096

#: The contexts of symbols that have none.
NO_CONTEXTS: Bytes = np.zeros(0, np.uint8)


@dataclass(frozen=True, eq=False)
class Symbols:
    """Elements that have few patterns.

    Args:
        patterns: those that come, as little-endian unsigned integers, ascending.
        counts: how often each comes.
        indices: the pattern of each element.
    """

    patterns: NDArray[Any]
    counts: NDArray[np.int64]
    indices: Indices

    @property
    def alphabet(self) -> int:
        return int(self.patterns.size)

    @property
    def commonest(self) -> int:
        """The index that comes most often."""
        return int(self.counts.argmax())

    def without(self, index: int, positions: NDArray[np.int64]) -> Symbols:
        """The elements at positions, which are all that have another pattern than that of `index`."""
        left = self.indices[positions]
        renumbered = left - (left > index).astype(left.dtype)
        patterns, counts = np.delete(self.patterns, index), np.delete(self.counts, index)
        return Symbols(patterns, counts, renumbered.astype(index_type(patterns.size)))


def symbols_of(data: Bytes, width: int, limit: int = MOST_PATTERNS) -> Symbols | None:
    """The symbols of elements of `width` bytes; None when they have more than `limit` patterns, or there are none.

    Args:
        data: the elements.
        width: 1, 2, 4 or 8.
        limit: at most 65536.
    """
    size = data.size // width
    if not size:
        return None
    limit = min(limit, size, 256 if width == 1 else size)
    indices = np.empty(size, np.uint16)
    patterns, counts = np.empty(limit, np.uint64), np.empty(limit, np.uint64)
    found = _engine.find_distinct(data, width, limit, indices, patterns, counts)
    if found > limit:
        return None
    order = np.argsort(patterns[:found])
    places = np.empty(found, index_type(found))
    places[order] = np.arange(found)
    return Symbols(
        patterns[:found][order].astype(f"<u{width}"), counts[:found][order].astype(np.int64), places[indices]
    )


def index_type(alphabet: int) -> type[np.uint8 | np.uint16]:
    """What holds indices of so many patterns."""
    return np.uint8 if alphabet <= 256 else np.uint16


def code(indices: Indices, alphabet: int, of: Bytes = NO_CONTEXTS, contexts: int = 1) -> bytes:
    """Indices entropy-coded."""
    return _engine.encode_symbols(indices, of, contexts, alphabet)


def coded_bytes(indices: Indices, alphabet: int, of: Bytes = NO_CONTEXTS, contexts: int = 1) -> int:
    """About how many bytes that gives."""
    return _engine.coded_bytes(indices, of, contexts, alphabet)


def decode(data: memoryview, size: int, alphabet: int, of: Bytes = NO_CONTEXTS, contexts: int = 1) -> Indices | None:
    """So many indices; None when the bytes are not theirs."""
    indices = np.empty(size, index_type(alphabet))
    whole = _engine.decode_symbols(np.frombuffer(data, np.uint8), of, contexts, alphabet, indices)
    return indices if whole else None
