"""Time to load and compile a network's int8 file, by runtime: `python -m bench.load [NETWORK...] [--runs 30]`.

From the path to a session that can run, in turns in one process, runtimes imported before; the first output is timed
after it, so that what is put off until then shows. `cold` is the first session of the process.

Memory: `heap` is what a session and its first run hold (glibc's mallinfo2, in use after less before). `arena` is the
memory of activations: ours as the session tells it; LiteRT's from the addresses of its tensors after allocate_tensors,
without XNNPACK, which keeps activations in a workspace that cannot be asked for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.environment import measured_in_process
from bench.latency import OURS, SIDES, about, summary
from bench.paths import print_table, write_json
from bench.peer_files import files_of
from bench.zoo import MODELS, NAMES, network, samples_path


def main() -> None:
    """Measure, print, write bench/out/load.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["mobilenetv2"], metavar="NETWORK")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--models", type=Path, default=MODELS, help="the folder of the trained networks")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.networks) - set(NAMES)):
        parser.error(f"unknown network {', '.join(unknown)}: choose from {', '.join(NAMES)}")
    print(heading := about(threads=1, runs=arguments.runs, cap=None), flush=True)
    rows, data = [], []
    for name in arguments.networks:
        net = network(name, arguments.models)
        files = files_of(net, rebuild=False)
        sides = [[side, runtime, str(files[key])] for side, runtime, key in SIDES if "int8" in side or side == OURS]
        spec = {"sides": sides, "samples": str(samples_path(net)), "runs": arguments.runs}
        found = measured_in_process("bench.loading", spec, threads=1)
        for side, times in found["sides"].items():
            load, first = (summary(times[key]) for key in ("load_ms", "first_ms"))
            cells = [f"{times['cold_ms']:.2f}", f"{load['median']:.2f}", f"{first['median']:.2f}"]
            arena = f"{times['arena_bytes']:,}" if times["arena_bytes"] else "-"
            rows.append([name, side, *cells, f"{times['heap_bytes']:,}", arena])
        for side, reason in found["missing"].items():
            print(f"{side} left out ({name}): {reason}")
        data.append({"network": name, **found})
    columns = ["network", "side", "cold load, ms", "load, ms", "first output, ms", "heap, bytes", "arena, bytes"]
    print_table(columns, rows)
    print(write_json("load", {"about": heading, "networks": data}))


if __name__ == "__main__":
    main()
