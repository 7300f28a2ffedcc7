"""Which nodes compute how: the first half of planning, from the graph, the recipe and the target alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import onnx_ir as ir

from bitwright.graph.constants import constant_of
from bitwright.quantization.plan import Compute
from bitwright.quantization.recipe import How, Recipe
from bitwright.quantization.rules import (
    LOOKUP,
    RECURRENT,
    Kind,
    Rule,
    Scale,
    activation_operands,
    clamp_range,
    rule_of,
)
from bitwright.quantization.target import Target

#: Weights smaller than this stay float outside integer nodes: their scale and names would outweigh what is saved.
SMALLEST_WEIGHT_ELEMENTS = 128


@dataclass
class Decision:
    """What was decided for one node. `fused` names the clamp (or the node before it) that it is one kernel with."""

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

    storage: str
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


def decide(model: ir.Model, recipe: Recipe, target: Target, *, unmeasured: Collection[str] = ()) -> Decisions:
    """Decide how every node of the main graph computes.

    Args:
        model: the prepared graph (every node named).
        recipe: what is asked.
        target: what the runtime has kernels for.
        unmeasured: names of values that have no statistics though they were asked for; their nodes stay float.

    Returns:
        One decision a node, with its reason where it stays float.
    """
    decisions = Decisions(storage=target.activation_storage)
    for node in model.graph:
        how = recipe.how(node.name or "", node.op_type)
        decision = _first_look(Decision(node, how, rule_of(node)), target)
        if (decision.compute is Compute.INTEGER or decision.reason == "pending") and any(
            v is not None and v.name in unmeasured for v in (*node.inputs, *node.outputs)
        ):
            decision.compute, decision.reason = Compute.FLOAT, "calibration saw no numbers there"
        decisions.by_node[node] = decision
    _followers(model, decisions, target)
    _moves_before_integers(model, decisions, target)
    _results(model, decisions, target)
    return decisions


def storage_of(decision: Decision, target: Target) -> str:
    """The activation storage type asked of a node, or the target's own."""
    return decision.how.activation_storage or target.activation_storage


def _first_look(decision: Decision, target: Target) -> Decision:
    """What can be said of one node without its neighbours: everything but integer followers."""
    node, rule, asked = decision.node, decision.rule, decision.how.compute or Compute.FLOAT
    if not _touches_float(node):
        decision.reason, decision.wanted = "computes on integers already", False
    elif asked is Compute.FLOAT:
        decision.reason, decision.wanted = "left float by the recipe", False
    elif asked is Compute.FLOAT16:
        decision.compute, decision.reason = _float16(node)
    elif rule is None:
        name = f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        decision.reason = f"no rule quantizes {name}"
    elif (wrong := _wrong_type(node)) is not None:
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
        decision.reason = "pending"  # settled by _followers
    return decision


def _touches_float(node: ir.Node) -> bool:
    """Whether any operand or result is (or may be) floating point."""
    values = [v for v in (*node.inputs, *node.outputs) if v is not None]
    kinds = [v.dtype for v in values]
    return not kinds or any(kind is None or kind.is_floating_point() for kind in kinds)


def _wrong_type(node: ir.Node) -> str | None:
    """The floating type other than float32 that the node computes in, None when it is float32 or not known."""
    for value in (*node.inputs[:1], *node.outputs[:1]):
        if value is not None and value.dtype is not None and value.dtype.is_floating_point():
            return None if value.dtype == ir.DataType.FLOAT else value.dtype.name.lower()
    return None


def weight_elements(value: ir.Value | None) -> int:
    """Elements of a float32 constant weight, 0 when the value is none."""
    tensor = constant_of(value)
    if tensor is None or tensor.dtype != ir.DataType.FLOAT:
        return 0
    return int(tensor.size)


def _float16(node: ir.Node) -> tuple[Compute, str]:
    if any(weight_elements(value) >= SMALLEST_WEIGHT_ELEMENTS for value in node.inputs):
        return Compute.FLOAT16, ""
    return Compute.FLOAT, "has no constants worth storing as float16"


