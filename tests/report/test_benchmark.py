"""Benchmark: what is measured, and how it is told."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bitwright.errors import UsageError
from bitwright.report.benchmark import Benchmark, Subject, measure, random_inputs
from bitwright.runtime.face import Argument
from bitwright.runtime.layers import Layer

INPUTS = (
    Argument("x", (None, 3), np.dtype(np.float32)),
    Argument("i", (2,), np.dtype(np.int8)),
    Argument("n", (), np.dtype(np.int64)),
)


def layer(microseconds: float, operations: int = 0) -> Layer:
    return Layer("CONV_2D", "y", "conv.scalar", ((1, 4, 4, 2),), ((1, 4, 4, 8),), operations, microseconds)


def subject(calls: list, times=(3.0,)) -> Subject:
    """Counts its runs; profiled runs take the given times, one after another."""
    left = iter(times)
    return Subject(
        "the engine", INPUTS, calls.append, 1.5, 4096, {}, profile=lambda feeds: [layer(next(left), 6000), layer(1.0)]
    )


def test_measure_gives_quartiles_of_the_asked_runs():
    """Warm-up runs are not counted; every run has the same inputs."""
    calls = []

    found = measure(subject(calls), "net.onnx", threads=1, runs=20)

    assert len(calls) == 25
    assert found.least_us <= found.quartiles_us[0] <= found.median_us <= found.quartiles_us[1]
    assert all(feeds is calls[0] for feeds in calls)
    assert found.inputs == ("x float32[1, 3]", "i int8[2]", "n int64[]")


def test_a_profile_is_the_median_of_each_step():
    """Three profiled runs of 3, 5 and 4 microseconds."""
    found = measure(subject([], times=(3.0, 5.0, 4.0)), "net.onnx", threads=1, runs=3, profile=True)

    assert [step.microseconds for step in found.layers] == [4.0, 1.0]
    assert found.layers[0].gops == 1.5
    assert found.operations == 6000


def test_random_inputs_are_of_the_inputs_types():
    """Floats about zero, integers of the whole range, zeros for what counts or indexes."""
    feeds = random_inputs(INPUTS, seed=0)

    assert (feeds["x"].shape, feeds["x"].dtype) == ((1, 3), np.float32)
    assert feeds["i"].dtype == np.int8
    assert feeds["n"] == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param({"runs": 0}, "runs must be positive", id="runs"),
        pytest.param({"profile": True}, "LiteRT tells nothing of its layers", id="profile-elsewhere"),
    ],
)
def test_measure_refuses(options, told):
    """What cannot be measured."""
    with pytest.raises(UsageError, match=told):
        measure(Subject("LiteRT", INPUTS, lambda feeds: None, 1.0), "net.tflite", threads=1, **options)


def test_benchmark_is_told_as_text_and_json():
    """What the engine leaves and every layer, with its share."""
    found = Benchmark(
        *("folder/net.onnx", "the engine", 2, 10, ("x float32[1]",), 12.0, 8.0, (7.5, 8.5), 7.0, 2048),
        {"Celu c": "it computes on floats"},
        (layer(6.0, 6000), layer(2.0)),
    )

    text, data = str(found), json.loads(found.to_json())

    assert "net.onnx on the engine, 2 threads" in text
    assert "7.5 .. 8.5, 7.0 us" in text
    assert "Celu c" in text
    assert "1x4x4x2 > 1x4x4x8" in text
    assert "75.0%" in text
    assert data["latency_us"] == {"median": 8.0, "quartiles": [7.5, 8.5], "least": 7.0}
    assert [step["share"] for step in data["layers"]] == [0.75, 0.25]
    assert data["layers"][0]["gops"] == 1.0
    assert data["left"] == {"Celu c": "it computes on floats"}
