"""add_default_attributes: what the operators' definitions leave unsaid is said."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import AddDefaultAttributesPass

from bitwright.transforms.outcome import Outcome


def add_default_attributes(model: ir.Model) -> Outcome:
    """Write every optional attribute that has a default value into the nodes that leave it out."""
    before = sum(len(node.attributes) for node in model.graph.all_nodes())
    modified = AddDefaultAttributesPass()(model).modified
    added = sum(len(node.attributes) for node in model.graph.all_nodes()) - before
    return Outcome(model, modified, f"{added} attributes added")
