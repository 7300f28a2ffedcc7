"""Choose how many channels each group keeps: the least important go first, until the multiply-accumulates are few."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import TransformError
from bitwright.transforms.channels.groups import Costs

#: A group keeps one of so many of its channels in any case.
FLOOR = 8


def choose(costs: Costs, scores: Sequence[NDArray[np.float64]], target: float, multiple_of: int) -> NDArray[np.int64]:
    """How many classes each group keeps, [G].

    One step at a time the group gives up its least important channels whose step has the lowest mean score. What the
    last steps removed beyond need is given back, the latest first. Equal scores: the first group.

    Args:
        costs: of the graph.
        scores: the importance of each class, by group; comparable between groups.
        target: multiply-accumulates that may stay.
        multiple_of: see `steps`.

    Raises:
        TransformError: more stay even where every group gives up all it may.
    """
    allowed = [steps(len(score), multiple_of) for score in scores]
    least = costs.of(np.array([sizes[-1] for sizes in allowed], np.int64))
    kept = np.array([len(score) for score in scores], np.int64)
    whole = costs.of(kept)
    if least > target:
        raise TransformError(
            f"channel pruning cannot go below {least / whole:.3f} of the multiply-accumulates"
            f" (asked: {target / whole:.3f})",
            next="keep more, take a smaller multiple_of, or exclude fewer layers",
        )
    order = sorted(
        (score, group, index)
        for group, sizes in enumerate(allowed)
        for index, score in enumerate(step_scores(scores[group], sizes))
    )
    taken: list[tuple[int, int]] = []
    for _, group, index in order:
        if costs.of(kept) <= target:
            break
        kept[group] = allowed[group][index + 1]
        taken.append((group, index))
    for group, index in reversed(taken):
        with_it = kept.copy()
        with_it[group] = allowed[group][index]
        if with_it[group] > kept[group] and costs.of(with_it) <= target:
            kept = with_it
    return kept


def step_scores(score: NDArray[np.float64], sizes: list[int]) -> list[float]:
    """The mean score of what each step from one size to the next removes; it never falls from step to step."""
    ascending = np.sort(score)
    means = [ascending[len(score) - size : len(score) - after].mean() for size, after in itertools.pairwise(sizes)]
    return [float(mean) for mean in np.maximum.accumulate(means)] if means else []


def steps(members: int, multiple_of: int) -> list[int]:
    """The sizes that a group may have, the largest first.

    >>> steps(64, 16), steps(20, 8), steps(3, 8)
    ([64, 48, 32, 16], [20, 16, 8], [3, 2, 1])
    """
    floor = -(-members // FLOOR)
    step = multiple_of if members >= 2 * multiple_of else 1
    return [members, *(size for size in range(members - 1, floor - 1, -1) if size % step == 0)]
