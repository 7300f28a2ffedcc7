"""What no engine goes below: multiply-accumulates and bytes of a network, and the time they take at given ceilings.

    python -m bench.floor [NETWORK...] --gops 472 --gigabytes-per-second 22

A multiply-accumulate is two operations. `weights` are read in every run; `activations` counts each result written once
and read once by each operator that takes it, which a cache or a fused operator may save.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from bench.paths import print_table, write_json
from bench.peer_files import files_of
from bench.zoo import MODELS, NAMES, network
from bitwright.program.operations import operations
from bitwright.program.program import Program
from bitwright.reading import read_program


@dataclass(frozen=True)
class Cost:
    """Of one run.

    Args:
        multiply_accumulates: of convolutions and products.
        weights_bytes: of all constants.
        activations_bytes: of computed tensors, written and read.
    """

    multiply_accumulates: int
    weights_bytes: int
    activations_bytes: int

    def operations_us(self, gops: float) -> float:
        """Microseconds at so many 10**9 operations a second: 2 * multiply_accumulates / gops / 1000."""
        return 2 * self.multiply_accumulates / gops / 1e3

    def weights_us(self, gigabytes_per_second: float) -> float:
        """Microseconds to read the weights at so many 10**9 bytes a second."""
        return self.weights_bytes / gigabytes_per_second / 1e3


def cost_of(program: Program) -> Cost:
    """The cost of a Program."""
    multiply_accumulates = activations_bytes = 0
    for operator in program.operators:
        operands = tuple(tensor for tensor in program.operands(operator) if tensor is not None)
        results = program.results(operator)
        multiply_accumulates += operations(program, operator) // 2
        activations_bytes += sum(tensor.nbytes for tensor in (*operands, *results) if tensor.data is None)
    weights_bytes = sum(tensor.nbytes for tensor in program.tensors.values() if tensor.data is not None)
    return Cost(multiply_accumulates, weights_bytes, activations_bytes)


def main() -> None:
    """Count, print, write bench/out/floor.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NAMES), metavar="NETWORK")
    parser.add_argument("--models", type=Path, default=MODELS, help="the folder of the trained networks")
    parser.add_argument("--gops", type=float, required=True, help="ceiling of one core, 10**9 operations a second")
    parser.add_argument("--gigabytes-per-second", type=float, required=True, help="that it reads from memory")
    arguments = parser.parse_args()
    rows, data = [], []
    for name in arguments.networks:
        path = files_of(network(name, arguments.models), rebuild=False)["bitwright.tflite"]
        cost = cost_of(read_program(path))
        counted = cost.multiply_accumulates / 1e6, cost.weights_bytes / 1e3, cost.activations_bytes / 1e3
        times = cost.operations_us(arguments.gops), cost.weights_us(arguments.gigabytes_per_second)
        rows.append([name, *(f"{value:.1f}" for value in (*counted, *times))])
        data.append({"network": name, **vars(cost)})
    columns = [
        "network",
        "10^6 multiply-accumulates",
        "weights, kB",
        "activations, kB",
        "operations, us",
        "weights, us",
    ]
    print_table(columns, rows)
    print(write_json("floor", data))


if __name__ == "__main__":
    main()
