"""Whole Programs that are drawn from seeds, and damaged ones: the engine against the numpy references.

bench/programs.py runs as many as one likes, each in a process that may crash.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from engine_checks import USABLE_ISAS

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.program_cases import GOOD, damaged_case, valid_case  # the measurements' own generator

BATCHES = [pytest.param(range(first, first + 30), id=f"seeds-{first}-to-{first + 29}") for first in range(0, 150, 30)]


@pytest.mark.parametrize("seeds", BATCHES)
def test_random_program_gives_the_integers_and_reals_of_the_references(seeds):
    """Every output bit for bit, on every instruction set, with 1..3 threads; or both refuse the arrays."""
    with np.errstate(all="ignore"):
        cases = [(seed, valid_case(seed, USABLE_ISAS)) for seed in seeds]

    assert [(seed, case.outcome, case.detail) for seed, case in cases if case.outcome not in GOOD] == []
    assert sum(case.outcome == "equal" for _, case in cases) > 15


@pytest.mark.parametrize("seeds", BATCHES)
def test_damaged_program_is_refused_or_runs_as_the_references_do(seeds):
    """With an error of ours; no other exception leaves the compiler."""
    with np.errstate(all="ignore"):
        cases = [(seed, damaged_case(seed)) for seed in seeds]

    assert [(seed, case.outcome, case.detail) for seed, case in cases if case.outcome not in GOOD] == []
    assert sum(case.outcome == "refused" for _, case in cases) > 10