def _by_weights(decision: Decision, rule: Rule, asked: Compute, target: Target) -> tuple[Compute, str]:
    node = decision.node
    operand = 0 if node.op_type == LOOKUP else rule.weight
    if operand is None:
        return Compute.FLOAT, "has no weights"
    if constant_of(node.inputs[operand]) is None:
        return Compute.FLOAT, "its weights are not constant" if node.op_type != LOOKUP else "looks up no constant table"
    if weight_elements(node.inputs[operand]) < SMALLEST_WEIGHT_ELEMENTS:
        return Compute.FLOAT, f"its weights are fewer than {SMALLEST_WEIGHT_ELEMENTS}: nothing would be saved"
    if node.op_type == LOOKUP and (len(node.inputs[0].shape or ()) != 2 or _integer(node, "axis") != 0):
        return Compute.FLOAT, "not a lookup of rows in a matrix"
    if asked is Compute.WEIGHT_ONLY:
        return Compute.WEIGHT_ONLY, ""
    if node.op_type not in target.dynamic_ops:
        return Compute.WEIGHT_ONLY, f"{target.name} has no dynamic kernel for {node.op_type}"
    reason = refuse_dynamic(node, rule)
    return (Compute.WEIGHT_ONLY, reason) if reason else (Compute.DYNAMIC, "")


def _integer(node: ir.Node, name: str, default: int = 0) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def _float(node: ir.Node, name: str, default: float) -> float:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def refuse_anchor(node: ir.Node, rule: Rule) -> str:
    """Why a node with constant weights has no integer form, "" when it has one."""
    assert rule.weight is not None
    weight = constant_of(node.inputs[rule.weight])
    if weight is None or weight.dtype != ir.DataType.FLOAT:
        return "its weights are not float32"
    if len(weight.shape) < 2 or weight.size == 0:
        return "its weight is a vector"
    if constant_of(node.inputs[0]) is not None:
        return "its data operand is constant"
    if node.op_type == "Gemm" and (
        _integer(node, "transA") or _float(node, "alpha", 1) != 1 or _float(node, "beta", 1) != 1
    ):
        return "Gemm with transA, alpha or beta has no integer form"
    if rule.bias is not None and len(node.inputs) > rule.bias and (bias := node.inputs[rule.bias]) is not None:
        tensor = constant_of(bias)
        if tensor is None or tensor.dtype != ir.DataType.FLOAT:
            return "its bias is not constant"
        axis = rule.channel_axis(node)
        group = _integer(node, "group", 1) if node.op_type == "ConvTranspose" else 1
        channels = weight.shape[axis if axis is not None else 1] * group
        if tensor.size != channels:
            return "its bias is not one value per output channel"
    return ""


def refuse_dynamic(node: ir.Node, rule: Rule) -> str:
    """Why a node with constant weights cannot quantize its activations as they arrive, "" when it can."""
    if node.op_type in RECURRENT:
        if any(constant_of(node.inputs[i]) is None for i in RECURRENT[node.op_type]):
            return "its weights are not constant"
        if _integer(node, "layout"):
            return "batch-first layout has no dynamic kernel"
        return ""
    if reason := refuse_anchor(node, rule):
        return reason
    if node.op_type == "Conv" and _integer(node, "group", 1) != 1:
        return "grouped convolutions run slower with dynamic activations than in float"
    if node.op_type == "Conv" and len(node.inputs[1].shape or ()) != 4:
        return "only two-dimensional convolutions have a dynamic kernel"
    if node.op_type == "MatMul" and len(node.inputs[1].shape or ()) != 2:
        return "a batch of weight matrices has no dynamic kernel"
    return ""


