"""bitwright compare: what model B costs against model A."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, PreprocessOption, SamplesOption, SeedOption
from bitwright.errors import UsageError


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="The reference: .onnx, .tflite or .pt2.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The model compared with it.")],
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="As --calibration of quantize; class folders and labels give accuracy."),
    ] = None,
    preprocess: PreprocessOption = None,
    samples: SamplesOption = None,
    seed: SeedOption = 0,
    runs: Annotated[int, typer.Option(min=1, metavar="N", help="How often each is timed, in turns.")] = 30,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads of the runtimes while timed.")] = 1,
    max_drop: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="Exit with 1 when accuracy drops by more than so many points."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show every layer, not the 20 worst.")] = False,
    as_json: JsonOption = False,
) -> Answer:
    """Compare B with A: size, accuracy or agreement, latency, error layer by layer."""
    import bitwright as bw

    found = bw.compare(
        str(a), str(b), data, preprocess=preprocess, samples=samples, seed=seed, runs=runs, threads=threads
    )
    code = 0
    if max_drop is not None:
        if found.accuracy_drop is None:
            raise UsageError(
                "--max-drop needs data with labels", where=data or "no --data", next="images in one folder a class"
            )
        # A figure that is printed with two digits is judged by them.
        code = int(round(found.accuracy_drop, 2) > max_drop)
    return Answer(found.to_dict(), found.render(full=full), code)
