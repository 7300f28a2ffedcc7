"""bitwright benchmark: how long a model takes."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument


def benchmark(
    model: ModelArgument,
    runtime: Annotated[
        Literal["engine", "onnxruntime", "litert"],
        typer.Option(help="What runs it: our engine, or a runtime that is installed."),
    ] = "engine",
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads inside one run.")] = 1,
    runs: Annotated[int, typer.Option(min=1, metavar="N", help="How often it is timed.")] = 100,
    profile: Annotated[bool, typer.Option("--profile", help="Time each layer, on the engine.")] = False,
    as_json: JsonOption = False,
) -> Answer:
    """Time MODEL on random inputs, at batch 1: median and quartiles, memory, and layer by layer with --profile."""
    import bitwright as bw

    found = bw.benchmark(str(model), runtime=runtime, threads=threads, runs=runs, profile=profile)
    return Answer(found.to_dict(), found)
