"""bitwright run: a model on inputs from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument, QuietOption
from bitwright.cli.output import check_output

#: Outputs of at most so many elements are printed whole.
SHOWN_ELEMENTS = 16


def run(
    model: ModelArgument,
    inputs: Annotated[
        list[str],
        typer.Option("--input", "-i", metavar="[NAME=]FILE", help="An input: .npy, or .npz with arrays by input name."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT", help="Keep the outputs by name: .npz.")
    ] = None,
    runtime: Annotated[
        Literal["engine", "reference", "litert", "onnxruntime"] | None,
        typer.Option(
            help="What computes: our engine (default where it runs a quantized model whole), our numpy references"
            " (default for all others), or a runtime that is installed."
        ),
    ] = None,
    rounding: Annotated[
        Literal["tflite_double", "tflite_single", "fp32_even"] | None,
        typer.Option(
            help="How engine and references round: as LiteRT's own kernels (default), those with single rounding, or"
            " XNNPACK."
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Run MODEL on inputs, and show or keep its outputs."""
    if output is not None:
        check_output(output, ".npz")

    from bitwright.running import read_inputs, write_arrays
    from bitwright.running import run as run_model

    made = run_model(str(model), read_inputs(inputs), runtime=runtime, rounding=rounding)
    if output is not None:
        write_arrays(made, output)
    told = {name: _told(array) for name, array in made.items()}
    data = {"outputs": told, "output": None if output is None else [str(output)]}
    lines = [f"{name}: {', '.join(f'{key} {value}' for key, value in about.items())}" for name, about in told.items()]
    return Answer(data, None if quiet else "\n".join(lines))


def _told(array: Any) -> dict[str, Any]:
    """An output in few words: type and shape, least and most, the place of the most, the values of a small one."""
    about: dict[str, Any] = {"type": f"{array.dtype}{list(array.shape)}"}
    if array.size:
        about |= {"min": array.min().item(), "max": array.max().item()}
    if array.ndim == 2 and array.shape[1] > 1:
        about["argmax"] = array.argmax(axis=1).tolist()[:SHOWN_ELEMENTS]
    if array.size <= SHOWN_ELEMENTS:
        about["values"] = array.tolist()
    return about
