"""The planner: Recipe + Target + Statistics -> Plan. Nothing after it chooses a parameter."""

from __future__ import annotations

from collections.abc import Set

import onnx_ir as ir

from bitwright.calibration.collect import Request
from bitwright.calibration.statistics import Statistics, TensorStatistics
from bitwright.errors import UnsupportedOpError
from bitwright.graph.constants import constant_of
from bitwright.quantization.activations import activations_of, plan_activations
from bitwright.quantization.constants import plan_biases, plan_constants, plan_halves
from bitwright.quantization.decision import Decisions
from bitwright.quantization.decisions import decide
from bitwright.quantization.forms import LARGEST_OPERAND
from bitwright.quantization.given import NOTHING, Given
from bitwright.quantization.plan import Compute, NodePlan, Plan, Role, TensorPlan, make_plan_value
from bitwright.quantization.recipe import Recipe, recipe_for_mode
from bitwright.quantization.target import Target, load_target


def observations(model: ir.Model, recipe: Recipe, target: Target) -> list[Request]:
    """What calibration has to watch: ranges of activation sources, channel means for bias correction.

    Operands of a join are watched themselves too: what calibration sees of its result may leave it float.

    Args:
        model: the prepared graph.
        recipe, target: as the plan will be made with.
    """
    decisions = decide(model, recipe, target)
    found = [a for joins in (True, False) for a in activations_of(decisions, joins=joins).values()]
    ranges = {str(a.source.name) for a in found if a.is_measured}
    means = _mean_requests(decisions)
    names = [*dict.fromkeys([*sorted(ranges), *sorted(means)])]
    return [Request(name, means.get(name), name in ranges) for name in names]


def _mean_requests(decisions: Decisions) -> dict[str, int]:
    """Channel axes by name of the activations that meet quantized weights and have a bias to correct."""
    means: dict[str, int] = {}
    for node, decision in decisions.by_node.items():
        rule = decision.rule
        if decision.compute is Compute.INTEGER and rule is not None and rule.data_axis is not None:
            has_bias = rule.bias is not None and len(node.inputs) > rule.bias and node.inputs[rule.bias] is not None
            if has_bias and constant_of(node.inputs[0]) is None:
                means[str(node.inputs[0].name)] = rule.data_axis  # type: ignore[union-attr]
    return means


def make_plan(
    model: ir.Model,
    recipe: Recipe,
    target: Target,
    statistics: Statistics | None = None,
    method: str = "minmax",
    *,
    strict: bool = False,
    unmeasured: Set[str] = frozenset(),
    given: Given = NOTHING,
) -> Plan:
    """Decide every parameter.

    Args:
        model: the prepared graph.
        recipe: what is asked.
        target: what the runtime has kernels for.
        statistics: what calibration saw; needed when anything is integer. What partial ones lack stays float.
        method: minmax, ema, percentile, entropy or mse.
        strict: refuse when anything asked to be quantized stays float.
        unmeasured: values that calibration watched and found no numbers in; what uses them stays float.
        given: ranges that are told instead of measured.

    Raises:
        StatisticsError: statistics of a value are missing.
        UsageError: storage types that no kernel of the target takes together.
        UnsupportedOpError: strict, and nodes stay float: all of them, each with its reason.
        QuantParamsError: weights with NaN or Inf.
    """
    masks = {name for name, seen in (statistics.tensors.items() if statistics is not None else ()) if _is_mask(seen)}
    without = {*unmeasured, *masks}
    if statistics is not None and statistics.partial and given.default is None:
        without |= _missing(model, recipe, target, without, {*statistics.tensors, *given.inputs, *given.qparams})
    decisions = decide(model, recipe, target, unmeasured=without)
    activations = activations_of(decisions)
    tensors: dict[str, TensorPlan] = {}
    plan_activations(activations, statistics, method, target, tensors, given)
    for node, decision in decisions.by_node.items():
        if decision.compute is Compute.FLOAT16:
            plan_halves(node, decision, tensors)
        elif decision.compute is not Compute.FLOAT and decision.rule is not None:
            plan_constants(node, decision, target, tensors, given)
    plan_biases(decisions, target, tensors)
    for node, decision in decisions.by_node.items():
        if decision.compute is Compute.FLOAT and any(_is_rounded(v, tensors) for v in node.inputs):
            decision.reason += "; reads a constant that is rounded for another node"
    if strict:
        _refuse_floats(model, decisions)
    nodes = (NodePlan(str(n.name), n.op_type, d.compute, d.reason) for n, d in decisions.by_node.items())
    return make_plan_value(recipe.mode, target.name, _in_graph_order(model, tensors), nodes)


def _missing(model: ir.Model, recipe: Recipe, target: Target, unmeasured: Set[str], known: Set[str]) -> frozenset[str]:
    """The values that integers would need a range of and that have none; what they leave float may need others."""
    missing: frozenset[str] = frozenset()
    while True:
        activations = activations_of(decide(model, recipe, target, unmeasured=unmeasured | missing))
        more = {str(a.source.name) for a in activations.values() if a.is_measured} - known - missing
        if not more:
            return missing
        missing |= more


def _is_mask(seen: TensorStatistics) -> bool:
    """Whether a value's range is that of an attention mask: one step would hold everything else."""
    return bool(seen.count) and max(abs(seen.minimum), abs(seen.maximum)) > LARGEST_OPERAND


def _is_rounded(value: ir.Value | None, tensors: dict[str, TensorPlan]) -> bool:
    plan = tensors.get(str(value.name)) if value is not None else None
    return plan is not None and plan.role is not Role.ACTIVATION


def _in_graph_order(model: ir.Model, tensors: dict[str, TensorPlan]) -> list[TensorPlan]:
    """Activations as the graph gives them, then weights and biases as it holds them."""
    graph = model.graph
    values = [*graph.inputs, *(v for n in graph for v in n.outputs), *graph.initializers.values()]
    found = [tensors[str(v.name)] for v in values if v.name in tensors]
    return sorted(found, key=lambda plan: list(Role).index(plan.role))


def preview(model: ir.Model, target: str = "onnxruntime", recipe: Recipe | None = None) -> Plan:
    """What would compute how, without statistics: nodes and reasons, no parameters."""
    decisions = decide(model, recipe or recipe_for_mode("int8"), load_target(target))
    nodes = (NodePlan(str(n.name), n.op_type, d.compute, d.reason) for n, d in decisions.by_node.items())
    return make_plan_value(recipe.mode if recipe else "int8", target, (), nodes)


def _refuse_floats(model: ir.Model, decisions: Decisions) -> None:
    left = [d for d in decisions.by_node.values() if d.compute is Compute.FLOAT and d.wanted]
    if not left:
        return
    lines = "".join(f"\n           {d.node.op_type} {d.node.name}: {d.reason}" for d in left)
    raise UnsupportedOpError(
        f"{len(left)} of {len(decisions.by_node)} nodes would stay float, and strict was asked",
        where=f"graph {model.graph.name!r}, nodes:{lines}",
        next="leave out --strict, or exclude these nodes by name",
    )