def _followers(model: ir.Model, decisions: Decisions, target: Target) -> None:
    """Forward: a follower is integer when one of its activations is."""
    for node, decision in decisions.by_node.items():
        if decision.reason != "pending":
            continue
        rule = decision.rule
        assert rule is not None
        decision.reason = _refuse_follower(node, rule, decisions)
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
            decision.compute, decision.reason = (
                Compute.FLOAT,
                "nothing integer takes its result, which is finer in float",
            )
            continue
        producers = [v.producer() for v in activation_operands(node, rule) if constant_of(v) is None]
        integers = [p for p in producers if p is not None and decisions.compute(p) is Compute.INTEGER]
        if integers and all(target.gives_float(p.op_type, storage_of(decision, target)) for p in integers):
            decision.compute = Compute.FLOAT
            decision.reason = "takes float results of a matrix product, and nothing integer takes its own"


def _refuse_follower(node: ir.Node, rule: Rule, decisions: Decisions) -> str:
    """Why a follower stays float, "" when it becomes integer."""
    operands = activation_operands(node, rule)
    if rule.kind is Kind.ANCHOR:  # a product of two activations
        operands = [v for v in node.inputs if v is not None]
    moving = [v for v in operands if constant_of(v) is None]
    if not moving:
        return "all its operands are constant"
    if any(v.dtype is not None and v.dtype != ir.DataType.FLOAT for v in operands):
        return "it moves integers"
    for value in operands:
        tensor = constant_of(value)
        if tensor is not None and tensor.dtype != ir.DataType.FLOAT:
            return "a constant operand is not float32"
    if not any(_is_integer_already(v, decisions) for v in moving):
        return "its operands are float"
    if rule.kind is Kind.CLAMP:
        bounds = clamp_range(node)
        if bounds is None:
            return "its bounds are not constant"
        if bounds[0] > 0 or bounds[1] < 0:
            return "its bounds leave out zero"
    if node.op_type == "Resize" and (mode := node.attributes.get("mode")) is not None and mode.as_string() != "nearest":
        return "Resize that interpolates has no integer kernel"
    if (
        node.op_type == "Pad"
        and len(node.inputs) > 2
        and (fill := constant_of(node.inputs[2])) is not None
        and fill.numpy().any()
    ):
        return "it pads with a value other than zero"
    if node.op_type in ("MaxPool",) and len([v for v in node.outputs if v.name]) > 1:
        return "its indices are wanted"
    return ""


def _is_integer_already(value: ir.Value, decisions: Decisions) -> bool:
    return decisions.compute(value.producer()) is Compute.INTEGER or any(
        d.compute is Compute.INTEGER and d.rule is not None and d.rule.kind is Kind.ANCHOR
        for n in value.consumers()
        if (d := decisions.by_node.get(n)) is not None and n.inputs and n.inputs[0] is value
    )


def _moves_before_integers(model: ir.Model, decisions: Decisions, target: Target) -> None:
    """Backward: what only moves values on their way to integer nodes moves integers, a quarter of the bytes."""
    for node, decision in reversed(decisions.by_node.items()):
        rule = decision.rule
        if decision.reason != "its operands are float" or rule is None or rule.scale is not Scale.SAME:
            continue
        results = [v for v in node.outputs if v.name]
        if len(results) != 1 or results[0].is_graph_output():
            continue
        users = results[0].consumers()
        if users and len(decisions.integer_users(results[0])) == len(users):
            decision.compute, decision.reason = Compute.INTEGER, ""


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


def _results(model: ir.Model, decisions: Decisions, target: Target) -> None:
    """Which integer nodes give integers, which give a float to whoever takes it."""
    for node, decision in decisions.by_node.items():
        if decision.compute is not Compute.INTEGER:
            continue
        if (clamp := fused_clamp(node, decisions)) is not None:
            decision.quantized_result = False
            decision.reason = f"one kernel with {clamp.op_type} {clamp.name}"
        elif target.gives_float(node.op_type, storage_of(decision, target)) and not decisions.integer_users(
            node.outputs[0]
        ):
            decision.quantized_result = False
            decision.reason = "gives its result as float"
