"""Which samples to take when there are more than asked: evenly over classes and over the order they come in."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence


def draw(count: int, wanted: int | None, *, seed: int = 0, groups: Sequence[Hashable] | None = None) -> list[int]:
    """Positions to take out of `count`, in the order to take them.

    Without groups: ascending, one out of each of `wanted` equal stretches. With groups (classes): class by class in
    turn, so that every stretch of the result holds all classes; within a class one out of each equal stretch. The
    same seed gives the same positions on every machine.

    >>> draw(4, None), [p // 250 for p in draw(1000, 4)]
    ([0, 1, 2, 3], [0, 1, 2, 3])
    >>> draw(6, 4, groups=["cat", "cat", "cat", "dog", "dog", "dog"])
    [1, 3, 0, 4]
    """
    wanted = count if wanted is None else min(wanted, count)
    generator = random.Random(seed)
    if groups is None:
        return _spread(count, wanted, generator)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for position, group in enumerate(groups):
        members[group].append(position)
    shares = _shares([len(m) for m in members.values()], wanted, generator)
    columns: list[list[int]] = []
    for member, share in zip(members.values(), shares, strict=True):
        taken = [member[i] for i in _spread(len(member), share, generator)]
        columns.append(_shuffled(taken, generator))
    return [column[i] for i in range(max(map(len, columns), default=0)) for column in columns if i < len(column)]


def _spread(count: int, wanted: int, generator: random.Random) -> list[int]:
    """One position out of each of `wanted` equal stretches."""
    result = []
    for i in range(wanted):
        start, stop = i * count // wanted, (i + 1) * count // wanted
        result.append(start + int(generator.random() * (stop - start)))
    return result


def _shares(sizes: Sequence[int], wanted: int, generator: random.Random) -> list[int]:
    """How many to take of each class: the same of each, a class that is too small gives all it has."""
    shares = [0] * len(sizes)
    while wanted:
        room = _shuffled([i for i, size in enumerate(sizes) if shares[i] < size], generator)
        each = max(wanted // len(room), 1)
        for i in room:
            more = min(each, sizes[i] - shares[i], wanted)
            shares[i] += more
            wanted -= more
    return shares


def _shuffled(items: Sequence[int], generator: random.Random) -> list[int]:
    # random() is the only draw whose sequence Python promises to keep from version to version.
    keys = [generator.random() for _ in items]
    return [item for _, item in sorted(zip(keys, items, strict=True))]
