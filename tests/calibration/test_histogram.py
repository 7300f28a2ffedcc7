import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitwright.calibration.histogram import (
    BINNED_VALUES,
    SIDE_BINS,
    HistogramObserver,
    Scratch,
    exponent_of,
    merge_histograms,
    thinned,
)
from bitwright.calibration.minmax import see

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def observed(parts):
    observer = HistogramObserver(Scratch())
    for index, part in enumerate(parts):
        seen = see(index, part)
        if seen is not None:
            observer.observe(seen)
    return observer.result()


def same(a, b):
    return (a.exponent, a.first, a.counts.tolist()) == (b.exponent, b.first, b.counts.tolist())


@settings(max_examples=60, deadline=None)
@given(st.lists(arrays(np.float32, st.integers(0, 6), elements=FLOATS), min_size=1, max_size=6), st.randoms())
def test_histogram_is_the_same_in_any_order_and_grouping(parts, random):
    """All orders and all groupings of the same values give the same bins, from 1e-45 to 3e38."""
    whole = observed([np.concatenate(parts)])
    shuffled = random.sample(parts, len(parts))
    cut = random.randrange(len(parts) + 1)
    groups = [observed(group) for group in (shuffled[:cut], shuffled[cut:])]

    assert same(whole, observed(shuffled))
    assert same(whole, merge_histograms(groups))
    assert same(whole, merge_histograms(groups[::-1]))


def test_histogram_counts_each_value_in_its_own_bin():
    """Bin i holds trunc(x / width) == i, also beyond one chunk of the loop."""
    x = (np.random.default_rng(0).standard_normal(200_001) * 3).astype(np.float32)
    histogram = observed([x])

    index = np.trunc(x.astype(np.float64) / histogram.width).astype(int)
    expected = np.bincount(index - index.min())

    assert histogram.first == index.min()
    assert expected.tolist() == histogram.counts.tolist()
    assert histogram.total == x.size


def test_histogram_uses_at_least_half_of_the_bins_on_the_larger_side():
    """Values up to 1.0 .. 2.0 reach bin 2048 or beyond, never 4096."""
    for top in np.linspace(1.0, 1.9999, 20):
        histogram = observed([np.float32([top, -0.1])])
        assert SIDE_BINS // 2 <= histogram.indices[-1] < SIDE_BINS


@pytest.mark.parametrize("magnitude", [1e-45, 1e-30, 0.5, 1.0, 4095.99, 4096.0, 3.4e38])
def test_exponent_holds_its_magnitude(magnitude):
    """The largest magnitude lies below bin 4096."""
    assert magnitude < SIDE_BINS * 2.0 ** exponent_of(magnitude)


def test_histogram_centers_lie_between_the_edges():
    """Every bin's centre is inside it, and edges of neighbours meet."""
    histogram = observed([np.float32(np.linspace(-3, 5, 100_000))])
    low, high = histogram.edges()

    assert ((low < histogram.centers()) & (histogram.centers() < high)).all()
    assert low[1:].tolist() == high[:-1].tolist()


def test_histogram_of_magnitudes_adds_both_sides():
    """|x| of -2, 2 and 0 has two values in one bin and one in bin 0."""
    magnitudes = observed([np.float32([-2.0, 2.0, 0.0])]).magnitudes()

    assert magnitudes[0] == 1
    assert magnitudes[-1] == 2
    assert magnitudes.sum() == 3


def test_histogram_of_nothing_is_empty():
    """A histogram that saw nothing has no bins, and merges as zero."""
    nothing, something = observed([]), observed([np.float32([1.0])])

    assert nothing.total == 0
    assert same(merge_histograms([nothing, something]), something)


@pytest.mark.parametrize("shape", [(64, 112, 112), (256, 56, 56), (3, 500, 500), (1024, 1024)])
def test_large_tensor_is_thinned_evenly(shape):
    """About BINNED_VALUES of them, and no index of any dimension is left out."""
    size = math.prod(shape)
    kept = thinned(np.arange(size, dtype=np.float64)).astype(np.int64)

    assert BINNED_VALUES / 3 < kept.size <= BINNED_VALUES
    for axis, places in enumerate(np.unravel_index(kept, shape)):
        counts = np.bincount(places, minlength=shape[axis])
        assert counts.min() > 0


def test_small_tensor_is_binned_whole():
    """Up to BINNED_VALUES every value counts."""
    values = np.zeros(BINNED_VALUES, np.float32)

    assert thinned(values).size == values.size
