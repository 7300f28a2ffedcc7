"""How many integers differ between our numpy references and LiteRT, file by file and operator by operator.

    python -m bench.litert_integers bench/out/*.tflite ../shared/models/*_int8.tflite --inputs 100

Whole files: every integer tensor of a run (inner ones too) against LiteRT's reference kernels. Single operators, on the
values that they met in those runs: LiteRT's default kernels (XNNPACK where it takes the operator) against its reference
kernels, and our `fp32_even` against the default.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from bench.paths import print_table, write_json
from bitwright.demo.machine import describe_machine
from bitwright.formats.tflite.write import write_tflite
from bitwright.program.operator import Operator
from bitwright.program.program import Port, Program
from bitwright.program.reference import Reference
from bitwright.program.tensor import DTYPES
from bitwright.reading import read_program

Arrays = dict[str, NDArray[Any]]
QUANTIZED = ("i8", "u8", "i16")
REFERENCE, DEFAULT = OpResolverType.BUILTIN_REF, OpResolverType.AUTO


def session(program: Program, resolver: OpResolverType, *, inner: bool = False) -> Interpreter:
    """LiteRT on a Program; `inner` keeps the values of inner tensors."""
    made = Interpreter(
        model_content=write_tflite(program),
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=inner,
        num_threads=1,
    )
    made.allocate_tensors()
    return made


def run(runner: Interpreter, feeds: list[NDArray[Any]]) -> None:
    """One run on inputs in order."""
    for detail, array in zip(runner.get_input_details(), feeds, strict=True):
        runner.set_tensor(detail["index"], array)
    runner.invoke()


def inputs_of(program: Program, data: NDArray[Any] | None, index: int) -> Arrays:
    """One row of the data, or random values, as the ports hold them."""
    rng = np.random.default_rng(index)
    feeds: Arrays = {}
    for port in program.inputs:
        tensor = program.tensors[port.tensor]
        if tensor.dtype in QUANTIZED:
            bounds = np.iinfo(DTYPES[tensor.dtype])
            feeds[port.name] = rng.integers(bounds.min, bounds.max + 1, tensor.shape, DTYPES[tensor.dtype])
        elif data is not None and data.shape[1:] == tensor.shape[1:]:
            feeds[port.name] = data[index % len(data)][None].astype(np.float32)
        else:
            feeds[port.name] = rng.standard_normal(tensor.shape).astype(DTYPES[tensor.dtype])
    return feeds


def whole_file(program: Program, count: int) -> tuple[int, int, list[Arrays]]:
    """Integers compared, integers that differ, and the values of the first runs."""
    reference, runner = Reference(program), session(program, REFERENCE, inner=True)
    index = {name: number for number, name in enumerate(program.tensors)}
    watched = [name for op in program.operators for name in op.outputs if program.tensors[name].dtype in QUANTIZED]
    compared = differing = 0
    kept: list[Arrays] = []
    for number in range(count):
        feeds = inputs_of(program, None, number)
        run(runner, [feeds[port.name] for port in program.inputs])
        names = watched or [port.tensor for port in program.outputs]
        made = reference.run(feeds, names)
        for name in watched:
            theirs = runner.get_tensor(index[name])
            compared += theirs.size
            differing += int(np.count_nonzero(theirs != made[name]))
        if number < 2:
            kept.append({**made, **{port.tensor: feeds[port.name] for port in program.inputs}})
    return compared, differing, kept


def single(program: Program, operator: Operator) -> Program:
    """A Program of one operator; its operands that are computed are its inputs."""
    tensors = {t.name: t for t in (*program.operands(operator), *program.results(operator)) if t is not None}
    inputs = tuple(Port(n, n) for n in dict.fromkeys(operator.inputs) if n is not None and tensors[n].data is None)
    return Program(tensors, (operator,), inputs, tuple(Port(n, n) for n in operator.outputs))


def operators(program: Program, runs: list[Arrays], tally: dict[str, Counter[str]]) -> None:
    """Count, for every operator of integers, what the default kernels give."""
    for operator in program.operators:
        results = program.results(operator)
        if not all(t.dtype in QUANTIZED for t in results):
            continue
        alone = single(program, operator)
        sessions = [session(alone, resolver) for resolver in (REFERENCE, DEFAULT)]
        even = Reference(replace(alone, rounding="fp32_even"))
        for values in runs:
            if not all(port.tensor in values for port in alone.inputs):
                continue
            feeds = {port.name: values[port.tensor] for port in alone.inputs}
            for runner in sessions:
                run(runner, list(feeds.values()))
            made = even.run(feeds)
            places = zip(operator.outputs, *(runner.get_output_details() for runner in sessions), strict=True)
            for name, *details in places:
                theirs, default = (r.get_tensor(d["index"]) for r, d in zip(sessions, details, strict=True))
                found = tally.setdefault(f"{operator.kind} {results[0].dtype}", Counter())
                found["integers"] += theirs.size
                found["default"] += int(np.count_nonzero(theirs != default))
                found["even"] += int(np.count_nonzero(made[name] != default))


def files_of(paths: list[Path]) -> Iterator[tuple[Path, Program]]:
    """The Programs of the files."""
    for path in paths:
        yield path, read_program(path)


def main() -> None:
    """Compare, print, write bench/out/litert_integers.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--inputs", type=int, default=100)
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    rows: list[list[str]] = []
    tally: dict[str, Counter[str]] = {}
    for path, program in files_of(arguments.files):
        compared, differing, runs = whole_file(program, arguments.inputs)
        operators(program, runs, tally)
        rows.append([path.stem, f"{compared:,}", f"{differing:,}"])
        print(" ".join(rows[-1]), flush=True)
    print_table(["file", "integers", "differ from BUILTIN_REF"], rows)
    table = [[kind, f"{c['integers']:,}", f"{c['default']:,}", f"{c['even']:,}"] for kind, c in sorted(tally.items())]
    columns = ["operator", "integers", "default differs from BUILTIN_REF", "fp32_even differs from default"]
    print_table(columns, table)
    write_json("litert_integers", {"files": rows, "operators": table})


if __name__ == "__main__":
    main()
