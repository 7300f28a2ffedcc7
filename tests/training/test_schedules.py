"""Schedules: sparsity by step, the steps that are due, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

from bitwright.errors import UsageError
from bitwright.training.schedules import ConstantSparsity, PolynomialDecay, schedule_from_json


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        pytest.param(1, [0.2, 0.2, 0.35, 0.5, 0.8, 0.8], id="linear"),
        pytest.param(3, [0.2, 0.2, 0.8 - 0.6 * 0.75**3, 0.8 - 0.6 * 0.5**3, 0.8, 0.8], id="cubic"),
    ],
)
def test_polynomial_decay_follows_its_equation(power, expected):
    """It is the initial sparsity until begin_step, the final one from end_step on, a power of what is left between."""
    schedule = PolynomialDecay(0.2, 0.8, begin_step=100, end_step=500, power=power)
    assert expected == pytest.approx([schedule.sparsity_at(step) for step in (0, 100, 200, 300, 500, 9000)])


def test_polynomial_decay_ends_exactly():
    """The last sparsity is the very number that was asked for."""
    assert PolynomialDecay(0.1, 0.7, 3, 10).sparsity_at(10) == 0.7


def test_constant_sparsity_does_not_depend_on_the_step():
    """The first masks have the target."""
    schedule = ConstantSparsity(0.5, begin_step=10)
    assert [schedule.sparsity_at(step) for step in (0, 10, 10_000)] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        pytest.param(ConstantSparsity(0.5, 2, frequency=3), [2, 5, 8, 11, 14, 17], id="constant-without-end"),
        pytest.param(ConstantSparsity(0.5, 2, end_step=8, frequency=3), [2, 5, 8], id="constant-with-end"),
        pytest.param(ConstantSparsity(0.5, 4, end_step=4), [4], id="once"),
        pytest.param(PolynomialDecay(0.0, 0.5, 0, 10, frequency=4), [0, 4, 8, 10], id="end-between"),
        pytest.param(PolynomialDecay(0.0, 0.5, 3, 9, frequency=1), [3, 4, 5, 6, 7, 8, 9], id="every-step"),
    ],
)
def test_schedule_is_due(schedule, expected):
    """Each `frequency` steps from the first one, and at the last one, so that the final sparsity is reached."""
    assert expected == [step for step in range(20) if schedule.is_due(step)]


@pytest.mark.parametrize(
    "schedule",
    [ConstantSparsity(0.5, 7, end_step=90, frequency=10), PolynomialDecay(0.1, 0.75, 5, 50, power=2, frequency=5)],
    ids=["constant", "polynomial"],
)
def test_schedule_survives_json(schedule):
    """What is read is equal to what was written."""
    assert schedule == schedule_from_json(schedule.to_json())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("{", "not JSON", id="not-json"),
        pytest.param("[1]", "no schedule None", id="a-list"),
        pytest.param('{"schedule": "Cosine"}', "no schedule 'Cosine'", id="unknown"),
        pytest.param('{"schedule": ["x"]}', "no schedule", id="not-a-name"),
        pytest.param('{"schedule": "ConstantSparsity", "sparsity": 1}', "sparsity", id="unknown-argument"),
        pytest.param('{"schedule": "PolynomialDecay"}', "initial_sparsity", id="missing-argument"),
        pytest.param(
            json.dumps({"schedule": "ConstantSparsity", "target_sparsity": "0.5", "begin_step": 0}),
            "target_sparsity",
            id="a-text-for-a-number",
        ),
    ],
)
def test_schedule_from_json_refuses(text, said):
    """The error names what is wrong."""
    with pytest.raises(UsageError, match=said):
        schedule_from_json(text)


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        pytest.param(ConstantSparsity, (1.0, 0), "target_sparsity", id="everything"),
        pytest.param(ConstantSparsity, (-0.1, 0), "target_sparsity", id="negative"),
        pytest.param(ConstantSparsity, (float("nan"), 0), "target_sparsity", id="nan"),
        pytest.param(ConstantSparsity, (True, 0), "target_sparsity", id="a-truth-value"),
        pytest.param(ConstantSparsity, (0.5, -1), "begin_step", id="begin-before-0"),
        pytest.param(ConstantSparsity, (0.5, 1.5), "begin_step", id="half-a-step"),
        pytest.param(ConstantSparsity, (0.5, 5, 4), "end_step", id="end-before-begin"),
        pytest.param(ConstantSparsity, (0.5, 5, -2), "end_step", id="negative-end"),
        pytest.param(ConstantSparsity, (0.5, 0, -1, 0), "frequency", id="never"),
        pytest.param(PolynomialDecay, (0.9, 0.5, 0, 10), "initial_sparsity is 0.9", id="shrinking"),
        pytest.param(PolynomialDecay, (0.0, 1.0, 0, 10), "final_sparsity", id="all-in-the-end"),
        pytest.param(PolynomialDecay, (0.0, 0.5, 10, 10), "end_step", id="no-time"),
        pytest.param(PolynomialDecay, (0.0, 0.5, 0, 10, 0), "power", id="power-0"),
        pytest.param(PolynomialDecay, (0.0, 0.5, 0, 10, float("inf")), "power", id="power-infinite"),
        pytest.param(PolynomialDecay, (0.0, 0.5, 0, 10, 3, 2.0), "frequency", id="frequency-a-float"),
    ],
)
def test_schedule_refuses_arguments(kind, arguments, said):
    """What is out of bounds is named, with its bounds."""
    with pytest.raises(UsageError, match=said) as refused:
        kind(*arguments)
    assert refused.value.next


def test_schedule_takes_whole_numbers_of_numpy():
    """Scripts compute steps by np.ceil; the schedule holds Python's, which JSON takes."""
    schedule = PolynomialDecay(0.0, 0.5, np.int32(0), np.ceil(7.5).astype(np.int64), frequency=np.int16(2))

    assert schedule == PolynomialDecay(0.0, 0.5, 0, 8, frequency=2)
    assert schedule_from_json(schedule.to_json()) == schedule
