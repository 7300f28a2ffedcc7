"""name_nodes: every node of the main graph has a name of its own, because a plan names nodes."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.transforms.outcome import Outcome


def name_nodes(model: ir.Model) -> Outcome:
    """Name unnamed nodes after their operator and result, and number those that share a name."""
    taken = {node.name for node in model.graph if node.name}
    seen: set[str] = set()
    renamed = 0
    for node in model.graph:
        if node.name and node.name not in seen:
            seen.add(node.name)
            continue
        wanted = node.name or f"{node.op_type}_{node.outputs[0].name if node.outputs else ''}"
        name, count = wanted, 0
        while name in taken or name in seen:
            count += 1
            name = f"{wanted}_{count}"
        node.name = name
        seen.add(name)
        renamed += 1
    return Outcome(model, renamed > 0, f"{renamed} nodes named")
