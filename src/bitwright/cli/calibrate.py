"""bitwright calibrate: samples in, statistics out; and statistics of shards merged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import (
    CalibrationOption,
    JsonOption,
    MethodOption,
    PreprocessOption,
    QuietOption,
    SamplesOption,
    SeedOption,
    TargetOption,
)
from bitwright.cli.output import check_output
from bitwright.cli.progress import progress_bar
from bitwright.errors import UsageError


def calibrate(
    files: Annotated[
        list[Path], typer.Argument(metavar="MODEL | --merge FILES...", help="The model; with --merge, the statistics.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Where the statistics go: .npz.")],
    calibration: CalibrationOption = None,
    method: MethodOption = None,
    mode: Annotated[Literal["int8", "uint8", "int16x8"], typer.Option(help="The mode they are for.")] = "int8",
    target: TargetOption = None,
    samples: SamplesOption = None,
    seed: SeedOption = 0,
    preprocess: PreprocessOption = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Only part I (from 0) of N parts, to be merged afterwards.")
    ] = "0/1",
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="Threads; one a core by default.")] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge the statistics of shards; any order is the same.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Run samples through MODEL and keep what each tensor saw."""
    check_output(output, ".npz")
    if merge:
        return _merge(files, output, quiet)
    if len(files) != 1:
        raise UsageError(f"calibrate takes one model (got {len(files)} files)", next="give --merge to merge statistics")
    if calibration is None:
        raise UsageError("calibrate needs samples", next="give --calibration DATA")
    part = parse_shard(shard)

    import bitwright as bw

    with progress_bar("calibrating", shown=not quiet) as progress:
        seen = bw.calibrate(
            str(files[0]),
            calibration,
            method=method,
            mode=mode,
            target=target,
            samples=samples,
            seed=seed,
            preprocess=preprocess,
            shard=part,
            workers=workers,
            progress=progress,
        )
    seen.save(output)
    return _answer(seen.samples, len(seen.tensors), output, quiet)


def parse_shard(text: str) -> tuple[int, int]:
    """(index, count) of "I/N".

    Raises:
        UsageError: not two numbers with 0 <= I < N.

    >>> parse_shard("1/4")
    (1, 4)
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise UsageError(f"--shard cannot be {text!r}", next="I/N with I from 0 to N-1, such as 0/4 to 3/4")
    return int(index), int(count)


def _merge(files: list[Path], output: Path, quiet: bool) -> Answer:
    from bitwright.api import Statistics

    first, *others = [Statistics.load(path) for path in files]
    merged = first.merge(*others)
    merged.save(output)
    return _answer(merged.samples, len(merged.tensors), output, quiet)


def _answer(samples: int, tensors: int, output: Path, quiet: bool) -> Answer:
    data = {"output": [str(output)], "samples": samples, "tensors": tensors}
    return Answer(data, None if quiet else f"{output}: {tensors} tensors over {samples} samples")
