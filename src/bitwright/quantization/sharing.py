"""Whose parameters a value has: its own, those of what it was moved from, or those of the result it is joined into.

SAME    a result has its operand's parameters
JOINED  an operand that nothing else reads has its result's parameters: no requantize is needed before the kernel
"""

from __future__ import annotations

import onnx_ir as ir

from bitwright.graph.constants import constant_of
from bitwright.quantization.decision import Decision, Decisions
from bitwright.quantization.plan import Compute
from bitwright.quantization.rules import Scale, activation_operands

#: Moves that keep every value they are given, so that parameters for their result suit their operand.
_KEEP_ALL = {
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Expand",
    "Tile",
    "DepthToSpace",
    "SpaceToDepth",
}


def joined_operands(decisions: Decisions) -> dict[ir.Value, ir.Value]:
    """Operand -> the result whose parameters it has, for every operand of a joining node that can have them.

    One can whose values nobody else reads and whose parameters are its own choice: the result of an integer node, or
    of a float one; through moves as well.
    """
    found: dict[ir.Value, ir.Value] = {}
    for node, decision in decisions.by_node.items():
        if decision.scale is Scale.JOINED and _integer(decision) and decision.rule is not None:
            for operand in activation_operands(node, decision.rule):
                found.update(dict.fromkeys(_free_chain(operand, node, decisions), node.outputs[0]))
    return found


def _free_chain(value: ir.Value, reader: ir.Node, decisions: Decisions) -> list[ir.Value]:
    """The value, and what it was moved from, back to where its parameters are chosen; none where they are not free."""
    chain: list[ir.Value] = []
    while True:
        producer = value.producer()
        seen_elsewhere = value.is_graph_output() or any(user is not reader for user in value.consumers())
        if producer is None or seen_elsewhere or constant_of(value) is not None:
            return []
        chain.append(value)
        decision = decisions.by_node.get(producer)
        if decision is None or not _integer(decision) or decision.scale in (Scale.FREE, Scale.JOINED):
            return chain
        operand = producer.inputs[0]
        if producer.op_type not in _KEEP_ALL or decision.scale is not Scale.SAME or operand is None:
            return []
        value, reader = operand, producer


def source_of(
    value: ir.Value, decisions: Decisions, joined: dict[ir.Value, ir.Value]
) -> tuple[ir.Value, tuple[float, float] | None]:
    """The value that a value's parameters are those of, and its real range where that is known beforehand."""
    while True:
        if value in joined:
            value = joined[value]
            continue
        producer = value.producer()
        decision = decisions.by_node.get(producer) if producer is not None else None
        if decision is None or not _integer(decision) or decision.rule is None:
            return value, None
        if decision.scale is Scale.FIXED:
            return value, decision.rule.fixed_range
        if decision.scale is not Scale.SAME or producer is None or producer.inputs[0] is None:
            return value, None
        value = producer.inputs[0]


def _integer(decision: Decision) -> bool:
    return decision.compute is Compute.INTEGER
