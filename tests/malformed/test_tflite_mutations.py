"""Damaged .tflite files: each is read or refused by an error of bitwright's, in little time and memory.

`python -m bench.mutations` does the same with as many as one likes.
"""

from __future__ import annotations

import random
import runpy
from pathlib import Path

import pytest

_BENCH = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "mutations.py"))
SMALL: dict[str, bytes] = _BENCH["small_files"]()
SHARED = sorted((Path(__file__).parents[2] / ".." / "shared" / "models").glob("*.tflite"))

SECONDS = 2.0
SEEDS = 6
FILES_PER_SEED = 120


def assert_each_is_read_or_refused(data: bytes, rng: random.Random, count: int) -> set[str]:
    """The outcomes of so many mutants of one file; any other exception is a failure, and so is a slow one."""
    outcomes = set()
    for mutant in _BENCH["mutants"]([data], count, rng):
        try:
            outcome, seconds = _BENCH["outcome_of"](mutant)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} for {mutant!r}") from error
        assert seconds < SECONDS, mutant
        outcomes.add(outcome)
    return outcomes


@pytest.mark.parametrize("name", SMALL)
def test_small_file_is_read(name: str) -> None:
    """What is damaged below is whole before."""
    assert _BENCH["outcome_of"](SMALL[name])[0] == "read"


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", SMALL)
def test_mutated_small_file_is_read_or_refused(name: str, seed: int) -> None:
    """No other kind of exception leaves the reader, whatever the bytes; constants that were read can be used."""
    outcomes = assert_each_is_read_or_refused(SMALL[name], random.Random(f"{name}-{seed}"), FILES_PER_SEED)

    assert {"read", "refused: DamagedError", "refused: ModelError"} <= outcomes


@pytest.mark.skipif(not SHARED, reason="../shared is absent")
@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_mutated_model_is_read_or_refused(path: Path) -> None:
    """The same of real models, where most bytes are weights."""
    assert_each_is_read_or_refused(path.read_bytes(), random.Random(path.stem), 40)


@pytest.mark.parametrize("name", SMALL)
def test_file_cut_anywhere_is_refused(name: str) -> None:
    """A file lacks something wherever its end is cut off."""
    data = SMALL[name]
    for size in range(0, len(data), 16):
        outcome, _ = _BENCH["outcome_of"](data[:size])
        assert outcome != "read", size
