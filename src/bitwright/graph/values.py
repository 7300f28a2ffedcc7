"""The values of a main graph that calibration can watch."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


def float_values(model: ir.Model) -> Iterator[ir.Value]:
    """Inputs and results of nodes that are float32, or of no known type, in the order of the graph."""
    graph = model.graph
    for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
        if value.name and value.dtype in (None, ir.DataType.FLOAT):
            yield value
