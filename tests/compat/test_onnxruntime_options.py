"""extra_options: what each asks for, what is warned of, what is refused; and the ranges that follow."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from bitwright.calibration.ema import EmaRecord
from bitwright.calibration.statistics import Statistics, TensorStatistics
from bitwright.compat.onnxruntime import CalibrationMethod
from bitwright.compat.onnxruntime.quantization.calibrate import CalibrationDataReader, samples_of
from bitwright.compat.onnxruntime.quantization.options import Options, read_options
from bitwright.compat.onnxruntime.quantization.ranges import average, method_of, settled
from bitwright.errors import UsageError


class Parts(CalibrationDataReader):
    """Six samples that are read in ranges."""

    def __init__(self) -> None:
        self.rows = iter(())
        self.asked: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return 6

    def set_range(self, start_index, end_index):
        self.asked.append((start_index, end_index))
        self.rows = iter(range(start_index, end_index))

    def get_next(self):
        return next(({"x": row} for row in self.rows), None)


def ranges(options: Options, low: float = -2.0, high: float = 6.0, method: str = "minmax") -> tuple[float, float]:
    """The settled range of one tensor that was seen in [low, high]."""
    seen = Statistics({"x": TensorStatistics(3, low, high)})
    told = settled(seen, method, options, "u8").tensors["x"]
    return told.minimum, told.maximum


def test_options_read_every_field():
    """All of those that are done."""
    asked = {
        "ActivationSymmetric": True,
        "WeightSymmetric": False,
        "MatMulConstBOnly": True,
        "CalibTensorRangeSymmetric": True,
        "CalibStridedMinMax": 4,
        "CalibMovingAverage": True,
        "CalibMovingAverageConstant": 0.1,
        "CalibPercentile": 99.5,
        "MinimumRealRange": 0.5,
        "TensorQuantOverrides": {"x": [{"rmin": -1, "rmax": 2}], "y": [{"rmax": 3.0}]},
    }

    options = read_options(asked, static=True)

    given = {"x": (-1.0, 2.0), "y": (None, 3.0)}
    assert options == Options(True, False, True, True, 4, True, 0.1, 99.5, 0.5, given)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(None, id="none"),
        pytest.param(
            {"EnableSubgraph": False, "QuantizeBias": True, "OpTypesToExcludeOutputQuantization": []}, id="off"
        ),
        pytest.param({"CalibMaxIntermediateOutputs": 8, "QDQKeepRemovableActivations": True}, id="held-anyway"),
        pytest.param({"SmoothQuantAlpha": 0.7, "SmoothQuantFolding": False}, id="of-smooth-quant"),
        pytest.param({"QDQOpTypePerChannelSupportToAxis": {"MatMul": 1, "Conv": 0}}, id="axes-of-output-channels"),
    ],
)
def test_options_that_ask_for_nothing_are_silent(asked):
    """They change nothing and warn of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_options(asked, static=True) == Options()


@pytest.mark.parametrize(
    "name", ["ForceQuantizeNoInputCheck", "DedicatedQDQPair", "UseQDQContribOps", "QDQDisableWeightAdjustForInt32Bias"]
)
def test_options_that_change_no_number_are_warned_of(name):
    """In one line that names them."""
    with pytest.warns(UserWarning, match=name):
        assert read_options({name: True}, static=True) == Options()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EnableSubgraph", True),
        ("AddQDQPairToWeight", True),
        ("OpTypesToExcludeOutputQuantization", ["Conv"]),
        ("QuantizeBias", False),
        ("SmoothQuant", True),
        ("ActivationRestrictedAsymmetric", True),
        ("BlockSize", 32),
        ("QDQOpTypePerChannelSupportToAxis", {"MatMul": 0}),
        ("TensorQuantOverrides", {"x": [{"scale": 0.1, "zero_point": 0}]}),
        ("TensorQuantOverrides", {"x": [{"rmin": 0}, {"rmin": 1}]}),
        ("ActivationSymetric", True),
    ],
)
def test_options_that_are_not_offered_are_refused(name, value):
    """By name, with what to do instead; a misspelt one too."""
    with pytest.raises(UsageError) as caught:
        read_options({name: value}, static=True)

    assert name in f"{caught.value.what} {caught.value.where}"
    assert caught.value.next


