"""Which nodes compute how: the first half of planning, from the graph, the recipe and the target alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from functools import partial

import onnx_ir as ir

from bitwright.errors import UsageError
from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import constant_of
from bitwright.quantization.decision import Decision, Decisions, storage_of
from bitwright.quantization.forms import pads_with_numbers, refused_form
from bitwright.quantization.kernels import check_storages
from bitwright.quantization.plan import NO_FLOATS, Compute
from bitwright.quantization.recipe import Recipe
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
from bitwright.quantization.results import decide_results, leave_tails_float
from bitwright.quantization.rules import LOOKUP, Kind, Rule, Scale, rank_of, rule_of, weight_operand
from bitwright.quantization.target import DYNAMIC, Target

#: Stands for a reason until `_followers` settles it.
PENDING = "pending"


def decide(model: ir.Model, recipe: Recipe, target: Target, *, unmeasured: Set[str] = frozenset()) -> Decisions:
    """Decide how every node of the main graph computes.

    Args:
        model: the prepared graph (every node named).
        recipe: what is asked.
        target: what the runtime has kernels for.
        unmeasured: names of values that have no statistics though they were asked for; their nodes stay float.

    Returns:
        One decision a node, with its reason where it stays float.

    Raises:
        UsageError: storage types are asked together that no kernel of the target takes.
    """
    decisions = Decisions()
    for node in model.graph:
        how, rule = recipe.how(node.name or "", node.op_type), rule_of(node)
        decision = _first_look(Decision(node, how, rule, _scale(node, rule, target)), target)
        seen = [v.name for v in (*node.inputs, *node.outputs) if v is not None]
        if (decision.compute is Compute.INTEGER or decision.reason == PENDING) and not unmeasured.isdisjoint(seen):
            decision.compute = Compute.FLOAT
            decision.reason = "calibration saw no range there that 8 or 16 bits hold"
        decisions.by_node[node] = decision
    _followers(decisions, target)
    if not target.is_whole:
        leave_tails_float(decisions, target)
    _moves_before_integers(decisions, target)
    _by_their_weights(decisions, target)
    decide_results(decisions, target)
    return decisions


def _scale(node: ir.Node, rule: Rule | None, target: Target) -> Scale:
    """How the parameters of the node's result follow from its operands' on this target."""
    if rule is None:
        return Scale.FREE
    if node.op_type not in target.same_scale_ops:
        return rule.scale
    if node.op_type == "Pad":
        return Scale.JOINED if pads_with_numbers(node) else Scale.SAME
    return Scale.JOINED if rule.activations is None else Scale.SAME


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
    elif (operand := _integer_weight(node, rule, target)) is not None:
        check_storages(decision, target)
        decision.weight = operand
        decision.reason = refuse_anchor(node, rule, operand) or refused_form(
            node, decision.how, _refused(decision, target)
        )
        decision.compute = Compute.FLOAT if decision.reason else Compute.INTEGER
    elif rule.kind is Kind.ANCHOR and node.op_type != "MatMul":
        decision.reason = "its weights are not constant"
    else:
        check_storages(decision, target)
        decision.reason = PENDING
    return decision


def _refused(decision: Decision, target: Target) -> Sequence[str]:
    """The forms that the target has no integer kernel for, at the node's storage type."""
    return target.refused_forms.get(storage_of(decision, target), ())


def _integer_weight(node: ir.Node, rule: Rule, target: Target) -> int | None:
    """Which operand is the constant weight of an integer node, None when it multiplies by none.

    A whole target's kernels take a matrix on either side; batches of matrices are operands like any other.
    """
    if rule.kind is not Kind.ANCHOR or rule.weight is None:
        return None
    if target.is_whole and node.op_type == "MatMul":
        matrices = [i for i in (1, 0) if constant_of(node.inputs[i]) is not None and rank_of(node.inputs[i]) == 2]
        return matrices[0] if matrices else None
    return rule.weight if constant_of(node.inputs[rule.weight]) is not None else None


def _by_weights(decision: Decision, rule: Rule, asked: Compute, target: Target) -> tuple[Compute, str]:
    node, how = decision.node, decision.how
    if how.weight_granularity == "per-block" and asked is Compute.WEIGHT_ONLY and not target.has_blocks:
        raise UsageError(
            f"files for {target.name} hold no blocks of weights",
            where=f"node {node.name!r}",
            next="leave the block size out: weights then have one scale a channel",
        )
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
    reason = refuse_dynamic(node, rule, how, target.refused_forms.get(DYNAMIC, ()))
    return (Compute.WEIGHT_ONLY, reason) if reason else (Compute.DYNAMIC, "")


def _followers(decisions: Decisions, target: Target) -> None:
    """Forward: a follower is integer when one of its activations is, or may become so."""
    for node, decision in decisions.by_node.items():
        if decision.reason != PENDING:
            continue
        rule = decision.rule
        assert rule is not None
        is_integer: Callable[[ir.Value], bool] = partial(_is_integer_already, decisions)
        if target.is_whole and rule.scale is not Scale.SAME:  # what moves floats between floats goes on doing so
            is_integer = _always
        decision.reason = refuse_follower(
            node,
            rule,
            decision.how,
            _refused(decision, target),
            is_integer,
            holds_tables=target.is_whole,
        )
        if not decision.reason:
            decision.compute = Compute.INTEGER


def _always(value: ir.Value) -> bool:
    return True


def _is_integer_already(decisions: Decisions, value: ir.Value) -> bool:
    return decisions.compute(value.producer()) is Compute.INTEGER or any(
        (rule := decisions.by_node[user].rule) is not None and rule.kind is Kind.ANCHOR
        for user in decisions.integer_users(value)
    )


def _moves_before_integers(decisions: Decisions, target: Target) -> None:
    """Backward: what only moves values on their way to integer nodes moves integers, a quarter of the bytes."""
    for node, decision in reversed(decisions.by_node.items()):
        rule = decision.rule
        if decision.reason != OPERANDS_ARE_FLOAT or rule is None or rule.scale is not Scale.SAME:
            continue
        if reason := refuse_form(node, rule, decision.how, _refused(decision, target)):
            decision.reason = reason
            continue
        results = [v for v in node.outputs if v.name]
        users = [user for value in results for user in value.consumers()]
        integers = [user for value in results for user in decisions.integer_users(value)]
        alone = len(results) == 1 and not results[0].is_graph_output() and len(integers) == len(users)
        if integers and (target.is_whole or alone):
            decision.compute, decision.reason = Compute.INTEGER, ""


def _by_their_weights(decisions: Decisions, target: Target) -> None:
    """What was asked to be integer and cannot be still has its weights stored as integers; the reason stays."""
    for decision in decisions.by_node.values():
        if decision.compute is Compute.FLOAT and decision.how.compute is Compute.INTEGER and decision.rule is not None:
            storage = storage_of(decision, target)
            kernels = target.kernels.get(storage)
            # dynamic kernels have 8-bit activations, and i8 weights where a file holds no two kinds
            wide = storage == "i16" or (kernels is not None and kernels.weights != "i8")
            asked = Compute.WEIGHT_ONLY if wide else Compute.DYNAMIC
            decision.compute, _ = _by_weights(decision, decision.rule, asked, target)
