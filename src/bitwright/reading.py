"""Reading: whatever holds a model -> Model. The counterpart of `Model.save`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.errors import ModelError
from bitwright.exporters.onnx.read import from_onnx
from bitwright.importers.load import load_graph
from bitwright.lowering.port_types import PORTS
from bitwright.model import Model

if TYPE_CHECKING:
    from bitwright.program.program import Program

#: What stands at byte 4 of a .tflite file.
IDENTIFIER = b"TFL3"


def read_model(source: Any, *, example_inputs: Any = None) -> Model:
    """A Model of a path or an object; QDQ pairs and integer tensors become its plan.

    Args:
        source: as `api.load` takes.
        example_inputs: for an nn.Module.

    Raises:
        ModelError: it cannot be read.
        UnsupportedOpError: operators of a .tflite file that have no counterpart: all of them, each with its reason.
    """
    if isinstance(source, Model):
        return source
    if is_tflite(source):
        from bitwright.lowering.raise_program import raise_program

        program = read_program(source)
        raised, plan = raise_program(program)
        return _with_port_types(Model(raised, plan, os.fspath(source), file_program=program))
    graph, path = load_graph(source, example_inputs=example_inputs)
    graph, plan = from_onnx(graph.clone() if graph is source else graph)
    return _with_port_types(Model(graph, plan, path))


def _with_port_types(model: Model) -> Model:
    """With the types of ports that its .tflite file had, where those of a side are alike."""
    if model.plan is None or PORTS not in model.graph.metadata_props:
        return model
    found: list[str | None] = []
    try:
        told = json.loads(model.graph.metadata_props[PORTS])
        for side in ("inputs", "outputs"):
            types = {str(kind) for kind in told[side].values()}
            found.append(types.pop() if len(types) == 1 else None)
    except (ValueError, KeyError, TypeError, AttributeError):  # someone else's metadata under our key
        return model
    return replace(model, input_type=found[0], output_type=found[1])


def read_program(source: str | os.PathLike[str]) -> Program:
    """The Program that a .tflite file spells.

    Raises:
        ModelError: the file cannot be read, or is not whole.
        UnsupportedOpError: operators outside the vocabulary, all of them by name.
    """
    from bitwright.formats.tflite.read import read_tflite

    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the model cannot be read: {error.strerror or error}", where=str(path), next="check the path"
        ) from error
    return read_tflite(data, where=str(path))


def is_tflite(source: Any) -> bool:
    """Whether it is the path of a .tflite file, by its first bytes; by its suffix when it cannot be opened."""
    if not isinstance(source, str | os.PathLike):
        return False
    path = Path(source)
    try:
        with open(path, "rb") as handle:
            head = handle.read(8)
    except OSError:
        return path.suffix.lower() == ".tflite" and not path.is_dir()
    return head[4:8] == IDENTIFIER or path.suffix.lower() == ".tflite"
