import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitwright.calibration.collect import Request, _TensorWatcher
from bitwright.calibration.histogram import Scratch
from bitwright.calibration.statistics import OBSERVER_OF, Statistics, TensorStatistics, join_ranges
from bitwright.errors import StatisticsError

FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)
SAMPLES = st.lists(
    arrays(np.float32, st.tuples(st.integers(0, 3), st.just(2)), elements=FLOATS), min_size=1, max_size=6
)


def statistics_of(samples, indices, method):
    watcher = _TensorWatcher(Request("x", channel_axis=1), OBSERVER_OF[method], Scratch())
    for index in indices:
        watcher.observe(index, samples[index])
    observers = () if OBSERVER_OF[method] is None else (OBSERVER_OF[method],)
    return Statistics({"x": watcher.result()}, join_ranges((i, i + 1) for i in indices), observers)


@pytest.mark.parametrize("method", OBSERVER_OF)
@settings(max_examples=40, deadline=None)
@given(samples=SAMPLES, random=st.randoms())
def test_statistics_merge_to_the_same_bytes_in_any_order(method, samples, random):
    """Any split of the samples, merged in any order, gives the bytes of one pass; NaN, Inf and empties included."""
    indices = random.sample(range(len(samples)), len(samples))
    cuts = sorted(random.randrange(len(indices) + 1) for _ in range(2))
    parts = [indices[: cuts[0]], indices[cuts[0] : cuts[1]], indices[cuts[1] :]]
    shards = [statistics_of(samples, part, method) for part in parts]
    whole = statistics_of(samples, range(len(samples)), method).to_bytes()

    assert all(whole == first.merge(*rest).to_bytes() for first, *rest in itertools.permutations(shards))
    assert whole == shards[2].merge(shards[0].merge(shards[1])).to_bytes()


@pytest.mark.parametrize("suffix", ["npz", "json"])
@pytest.mark.parametrize("method", OBSERVER_OF)
def test_statistics_read_back_as_they_were_written(method, suffix, tmp_path):
    """Both file forms give the same statistics back, exactly."""
    samples = [np.random.default_rng(i).standard_normal((4, 2)).astype(np.float32) for i in range(3)]
    before = statistics_of(samples, range(3), method)
    before.save(tmp_path / f"s.{suffix}")

    after = Statistics.load(tmp_path / f"s.{suffix}")

    assert before.to_bytes() == after.to_bytes()
    assert before.tensors["x"].channel_mean.tolist() == after.tensors["x"].channel_mean.tolist()


def test_statistics_open_as_an_npz(tmp_path):
    """The file is a zip of arrays that numpy opens."""
    statistics_of([np.float32([[1, 2]])], [0], "mse").save(tmp_path / "s.npz")

    with np.load(tmp_path / "s.npz") as table:
        assert table["maximum"].tolist() == [2.0]
        assert table["histogram.counts"].sum() == 2


def test_statistics_refuse_the_same_sample_twice():
    """A shard merged with itself names the sample."""
    one = statistics_of([np.float32([[1, 2]])], [0], "minmax")

    with pytest.raises(StatisticsError, match="sample 0 is counted twice"):
        one.merge(one)


def test_statistics_refuse_parts_of_different_methods():
    """Ranges of samples and histograms do not merge; percentile and mse share theirs and do."""
    samples = [np.float32([[1, 2]]), np.float32([[3, 4]])]

    with pytest.raises(StatisticsError, match="different methods"):
        statistics_of(samples, [0], "ema").merge(statistics_of(samples, [1], "mse"))
    assert statistics_of(samples, [0], "percentile").merge(statistics_of(samples, [1], "mse")).samples == 2


def test_statistics_refuse_parts_of_different_models():
    """The tensors that only one part has are named."""
    a = Statistics({"x": TensorStatistics(1, 0.0, 1.0)}, ((0, 1),))
    b = Statistics({"z": TensorStatistics(1, 0.0, 1.0)}, ((1, 2),))

    with pytest.raises(StatisticsError, match="'x', 'z'"):
        a.merge(b)


def test_statistics_check_names_what_is_missing():
    """Every missing tensor is named, up to five."""
    statistics = Statistics({"x": TensorStatistics(1, 0.0, 1.0)}, ((0, 1),))
    statistics.check(["x"])

    with pytest.raises(StatisticsError, match="nothing on 'b', 'a'"):
        statistics.check(["x", "b", "a"])
    assert statistics.keep(["a"]).tensors == {}


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_damaged_statistics_are_refused(keep):
    """A file cut short anywhere is an error of ours."""
    data = statistics_of([np.float32([[1, 2]])], [0], "entropy").to_bytes()[:keep]

    with pytest.raises(StatisticsError, match="not calibration statistics"):
        Statistics.from_bytes(data)


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"metadata": {"format": "x"}, "tensors": {}}', '{"metadata": 3}'])
def test_other_json_is_refused(text):
    """JSON that is no statistics is an error of ours."""
    with pytest.raises(StatisticsError, match="not calibration statistics"):
        Statistics.from_bytes(text.encode())


def test_histogram_outside_its_range_is_refused(tmp_path):
    """A file with bins that cannot be is not read."""
    statistics_of([np.float32([[1, 2]])], [0], "mse").save(tmp_path / "s.json")
    data = json.loads((tmp_path / "s.json").read_text())
    data["tensors"]["x"]["histogram.first"] = [5000]

    with pytest.raises(StatisticsError, match="outside its range"):
        Statistics.from_bytes(json.dumps(data).encode())


def test_missing_statistics_file_is_an_error(tmp_path):
    """A path that is not there is named."""
    with pytest.raises(StatisticsError, match=r"none\.npz"):
        Statistics.load(tmp_path / "none.npz")
