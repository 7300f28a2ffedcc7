"""Plan: what was decided, tensor by tensor and node by node, each with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bitwright.errors import RecipeError
from bitwright.numerics.qparams import QuantParams

#: The mode of a plan that was read from a file which says nothing of its own.
READ = "read"

#: The reason of nodes that a report need not list: they compute on shapes and indices.
NO_FLOATS = "gives no floating-point result"


class Compute(StrEnum):
    """How a node computes."""

    FLOAT = "float"  # float operands, as in the model
    FLOAT16 = "float16"  # constants stored as float16, arithmetic in float
    WEIGHT_ONLY = "weight-only"  # constants stored as integers, arithmetic in float
    DYNAMIC = "dynamic"  # integer weights, activations quantized when they arrive
    INTEGER = "integer"  # integer operands and results


class Role(StrEnum):
    """What a quantized tensor is to its node."""

    ACTIVATION = "activation"
    WEIGHT = "weight"
    BIAS = "bias"


@dataclass(frozen=True)
class TensorPlan:
    """One tensor: its role, its parameters (None: float16), and why it has them."""

    name: str
    role: Role
    qparams: QuantParams | None
    reason: str = ""


@dataclass(frozen=True)
class NodePlan:
    """One node: its operator, how it computes, and why."""

    name: str
    op: str
    compute: Compute
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """What was decided for a whole graph. Nothing after the planner chooses a parameter.

    Args:
        mode: the mode that was asked ("int8", "dynamic", ...), or "recipe".
        target: the runtime it was decided for.
        tensors: every quantized tensor by value name.
        nodes: every node of the main graph by node name, in graph order.
    """

    mode: str
    target: str
    tensors: Mapping[str, TensorPlan] = field(default_factory=dict)
    nodes: Mapping[str, NodePlan] = field(default_factory=dict)

    def compute_of(self, node_name: str | None) -> Compute:
        """How the named node computes; a node the plan does not know is float."""
        plan = self.nodes.get(node_name or "")
        return Compute.FLOAT if plan is None else plan.compute

    def qparams_of(self, value_name: str | None) -> QuantParams | None:
        """The parameters of the named value, None when it is not quantized."""
        plan = self.tensors.get(value_name or "")
        return None if plan is None else plan.qparams

    def float_nodes(self) -> list[NodePlan]:
        """Nodes that stay float, without those that compute on shapes and indices."""
        return [n for n in self.nodes.values() if n.compute is Compute.FLOAT and n.reason != NO_FLOATS]

    def counts(self) -> dict[str, int]:
        """Nodes by how they compute, in the order of Compute."""
        found = Counter(node.compute for node in self.nodes.values())
        return {str(kind): found[kind] for kind in Compute if found[kind]}

    def to_text(self) -> str:
        """The text form: one line a node, one line a tensor."""
        lines = [f"plan {self.mode} for {self.target}"]
        for node in self.nodes.values():
            lines.append(
                f"  node {node.name}: {node.op} {node.compute}" + (f"  # {node.reason}" if node.reason else "")
            )
        for tensor in self.tensors.values():
            shown = "float16" if tensor.qparams is None else repr(tensor.qparams)[len("QuantParams(") : -1]
            lines.append(f"  {tensor.role} {tensor.name}: {shown}" + (f"  # {tensor.reason}" if tensor.reason else ""))
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        """The whole plan as JSON; scales are exact (shortest float32 text that reads back the same)."""
        return json.dumps(
            {
                "mode": self.mode,
                "target": self.target,
                "nodes": [
                    {"name": n.name, "op": n.op, "compute": str(n.compute), "reason": n.reason}
                    for n in self.nodes.values()
                ],
                "tensors": [
                    {
                        "name": t.name,
                        "role": str(t.role),
                        "qparams": None if t.qparams is None else _qparams_to_json(t.qparams),
                        "reason": t.reason,
                    }
                    for t in self.tensors.values()
                ],
            },
            indent=1,
        )

    @staticmethod
    def from_json(text: str) -> Plan:
        """A plan from its JSON form.

        Raises:
            RecipeError: not a plan.
        """
        try:
            data = json.loads(text)
            return make_plan_value(
                data["mode"],
                data["target"],
                (
                    TensorPlan(
                        t["name"],
                        Role(t["role"]),
                        None if t["qparams"] is None else _qparams_from_json(t["qparams"]),
                        t["reason"],
                    )
                    for t in data["tensors"]
                ),
                (NodePlan(n["name"], n["op"], Compute(n["compute"]), n["reason"]) for n in data["nodes"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecipeError(f"not a plan in JSON form: {error}", next="write one with Plan.to_json()") from error


def make_plan_value(mode: str, target: str, tensors: Iterable[TensorPlan], nodes: Iterable[NodePlan]) -> Plan:
    """A Plan from its parts, keyed by name."""
    return Plan(mode, target, {t.name: t for t in tensors}, {n.name: n for n in nodes})


def _qparams_to_json(qparams: QuantParams) -> dict[str, Any]:
    return {
        "scale": qparams.scale.tolist(),
        "zero_point": qparams.zero_point.tolist(),
        "storage": qparams.storage,
        "axis": qparams.axis,
        "block_shape": qparams.block_shape,
        "narrow_range": qparams.narrow_range,
        **({} if qparams.bits is None else {"bits": qparams.bits}),
    }


def _qparams_from_json(data: dict[str, Any]) -> QuantParams:
    blocks = data["block_shape"]
    return QuantParams(**{**data, "block_shape": None if blocks is None else tuple(blocks)})
