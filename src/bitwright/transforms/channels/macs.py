"""Multiply-accumulates of a graph's layers, for one sample."""

from __future__ import annotations

import math

import onnx_ir as ir

from bitwright.errors import TransformError
from bitwright.graph.attributes import int_attribute
from bitwright.transforms.rewiring import is_op
from bitwright.transforms.shapes import inferred

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def multiply_accumulates(model: ir.Model) -> dict[ir.Node, int]:
    """Of every Conv, ConvTranspose, Gemm and MatMul of the main graph; a free first axis (the batch) counts as 1.

        Conv            result elements * I/G * kernel elements
        ConvTranspose   input elements * O/G * kernel elements
        Gemm, MatMul    result elements * K

    Raises:
        TransformError: a size that one of them needs is not known.
    """
    shapes = shapes_of_one(model)
    return {node: count(node, shapes) for node in model.graph if is_op(node, *LAYERS)}


def count(node: ir.Node, shapes: dict[str, ir.Shape | None]) -> int:
    """The multiply-accumulates of one node."""

    def sizes(value: ir.Value | None) -> list[int]:
        shape = shapes.get(str(value.name)) if value is not None else None
        found = [
            1 if index == 0 and not isinstance(size, int) else size
            for index, size in enumerate(shape if shape is not None else (None,))
        ]
        if shape is None or not all(isinstance(size, int) for size in found):
            raise TransformError(
                f"the multiply-accumulates of {node.op_type} cannot be counted: the size of"
                f" {value.name if value is not None else ''!r} is not known",
                where=f"node {node.name or node.outputs[0].name!r}",
                next="give the model's inputs fixed sizes (all but the batch)",
            )
        return [size for size in found if isinstance(size, int)]

    first = sizes(node.inputs[0])
    if is_op(node, "ConvTranspose"):
        return math.prod(first) * math.prod(sizes(node.inputs[1])[1:])
    result = math.prod(sizes(node.outputs[0]))
    if is_op(node, "Conv"):
        return result * math.prod(sizes(node.inputs[1])[1:])
    return result * first[0 if is_op(node, "Gemm") and int_attribute(node, "transA", 0) else -1]


def shapes_of_one(model: ir.Model) -> dict[str, ir.Shape | None]:
    """The shapes of all values by name, inferred anew for inputs whose free first axis is 1."""
    single = model.clone()
    for value in single.graph.inputs:
        if value.shape is not None and len(value.shape) and not isinstance(value.shape[0], int):
            value.shape = ir.Shape([1, *list(value.shape)[1:]])
    known = {str(value.name): value.shape for value in (*single.graph.inputs, *single.graph.initializers.values())}
    for node in single.graph:
        for value in node.outputs:
            known[str(value.name)] = value.shape
            if not is_op(node, "Constant"):
                value.shape = None
    found = {name: shape for name, (_, shape) in inferred(single).items() if shape is not None}
    return known | found
