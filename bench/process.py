"""Whole-process wall time and peak memory of `bitwright quantize` over ONNX Runtime's own tool.

    python -m bench.process --networks mobilenetv2 resnet50

Same model, same samples, in turns, each run a fresh process on the same cores. ONNX Runtime's percentile and entropy
are slow and take gigabytes: they run once unless --their-runs says otherwise.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.measured import CommandFailedError, Measured, run_measured
from bench.paths import METHODS, build, machine, our_command, print_table, their_command, write_json


def main() -> None:
    """Measure, print, write bench/out/process.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["mobilenetv2"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--their-runs", type=int, help="runs of ONNX Runtime's percentile and entropy, 1 by default")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    cores = set(sorted(os.sched_getaffinity(0))[: arguments.cores])
    about = f"{machine()}; {len(cores)} cores, {arguments.samples} samples, {arguments.runs} runs in turns"
    print(about, flush=True)
    samples = build("samples", str(arguments.samples))
    rows, data = [], []
    for name in arguments.networks:
        model = build(name)
        for method in arguments.methods:
            their_runs = arguments.runs if method == "minmax" else (arguments.their_runs or 1)
            found = measure(model, samples, arguments.samples, method, (arguments.runs, their_runs), cores)
            rows.append(row_of(name, method, found))
            data.append({"network": name, "method": method, **{s: [vars(m) for m in v] for s, v in found.items()}})
            print_table(COLUMNS, rows[-1:])
    print()
    print_table(COLUMNS, rows)
    print(write_json("process", {"machine": about, "rows": data}))


COLUMNS = ["network", "method", "ours s", "theirs s", "time ratio", "ours MiB", "theirs MiB", "memory ratio"]


def measure(
    model: Path, samples: Path, count: int, method: str, runs: tuple[int, int], cores: set[int]
) -> dict[str, list[Measured]]:
    """Runs of both, in turns."""
    found: dict[str, list[Measured]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.onnx")
        for turn in range(max(runs)):
            for (side, command), limit in zip(
                {"ours": our_command, "theirs": their_command}.items(), runs, strict=True
            ):
                if turn < limit:
                    try:
                        found[side].append(run_measured(command(model, output, samples, count, method), cores=cores))
                    except CommandFailedError as error:
                        print(f"{side} failed: {error}", flush=True)
    return found


def row_of(name: str, method: str, found: dict[str, list[Measured]]) -> list[str]:
    """Medians of time, largest peaks, and their ratios."""
    if not all(found.values()):
        return [name, method, *["failed"] * 6]
    seconds: dict[str, Any] = {side: statistics.median(m.seconds for m in runs) for side, runs in found.items()}
    peak = {side: max(m.peak_mib for m in runs) for side, runs in found.items()}
    return [
        *(name, method, f"{seconds['ours']:.2f}", f"{seconds['theirs']:.2f}"),
        *(f"{seconds['ours'] / seconds['theirs']:.3f}", f"{peak['ours']:.0f}", f"{peak['theirs']:.0f}"),
        f"{peak['ours'] / peak['theirs']:.3f}",
    ]


if __name__ == "__main__":
    main()
