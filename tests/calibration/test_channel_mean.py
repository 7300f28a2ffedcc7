from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.calibration.channel_mean import (
    ChannelMeanObserver,
    ChannelSums,
    add_exactly,
    channel_means,
    merge_sums,
)
from bitwright.calibration.minmax import see

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=100, deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=20))
def test_exact_sum_is_the_sum_rounded_once(values):
    """The mean is that of unbounded fractions, rounded once, from subnormals to 3e38."""
    limbs = np.zeros((10, 1), dtype=np.int64)
    for value in values:
        add_exactly(limbs, np.float32([value]))

    expected = float(sum(map(Fraction, values)) / len(values))

    assert [expected] == ChannelSums(0, len(values), limbs).mean().tolist()


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_channel_means_agree_with_float64(axis):
    """Each channel's mean over all other axes, within float32 rounding."""
    x = (np.random.default_rng(0).standard_normal((3, 5, 40, 60)) + 2).astype(np.float32)
    others = tuple(i for i in range(4) if i != axis % 4)

    np.testing.assert_allclose(channel_means(x, axis), x.mean(axis=others, dtype=np.float64), rtol=1e-6)


def test_channel_mean_of_channels_last_stays_accurate():
    """A quarter of a million rows do not lose digits to one long float32 sum."""
    x = np.full((1, 512, 512, 2), 0.1, dtype=np.float32)

    np.testing.assert_allclose(channel_means(x, 3), [np.float32(0.1)] * 2, rtol=1e-6)


def test_channel_mean_leaves_out_a_sample_with_nan():
    """A sample that holds NaN does not count."""
    observer = ChannelMeanObserver(0)
    observer.observe(see(0, np.float32([1.0, 2.0])))
    observer.observe(see(1, np.float32([np.nan, 2.0])))

    assert observer.result().count == 1
    assert observer.result().mean().tolist() == [1.0, 2.0]


def test_channel_mean_of_a_free_dimension_is_none_in_any_order():
    """Samples that disagree about the number of channels leave no channels, whichever came first."""
    three, four = (see(i, np.ones(3 + i, dtype=np.float32)) for i in range(2))
    results = []
    for order in ((three, four), (four, three), (three, four, three)):
        observer = ChannelMeanObserver(0)
        for seen in order:
            observer.observe(seen)
        results.append(observer.result())
    apart = []
    for seen in (three, four):
        observer = ChannelMeanObserver(0)
        observer.observe(seen)
        apart.append(observer.result())
    results.append(merge_sums(apart))

    assert [(r.count, r.limbs.shape[1]) for r in results] == [(0, 0)] * 4
