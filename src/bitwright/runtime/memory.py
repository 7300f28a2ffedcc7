"""The memory plan: where in one arena each value lies, so that values that never live together share bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True)
class Span:
    """Bytes that are needed from one step to another, both included."""

    size: int
    first: int
    last: int


def place(spans: Sequence[Span]) -> tuple[list[int], int]:
    """Offsets of all spans, and the bytes of the arena.

    Larger spans first, each into the smallest gap among those that live at the same time.

    >>> place([Span(64, 0, 1), Span(64, 1, 2), Span(128, 2, 3)])
    ([0, 128, 0], 192)
    """
    offsets = [0] * len(spans)
    placed: list[tuple[int, int, int, int]] = []  # its bytes, from and to; its steps, likewise
    total = 0
    for index in sorted(range(len(spans)), key=lambda i: (-spans[i].size, spans[i].first)):
        first, last = spans[index].first, spans[index].last
        size = -(-spans[index].size // ALIGNMENT) * ALIGNMENT
        best, best_gap, end = None, 0, 0
        for start, stop in sorted([(b, e) for b, e, f, g in placed if f <= last and first <= g]):
            gap = start - end
            if gap >= size and (best is None or gap < best_gap):
                best, best_gap = end, gap
            end = max(end, stop)
        offset = end if best is None else best
        offsets[index] = offset
        placed.append((offset, offset + size, first, last))
        total = max(total, offset + size)
    return offsets, total
