"""merge_duplicate_nodes: equal constants and equal computations are held once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import onnx_ir as ir
from onnx_ir.passes.common import CommonSubexpressionEliminationPass

from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import is_op, unique_name

RANDOM_OPS = (
    "Bernoulli",
    "Dropout",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)


def merge_duplicate_nodes(model: ir.Model) -> Outcome:
    """Merge initializers of equal bytes, then nodes with the same operator, attributes and inputs.

    Random operators, nodes with subgraphs and what the graph gives out under its own name are kept apart.
    """
    constants = merge_constants(model.graph)
    before = len(model.graph)
    with kept_apart(model.graph):
        merged = CommonSubexpressionEliminationPass()(model).modified
    for node in model.graph:  # an optional output that only the merged twin had named
        for value in node.outputs:
            if not value.name and (value.uses() or value.is_graph_output()):
                value.name = unique_name(model.graph, f"{node.outputs[0].name}_more")
    nodes = before - len(model.graph)
    return Outcome(model, bool(constants or merged), f"{nodes} nodes and {constants} constants merged")


def merge_constants(graph: ir.Graph) -> int:
    """Let equal initializers be one. Returns how many went away."""
    alike: dict[Hashable, list[ir.Value]] = defaultdict(list)
    for value in graph.initializers.values():
        tensor = value.const_value
        if tensor is None or value.is_graph_input() or value.is_graph_output() or tensor.dtype.is_string():
            continue
        if not isinstance(tensor, (QuantizedTensor, HalfTensor)):
            alike[(tensor.dtype, tuple(tensor.shape))].append(value)
    merged = 0
    for values in alike.values():
        kept: dict[bytes, ir.Value] = {}
        for value in values if len(values) > 1 else ():
            assert value.const_value is not None
            digest = hashlib.blake2b(value.const_value.tobytes(), digest_size=32).digest()
            first = kept.setdefault(digest, value)
            if first is not value:
                value.replace_all_uses_with(first)
                graph.initializers.pop(str(value.name))
                merged += 1
    return merged


@contextmanager
def kept_apart(graph: ir.Graph) -> Iterator[None]:
    """While it lasts, random nodes differ from one another by an attribute."""
    marked = [node for node in graph if is_op(node, *RANDOM_OPS)]
    for index, node in enumerate(marked):
        node.attributes["kept_apart"] = ir.AttrInt64("kept_apart", index)
    try:
        yield
    finally:
        for node in marked:
            node.attributes.pop("kept_apart")
