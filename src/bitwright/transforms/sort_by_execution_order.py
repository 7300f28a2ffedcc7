"""sort_by_execution_order: every node behind the nodes whose results it reads."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import TopologicalSortPass

from bitwright.errors import TransformError
from bitwright.transforms.outcome import Outcome


def sort_by_execution_order(model: ir.Model) -> Outcome:
    """Sort graph, subgraphs and functions so that they run from first to last. Stable: free nodes keep their order.

    Raises:
        TransformError: the graph has a cycle.
    """
    try:
        modified = TopologicalSortPass()(model).modified
    except (ValueError, ir.passes.PassError) as error:
        raise TransformError(
            "the nodes cannot be put into an order: the graph has a cycle",
            where=f"graph {model.graph.name!r}",
            next="export the model again; every node must only read what is computed before it",
        ) from error
    return Outcome(model, modified, "sorted" if modified else "already in order")
