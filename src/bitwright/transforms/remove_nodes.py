"""remove_nodes: nodes of given operators are taken out, and their readers read what they read."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from bitwright.graph.constants import constant_of
from bitwright.transforms.outcome import Outcome, told
from bitwright.transforms.rewiring import bypass


def remove_nodes(model: ir.Model, *, op: Sequence[str], max_inputs: int = 1) -> Outcome:
    """Take out every node of the operators that has one result, whatever it computes: what the graph gives may change.

    Args:
        model: changed in place.
        op: names of operators.
        max_inputs: nodes that read more values than this stay. Constants do not count: what TensorFlow held as an
            attribute is an input of many operators of ONNX.

    A node that gives out an input or a constant of the graph under the name of an output stays.

    Source: TensorFlow's Graph Transform Tool, `remove_nodes`.
    """
    removed, left = 0, []
    for node in [node for node in model.graph if node.op_type in op]:
        moving = [value for value in node.inputs if value is not None and constant_of(value) is None]
        if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
            left.append(f"{node.op_type} of more than one result")
        elif not moving or len(moving) > max_inputs or node.inputs[0] is not moving[0]:
            left.append(f"{node.op_type} of {len(moving)} inputs")
        elif bypass(node):
            removed += 1
        else:
            left.append(f"{node.op_type} that names an output")
    return Outcome(model, removed > 0, told(f"{removed} nodes removed", left))
