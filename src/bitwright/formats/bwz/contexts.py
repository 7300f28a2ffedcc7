"""Contexts: rows, columns or channels of a tensor in classes, each of which has a distribution of its own.

Pruned networks keep many weights where much is learned and few elsewhere: whole columns of a first layer are nearly
empty. A class for each index along an axis costs 2 bits; two axes give 16 contexts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.formats.bwz.numbers import Cursor, number
from bitwright.formats.bwz.symbols import NO_CONTEXTS, Bytes, Symbols, coded_bytes

CLASSES = 4
MOST_AXES = 2
_BITS = 2

#: Tensors that are too small, or have too many patterns, for several tables to pay.
_LEAST_ELEMENTS = 2048
_MOST_PATTERNS = 512
_LEAST_INDICES = 4
#: What a second axis, or a first one, must save of a coded tensor.
_WORTH = 0.995
_ROUNDS = 8

Classified = tuple[int, Bytes]


@dataclass(frozen=True, eq=False)
class Contexts:
    """The context of each element of a tensor.

    Args:
        shape: of the tensor.
        axes: an axis, and the class of each index along it; at most two.
    """

    shape: tuple[int, ...]
    axes: tuple[Classified, ...] = ()

    @property
    def count(self) -> int:
        return int(CLASSES ** len(self.axes))

    def of_elements(self) -> Bytes:
        """The context of each element: its class along the first axis, plus 4 times that along the second."""
        if not self.axes:
            return NO_CONTEXTS
        of = np.zeros(self.shape, np.uint8)
        for place, (axis, classes) in enumerate(self.axes):
            along = [1] * len(self.shape)
            along[axis] = -1
            of += (classes * np.uint8(CLASSES**place)).reshape(along)
        return of.reshape(-1)

    def to_bytes(self) -> bytes:
        """How many axes; of each its number and its classes, four a byte, the first in the lowest bits."""
        out = [number(len(self.axes))]
        for axis, classes in self.axes:
            lanes = np.zeros((-(-classes.size // CLASSES), CLASSES), np.uint8)
            lanes.reshape(-1)[: classes.size] = classes
            lanes <<= np.arange(0, 8, _BITS, dtype=np.uint8)
            out += [number(axis), np.bitwise_or.reduce(lanes, axis=1).tobytes()]
        return b"".join(out)


def read_contexts(cursor: Cursor, shape: tuple[int, ...]) -> Contexts:
    """The inverse of `to_bytes`.

    Raises:
        DamagedError: an axis that the tensor does not have, or has twice.
    """
    axes: list[Classified] = []
    count = cursor.number()
    if count > MOST_AXES:
        raise cursor.damaged(f"contexts along {count} axes")
    for _ in range(count):
        axis = cursor.number()
        if axis >= len(shape) or axis in [other for other, _ in axes]:
            raise cursor.damaged("contexts along an axis that is not there")
        packed = np.frombuffer(cursor.take(-(-shape[axis] // CLASSES)), np.uint8)
        spread: Bytes = packed[:, None] >> np.arange(0, 8, _BITS, dtype=np.uint8) & np.uint8(CLASSES - 1)
        classes = spread.reshape(-1)
        if classes[shape[axis] :].any():
            raise cursor.damaged("classes behind the last one")
        axes.append((axis, classes[: shape[axis]]))
    return Contexts(shape, tuple(axes))


def choose_contexts(symbols: Symbols, shape: tuple[int, ...]) -> tuple[Contexts, int]:
    """The contexts with which symbols take the fewest bytes, and how many: none where none pay."""
    best, fewest = Contexts(shape), coded_bytes(symbols.indices, symbols.alphabet)
    size = symbols.indices.size
    if size < _LEAST_ELEMENTS or not 2 <= symbols.alphabet <= _MOST_PATTERNS or math.prod(shape) != size:
        return best, fewest
    bits = (np.log2(size) - np.log2(np.maximum(symbols.counts, 1))).astype(np.float32)[symbols.indices].reshape(shape)
    tried = []
    for axis, dim in enumerate(shape):
        if _LEAST_INDICES <= dim < size:
            mean = _mean_along(bits, axis)
            if np.ptp(mean) > 0:
                contexts = Contexts(shape, ((axis, _classes(mean)),))
                tried.append((_bytes(symbols, contexts), axis, contexts))
    tried.sort(key=lambda found: found[:2])
    if not tried or tried[0][0] > _WORTH * fewest:
        return best, fewest
    fewest, _, best = tried[0]
    for _, _, other in tried[1:2]:
        both = Contexts(shape, (*best.axes, *other.axes))
        if (taken := _bytes(symbols, both)) < _WORTH * fewest:
            best, fewest = both, taken
    return best, fewest


def _bytes(symbols: Symbols, contexts: Contexts) -> int:
    spelled = len(contexts.to_bytes())
    return spelled + coded_bytes(symbols.indices, symbols.alphabet, contexts.of_elements(), contexts.count)


def _mean_along(values: NDArray[np.float32], axis: int) -> NDArray[Any]:
    """The mean of each index along an axis."""
    dim = values.shape[axis]
    blocks = values.reshape(math.prod(values.shape[:axis]), dim, -1)
    mean: NDArray[Any] = np.einsum("odi->d", blocks, optimize=False) / np.float32(values.size / dim)
    return mean


def _classes(values: NDArray[Any]) -> Bytes:
    """Each value's class, ascending: four that lie close together (Lloyd's algorithm, from quartiles)."""
    centres = np.quantile(values, (np.arange(CLASSES) + 0.5) / CLASSES)
    for _ in range(_ROUNDS):
        classes = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
        sums, counts = np.bincount(classes, values, CLASSES), np.bincount(classes, minlength=CLASSES)
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
        centres.sort()
    found: Bytes = np.searchsorted((centres[1:] + centres[:-1]) / 2, values).astype(np.uint8)
    return found
