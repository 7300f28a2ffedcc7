"""TensorRT's calibration cache as text: written, read, and refused where it is damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.calibration.tables.tensorrt import CalibrationCache, scale_of_threshold, version_number
from bitwright.errors import StatisticsError, UsageError

SCALES = st.floats(0, 2.0**120, width=32)
NAMES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name == name.strip()
)

#: The first line and the lines of TensorRT's own sample (sampleINT8, mnist), and a constant of zeros.
SAMPLE = """TRT-7000-EntropyCalibration2
data: 3c008912
conv1: 3c88edfc
(Unnamed Layer* 64) [Shuffle]_output: 0
model/conv:0: 3ddc858b
"""


@given(st.dictionaries(NAMES, SCALES))
def test_cache_gives_back_the_same_scales_to_the_last_bit(scales):
    """Any names that a line can hold, any float32 that is no range beyond float32."""
    cache = CalibrationCache({**scales, "x": 1.0})

    read = CalibrationCache.from_text(cache.to_text())

    assert {name: scale.hex() for name, scale in cache.scales.items()} == {
        name: scale.hex() for name, scale in read.scales.items()
    }
    assert cache.to_text() == read.to_text()


@given(SCALES)
def test_cache_scale_survives_its_threshold(scale):
    """From a scale to the range that it stands for and back: the same bits."""
    assert scale == scale_of_threshold(scale * 127)


def test_cache_reads_what_tensorrt_writes():
    """Names with spaces and colons, a zero, the version and the calibrator; steps of the real values."""
    cache = CalibrationCache.from_text(SAMPLE)

    assert (cache.version, cache.algorithm) == (7000, "EntropyCalibration2")
    assert list(cache.scales) == ["data", "conv1", "(Unnamed Layer* 64) [Shuffle]_output", "model/conv:0"]
    assert cache.scales["(Unnamed Layer* 64) [Shuffle]_output"] == 0.0
    assert pytest.approx(0.996338, rel=1e-6) == 127 * cache.scales["data"]
    assert cache.to_text() == SAMPLE


def test_cache_reads_lines_that_windows_ends():
    """Carriage returns are no part of a scale."""
    assert CalibrationCache.from_text(SAMPLE).scales == CalibrationCache.from_text(SAMPLE.replace("\n", "\r\n")).scales


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        pytest.param("", "not TensorRT's calibration cache", "x.cache, line 1", id="empty"),
        pytest.param("conv1 90.1\n", "not TensorRT's calibration cache", "x.cache, line 1", id="another-table"),
        pytest.param("TRT-8601\na: 3c008912\n", "not TensorRT's", "x.cache, line 1", id="half-a-header"),
        pytest.param(f"{'T' * 10**6}\n", "it starts with 'TTTT", "x.cache, line 1", id="a-long-line"),
        pytest.param("TRT-8601-EntropyCalibration2\n", "has no scales", "x.cache", id="the-header-alone"),
        pytest.param("TRT-8601-X\na: 3c008912\nb: 3c8\n", "'b' is not eight hexadecimal", "line 3", id="truncated"),
        pytest.param("TRT-8601-X\na: 3c008912\nb", "without a tensor's name", "line 3", id="truncated-in-the-name"),
        pytest.param("TRT-8601-X\na: 0.0125\n", "'a' is not eight hexadecimal", "line 2", id="decimal"),
        pytest.param("TRT-8601-X\na: 0x3c0089\n", "'a' is not eight hexadecimal", "line 2", id="prefixed"),
        pytest.param("TRT-8601-X\n: 3c008912\n", "without a tensor's name", "line 2", id="no-name"),
        pytest.param("TRT-8601-X\na: 7fc00000\n", "'a' cannot be nan", "line 2", id="nan"),
        pytest.param("TRT-8601-X\na: 7f800000\n", "'a' cannot be inf", "line 2", id="infinite"),
        pytest.param("TRT-8601-X\na: 7f7fffff\n", "'a' cannot be 3.4", "line 2", id="range-beyond-float32"),
        pytest.param("TRT-8601-X\na: bc008912\n", "'a' cannot be -0.007", "line 2", id="negative"),
        pytest.param("TRT-8601-X\na: 80000000\n", "'a' cannot be -0", "line 2", id="negative-zero"),
        pytest.param("TRT-8601-X\na: 3c008912\n\na: 3c008912\n", "'a' has two scales", "line 4", id="twice"),
    ],
)
def test_cache_refuses_what_is_damaged(text, what, where):
    """Says what, in which line, and what to do."""
    with pytest.raises(StatisticsError) as caught:
        CalibrationCache.from_text(text, where="x.cache")

    assert what in caught.value.what and len(caught.value.what) < 200
    assert where in caught.value.where
    assert caught.value.next


@given(st.text() | st.text().map(lambda text: "TRT-8601-EntropyCalibration2\n" + text))
def test_cache_refuses_any_text_or_reads_it(text):
    """Nothing but an error of ours, whatever the text."""
    try:
        CalibrationCache.from_text(text)
    except StatisticsError as error:
        assert error.next


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\rb"])
def test_cache_refuses_to_write_names_that_no_line_holds(name):
    """A line feed would end the line."""
    with pytest.raises(StatisticsError, match="cannot hold the tensor name"):
        CalibrationCache({name: 1.0}).to_text()


@pytest.mark.parametrize("text", ["8", "8.6.1.6", "v8.6", "", "8.600.1", "8.6\u0661", 8])
def test_version_refuses_what_is_none(text):
    """Two or three small numbers."""
    with pytest.raises(UsageError, match="no version of TensorRT"):
        version_number(text)
