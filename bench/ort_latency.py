"""Latency on ONNX Runtime of our int8 file over that of ONNX Runtime's own tool: `python -m bench.ort_latency`.

Both files (and float) are open in one process and run in turns, one image, so that a slow moment meets all of them.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import onnxruntime

from bench.networks import NETWORKS, network_path, random_images, samples_path
from bench.paths import OUT, our_command, print_table, their_command, write_json
from bitwright.demo.machine import describe_machine

WARM_UP = 5
CALIBRATION = 16  # latency does not depend on the ranges


def files_of(name: str, *, rebuild: bool) -> dict[str, Path]:
    """float, ours and theirs, quantized when they are not there."""
    model, samples = network_path(name), samples_path(128)
    files = {"float": model, "ours": OUT / f"{name}.bitwright.onnx", "theirs": OUT / f"{name}.ort.onnx"}
    for side, command in {"ours": our_command, "theirs": their_command}.items():
        if rebuild or not files[side].exists():
            subprocess.run(command(model, files[side], samples, CALIBRATION, "minmax"), check=True, capture_output=True)
    return files


def times_of(files: dict[str, Path], *, runs: int, threads: int) -> dict[str, list[float]]:
    """Milliseconds of each run, in turns; who goes first changes from turn to turn."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    sessions = {
        side: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for side, path in files.items()
    }
    feeds = {"image": random_images(1, seed=5)}
    times: dict[str, list[float]] = {side: [] for side in sessions}
    orders = list(itertools.permutations(sessions))  # each follows each other one as often
    for turn in range(WARM_UP + runs):
        for side in orders[turn % len(orders)]:
            started = time.perf_counter()
            sessions[side].run(None, feeds)
            if turn >= WARM_UP:
                times[side].append(1e3 * (time.perf_counter() - started))
    return times


def main() -> None:
    """Measure, print, write bench/out/ort_latency.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=["mobilenetv2", "resnet50"], metavar="NETWORK")
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rebuild", action="store_true", help="quantize again, also where the files are there")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"unknown network {', '.join(unknown)}: choose from {', '.join(NETWORKS)}")
    print(f"{describe_machine()}; {arguments.threads} thread(s), median of {arguments.runs} runs in turns")
    rows, data = [], []
    for name in arguments.networks:
        files = files_of(name, rebuild=arguments.rebuild)
        times = times_of(files, runs=arguments.runs, threads=arguments.threads)
        median = {side: statistics.median(values) for side, values in times.items()}
        paired = np.array(times["ours"]) / np.array(times["theirs"])
        quartiles = np.percentile(paired, [25, 75])
        ratio = median["ours"] / median["theirs"]
        rows.append(
            [
                name,
                *(f"{median[side]:.2f}" for side in files),
                f"{ratio:.3f}",
                f"{quartiles[0]:.3f}..{quartiles[1]:.3f}",
            ]
        )
        data.append(
            {
                "network": name,
                "latency_ms": median,
                "ours_over_theirs": ratio,
                "turn_by_turn_quartiles": quartiles.tolist(),
                "bytes": {side: path.stat().st_size for side, path in files.items()},
            }
        )
    print_table(["network", "float ms", "ours ms", "theirs ms", "ours / theirs", "quartiles of turns"], rows)
    result = {"machine": describe_machine(), "threads": arguments.threads, "runs": arguments.runs, "rows": data}
    print(write_json("ort_latency", result))


if __name__ == "__main__":
    main()
