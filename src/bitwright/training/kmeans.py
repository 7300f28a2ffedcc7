"""k-means of numbers: first centroids, and Lloyd's iterations, exact and fast on millions of them.

Numbers are sorted once. Then a cluster is a range of them, whose sum is the difference of two running sums, so that an
iteration costs k binary searches however many numbers there are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating]
#: Of more numbers than these, as many are drawn for the first centroids of k-means++.
_SAMPLE = 1 << 16
#: Where Lloyd's iterations stop that have not settled before.
_ITERATIONS = 300


def kmeans(values: Numbers, count: int, init: str, rng: np.random.Generator) -> Numbers:
    """Centroids of numbers.

    Args:
        values: finite, at least one.
        count: how many centroids; fewer are given where there are fewer different numbers, which are their own then.
        init: one of `INITS`.
        rng: draws in random and kmeans++.

    Returns:
        Different numbers of the values' type, sorted.

    Source: Lloyd 1982; Han 2015, section 3, for the first centroids.
    """
    ordered: Numbers = np.sort(values, axis=None)
    return lloyd(ordered, first_centroids(ordered, count, init, rng))


def first_centroids(ordered: Numbers, count: int, init: str, rng: np.random.Generator) -> Numbers:
    """Where Lloyd's iterations begin: `count` different numbers, sorted, or all there are.

    Args:
        ordered: sorted.
        count, init, rng: see `kmeans`.
    """
    different = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    if different.size <= count:
        return different
    made = np.unique(INITS[init](ordered, different, count, rng).astype(ordered.dtype))
    if made.size < count:  # equal ones: others of the numbers, evenly over their order, take their places
        others = np.setdiff1d(different, made, assume_unique=True)
        picked = np.linspace(0, others.size - 1, count - made.size).astype(np.intp)
        made = np.sort(np.concatenate([made, others[picked]]))
    return made


def lloyd(ordered: Numbers, centroids: Numbers, iterations: int = _ITERATIONS) -> Numbers:
    """Move every centroid to the mean of what is nearest to it, until none moves. The squared error never grows.

    A centroid that nothing is nearest to stays where it is.

    Args:
        ordered: sorted.
        centroids: different numbers, sorted.
        iterations: at most as many.
    """
    numbers, wide = ordered.astype(np.float64), centroids.astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(numbers)])
    before: NDArray[np.intp] | None = None
    for _ in range(iterations):
        ends = np.searchsorted(numbers, _middles(wide), side="right")
        if before is not None and np.array_equal(ends, before):
            break
        before = ends
        edges = np.concatenate([[0], ends, [numbers.size]])
        counts = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(counts, 1)
        wide = np.where(counts > 0, means, wide)
    moved: Numbers = np.unique(wide.astype(centroids.dtype))
    return moved


def nearest(values: Numbers, centroids: Numbers) -> NDArray[np.intp]:
    """The index of the centroid that is nearest to each number; of two as near the lower one.

    Args:
        values: any shape.
        centroids: sorted.
    """
    return np.searchsorted(_middles(centroids.astype(np.float64)), values, side="left")


def _middles(centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    return (centroids[1:] + centroids[:-1]) / 2


def _linear(ordered: Numbers, different: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """Evenly from the smallest to the largest: large weights, which matter, have centroids near them."""
    return np.linspace(ordered[0], ordered[-1], count, dtype=np.float64)


def _density(ordered: Numbers, different: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """Evenly over the order: where many numbers are, many centroids are."""
    return ordered[((np.arange(count) + 0.5) / count * ordered.size).astype(np.intp)]


def _random(ordered: Numbers, different: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """Of the different numbers, each as likely."""
    return rng.choice(different, count, replace=False)


def _plus_plus(ordered: Numbers, different: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """One after another, each number as likely as its squared distance from those drawn before.

    Source: Arthur and Vassilvitskii 2007.
    """
    numbers = ordered if ordered.size <= _SAMPLE else rng.choice(ordered, _SAMPLE, replace=False)
    numbers = numbers.astype(np.float64)
    drawn = [float(rng.choice(numbers))]
    distances = np.square(numbers - drawn[0])
    while len(drawn) < count:
        chances = np.cumsum(distances)
        if not chances[-1] > 0:
            break
        index = np.searchsorted(chances, rng.random() * chances[-1], side="right")
        drawn.append(float(numbers[min(index, numbers.size - 1)]))
        np.minimum(distances, np.square(numbers - drawn[-1]), out=distances)
    return np.array(drawn)


#: How first centroids are chosen, by name.
INITS: dict[str, Callable[[Numbers, Numbers, int, np.random.Generator], Numbers]] = {
    "linear": _linear,
    "kmeans++": _plus_plus,
    "density": _density,
    "random": _random,
}
