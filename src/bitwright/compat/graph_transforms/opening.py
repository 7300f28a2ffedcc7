"""A model as these tools are given one, and the names that people call its values by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import onnx_ir as ir

from bitwright.importers.tensorflow.kinds import kind_of
from bitwright.model import Model
from bitwright.reading import read_model


def open_model(source: Any, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Model:
    """A Model of a GraphDef, of a path, or of whatever else holds one; a GraphDef is cut at the names.

    Raises:
        ModelError, UnsupportedOpError, UsageError: as `bitwright.load`.
    """
    if kind_of(source) in ("graph_def", "graph_def_file"):
        return read_model(source, inputs=tuple(inputs), outputs=tuple(outputs))
    return read_model(source)


def value_names(graph: ir.Graph, names: Iterable[str]) -> tuple[str, ...]:
    """Names of values for names of values or nodes, with or without ":0"; what is neither is given back as it is.

    TensorFlow names nodes, ONNX names values: files that tf2onnx made have "softmax:0" of the node "softmax".
    """
    values = {str(value.name) for value in graph.inputs} | set(graph.initializers)
    values |= {str(value.name) for node in graph for value in node.outputs}
    nodes = {str(node.name): str(node.outputs[0].name) for node in graph if node.name and node.outputs}
    found = []
    for name in names:
        bare = name.removeprefix("^").removesuffix(":0")
        spelled = next((text for text in (name, bare, f"{bare}:0") if text in values), None)
        found.append(spelled or nodes.get(bare, name))
    return tuple(dict.fromkeys(found))
