"""Decision: how one node computes, and why; Decisions: those of a whole graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from bitwright.quantization.plan import Compute
from bitwright.quantization.recipe import How
from bitwright.quantization.rules import Rule, Scale, activation_operands
from bitwright.quantization.target import Target


@dataclass
class Decision:
    """What was decided for one node, and why."""

    node: ir.Node
    how: How
    rule: Rule | None
    scale: Scale = Scale.FREE  # how its result's parameters follow from the operands', on this target
    compute: Compute = Compute.FLOAT
    reason: str = ""
    weight: int | None = None  # which operand is the weight of an integer node
    wanted: bool = True  # float computation that an integer form would have replaced
    quantized_result: bool = True  # an integer node whose result is quantized (not fused, not given as float)


@dataclass
class Decisions:
    """Decisions of all nodes of the main graph, in graph order."""

    by_node: dict[ir.Node, Decision] = field(default_factory=dict)

    def compute(self, node: ir.Node | None) -> Compute:
        found = self.by_node.get(node) if node is not None else None
        return Compute.FLOAT if found is None else found.compute

    def integer_users(self, value: ir.Value) -> list[ir.Node]:
        """Integer nodes that take the value as an activation (one kernel's inner clamp is not a user)."""
        users = []
        for node in value.consumers():
            decision = self.by_node.get(node)
            if decision is None or decision.compute is not Compute.INTEGER or decision.rule is None:
                continue
            if any(operand is value for operand in activation_operands(node, decision.rule)):
                users.append(node)
        return users


def storage_of(decision: Decision, target: Target) -> str:
    """The activation storage type asked of a node, or the target's own."""
    return decision.how.activation_storage or target.activation_storage
