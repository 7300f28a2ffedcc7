"""remove_attribute: an attribute is deleted, so that its default counts."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.transforms.outcome import Outcome


def remove_attribute(model: ir.Model, *, attribute_name: str, op_name: str = "*") -> Outcome:
    """Delete an attribute of nodes, also where the operator cannot do without it.

    Args:
        model: changed in place.
        attribute_name: of the attribute.
        op_name: nodes of this operator alone; "*" is any.

    Source: TensorFlow's Graph Transform Tool, `remove_attribute`.
    """
    found = [n for n in model.graph.all_nodes() if op_name in ("*", n.op_type) and attribute_name in n.attributes]
    for node in found:
        node.attributes.pop(attribute_name)
    return Outcome(model, bool(found), f"{len(found)} attributes removed")
