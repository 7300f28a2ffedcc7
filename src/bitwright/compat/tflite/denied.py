"""Denied: which nodes of the graph stand behind operators of a .tflite, so that they can be left float."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from bitwright.compat.tflite.refusals import ArgumentError
from bitwright.lowering.lower import lower_from
from bitwright.model import Model


def patterns_of(model: Model, kinds: Sequence[str], tensors: Sequence[str]) -> list[str]:
    """Regular expressions of the nodes behind operators, as `exclude=` takes them.

    Args:
        model: quantized for LiteRT.
        kinds: of operators, such as "CONV_2D".
        tensors: names of operators' results.

    Raises:
        ArgumentError: a kind that the model does not have, or a name that no operator gives: all of them.
    """
    lowered = lower_from(model.graph, model.plan, input_type=model.input_type, output_type=model.output_type)
    program = lowered.program
    given = {name for operator in program.operators for name in operator.outputs}
    present = {operator.kind for operator in program.operators}
    unknown = [*(kind for kind in kinds if kind not in present), *(name for name in tensors if name not in given)]
    if unknown:
        raise ArgumentError(
            f"no operator of the model is, or gives, {', '.join(unknown)}",
            next=f"kinds: {', '.join(sorted(present))}; layer_statistics_dump lists both",
        )
    wanted = {name for o in program.operators if o.kind in kinds for name in o.outputs} | set(tensors)
    nodes = _nodes_behind(model.graph, lowered.sources, wanted)
    return [f"^{re.escape(name)}$" for name in sorted(nodes)]


def _nodes_behind(graph: ir.Model, sources: Mapping[str, str], tensors: set[str]) -> set[str]:
    """The node that each operator is from, and those fused into it: from the node that gives its result back to it."""
    producers = {str(value.name): node for node in graph.graph for value in node.outputs}
    found: set[str] = set()
    for tensor in tensors:
        source, node = sources.get(tensor), producers.get(tensor)
        if source is not None:
            found.add(source)
        while node is not None and str(node.name) != source:
            found.add(str(node.name))
            node = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
            if source is None:
                break
    return found
