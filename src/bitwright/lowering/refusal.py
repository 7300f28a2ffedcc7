"""Refusal: why one node has no form in TFLite's vocabulary, and the error that tells of all such nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from bitwright.errors import UnsupportedOpError


class Refusal(Exception):
    """Raised by a node's lowering, caught by `lower`, which lists them all.

    Args:
        reason: what the kernels do not have, as the user reads it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Refused:
    """A node that has no form.

    Args:
        node: of the graph.
        reason: why.
        follows: whether that is only because another has none.
    """

    node: ir.Node
    reason: str
    follows: bool = False


class NodesRefused(UnsupportedOpError):
    """Nodes of a graph have no form in TFLite's vocabulary.

    Args:
        refused: all of them.
        count: nodes of the graph.
        name: of the graph.
    """

    def __init__(self, refused: Sequence[Refused], count: int, name: str) -> None:
        told = [f"{r.node.op_type} {r.node.name}: {r.reason}" for r in refused if not r.follows]
        lines = "".join(f"\n           {line}" for line in told)
        super().__init__(
            f"{len(told)} of {count} nodes have no form in .tflite",
            where=f"graph {name!r}, nodes:{lines}",
            next="keep the model in .onnx, or replace these nodes before it is exported",
        )
        self.reasons = {str(r.node.name): r.reason for r in refused}
