"""bitwright calibrate: samples in, statistics or a calibration table out; and statistics of shards merged."""

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
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Where the statistics go: .npz; or a table: .cache (TensorRT), .table (ncnn).",
        ),
    ],
    calibration: CalibrationOption = None,
    statistics: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Statistics that a table is made of, instead of --calibration."),
    ] = None,
    method: MethodOption = None,
    mode: Annotated[Literal["int8", "uint8", "int16x8"], typer.Option(help="The mode they are for.")] = "int8",
    target: TargetOption = None,
    samples: SamplesOption = None,
    seed: SeedOption = 0,
    preprocess: PreprocessOption = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Only part I (from 0) of N parts, to be merged afterwards.")
    ] = "0/1",
    every_value: Annotated[
        bool, typer.Option("--every-value", help="Watch every float value; tables are made with it.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="Threads; one a core by default.")] = None,
    tensorrt: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="The TensorRT that a .cache is for; it takes its own alone. 8.6.1."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge the statistics of shards; any order is the same.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Run samples through MODEL and keep what each tensor saw."""
    if merge:
        check_output(output, ".npz")
        if (calibration, statistics, samples, preprocess, method) != (None,) * 5:
            raise UsageError(
                "--merge takes statistics as they are: no data, no method",
                next="name the files of statistics alone",
            )
        return _merge(files, output, quiet)

    import bitwright as bw
    from bitwright.tables import TABLE_SUFFIXES

    check_output(output, ".npz", *TABLE_SUFFIXES)
    if len(files) != 1:
        raise UsageError(f"calibrate takes one model (got {len(files)} files)", next="give --merge to merge statistics")
    model, is_table, part = files[0], output.suffix.lower() in TABLE_SUFFIXES, parse_shard(shard)
    _check_source(calibration, statistics, is_table)
    if calibration is None and (samples, preprocess) != (None, None):
        raise UsageError("--samples and --preprocess are of --calibration", next="give the data, or leave them out")
    if is_table and (mode != "int8" or part[1] != 1):
        raise UsageError(
            "a table holds the 8-bit ranges of all samples: --mode int8 and no --shard",
            where=str(output),
            next="merge shards as .npz, then `bitwright calibrate MODEL --statistics all.npz -o FILE.cache`",
        )
    version = {} if tensorrt is None else {"tensorrt_version": tensorrt}
    if version and output.suffix.lower() != ".cache":
        raise UsageError("--tensorrt is for .cache outputs", where=str(output), next="write to a .cache file")
    loaded = bw.load(str(model))
    if statistics is not None:
        seen = bw.Statistics.load(statistics)
    else:
        with progress_bar("calibrating", shown=not quiet) as progress:
            seen = bw.calibrate(
                loaded,
                calibration,
                method=method or ("entropy" if is_table else None),
                mode=mode,
                target=target,
                samples=samples,
                seed=seed,
                preprocess=preprocess,
                shard=part,
                every_value=every_value or is_table,
                workers=workers,
                progress=progress,
            )
    if is_table:
        names = bw.write_table(seen, output, loaded, method=method, **version)
        return _answer(seen.samples, len(names), output, quiet)
    seen.save(output)
    return _answer(seen.samples, len(seen.tensors), output, quiet)


def _check_source(calibration: str | None, statistics: Path | None, is_table: bool) -> None:
    if calibration is not None and statistics is not None:
        raise UsageError("--calibration and --statistics exclude each other", next="give one of the two")
    if statistics is not None and not is_table:
        raise UsageError(
            "statistics are there already", next="write to a .cache or .table file to make a table of them"
        )
    if calibration is None and statistics is None:
        raise UsageError("calibrate needs samples", next="give --calibration DATA")


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
