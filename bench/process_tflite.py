"""Whole-process wall time and peak memory of `bitwright quantize X -o Y.tflite` over tf.lite.TFLiteConverter.

    python -m bench.process_tflite --networks resnet50 --tensorflow-python ~/tf/bin/python

Same network, same samples, int8, in turns, each run a fresh process on the same cores. Its method is min-max;
our default for .tflite, mse, is measured beside it. TensorFlow may live in an environment of its own; the SavedModel it
starts from is built before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measured import CommandFailedError, Measured, run_measured
from bench.paths import OUT, build, machine, our_command, print_table, write_json
from bench.process import COLUMNS, row_of

SCRIPT = Path(__file__).with_name("tflite_convert.py")


def main() -> None:
    """Measure, print, write bench/out/process_tflite.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["resnet50"])
    parser.add_argument("--methods", nargs="+", default=["minmax", "mse"])
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--tensorflow-python", default=sys.executable, help="an interpreter that has tensorflow")
    arguments = parser.parse_args()
    cores = set(sorted(os.sched_getaffinity(0))[: arguments.cores])
    about = f"{machine()}; {len(cores)} cores, {arguments.samples} samples, {arguments.runs} runs in turns"
    print(about, flush=True)
    samples = build("samples", str(arguments.samples))
    rows, data = [], []
    for name in arguments.networks:
        model, folder = build(name), OUT / f"{name}_saved_model"
        if not folder.exists():
            subprocess.run([arguments.tensorflow_python, str(SCRIPT), "prepare", str(model), str(folder)], check=True)
        found = measure(model, folder, samples, arguments, cores)
        for method in arguments.methods:
            rows.append(row_of(name, method, {"ours": found[method], "theirs": found["theirs"]}))
        data.append({"network": name, **{side: [vars(m) for m in runs] for side, runs in found.items()}})
    print_table(COLUMNS, rows)
    print(write_json("process_tflite", {"machine": about, "rows": data}))


def measure(
    model: Path, saved_model: Path, samples: Path, arguments: argparse.Namespace, cores: set[int]
) -> dict[str, list[Measured]]:
    """Runs of ours by method and of theirs, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        output, count = Path(folder, "out.tflite"), arguments.samples
        commands = {method: our_command(model, output, samples, count, method) for method in arguments.methods}
        commands["theirs"] = [
            *(arguments.tensorflow_python, str(SCRIPT), "convert", str(saved_model), str(output), str(samples)),
            *("--samples", str(count)),
        ]
        found: dict[str, list[Measured]] = {side: [] for side in commands}
        for _ in range(arguments.runs):
            for side, command in commands.items():
                try:
                    found[side].append(run_measured(command, cores=cores))
                except CommandFailedError as error:
                    print(f"{side} failed: {error}", flush=True)
    return found


if __name__ == "__main__":
    main()
