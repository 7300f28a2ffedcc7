import numpy as np
import pytest

from bitwright.calibration.ema import make_record
from bitwright.calibration.entropy import best_threshold
from bitwright.calibration.histogram import Histogram
from bitwright.calibration.ranges import select_range
from bitwright.calibration.statistics import TensorStatistics
from bitwright.errors import StatisticsError, UsageError
from bitwright.numerics.metrics import sqnr_db
from bitwright.numerics.quantize import fake_quantize
from bitwright.numerics.ranges import qparams_from_range

RNG = np.random.default_rng(0)
GAUSS = RNG.standard_normal(200_000).astype(np.float32)
SPREADS = {
    "gauss": GAUSS,
    "relu": np.maximum(GAUSS, 0),
    "laplace": RNG.laplace(size=200_000).astype(np.float32),
    "outlier": np.append(GAUSS, np.float32([25.0, -20.0])),
    "relu6": np.clip(GAUSS * 3 + 1, 0, 6),
    "silu": (GAUSS * 2 / (1 + np.exp(-GAUSS * 2))).astype(np.float32),
}


def sqnr(x, bounds):
    return sqnr_db(x, fake_quantize(x, qparams_from_range(*bounds, storage="u8")))


@pytest.mark.parametrize("name", SPREADS)
@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99])
def test_percentile_agrees_with_quantiles(name, percentile, tensor_of):
    """Both ends lie within two bins of numpy's quantiles."""
    x, tensor = SPREADS[name], tensor_of(SPREADS[name])
    low, high = select_range(tensor, "percentile", percentile=percentile)
    expected = np.quantile(x.astype(np.float64), [1 - percentile / 100, percentile / 100])

    # Where values are sparse numpy interpolates between two of them, the histogram within one bin.
    gap = 2 * tensor.histogram.width + 0.02
    assert abs(low - expected[0]) <= gap
    assert abs(high - expected[1]) <= gap


def test_percentile_100_is_minmax(tensor_of):
    """Leaving nothing out gives the real minimum and maximum."""
    tensor = tensor_of(GAUSS)

    assert select_range(tensor, "minmax") == select_range(tensor, "percentile", percentile=100.0)


@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
@pytest.mark.parametrize("name", SPREADS)
def test_range_is_never_wider_than_minmax(name, method, tensor_of):
    """No method reaches beyond what was seen."""
    tensor = tensor_of(SPREADS[name])
    low, high = select_range(tensor, method)

    assert tensor.minimum <= low <= high <= tensor.maximum


@pytest.mark.parametrize("name", SPREADS)
def test_mse_is_at_least_as_good_as_the_others(name, tensor_of):
    """Measured on the data itself, nothing beats the mse range by more than 0.1 dB."""
    x, tensor = SPREADS[name], tensor_of(SPREADS[name])
    mse = sqnr(x, select_range(tensor, "mse"))

    for other in ("minmax", "percentile", "entropy"):
        assert mse >= sqnr(x, select_range(tensor, other)) - 0.1


@pytest.mark.parametrize("name", SPREADS)
def test_entropy_threshold_is_not_absurdly_small(name, tensor_of):
    """The entropy range loses at most 4 dB against the best one."""
    x, tensor = SPREADS[name], tensor_of(SPREADS[name])

    assert sqnr(x, select_range(tensor, "entropy")) >= sqnr(x, select_range(tensor, "mse")) - 4.0


@pytest.mark.parametrize("method", ["entropy", "mse"])
def test_outliers_are_cut(method, tensor_of):
    """Two outliers in 200 000 normal values do not stretch the range over all."""
    low, high = select_range(tensor_of(np.append(GAUSS, np.float32([100.0, -100.0]))), method)

    assert high < 75.0
    assert low > -75.0


@pytest.mark.parametrize("method", ["entropy", "mse"])
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_uniform_values_keep_their_full_range(method, low, tensor_of):
    """Nothing of a uniform spread is cut."""
    x = RNG.uniform(low, 1.0, 200_000).astype(np.float32)
    bounds = select_range(tensor_of(x), method)

    assert abs(bounds[0] - low) < 0.02
    assert abs(bounds[1] - 1.0) < 0.02


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy", "mse"])
def test_relu_keeps_zero_as_its_low_end(method, tensor_of):
    """A tensor that begins at zero keeps beginning there."""
    assert select_range(tensor_of(SPREADS["relu"]), method)[0] == 0.0


