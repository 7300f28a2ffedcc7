"""Results of integer nodes: which are quantized, which are fused away, which are floats."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.quantization.decision import Decisions, storage_of
from bitwright.quantization.plan import Compute
from bitwright.quantization.rules import Kind, Scale, activation_operands
from bitwright.quantization.target import Target

#: The reason of elementwise nodes behind matrix products that give floats.
FLOAT_TAIL = "takes float results of a matrix product, and nothing integer takes its own"


def leave_tails_float(decisions: Decisions, target: Target) -> None:
    """Backward: what is finer in float, and takes nothing from an integer kernel to be so, is float at the end."""
    for node, decision in reversed(decisions.by_node.items()):
        rule = decision.rule
        if decision.compute is not Compute.INTEGER or rule is None or rule.kind is Kind.ANCHOR:
            continue
        if any(decisions.integer_users(value) for value in node.outputs):
            continue
        if decision.scale is Scale.FIXED:
            decision.compute = Compute.FLOAT
            decision.reason = "nothing integer takes its result, which is finer in float"
        elif tail := _float_tail(node, decisions, target):
            for part in tail:
                decisions.by_node[part].compute = Compute.FLOAT
                decisions.by_node[part].reason = FLOAT_TAIL


def _float_tail(node: ir.Node, decisions: Decisions, target: Target) -> list[ir.Node]:
    """The followers from matrix products down to this node, when float is all that goes in and comes out; else none."""
    tail: list[ir.Node] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        decision = decisions.by_node[part]
        if part in tail:
            continue
        if any(user not in (*tail, part) for value in part.outputs for user in decisions.integer_users(value)):
            return []
        if decision.rule is None or decision.rule.kind is Kind.ANCHOR:
            return []
        tail.append(part)
        producers = [v.producer() for v in activation_operands(part, decision.rule)]
        integers = [p for p in producers if p is not None and decisions.compute(p) is Compute.INTEGER]
        if not integers:
            return []
        waiting += [p for p in integers if not target.gives_float(p.op_type, storage_of(decision, target))]
    return tail


def fused_clamp(node: ir.Node, decisions: Decisions) -> ir.Node | None:
    """The Relu or Clip that runs inside the node's kernel: its only user, and not a value anyone else sees."""
    decision = decisions.by_node[node]
    if decision.compute is not Compute.INTEGER or decision.rule is None or decision.scale is not Scale.FREE:
        return None
    if decision.rule.kind is Kind.CLAMP or len([v for v in node.outputs if v.name]) != 1:
        return None
    result = node.outputs[0]
    users = result.consumers()
    if result.is_graph_output() or len(users) != 1:
        return None
    user = decisions.by_node.get(users[0])
    if user is None or user.rule is None or user.rule.kind is not Kind.CLAMP or user.compute is not Compute.INTEGER:
        return None
    return users[0]


def decide_results(decisions: Decisions, target: Target) -> None:
    """Which integer nodes give integers, which give a float to whoever takes it."""
    for node, decision in decisions.by_node.items():
        if decision.compute is not Compute.INTEGER:
            continue
        if (clamp := fused_clamp(node, decisions)) is not None:
            decision.quantized_result = False
            decision.reason = f"one kernel with {clamp.op_type} {clamp.name}"
        elif (
            target.gives_float(node.op_type, storage_of(decision, target))
            and not decisions.integer_users(node.outputs[0])
            and not _fuses_in_float(node)
        ):
            decision.quantized_result = False
            decision.reason = "gives its result as float"


def _fuses_in_float(node: ir.Node) -> bool:
    """Whether ONNX Runtime would take the product and the Add behind it for a float Gemm, before it looks at integers.

    It does so for MatMul of known shape and more than two dimensions; a quantized result between the two keeps it off.
    """
    data = node.inputs[0]
    if node.op_type != "MatMul" or data is None or data.shape is None or len(data.shape) < 3:
        return False
    return data.shape.is_static() and any(user.op_type == "Add" for user in node.outputs[0].consumers())
