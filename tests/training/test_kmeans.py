"""k-means of numbers: first centroids, Lloyd's iterations, the nearest centroid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed")

from bitwright.training.kmeans import INITS, first_centroids, kmeans, lloyd, nearest

DRAWN = settings(max_examples=60, deadline=None, derandomize=True)
NUMBERS = st.lists(st.integers(-40, 40), min_size=1, max_size=80).map(lambda x: np.float32(x) / 8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def error(values: np.ndarray, centroids: np.ndarray) -> float:
    """The sum of squared distances to the nearest of all centroids."""
    distances = np.abs(values.astype(np.float64)[:, None] - centroids.astype(np.float64))
    return float(np.square(distances.min(axis=1)).sum())


@pytest.mark.parametrize("init", INITS)
@DRAWN
@given(values=NUMBERS, count=st.integers(1, 20))
def test_first_centroids_are_different_and_sorted(init, values, count):
    """As many as asked; all the different numbers, where there are fewer."""
    found = first_centroids(np.sort(values), count, init, rng())
    assert min(count, len(np.unique(values))) == len(found)
    assert np.all(np.diff(found) > 0)
    assert values.dtype == found.dtype
    assert values.min() <= found[0]
    assert found[-1] <= values.max()


@pytest.mark.parametrize("init", INITS)
def test_first_centroids_survive_an_outlier(init):
    """One number far away, or most numbers equal, take no centroid away."""
    values = np.sort(np.concatenate([np.zeros(5000), rng().standard_normal(200), [1e6]]).astype(np.float32))
    found = first_centroids(values, 16, init, rng())
    assert len(found) == 16
    assert np.all(np.diff(found) > 0)


def test_linear_centroids_are_evenly_apart():
    """From the smallest number to the largest."""
    assert first_centroids(np.float32([-1, -0.9, -0.8, 0.1, 2]), 4, "linear", rng()).tolist() == [-1, 0, 1, 2]


def test_density_centroids_have_as_many_numbers_between_them():
    """They are the middles of equal parts of the sorted numbers."""
    values = np.float32([0, 1, 2, 3, 4, 50, 60, 70, 80])
    assert first_centroids(values, 3, "density", rng()).tolist() == [1, 4, 70]


@pytest.mark.parametrize("init", ["random", "kmeans++"])
def test_drawn_centroids_follow_their_seed(init):
    """The same seed, the same centroids; another, others."""
    values = np.sort(rng(1).standard_normal(100_000).astype(np.float32))
    one, again, other = (first_centroids(values, 16, init, rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.isin(one, values).all()


@DRAWN
@given(values=NUMBERS, seed=st.integers(0, 9))
def test_nearest_is_the_nearest(values, seed):
    """Of all centroids; of two as near the lower one."""
    centroids = np.unique(rng(seed).integers(-40, 40, 7)).astype(np.float32) / 8
    expected = np.abs(values[:, None].astype(np.float64) - centroids).argmin(axis=1)
    assert expected.tolist() == nearest(values, centroids).tolist()


@pytest.mark.parametrize("init", INITS)
@DRAWN
@given(values=NUMBERS, count=st.integers(1, 12))
def test_lloyd_never_increases_the_error(init, values, count):
    """Iteration by iteration."""
    ordered = np.sort(values)
    centroids = first_centroids(ordered, count, init, rng())
    before = error(values, centroids)
    for _ in range(6):
        centroids = lloyd(ordered, centroids, iterations=1)
        after = error(values, centroids)
        assert after <= before * (1 + 1e-6) + 1e-9
        before = after


@pytest.mark.parametrize("init", INITS)
def test_lloyd_ends_at_means_of_members(init):
    """Every centroid is the mean of what is nearest to it."""
    values = rng(2).standard_normal(3000).astype(np.float32)
    centroids = kmeans(values, 8, init, rng())
    members = nearest(values, centroids)
    means = [values[members == index].mean(dtype=np.float64) for index in range(8)]
    assert means == pytest.approx(centroids.tolist(), abs=1e-6)


def test_lloyd_leaves_a_centroid_without_members():
    """It stays where it is, sorted between the others."""
    assert lloyd(np.float32([5, 6, 99, 101]), np.float32([5, 50, 100])).tolist() == [5.5, 50, 100]


def test_kmeans_finds_separate_groups():
    """Groups that are far apart have one centroid each, at their mean."""
    values = np.concatenate([centre + 0.01 * rng(i).standard_normal(50) for i, centre in enumerate((-5, 0, 1, 9))])
    found = kmeans(values.astype(np.float32), 4, "kmeans++", rng())
    assert found.tolist() == pytest.approx([-5, 0, 1, 9], abs=0.01)


def test_kmeans_of_few_numbers_gives_them_back():
    """Nothing is lost where centroids suffice."""
    assert kmeans(np.float32([3, 0.25, -1.5, 0.25]), 5, "kmeans++", rng()).tolist() == [-1.5, 0.25, 3.0]
