"""lift_constants: constants are initializers, whichever way the file spelled them."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.graph.constants import constant_of
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import is_op


def lift_constants(model: ir.Model) -> Outcome:
    """Turn the Constant nodes of the main graph into initializers of the same name.

    One that the graph gives out stays a node. Subgraphs and functions are left as they are.
    """
    graph, lifted = model.graph, 0
    for node in list(graph):
        if not is_op(node, "Constant") or len(node.attributes) != 1 or node.outputs[0].is_graph_output():
            continue
        value = node.outputs[0]
        tensor = constant_of(value)
        if tensor is None or not value.name or value.name in graph.initializers:
            continue
        lift = ir.Value(
            name=value.name,
            shape=ir.Shape(tensor.shape.numpy()),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
            metadata_props=dict(value.metadata_props),
        )
        graph.register_initializer(lift)
        value.replace_all_uses_with(lift)
        graph.remove(node, safe=True)
        lifted += 1
    return Outcome(model, lifted > 0, f"{lifted} constants lifted")
