"""Random Programs, whole and damaged, through the engine and the numpy references: how many differ, how many crash.

    python -m bench.programs --count 10000

Every second Program is damaged. Whole ones run on every instruction set of the machine, with 1..3 threads, in a
rounding that is drawn too; damaged ones must be refused, or run as the references do. They run in a process of their
own, so that a crash is told with its seed and the others go on.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.paths import write_json
from bench.program_cases import GOOD, Case, damaged_case, valid_case
from bitwright import _engine

ISAS = ("scalar", "avx2", "avx512vnni", "amx")
#: Seconds after which a Program hangs, and memory that it may take.
PATIENCE_S, MOST_BYTES = 30, 6 << 30


def main() -> None:
    """Run them all, print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    parser.add_argument("--isa", choices=ISAS, help="only this instruction set")
    parser.add_argument("--work", action="store_true", help="run them here, a line of JSON each")
    arguments = parser.parse_args()
    usable = ISAS[: ISAS.index(_engine.detected_isa()) + 1]
    isas = usable if arguments.isa is None else (arguments.isa,)
    if arguments.work:
        _work(arguments.seed, arguments.count, isas)
        return
    started = time.perf_counter()
    outcomes: dict[str, Counter[str]] = {"whole": Counter(), "damaged": Counter()}
    kinds: Counter[str] = Counter()
    left: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    for seed, case in _cases(arguments.seed, arguments.count, isas):
        outcomes["damaged" if seed % 2 else "whole"][case["outcome"]] += 1
        if not seed % 2:
            kinds.update(case["kinds"])
            left.update(case["left"])
        errors.update([case["error"]] if case["error"] else [])
        if case["outcome"] not in GOOD:
            findings.append({"seed": seed, **case})
            print(f"seed {seed}: {case['outcome']}: {case['detail']}", flush=True)
    seconds = time.perf_counter() - started
    for sort, counts in outcomes.items():
        print(f"{counts.total():6} {sort}: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    print(f"{kinds.total():6} operators of {len(kinds)} kinds, {left.total()} left to the references; {seconds:.0f} s")
    write_json(
        "programs",
        {
            "count": arguments.count,
            "seed": arguments.seed,
            "isas": isas,
            "seconds": round(seconds, 1),
            "outcomes": outcomes,
            "errors": errors,
            "operators": kinds,
            "operators_left": left,
            "findings": findings,
        },
    )
    sys.exit(bool(findings))


def _work(first: int, count: int, isas: Sequence[str]) -> None:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    np.seterr(all="ignore")
    for seed in range(first, first + count):
        try:
            case = damaged_case(seed) if seed % 2 else valid_case(seed, isas)
            line = asdict(case)
        except Exception as error:
            where = traceback.format_tb(error.__traceback__)[-1].strip().replace("\n", " ")
            line = asdict(Case(type(error).__name__, detail=f"{error} ({where})"))
        print(json.dumps(line), flush=True)


def _cases(first: int, count: int, isas: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(seed, what came of it), from processes that are started again where one dies or hangs."""
    seed, end = first, first + count
    while seed < end:
        command = [sys.executable, "-m", "bench.programs", "--work", "--seed", str(seed), "--count", str(end - seed)]
        if len(isas) == 1:
            command += ["--isa", isas[0]]
        with (
            tempfile.TemporaryFile("w+") as told,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told) as worker,
        ):
            assert worker.stdout is not None
            for line in _lines(worker.stdout.fileno()):
                yield seed, json.loads(line)
                seed += 1
            hangs = worker.poll() is None and seed < end
            worker.kill()
            told.seek(0)
            last = [line.strip() for line in told.read().splitlines() if line.strip()][:12]
        if seed < end:
            outcome = "hangs" if hangs else "crashes"
            yield seed, asdict(Case(outcome, detail="; ".join(last)))
            seed += 1


def _lines(descriptor: int) -> Iterator[str]:
    """Lines as they come, until there are no more or none for too long."""
    held = b""
    while select.select([descriptor], [], [], PATIENCE_S)[0]:
        read = os.read(descriptor, 1 << 16)
        if not read:
            return
        *whole, held = (held + read).split(b"\n")
        yield from (line.decode() for line in whole)


if __name__ == "__main__":
    main()