def test_entropy_symmetric_has_half_the_levels_for_one_side(tensor_of):
    """With zero_point 0 a tensor that is never negative has 128 levels: the threshold of its mirror image."""
    one_side = tensor_of(SPREADS["relu"])
    both_sides = tensor_of(np.append(SPREADS["relu"], -SPREADS["relu"]))

    low, high = select_range(one_side, "entropy", storage="i8", symmetric=True)

    assert (low, high) == (0.0, select_range(both_sides, "entropy", storage="i8")[1])
    assert high < select_range(one_side, "entropy", storage="i8")[1]


def test_mse_symmetric_moves_one_threshold(tensor_of):
    """With zero_point 0 both ends are the same distance from zero, but for what was seen."""
    low, high = select_range(tensor_of(SPREADS["outlier"]), "mse", storage="i8", symmetric=True)

    assert abs(low + high) < 1e-9
    assert high < 25.0


def test_fewer_levels_cut_more(tensor_of):
    """A 4-bit range is narrower than an 8-bit one, a 16-bit one is wider."""
    tops = [select_range(tensor_of(SPREADS["laplace"]), "mse", storage=s)[1] for s in ("u4", "u8", "u16")]

    assert tops == sorted(tops)
    assert tops[0] < tops[2]


def test_entropy_matches_the_divergence_written_out(histogram_of):
    """The vectorised search finds the threshold that the definition finds, candidate by candidate."""
    magnitudes = histogram_of(np.append(np.abs(GAUSS[:4000]), [9.0])).magnitudes()[:700]
    levels = 32

    assert plain_entropy(magnitudes, levels) == best_threshold(magnitudes, levels)


def plain_entropy(magnitudes, levels):
    counts = magnitudes.astype(np.float64)
    counts[0] = min(counts[0], counts[1])
    best = (np.inf, 0)
    for n in range(levels, counts.size + 1):
        p, q = counts[:n].copy(), np.zeros(n)
        p[-1] += counts[n:].sum()
        for j in range(levels):
            part = slice(-(-j * n // levels), -(-(j + 1) * n // levels))
            used = p[part] > 0
            mass = max(counts[part].sum(), 1e-4 if j == levels - 1 else 0.0)
            if used.any():
                q[part] = np.where(used, mass / used.sum(), 0)
        keep = p > 0
        divergence = float(np.sum(p[keep] / p.sum() * np.log(p[keep] / p.sum() / (q[keep] / counts[:n].sum()))))
        best = min(best, (round(divergence, 12), n))
    return best[1]


def test_ema_follows_the_samples_in_order():
    """The average is momentum * average + (1 - momentum) * sample, by index, whatever order they were recorded in."""
    record = make_record(np.int64([2, 0, 1]), np.float32([-4, -1, -2]), np.float32([4, 1, 2]))
    tensor = TensorStatistics(3, -4.0, 4.0, ema_record=record)

    assert select_range(tensor, "ema", momentum=0.5) == (-2.75, 2.75)
    assert select_range(tensor, "minmax") == (-4.0, 4.0)


@pytest.mark.parametrize("method", ["ema", "percentile", "entropy", "mse"])
def test_method_that_was_not_collected_is_an_error(method):
    """The error says what to calibrate with."""
    with pytest.raises(StatisticsError, match=f"--method {method}"):
        select_range(TensorStatistics(1, 0.0, 1.0), method)


@pytest.mark.parametrize("method", ["minmax", "ema", "percentile", "entropy", "mse"])
def test_tensor_that_was_always_empty_has_no_width(method):
    """A tensor without values gives the range (0, 0)."""
    nothing = np.zeros(0, dtype=np.int64)
    record = make_record(nothing, np.float32([]), np.float32([]))
    tensor = TensorStatistics(0, 0.0, 0.0, ema_record=record, histogram=Histogram(-100, 0, nothing))

    assert select_range(tensor, method) == (0.0, 0.0)


@pytest.mark.parametrize(
    "options", [{"method": "median"}, {"storage": "f4"}, {"percentile": 40.0}, {"percentile": 101.0}, {"momentum": 1.0}]
)
def test_wrong_option_is_a_usage_error(options):
    """An unknown method or storage, a percentile or momentum out of range."""
    with pytest.raises(UsageError):
        select_range(TensorStatistics(1, 0.0, 1.0), **options)


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0, 1e-30, 1e30])
@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
def test_constant_tensor_has_a_range(value, method, tensor_of):
    """A tensor of one value gives a finite range that holds it once zero is included."""
    low, high = select_range(tensor_of(np.full(100, value)), method)

    assert min(low, 0.0) <= np.float32(value) <= max(high, 0.0)
