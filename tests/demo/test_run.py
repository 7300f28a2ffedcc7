"""The demonstration: its table, and what quantization may cost."""

from __future__ import annotations

import json

import pytest

from bitwright.demo.run import FLOAT, VARIANTS, DemoResult, run_demo


@pytest.fixture(scope="module")
def result() -> DemoResult:
    """Every mode, timed a few times only."""
    return run_demo(runs=5)


def test_demo_of_float_alone_measures_the_shipped_file():
    """The first row is the reference of all others."""
    (row,) = run_demo(runs=3, variants=[]).rows

    assert (row.name, row.ratio) == (FLOAT, 1.0)
    assert row.accuracy >= 0.985
    assert row.latency_us > 0


def test_demo_shows_every_mode(result):
    """Float first, then every variant."""
    assert [FLOAT, *VARIANTS] == [row.name for row in result.rows]


def test_demo_stays_within_its_time(result):
    """The whole of it takes less than 20 s."""
    assert result.seconds < 20


@pytest.mark.parametrize(
    ("name", "largest_ratio", "largest_drop"),
    [
        pytest.param("float16", 0.52, 0.002, id="float16"),
        pytest.param("weight-only, 8 bits", 0.35, 0.003, id="weight-only-8"),
        pytest.param("weight-only, 4 bits", 0.25, 0.015, id="weight-only-4"),
        pytest.param("dynamic", 0.35, 0.005, id="dynamic"),
        pytest.param("int8", 0.35, 0.005, id="int8"),
        pytest.param("uint8", 0.35, 0.005, id="uint8"),
        pytest.param("int16x8", 0.35, 0.003, id="int16x8"),
    ],
)
def test_demo_mode_is_smaller_and_as_accurate(result, name, largest_ratio, largest_drop):
    """Each mode shrinks the file, and loses next to nothing."""
    rows = {row.name: row for row in result.rows}

    assert rows[name].ratio <= largest_ratio
    assert rows[FLOAT].accuracy - rows[name].accuracy <= largest_drop


def test_demo_is_shown_as_table_and_as_json(result):
    """One line a mode, the machine below; the same numbers as JSON."""
    text = str(result)
    data = json.loads(result.to_json())

    assert all(row.name in text for row in result.rows)
    assert result.machine.split(",")[0] in text
    assert [row.name for row in result.rows] == [row["name"] for row in data["rows"]]
    assert result.rows[0].accuracy == data["rows"][0]["accuracy"]
