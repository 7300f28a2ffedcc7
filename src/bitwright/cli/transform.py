"""bitwright transform: rewrite a graph, keeping what it computes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, QuietOption, names
from bitwright.cli.output import check_output
from bitwright.errors import UsageError
from bitwright.formats.suffixes import MODEL_SUFFIXES


def transform(
    model: Annotated[Path | None, typer.Argument(metavar="IN", help="The model: .onnx, .tflite or .pt2.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT", help="Where the model goes: .onnx or .tflite.")
    ] = None,
    transforms: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="'name(argument=value) name ...', run in order, such as 'fold_batch_norms'."),
    ] = None,
    inputs: Annotated[str, typer.Option(metavar="NAMES", help="Inputs to keep, with commas; all by default.")] = "",
    outputs: Annotated[str, typer.Option(metavar="NAMES", help="Outputs to keep, with commas; all by default.")] = "",
    list_them: Annotated[bool, typer.Option("--list", help="List the transforms and what each does.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Apply TRANSFORMS to the graph of IN and write it to OUT."""
    if list_them:
        return _list()
    if model is None or output is None or transforms is None:
        missing = [
            name for name, given in (("IN", model), ("--output", output), ("--transforms", transforms)) if given is None
        ]
        raise UsageError(f"missing {', '.join(missing)}", next="`bitwright transform --list` names the transforms")
    check_output(output, *MODEL_SUFFIXES, model=model)

    from bitwright.api import load_plain, transformed
    from bitwright.transforms.pipeline import apply_transforms

    loaded = load_plain(str(model))
    before = sum(1 for _ in loaded.graph.graph)
    result = apply_transforms(loaded.graph, transforms, inputs=names(inputs), outputs=names(outputs))
    after = sum(1 for _ in result.model.graph)
    written = [str(path) for path in transformed(result.model, loaded).save(output)]
    steps = [{"name": step.name, "modified": step.modified, "message": step.message} for step in result.steps]
    data = {"output": written, "nodes": {"before": before, "after": after}, "steps": steps}
    told = [f"{step.name}: {step.message or ('done' if step.modified else 'nothing to do')}" for step in result.steps]
    return Answer(data, None if quiet else "\n".join([*told, f"{output}: {before} nodes -> {after}"]))


def _list() -> Answer:
    from bitwright.transforms.pipeline import available

    found = available()
    width = max(map(len, found))
    return Answer({"transforms": found}, "\n".join(f"{name:{width}}  {does}" for name, does in found.items()))
