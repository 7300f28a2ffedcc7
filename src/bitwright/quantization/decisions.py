"""Which nodes compute how: the first half of planning, from the graph, the recipe and the target alone."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from functools import partial

import onnx_ir as ir

from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import constant_of
from bitwright.quantization.plan import NO_FLOATS, Compute
from bitwright.quantization.recipe import How, Recipe
from bitwright.quantization.refusals import (
    OPERANDS_ARE_FLOAT,
    SMALLEST_WEIGHT_ELEMENTS,
    gives_float,
    refuse_anchor,
    refuse_dynamic,
    refuse_follower,
    refuse_form,
    weight_elements,
    wrong_type,
)
from bitwright.quantization.rules import (
    LOOKUP,
    Kind,
    Rule,
    Scale,
    activation_operands,
    rank_of,
    rule_of,
    weight_operand,
)
from bitwright.quantization.target import Target

#: Stands for a reason until `_followers` settles it.
PENDING = "pending"

#: The reason of elementwise nodes behind matrix products that give floats.
FLOAT_TAIL = "takes float results of a matrix product, and nothing integer takes its own"


@dataclass
class Decision:
    """What was decided for one node, and why."""

    node: ir.Node
    how: How
    rule: Rule | None
    compute: Compute = Compute.FLOAT
    reason: str = ""
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


def decide(model: ir.Model, recipe: Recipe, target: Target, *, unmeasured: Set[str] = frozenset()) -> Decisions:
    """Decide how every node of the main graph computes.

    Args:
        model: the prepared graph (every node named).
        recipe: what is asked.
        target: what the runtime has kernels for.
        unmeasured: names of values that have no statistics though they were asked for; their nodes stay float.

    Returns:
        One decision a node, with its reason where it stays float.
    """
    decisions = Decisions()
    for node in model.graph:
        how = recipe.how(node.name or "", node.op_type)
        decision = _first_look(Decision(node, how, rule_of(node)), target)
        seen = [v.name for v in (*node.inputs, *node.outputs) if v is not None]
        if (decision.compute is Compute.INTEGER or decision.reason == PENDING) and not unmeasured.isdisjoint(seen):
            decision.compute = Compute.FLOAT
            decision.reason = "calibration saw no range there that 8 or 16 bits hold"
        decisions.by_node[node] = decision
    _followers(decisions, target)
    _moves_before_integers(decisions)
    _by_their_weights(decisions, target)
    _results(decisions, target)
    return decisions


def storage_of(decision: Decision, target: Target) -> str:
    """The activation storage type asked of a node, or the target's own."""
    return decision.how.activation_storage or target.activation_storage


def _first_look(decision: Decision, target: Target) -> Decision:
    """What can be said of one node without its neighbours: everything but integer followers."""
    node, rule, asked = decision.node, decision.rule, decision.how.compute or Compute.FLOAT
    if not gives_float(node):
        decision.reason, decision.wanted = NO_FLOATS, False
    elif asked is Compute.FLOAT:
        decision.reason, decision.wanted = "left float by the recipe", False
    elif asked is Compute.FLOAT16:
        if any(weight_elements(value) >= SMALLEST_WEIGHT_ELEMENTS for value in node.inputs):
            decision.compute = Compute.FLOAT16
        else:
            decision.reason = "has no constants worth storing as float16"
    elif rule is None:
        name = f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        decision.reason = f"no rule quantizes {name}"
    elif (wrong := wrong_type(node)) is not None:
        decision.reason = f"computes in {wrong}, not float32"
    elif asked in (Compute.WEIGHT_ONLY, Compute.DYNAMIC):
        decision.compute, decision.reason = _by_weights(decision, rule, asked, target)
    elif not target.has_integer(node.op_type, storage_of(decision, target)):
        decision.reason = f"{target.name} has no {storage_of(decision, target)} kernel for {node.op_type}"
    elif rule.kind is Kind.ANCHOR and constant_of(node.inputs[rule.weight or 0]) is not None:
        reason = refuse_anchor(node, rule)
        decision.compute, decision.reason = (Compute.FLOAT, reason) if reason else (Compute.INTEGER, "")
    elif rule.kind is Kind.ANCHOR and node.op_type != "MatMul":
        decision.reason = "its weights are not constant"
    else:
        decision.reason = PENDING
    return decision


