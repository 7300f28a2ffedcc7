"""Latency of our engine over that of every other runtime, each on the int8 file of its own tool.

    python -m bench.latency [NETWORK...] [--threads 1] [--runs 60] [--cap avx512vnni|avx2]

Batch 1, from Python, input given and output taken in every call. All sides of a network are open in one process and run
in turns (bench/turns.py); medians count. A side that cannot run here is left out and named.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from bench.environment import CAPS, UNCAPPED, cores_for, measured_in_process
from bench.floor import cost_of
from bench.paths import print_table, write_json
from bench.peer_files import files_of
from bench.zoo import MODELS, NAMES, Network, network, samples_path
from bitwright.demo.machine import describe_machine
from bitwright.reading import read_program

OURS = "bitwright"

#: Side, how it is opened (bench/turns.py), its file (bench/peer_files.py). The first is what outputs are compared with.
SIDES = (
    ("ONNX Runtime float", "onnxruntime", "float.onnx"),
    ("ONNX Runtime int8", "onnxruntime", "ort.onnx"),
    ("LiteRT float", "litert", "float.tflite"),
    ("LiteRT int8", "litert", "litert.tflite"),
    ("OpenVINO float", "openvino", "float.onnx"),
    ("OpenVINO bf16", "openvino_bf16", "float.onnx"),
    ("OpenVINO int8", "openvino", "nncf.xml"),
    ("OpenVINO int8*", "openvino", "ort.onnx"),
    (OURS, "bitwright", "bitwright.tflite"),
)
BORROWED = "OpenVINO int8*"  # runs the file of ONNX Runtime's tool: not its own, and often faster than its own
PACKAGES = ("onnxruntime", "ai-edge-litert", "ai-edge-quantizer", "openvino", "nncf")


def measure(net: Network, arguments: argparse.Namespace) -> dict[str, Any]:
    """One network: microseconds by side, who is missing and why, agreement, ratios, operations and bytes."""
    files = files_of(net, rebuild=arguments.rebuild)
    failed = {name: f"no file: {files[key]}" for name, _, key in SIDES if isinstance(files[key], str)}
    if arguments.cap:
        failed["OpenVINO bf16"] = f"no bfloat16 under the cap {arguments.cap}"
    sides = [[name, runtime, str(files[key])] for name, runtime, key in SIDES if name not in failed]
    spec = {"sides": sides, "samples": str(samples_path(net)), "ours": OURS}
    spec |= {"threads": arguments.threads, "runs": arguments.runs, "cap": arguments.cap}
    found = measured_in_process("bench.turns", spec, threads=arguments.threads, cap=arguments.cap)
    times = found["times_us"]
    sizes = {name: Path(path).stat().st_size for name, _, path in sides}
    result = {"network": net.name, "missing": failed | found["missing"], "agreement": found["agreement"]}
    result["latency_us"] = {name: summary(values) for name, values in times.items()}
    result |= {"bytes": sizes, "cost": vars(cost_of(read_program(files["bitwright.tflite"])))}
    held = {name for name in times if not name.startswith(UNCAPPED[arguments.cap])} - {OURS}
    result["ratios"] = {"own files": ratio_of(times, held - {BORROWED}), "all": ratio_of(times, held)}
    return result


def summary(values: list[float]) -> dict[str, float]:
    """Median, quartiles and least."""
    low, middle, high = np.percentile(values, [25, 50, 75]).tolist()
    return {"median": middle, "quartile_1": low, "quartile_3": high, "least": min(values)}


def ratio_of(times: dict[str, list[float]], peers: set[str]) -> dict[str, Any]:
    """Which peer is fastest, and ours over it: of the medians, of the leasts, and the quartiles of turn by turn."""
    best = min(sorted(peers), key=lambda name: statistics.median(times[name]))
    found: dict[str, Any] = {"peer": best}
    if OURS in times:
        found["ratio"] = statistics.median(times[OURS]) / statistics.median(times[best])
        found["ratio_of_leasts"] = min(times[OURS]) / min(times[best])
        found["quartiles"] = np.percentile(np.array(times[OURS]) / np.array(times[best]), [25, 75]).tolist()
    return found


def medians_of(result: dict[str, Any]) -> list[str]:
    """A line of the first table."""
    medians = {name: values["median"] for name, values in result["latency_us"].items()}
    unit, scale = ("ms", 1e-3) if min(medians.values()) >= 1000 else ("us", 1.0)
    cells = [f"{medians[name] * scale:.2f}" if name in medians else "-" for name, *_ in SIDES]
    return [result["network"], unit, *cells]


def ratios_of(result: dict[str, Any]) -> list[str]:
    """A line of the second table."""
    cells = []
    for found in result["ratios"].values():
        if "ratio" not in found:
            cells += [found["peer"], "-", "-", "-"]
            continue
        quartiles = "{:.3f}..{:.3f}".format(*found["quartiles"])
        cells += [found["peer"], f"{found['ratio']:.3f}", quartiles, f"{found['ratio_of_leasts']:.3f}"]
    return [result["network"], *cells]


def about(*, threads: int, runs: int, cap: str | None) -> str:
    """Machine, versions, how it is measured."""
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    capped = f"; capped at {cap}" if cap else ""
    capped += f", which does not hold {' and '.join(UNCAPPED[cap])}" if UNCAPPED[cap] else ""
    where = f"{threads} thread(s) on cores {cores_for(threads)}"
    return f"{describe_machine()}; {', '.join(versions)}; {where}, median of {runs} turns{capped}"


def main() -> None:
    """Measure, print, write bench/out/latency.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NAMES), metavar="NETWORK")
    parser.add_argument("--runs", type=int, default=60, help="turns; a turn holds many calls of a tiny network")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cap", choices=CAPS, help="the instructions that may be used, by who can be told")
    parser.add_argument("--models", type=Path, default=MODELS, help="the folder of the trained networks")
    parser.add_argument("--rebuild", action="store_true", help="make the files again, also where they are there")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.networks) - set(NAMES)):
        parser.error(f"unknown network {', '.join(unknown)}: choose from {', '.join(NAMES)}")
    if arguments.threads > len(os.sched_getaffinity(0)):
        parser.error(f"{arguments.threads} threads need as many cores")
    heading = about(threads=arguments.threads, runs=arguments.runs, cap=arguments.cap)
    print(heading, flush=True)
    results = []
    for name in arguments.networks:
        try:
            results.append(measure(network(name, arguments.models), arguments))
        except FileNotFoundError as error:
            print(error, flush=True)
            continue
        print(" ".join(medians_of(results[-1])), flush=True)
    print_table(["network", "unit", *(name for name, *_ in SIDES)], [medians_of(result) for result in results])
    print(f"{BORROWED}: on the file of ONNX Runtime's tool\n")
    heads = ("best of {}", "ours / it", "quartiles of turns", "of leasts")
    columns = [head.format(peers) for peers in ("own files", "all") for head in heads]
    print_table(["network", *columns], [ratios_of(result) for result in results])
    wrong = tell_troubles(results)
    case = f"_{arguments.cap}" if arguments.cap else ""
    print(write_json(f"latency_{arguments.threads}{case}", {"about": heading, "networks": results}))
    sys.exit(wrong)


def tell_troubles(results: list[dict[str, Any]]) -> int:
    """Say who is missing and whose outputs do not agree; the number of the latter."""
    missing: dict[tuple[str, str], list[str]] = {}
    wrong = 0
    for result in results:
        for name, reason in result["missing"].items():
            missing.setdefault((name, reason), []).append(result["network"])
        for name, found in result["agreement"].items():
            if not found["agrees"]:
                wrong += 1
                print(f"{name} does not agree on {result['network']}: {found}")
    for (name, reason), networks in missing.items():
        print(f"{name} left out ({', '.join(networks)}): {reason}")
    return wrong


if __name__ == "__main__":
    main()
