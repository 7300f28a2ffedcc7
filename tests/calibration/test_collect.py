import itertools
import tracemalloc

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.calibration.collect import Request, collect
from bitwright.calibration.files import open_path
from bitwright.calibration.samples import input_specs, open_samples
from bitwright.calibration.statistics import OBSERVER_OF
from bitwright.errors import ModelError, SampleError, StatisticsError, UsageError

ALL = [Request("x"), Request("r", channel_axis=1), Request("t"), Request("y", ranges=False)]


def test_collect_sees_minimum_and_maximum(net, numbered):
    """Inputs, inner values and outputs are watched; integers are passed over."""
    data = np.stack([feeds["x"] for _, feeds in numbered(5)])
    seen = collect(net, numbered(5), [*ALL, Request("s")])

    assert (float(data.min()), float(data.max())) == (seen.tensors["x"].minimum, seen.tensors["x"].maximum)
    assert seen.tensors["r"].minimum == 0.0
    assert set("xrty") == set(seen.tensors)
    assert seen.samples == 5


def test_collect_keeps_the_channel_mean(net, numbered):
    """The mean of each channel is the mean over samples of its mean."""
    data = np.concatenate([np.maximum(feeds["x"], 0) for _, feeds in numbered(5)])
    seen = collect(net, numbered(5), [Request("r", channel_axis=1), Request("r")])

    np.testing.assert_allclose(seen.tensors["r"].channel_mean, data.mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-6)
    assert collect(net, numbered(5), [Request("r")]).tensors["r"].channel_mean is None


@pytest.mark.parametrize("method", OBSERVER_OF)
def test_collect_gives_the_same_bytes_for_any_workers_and_shards(method, net, numbered):
    """1, 2 and 3 workers, and four shards in several orders, all agree to the byte."""
    whole = collect(net, numbered(24), ALL, method=method, workers=1).to_bytes()
    shards = [collect(net, numbered(6, start), ALL, method=method) for start in (0, 6, 12, 18)]

    assert all(whole == collect(net, numbered(24), ALL, method=method, workers=w).to_bytes() for w in (2, 3))
    for first, *rest in itertools.islice(itertools.permutations(shards), 0, 24, 5):
        assert whole == first.merge(*rest).to_bytes()


def test_collect_gives_the_same_bytes_on_a_real_model(shared):
    """ResNet-20, 64 pictures: one pass, and four shards merged in another order."""
    model = ir.load(shared / "models/resnet20_cifar10.onnx")
    requests = [Request(str(n.outputs[0].name), channel_axis=1) for n in model.graph if n.op_type in ("Relu", "Add")]
    open_part = {
        part: open_path(
            shared / "data/cifar10_train_20k.zip",
            input_specs(model),
            preprocess="scale=1/255 mean=.485,.456,.406 std=.229,.224,.225",
            samples=64,
            shard=part,
        )
        for part in [(0, 1), (2, 4), (0, 4), (3, 4), (1, 4)]
    }
    whole, first, *rest = (collect(model, part, requests, method="entropy") for part in open_part.values())

    assert whole.to_bytes() == first.merge(*rest).to_bytes()
    assert whole.samples == 64


def test_collect_memory_does_not_grow_with_samples(net):
    """Eight times the samples hold no more memory: none of them is kept."""

    def peak(count):
        samples = ((i, {"x": np.full((64, 3, 4, 4), i % 7, dtype=np.float32)}) for i in range(count))
        tracemalloc.start()
        collect(net, samples, ALL, method="percentile")
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    peak(4)
    assert peak(256) <= 1.05 * peak(32)


def test_collect_runs_at_most_workers_samples_ahead(net, numbered):
    """Samples are pulled as they are used, not all at once."""
    pulled = []
    most_ahead = []

    def samples():
        for index, feeds in numbered(20):
            pulled.append(index)
            yield index, feeds

    collect(net, samples(), ALL, workers=2, progress=lambda done, _: most_ahead.append(len(pulled) - done))

    assert len(most_ahead) == 20
    assert max(most_ahead) <= 3


def test_collect_counts_infinite_values_and_leaves_them_out(net, numbered):
    """An infinite activation widens no range, and is counted."""
    feeds = {"x": np.zeros((1, 3, 4, 4), dtype=np.float32)}
    feeds["x"][0, 0, 0, 0] = np.inf
    seen = collect(net, [(0, feeds)], [Request("r"), Request("t")], method="mse")

    assert (seen.tensors["r"].maximum, seen.tensors["r"].nonfinite) == (0.0, 1)
    assert (seen.tensors["t"].maximum, seen.tensors["t"].nonfinite) == (1.0, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_collect_stops_at_an_interrupt(workers, net, numbered):
    """Ctrl-C comes through at once, from the samples and from the work."""

    def samples():
        yield from numbered(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(net, samples(), ALL, workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_collect_names_the_sample_the_model_fails_on(workers, net, numbered):
    """A failure inside ONNX Runtime names the sample and its shapes."""
    bad = (7, {"x": np.zeros((1, 3, 4), dtype=np.float32)})

    with pytest.raises(SampleError, match=r"fails on sample 7"):
        collect(net, [*numbered(2), bad], ALL, workers=workers)


def test_collect_without_samples_is_an_error(net):
    """Nothing to calibrate with is said so."""
    with pytest.raises(SampleError, match="no samples"):
        collect(net, [], ALL)


def test_collect_refuses_an_unknown_method_and_an_unknown_value(net, numbered):
    """Both before anything runs."""
    with pytest.raises(UsageError, match="median"):
        collect(net, numbered(1), ALL, method="median")
    with pytest.raises(ModelError, match="'nowhere'"):
        collect(net, numbered(1), [Request("nowhere")])


def test_collect_refuses_an_index_twice(net, numbered):
    """Two samples of one index would merge wrongly later."""
    with pytest.raises(StatisticsError, match="twice"):
        collect(net, [*numbered(1), *numbered(1)], ALL)


def test_collect_shifts_indices_by_first_index(net, numbered):
    """A part that numbers its samples from 0 takes its place by first_index."""
    assert collect(net, numbered(3), ALL, first_index=10).sample_ranges == ((10, 13),)


def test_collect_reads_samples_and_reports_progress(net):
    """A Samples gives the total."""
    steps = []
    samples = open_samples(np.ones((4, 3, 4, 4), dtype=np.float32), input_specs(net))
    collect(net, samples, ALL, progress=lambda done, total: steps.append((done, total)))

    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
