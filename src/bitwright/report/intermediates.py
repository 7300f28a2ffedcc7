"""Intermediate values of a graph, a few at a time, so that memory does not follow the depth of the network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

#: Elements that are held at the same time: 64 MiB of float32.
GROUP_ELEMENTS = 1 << 24

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
_NO_ARITHMETIC = ("Constant", "DequantizeLinear", "QuantizeLinear")


def float_values(model: ir.Model) -> dict[str, str]:
    """Operator by name of every float value that a node of the main graph makes, in graph order; no constants.

    Types that the graph does not say are inferred, on a copy.
    """
    if any(value.dtype is None for node in model.graph for value in node.outputs):
        model = ShapeInferencePass()(model.clone()).model
    return {
        str(value.name): node.op_type
        for node in model.graph
        if node.op_type not in _NO_ARITHMETIC
        for value in node.outputs
        if value.name and value.dtype in _FLOATS
    }


def groups(model: ir.Model, names: Iterable[str], *, batch: int = 1) -> Iterator[list[str]]:
    """The names in lists whose values together stay below GROUP_ELEMENTS; a free dimension counts as `batch`."""
    values = {str(value.name): value for node in model.graph for value in node.outputs}
    values |= {str(value.name): value for value in model.graph.inputs}
    group: list[str] = []
    held = 0
    for name in names:
        value = values.get(name)
        shape = None if value is None else value.shape
        size = 1 << 20 if shape is None else math.prod(d if isinstance(d, int) else batch for d in shape)
        if group and held + size > GROUP_ELEMENTS:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group
