"""bitwright transform-graph: TensorFlow's `transform_graph`, with its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, PreprocessOption, QuietOption, names
from bitwright.cli.output import check_output
from bitwright.errors import UsageError
from bitwright.formats.suffixes import MODEL_SUFFIXES, TFLITE


def transform_graph(
    in_graph: Annotated[
        Path | None,
        typer.Option("--in_graph", "--in-graph", metavar="IN", help="The model: .pb, .onnx, .tflite and so on."),
    ] = None,
    out_graph: Annotated[
        Path | None,
        typer.Option("--out_graph", "--out-graph", metavar="OUT", help="Where the model goes: .onnx or .tflite."),
    ] = None,
    inputs: Annotated[str, typer.Option(metavar="NAMES", help="Nodes that are fed, with commas.")] = "",
    outputs: Annotated[str, typer.Option(metavar="NAMES", help="Nodes that are wanted, with commas.")] = "",
    transforms: Annotated[
        str | None, typer.Option(metavar="TEXT", help="'name(argument=value) name ...', run in order.")
    ] = None,
    calibration: Annotated[
        str | None, typer.Option(metavar="DATA", help="Sample inputs that quantize_nodes takes ranges from.")
    ] = None,
    log_data: Annotated[
        str | None,
        typer.Option(
            "--log_data",
            "--log-data",
            metavar="DATA",
            help="Sample inputs to run OUT on, whose insert_logging lines go to standard error.",
        ),
    ] = None,
    preprocess: PreprocessOption = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the transforms and what each does.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Rewrite and quantize a graph by a list of transforms, as TensorFlow's tool of this name did."""
    if list_them:
        return _list()
    if in_graph is None or out_graph is None or not transforms:
        given = (("--in_graph", in_graph), ("--out_graph", out_graph), ("--transforms", transforms))
        missing = [name for name, value in given if not value]
        raise UsageError(f"missing {', '.join(missing)}", next="`bitwright transform-graph --list` names them")
    check_output(out_graph, *MODEL_SUFFIXES, model=in_graph)
    if preprocess is not None and calibration is None and log_data is None:
        raise UsageError("--preprocess is of --calibration or --log_data", next="give the data, or leave it out")

    from bitwright.compat.graph_transforms import log_values
    from bitwright.compat.graph_transforms import transform_graph as transformed

    target = "litert" if out_graph.suffix.lower() == TFLITE else "onnxruntime"
    made = transformed(
        str(in_graph),
        transforms,
        inputs=names(inputs),
        outputs=names(outputs),
        target=target,
        calibration=calibration,
        preprocess=preprocess,
    )
    written = [str(path) for path in made.model.save(out_graph)]
    if log_data is not None:
        log_values(made.model, log_data, preprocess=preprocess)
    return answer(made.steps, written, quiet)


def answer(steps: tuple[Any, ...], written: list[str], quiet: bool) -> Answer:
    """What was done, step by step, and where it went."""
    data = [{"name": step.name, "modified": step.modified, "message": step.message} for step in steps]
    told = [f"{step.name}: {step.message or ('done' if step.modified else 'nothing to do')}" for step in steps]
    return Answer({"output": written, "steps": data}, None if quiet else "\n".join([*told, *written]))


def _list() -> Answer:
    from bitwright.compat.graph_transforms.rows import known

    found = known()
    width = max(map(len, found))
    return Answer({"transforms": found}, "\n".join(f"{name:{width}}  {does}" for name, does in found.items()))
