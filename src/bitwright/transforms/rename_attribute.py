"""rename_attribute: an attribute gets another name, its value stays."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.transforms.outcome import Outcome


def rename_attribute(
    model: ir.Model, *, old_attribute_name: str, new_attribute_name: str, op_name: str = "*"
) -> Outcome:
    """Rename an attribute of nodes, for graphs of an older or newer version of an operator.

    Args:
        model: changed in place.
        old_attribute_name, new_attribute_name: before and after.
        op_name: nodes of this operator alone; "*" is any.

    Source: TensorFlow's Graph Transform Tool, `rename_attribute`.
    """
    found = [n for n in model.graph.all_nodes() if op_name in ("*", n.op_type) and old_attribute_name in n.attributes]
    for node in found:
        old = node.attributes.pop(old_attribute_name)
        if old.is_ref():
            node.attributes.add(ir.RefAttr(new_attribute_name, str(old.ref_attr_name), old.type))
        else:
            node.attributes.add(ir.Attr(new_attribute_name, old.type, old.value))
    return Outcome(model, bool(found), f"{len(found)} attributes renamed")