def _by_weights(decision: Decision, rule: Rule, asked: Compute, target: Target) -> tuple[Compute, str]:
    node = decision.node
    operand = weight_operand(node, rule)
    if operand is None:
        return Compute.FLOAT, "has no weights"
    if constant_of(node.inputs[operand]) is None:
        return Compute.FLOAT, "its weights are not constant" if node.op_type != LOOKUP else "looks up no constant table"
    if weight_elements(node.inputs[operand]) < SMALLEST_WEIGHT_ELEMENTS:
        return Compute.FLOAT, f"its weights are fewer than {SMALLEST_WEIGHT_ELEMENTS}: nothing would be saved"
    if node.op_type == LOOKUP and (rank_of(node.inputs[0]) != 2 or int_attribute(node, "axis", 0) != 0):
        return Compute.FLOAT, "not a lookup of rows in a matrix"
    if asked is Compute.WEIGHT_ONLY:
        return Compute.WEIGHT_ONLY, ""
    if node.op_type not in target.dynamic_ops:
        return Compute.WEIGHT_ONLY, f"{target.name} has no dynamic kernel for {node.op_type}"
    reason = refuse_dynamic(node, rule)
    return (Compute.WEIGHT_ONLY, reason) if reason else (Compute.DYNAMIC, "")


def _followers(decisions: Decisions, target: Target) -> None:
    """Forward: a follower is integer when one of its activations is."""
    for node, decision in decisions.by_node.items():
        if decision.reason != PENDING:
            continue
        rule = decision.rule
        assert rule is not None
        decision.reason = refuse_follower(node, rule, partial(_is_integer_already, decisions))
        if decision.reason:
            continue
        decision.compute = Compute.INTEGER
    # Backward: elementwise tails of matrix products whose result nothing integer wants are better off in float.
    for node, decision in reversed(decisions.by_node.items()):
        rule = decision.rule
        if decision.compute is not Compute.INTEGER or rule is None or rule.kind is Kind.ANCHOR:
            continue
        if any(decisions.integer_users(value) for value in node.outputs):
            continue
        if rule.scale is Scale.FIXED:
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


def _is_integer_already(decisions: Decisions, value: ir.Value) -> bool:
    return decisions.compute(value.producer()) is Compute.INTEGER or any(
        (rule := decisions.by_node[user].rule) is not None and rule.kind is Kind.ANCHOR
        for user in decisions.integer_users(value)
    )


def _moves_before_integers(decisions: Decisions) -> None:
    """Backward: what only moves values on their way to integer nodes moves integers, a quarter of the bytes."""
    for node, decision in reversed(decisions.by_node.items()):
        rule = decision.rule
        if decision.reason != OPERANDS_ARE_FLOAT or rule is None or rule.scale is not Scale.SAME:
            continue
        if reason := refuse_form(node, rule):
            decision.reason = reason
            continue
        results = [v for v in node.outputs if v.name]
        if len(results) != 1 or results[0].is_graph_output():
            continue
        users = results[0].consumers()
        if users and len(decisions.integer_users(results[0])) == len(users):
            decision.compute, decision.reason = Compute.INTEGER, ""


def _by_their_weights(decisions: Decisions, target: Target) -> None:
    """What was asked to be integer and cannot be still has its weights stored as integers; the reason stays."""
    for decision in decisions.by_node.values():
        if decision.compute is Compute.FLOAT and decision.how.compute is Compute.INTEGER and decision.rule is not None:
            wide = storage_of(decision, target) == "i16"  # dynamic kernels have 8-bit activations
            asked = Compute.WEIGHT_ONLY if wide else Compute.DYNAMIC
            decision.compute, _ = _by_weights(decision, decision.rule, asked, target)


def fused_clamp(node: ir.Node, decisions: Decisions) -> ir.Node | None:
    """The Relu or Clip that runs inside the node's kernel: its only user, and not a value anyone else sees."""
    decision = decisions.by_node[node]
    if decision.compute is not Compute.INTEGER or decision.rule is None or decision.rule.scale is not Scale.FREE:
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


def _results(decisions: Decisions, target: Target) -> None:
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
