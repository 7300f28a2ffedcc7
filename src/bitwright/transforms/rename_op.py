"""rename_op: nodes of one operator become nodes of another."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.transforms.outcome import Outcome


def rename_op(model: ir.Model, *, old_op_name: str, new_op_name: str) -> Outcome:
    """Rename an operator wherever it is; inputs and attributes stay as they are.

    Args:
        model: changed in place.
        old_op_name, new_op_name: before and after.

    Source: TensorFlow's Graph Transform Tool, `rename_op`.
    """
    found = [node for node in model.graph.all_nodes() if node.op_type == old_op_name]
    for node in found:
        node.op_type = new_op_name
    return Outcome(model, bool(found) and old_op_name != new_op_name, f"{len(found)} nodes renamed")
