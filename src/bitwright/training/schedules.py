"""Schedules: which sparsity pruning has reached at which training step, and at which steps masks are renewed."""

from __future__ import annotations

import json
import math
import operator
from dataclasses import asdict, dataclass
from typing import Any

from bitwright.errors import UsageError


@dataclass(frozen=True)
class ConstantSparsity:
    """The same sparsity from the first step of pruning to the last.

    Args:
        target_sparsity: share of weights that are zero, 0 <= sparsity < 1.
        begin_step: first step at which masks are renewed; the first step of training is 0.
        end_step: last one; -1: as long as training goes on.
        frequency: steps from one renewal to the next.

    Raises:
        UsageError: an argument is out of its bounds.
    """

    target_sparsity: float
    begin_step: int
    end_step: int = -1
    frequency: int = 100

    def __post_init__(self) -> None:
        _take_whole(self, "begin_step", "end_step", "frequency")
        _check_share("target_sparsity", self.target_sparsity)
        _check_whole("begin_step", self.begin_step, least=0)
        _check_whole("frequency", self.frequency, least=1)
        if self.end_step != -1:
            _check_whole("end_step", self.end_step, least=self.begin_step)

    @property
    def final_sparsity(self) -> float:
        """The sparsity that pruning ends with."""
        return self.target_sparsity

    @property
    def full_step(self) -> int:
        """The step whose masks are the first of the final sparsity."""
        return self.begin_step

    def sparsity_at(self, step: int) -> float:
        """The sparsity of masks that are renewed at a step."""
        return self.target_sparsity

    def is_due(self, step: int) -> bool:
        """Whether masks are renewed at a step: each `frequency` steps from begin_step on, and at end_step."""
        return _is_due(step, self.begin_step, self.end_step, self.frequency)

    def to_json(self) -> str:
        """JSON: its name and its arguments."""
        return _to_json(self)


@dataclass(frozen=True)
class PolynomialDecay:
    """A sparsity that grows, fast at first.

        s(t) = s_f + (s_i - s_f) * (1 - clip((t - begin) / (end - begin), 0, 1))^power

    Args:
        initial_sparsity: s_i, share of weights that are zero at begin_step, 0 <= s_i <= s_f.
        final_sparsity: s_f, the share from end_step on, below 1.
        begin_step: first step at which masks are renewed; the first step of training is 0.
        end_step: last one.
        power: positive; 1 grows evenly.
        frequency: steps from one renewal to the next.

    Raises:
        UsageError: an argument is out of its bounds.

    Source: Zhu and Gupta 2017, equation 1, where the power is 3.

    >>> schedule = PolynomialDecay(0.0, 0.8, begin_step=0, end_step=1000)
    >>> [round(schedule.sparsity_at(step), 3) for step in (0, 500, 1000, 2000)]
    [0.0, 0.7, 0.8, 0.8]
    """

    initial_sparsity: float
    final_sparsity: float
    begin_step: int
    end_step: int
    power: float = 3
    frequency: int = 100

    def __post_init__(self) -> None:
        _take_whole(self, "begin_step", "end_step", "frequency")
        _check_share("initial_sparsity", self.initial_sparsity)
        _check_share("final_sparsity", self.final_sparsity)
        if self.initial_sparsity > self.final_sparsity:
            raise UsageError(
                f"initial_sparsity is {self.initial_sparsity} and final_sparsity {self.final_sparsity}",
                next="sparsity grows: the final one is the larger",
            )
        _check_whole("begin_step", self.begin_step, least=0)
        _check_whole("end_step", self.end_step, least=self.begin_step + 1)
        _check_whole("frequency", self.frequency, least=1)
        power = self.power
        if isinstance(power, bool) or not isinstance(power, int | float) or not 0 < power < math.inf:
            raise UsageError(f"power cannot be {power!r}", next="a positive number; 3 is common")

    @property
    def full_step(self) -> int:
        """The step whose masks are the first of the final sparsity."""
        return self.end_step

    def sparsity_at(self, step: int) -> float:
        """The sparsity of masks that are renewed at a step."""
        done = min(max((step - self.begin_step) / (self.end_step - self.begin_step), 0.0), 1.0)
        left = float((1.0 - done) ** self.power)
        return self.final_sparsity + (self.initial_sparsity - self.final_sparsity) * left

    def is_due(self, step: int) -> bool:
        """Whether masks are renewed at a step: each `frequency` steps from begin_step on, and at end_step."""
        return _is_due(step, self.begin_step, self.end_step, self.frequency)

    def to_json(self) -> str:
        """JSON: its name and its arguments."""
        return _to_json(self)


Schedule = ConstantSparsity | PolynomialDecay
_SCHEDULES: dict[str, type[Schedule]] = {kind.__name__: kind for kind in (ConstantSparsity, PolynomialDecay)}


def schedule_from_json(text: str) -> Schedule:
    """A schedule from its JSON form.

    Raises:
        UsageError: not JSON, an unknown schedule or argument, a value out of its bounds.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"the schedule is not JSON: {error}") from error
    arguments: dict[str, Any] = dict(data) if isinstance(data, dict) else {}
    kind = arguments.pop("schedule", None)
    if not isinstance(kind, str) or kind not in _SCHEDULES:
        raise UsageError(f"there is no schedule {kind!r}", next=f"one of {', '.join(_SCHEDULES)}")
    try:
        return _SCHEDULES[kind](**arguments)
    except TypeError as error:
        raise UsageError(f"{kind} was not given what it takes: {error}") from error


def _to_json(schedule: Schedule) -> str:
    return json.dumps({"schedule": type(schedule).__name__, **asdict(schedule)})


def _is_due(step: int, begin: int, end: int, frequency: int) -> bool:
    """At end_step too, which need not be a multiple: the final sparsity must be reached."""
    if step < begin or (end != -1 and step > end):
        return False
    return (step - begin) % frequency == 0 or step == end


def _take_whole(schedule: Schedule, *names: str) -> None:
    """Whole numbers of numpy, in which scripts compute steps, become Python's."""
    for name in names:
        given = getattr(schedule, name)
        if hasattr(given, "__index__") and not isinstance(given, bool):
            object.__setattr__(schedule, name, operator.index(given))


def _check_share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UsageError(f"{name} cannot be {value!r}", next="the share of weights that are zero: at least 0, below 1")


def _check_whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} cannot be {value!r}", next=f"a whole number from {least} on")
