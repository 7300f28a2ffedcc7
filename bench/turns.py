"""Sides in turns: what `python -m bench.turns SPEC.json RESULT.json` measures in a process of its own.

Every side is open at once. A turn visits each, in an order of its own: one call to warm its caches and wake its
threads, then a block of calls, timed together, that fills BLOCK_SECONDS when one call is shorter.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import agreement
from bench.no_amx import refuse_amx
from bench.runtimes import RUNTIMES, Array, Face

WARM_UP = 3
BLOCK_SECONDS = 2e-3
SETTLE_SECONDS = 0.03  # with threads: those of the side before stop spinning


@dataclass(frozen=True)
class Side:
    """A file in a runtime, with the input that it gets in every call."""

    face: Face
    feed: Array
    path: Path

    def seconds(self, calls: int) -> float:
        """Of one call, the mean of so many."""
        run, feed = self.face.run, self.feed
        started = time.perf_counter()
        for _ in range(calls):
            run(feed)
        return (time.perf_counter() - started) / calls


def open_sides(spec: dict[str, Any], sample: NDArray[np.float32]) -> tuple[dict[str, Side], dict[str, str]]:
    """The sides that can be opened, and why the others cannot."""
    sides: dict[str, Side] = {}
    missing: dict[str, str] = {}
    for name, runtime, file in spec["sides"]:
        try:
            face = RUNTIMES[runtime].open(Path(file), sample.shape, spec["threads"])
            sides[name] = Side(face, face.feed(sample), Path(file))
        except Exception as error:  # whatever a runtime raises: the others are measured all the same
            missing[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return sides, missing


def times_of(sides: dict[str, Side], *, runs: int, threads: int) -> dict[str, list[float]]:
    """Microseconds a call, one number a turn."""
    calls: dict[str, int] = {}
    for name, side in sides.items():
        side.seconds(WARM_UP)
        calls[name] = math.ceil(BLOCK_SECONDS / side.seconds(WARM_UP))
    times: dict[str, list[float]] = {name: [] for name in sides}
    rng = np.random.default_rng(0)
    for _ in range(runs):
        for name in rng.permutation(list(sides)).tolist():
            if threads > 1:
                time.sleep(SETTLE_SECONDS)
            sides[name].seconds(1)
            times[name].append(1e6 * sides[name].seconds(calls[name]))
    return times


def main() -> None:
    """Open, check, measure, write."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    if spec["cap"]:
        refuse_amx()
    samples = np.load(spec["samples"])
    sides, missing = open_sides(spec, samples[:1])
    checked = agreement.check({name: (side.face, side.path) for name, side in sides.items()}, samples, spec["ours"])
    times = times_of(sides, runs=spec["runs"], threads=spec["threads"])
    Path(sys.argv[2]).write_text(json.dumps({"times_us": times, "missing": missing, "agreement": checked}))


if __name__ == "__main__":
    main()
