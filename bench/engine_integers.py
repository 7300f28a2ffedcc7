"""How many integers of the engine differ from LiteRT's, file by file and operator by operator.

    python -m bench.engine_integers bench/out/*.tflite ../shared/models/*_int8.tflite --inputs 100

Every integer of every operator: inner tensors are made outputs of the model. `tflite_double` stands against LiteRT's
reference kernels, `fp32_even` against its default ones (XNNPACK where it takes the operator).
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.litert_integers import DEFAULT, QUANTIZED, REFERENCE, inputs_of, run, session
from bench.paths import print_table, write_json
from bitwright.compiling import compile as compile_model
from bitwright.demo.machine import describe_machine
from bitwright.program.program import Port, Program
from bitwright.reading import read_program


def opened(program: Program) -> Program:
    """The same with every integer tensor that an operator gives among its outputs, ports named as their tensors."""
    made = [name for op in program.operators for name in op.outputs if program.tensors[name].dtype in QUANTIZED]
    names = dict.fromkeys([*(port.tensor for port in program.outputs), *made])
    inputs = tuple(Port(port.tensor, port.tensor) for port in program.inputs)
    return replace(program, inputs=inputs, outputs=tuple(Port(name, name) for name in names), signature=None)


def compare(program: Program, count: int, tally: dict[str, Counter[str]]) -> tuple[int, int, int]:
    """Integers compared, and how many differ: from the reference kernels, and from the default ones."""
    whole = opened(program)
    kinds = {name: operator.kind for operator in program.operators for name in operator.outputs}
    compared, differing = 0, {"tflite_double": 0, "fp32_even": 0}
    pairs = {
        "tflite_double": (compile_model(whole, requantization="tflite_double"), session(whole, REFERENCE)),
        "fp32_even": (compile_model(whole, requantization="fp32_even"), session(whole, DEFAULT)),
    }
    for number in range(count):
        feeds = inputs_of(whole, None, number)
        for rounding, (ours, theirs) in pairs.items():
            run(theirs, [feeds[port.name] for port in whole.inputs])
            found = ours.run(None, feeds)
            for port, array, detail in zip(whole.outputs, found, theirs.get_output_details(), strict=True):
                if array.dtype.kind == "f":
                    continue
                differs = int(np.count_nonzero(array != theirs.get_tensor(detail["index"])))
                differing[rounding] += differs
                compared += array.size if rounding == "fp32_even" else 0
                if differs:
                    tally.setdefault(f"{kinds[port.tensor]} {program.tensors[port.tensor].dtype}", Counter())[
                        rounding
                    ] += differs
    return compared, differing["tflite_double"], differing["fp32_even"]


def main() -> None:
    """Compare, print, write bench/out/engine_integers.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--inputs", type=int, default=100)
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    rows: list[list[str]] = []
    tally: dict[str, Counter[str]] = {}
    for path in arguments.files:
        numbers = compare(read_program(path), arguments.inputs, tally)
        rows.append([path.stem, *(f"{number:,}" for number in numbers)])
        print(" ".join(rows[-1]), flush=True)
    columns = ["file", "integers", "tflite_double differs from BUILTIN_REF", "fp32_even differs from default"]
    print_table(columns, rows)
    table = [[kind, *(str(c[r]) for r in ("tflite_double", "fp32_even"))] for kind, c in sorted(tally.items())]
    print_table(["operator", *columns[2:]], table)
    write_json("engine_integers", {"files": rows, "operators": table})


if __name__ == "__main__":
    main()