@pytest.mark.parametrize(
    "asked",
    [{"ActivationSymmetric": True}, {"WeightSymmetric": False}, {"MatMulConstBOnly": False}, {"CalibPercentile": 99}],
    ids=lambda asked: next(iter(asked)),
)
def test_options_without_meaning_in_dynamic_mode_are_warned_of(asked):
    """A dynamic quantization neither calibrates nor chooses zero_points."""
    with pytest.warns(UserWarning, match=f"{next(iter(asked))}.* has no meaning"):
        assert read_options(asked, static=False) == Options()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(Options(), (-2.0, 6.0), id="as-seen"),
        pytest.param(Options(symmetric_range=True), (-6.0, 6.0), id="symmetric"),
        pytest.param(Options(smallest_range=10.0), (-2.0, 8.0), id="at-least-so-wide"),
        pytest.param(Options(smallest_range=3.0), (-2.0, 6.0), id="wide-enough"),
        pytest.param(Options(given={"x": (-1.0, None)}), (-1.0, 6.0), id="lowest-told"),
    ],
)
def test_ranges_follow_the_options(options, expected):
    """Each option changes the range that it says."""
    assert ranges(options) == expected


def test_ranges_are_at_least_so_wide_from_zero():
    """Real 0 is in the range before it is widened."""
    assert ranges(Options(smallest_range=4.0), 1.0, 2.0) == (0.0, 4.0)


def test_ranges_told_of_an_unknown_tensor_are_refused():
    """A misspelt name is no override."""
    with pytest.raises(UsageError, match="tensor 'z' has no range"):
        ranges(Options(given={"z": (0.0, 1.0)}))


def test_average_is_the_mean_of_the_samples():
    """Without a stride no constant takes part."""
    record = EmaRecord(np.arange(3), np.float32([-1, -2, -6]), np.float32([1, 2, 3]))

    assert average(record, None, 0.01) == (-3.0, 2.0)


def test_average_of_parts_moves_by_the_constant():
    """The second part moves the first part's mean by a tenth of the difference."""
    record = EmaRecord(np.arange(4), np.float32([0, 0, -10, -10]), np.float32([1, 1, 11, 11]))

    assert average(record, 2, 0.1) == pytest.approx((-1.0, 2.0))


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        (CalibrationMethod.MinMax, Options(), "minmax"),
        (CalibrationMethod.MinMax, Options(average=True), "ema"),
        (CalibrationMethod.Percentile, Options(average=True), "percentile"),
        (CalibrationMethod.Entropy, Options(), "entropy"),
    ],
)
def test_method_is_ours_of_the_same_name(method, options, expected):
    """The moving average is of MinMax alone."""
    assert method_of(method, options) == expected


def test_reader_is_read_in_ranges_where_a_stride_is_given():
    """set_range is called for each part, and every sample comes once."""
    reader = Parts()

    found = [sample["x"] for sample in samples_of(reader, 2)]

    assert (reader.asked, found) == ([(0, 2), (2, 4), (4, 6)], [0, 1, 2, 3, 4, 5])


def test_reader_that_does_not_divide_is_refused():
    """As ONNX Runtime does."""
    with pytest.raises(UsageError, match="6 samples do not divide into parts of 4"):
        list(samples_of(Parts(), 4))


def test_reader_without_get_next_is_refused():
    """A list is no reader."""
    with pytest.raises(UsageError, match="cannot be read from list"):
        samples_of([1, 2], None)


def test_reader_is_any_class_with_get_next():
    """Deriving is not needed, iterating works where one does."""

    class Own:
        def get_next(self):
            return None

    reader = Parts()
    reader.set_range(0, 2)

    assert issubclass(Own, CalibrationDataReader) and not issubclass(list, CalibrationDataReader)
    assert list(reader) == [{"x": 0}, {"x": 1}]
