"""Peak memory of calibration with few and with many samples: `python -m bench.memory`. It must not grow."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from bench.measured import run_measured
from bench.paths import bitwright, build, machine, print_table, write_json


def main() -> None:
    """Measure, print, write bench/out/memory.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="mobilenetv2")
    parser.add_argument("--methods", nargs="+", default=["percentile", "entropy"])
    parser.add_argument("--samples", nargs="+", type=int, default=[128, 1024])
    arguments = parser.parse_args()
    about = f"{machine()}; {len(os.sched_getaffinity(0))} cores"
    print(about, flush=True)
    model = build(arguments.network)
    samples = build("samples", str(max(arguments.samples)))
    rows, data = [], []
    for method in arguments.methods:
        peaks = {}
        for count in arguments.samples:
            with tempfile.TemporaryDirectory() as folder:
                command = bitwright(
                    *("calibrate", str(model), "-o", str(Path(folder, "statistics.npz")), "--method", method),
                    *("--calibration", str(samples), "--samples", str(count)),
                )
                measured = run_measured(command)
            peaks[count] = measured.peak_mib
            data.append({"network": arguments.network, "method": method, "samples": count, **vars(measured)})
        first, last = peaks[arguments.samples[0]], peaks[arguments.samples[-1]]
        rows.append([arguments.network, method, *(f"{peak:.0f}" for peak in peaks.values()), f"{last / first:.3f}"])
    print_table(["network", "method", *(f"{n} samples, MiB" for n in arguments.samples), "last / first"], rows)
    print(write_json("memory", {"machine": about, "rows": data}))


if __name__ == "__main__":
    main()
