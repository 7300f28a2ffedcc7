"""Placement: where a plan quantizes a graph, and the quantizers that train there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from bitwright.calibration.ranges import select_range
from bitwright.calibration.statistics import Statistics
from bitwright.errors import UsageError
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.activations import Activation, activations_of
from bitwright.quantization.decision import Decisions, storage_of
from bitwright.quantization.decisions import decide
from bitwright.quantization.given import Given
from bitwright.quantization.plan import Compute, Plan, Role
from bitwright.quantization.planner import make_plan
from bitwright.quantization.recipe import Recipe
from bitwright.quantization.results import fused_clamp
from bitwright.quantization.rules import RECURRENT, Scale, clamp_range, rule_of, weight_operand
from bitwright.quantization.target import Target
from bitwright.training.quantizers import ActivationQuantizer, WeightQuantizer

#: Operators that give elements of their first operand as they are, so that integers stay integers.
_MOVES = {
    *("MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "Identity", "Reshape", "Flatten", "Transpose", "Squeeze"),
    *("Unsqueeze", "Slice", "Split", "Gather", "Expand", "Tile", "DepthToSpace", "SpaceToDepth"),
}
#: What stands for a range that training will find.
_ANY = Given(default=(-1.0, 1.0))


@dataclass(frozen=True)
class Source:
    """What is known of a value whose range gives the parameters of quantized ones.

    Args:
        storage: storage type of the integers.
        symmetric: zero_point is 0.
        bounds: of the clamp that gives the value; None where there is none.
        fixed: its parameters, where these are known beforehand.
    """

    storage: str
    symmetric: bool
    bounds: tuple[float, float] | None
    fixed: QuantParams | None


@dataclass(frozen=True)
class Placement:
    """Where values, weights and biases are quantized.

    Args:
        recipe, target: what was asked, and for which runtime.
        plan: decided for the graph as it is deployed; its activations' parameters are not to be used.
        activations: quantized values -> the value whose range gives their parameters.
        sources: these, with what is known of each.
        observed: values that the range is watched at.
        moved: values that quantized ones were only moved to.
        given: values whose readers and outputs all see what the integers stand for.
        weights: (node, operand) -> the weight's name in the plan.
        biased: nodes whose bias is quantized.
        kernels: nodes that sum integers -> the quantized value that their kernel gives.
        clamps: values that a clamp gives -> its bounds.
        fixed_constants: quantized constants beside activations; they are not trained.
        learned: scales are learned.
        momentum: of moving averages.
    """

    recipe: Recipe
    target: Target
    plan: Plan
    activations: Mapping[str, str]
    sources: Mapping[str, Source]
    observed: frozenset[str]
    moved: frozenset[str]
    given: frozenset[str]
    weights: Mapping[tuple[str, int], str]
    biased: frozenset[str]
    kernels: Mapping[str, str]
    clamps: Mapping[str, tuple[float, float]]
    fixed_constants: tuple[str, ...]
    learned: bool
    momentum: float

    def reads(self, node: str, value: str) -> bool:
        """Whether a node reads what the value's integers stand for; of constants, those in their own range."""
        if value in self.fixed_constants:
            own = self.plan.tensors[value].reason == "constant operand"
            return own and self.plan.compute_of(node) is Compute.INTEGER
        if value not in self.activations:
            return False
        return value in self.given or self.plan.compute_of(node) is Compute.INTEGER

    def weight_quantizers(self) -> dict[str, WeightQuantizer]:
        """A quantizer for each weight, by its name in the plan."""
        made = {}
        for name in dict.fromkeys(self.weights.values()):
            qparams = self.plan.tensors[name].qparams
            assert qparams is not None
            made[name] = WeightQuantizer(qparams, learned=self.learned)
        return made

    def activation_quantizers(self) -> dict[str, ActivationQuantizer]:
        """A quantizer for each source."""
        return {
            name: ActivationQuantizer(
                source.storage,
                symmetric=source.symmetric,
                bounds=source.bounds,
                fixed=source.fixed,
                learned=self.learned,
                momentum=self.momentum,
            )
            for name, source in self.sources.items()
        }


def place(deployed: ir.Model, recipe: Recipe, target: Target, *, learned: bool, momentum: float) -> Placement:
    """Where a recipe quantizes a graph on a target.

    Args:
        deployed: the graph with everything folded, as the plan of the converted model will be made on.
        recipe, target: what is asked, and for which runtime.
        learned: scales are learned.
        momentum: of moving averages.

    Raises:
        UsageError: nothing is quantized, or weights are in blocks.
    """
    plan = make_plan(deployed, recipe, target, given=_ANY if recipe.needs_calibration else Given())
    if not any(tensor.qparams is not None for tensor in plan.tensors.values()):
        raise UsageError(
            f"mode {recipe.mode} quantizes nothing in this network that training could adapt", next="take mode int8"
        )
    decisions = decide(deployed, recipe, target)
    activations = activations_of(decisions)
    if recipe.needs_calibration and not activations:
        reasons = dict.fromkeys(node.reason for node in plan.float_nodes() if node.reason)
        raise UsageError(
            f"nothing computes on integers for {target.name}: {'; '.join(list(reasons)[:3])}",
            next="take other activations or another target, or mode dynamic or weight-only",
        )
    blocked = [t.name for t in plan.tensors.values() if t.qparams is not None and t.qparams.block_shape is not None]
    if blocked:
        raise UsageError(
            "weights with a scale a block are not trained", where=f"weight {blocked[0]!r}",
            next="leave the block size out: one scale a channel",
        )  # fmt: skip
    by_source: dict[str, Source] = {}
    for activation in activations.values():
        by_source.setdefault(str(activation.source.name), _source_of(activation, target, plan))
    nodes = list(deployed.graph)
    integer = {str(node.name) for node in nodes if plan.compute_of(node.name) is Compute.INTEGER}
    weights: dict[tuple[str, int], str] = {}
    biased: set[str] = set()
    for node in nodes:
        name = str(node.name)
        for index in weights_of(node):
            value = node.inputs[index]
            planned = plan.tensors.get(str(value.name)) if value is not None else None
            if planned is not None and planned.role is Role.WEIGHT and planned.reason != "constant operand":
                weights[name, index] = planned.name
        third = node.inputs[2] if len(node.inputs) > 2 else None
        if third is not None and (found := plan.tensors.get(str(third.name))) is not None and found.role is Role.BIAS:
            biased.add(name)
    constants = [t.name for t in plan.tensors.values() if t.role is Role.WEIGHT and t.name not in weights.values()]
    moved = frozenset(
        name
        for name, activation in activations.items()
        if (producer := activation.value.producer()) is not None
        and producer.name in integer
        and producer.op_type in _MOVES
        and decisions.by_node[producer].scale is Scale.SAME
    )
    return Placement(
        recipe=recipe,
        target=target,
        plan=plan,
        activations={name: str(a.source.name) for name, a in activations.items()},
        sources=by_source,
        observed=frozenset(n for n, a in activations.items() if n not in moved and a.is_measured),
        moved=moved,
        given=frozenset(
            n for n, a in activations.items() if (p := a.value.producer()) is not None and p.name in integer
        ),
        weights=weights,
        biased=frozenset(biased),
        kernels={
            name: kernel
            for node in nodes
            if (name := str(node.name)) in integer
            and any(key[0] == name for key in weights)
            and (kernel := _kernel_result(node, decisions)) in activations
        },
        fixed_constants=tuple(constants),
        clamps={name: bounds for name, a in activations.items() if (bounds := _bounds(a.value)) is not None},
        learned=learned,
        momentum=momentum,
    )


def ranges_of(placement: Placement, statistics: Statistics, method: str) -> dict[str, tuple[float, float]]:
    """The range that calibration gives each source."""
    found = {}
    for name, source in placement.sources.items():
        if source.fixed is None and name in statistics.tensors:
            seen, symmetric = statistics.tensors[name], source.symmetric
            found[name] = select_range(seen, method, storage=source.storage, symmetric=symmetric)
    return found


def _source_of(activation: Activation, target: Target, plan: Plan) -> Source:
    """What is known of an activation's source."""
    return Source(
        storage_of(activation.decision, target),
        bool(activation.decision.how.activation_symmetric),
        _bounds(activation.source),
        None if activation.is_measured else plan.tensors[str(activation.value.name)].qparams,
    )


def _bounds(value: ir.Value) -> tuple[float, float] | None:
    """The bounds of the clamp that gives a value."""
    producer = value.producer()
    return clamp_range(producer) if producer is not None and producer.op_type in ("Relu", "Clip") else None


def _kernel_result(node: ir.Node, decisions: Decisions) -> str:
    """What a node's kernel gives, with the clamp that it runs as well."""
    clamp = fused_clamp(node, decisions)
    return str((node if clamp is None else clamp).outputs[0].name)


def weights_of(node: ir.Node) -> list[int]:
    """The operands of a node that are weights, and constant."""
    rule = rule_of(node)
    if rule is None:
        return []
    operand = weight_operand(node, rule)
    found = RECURRENT.get(node.op_type, () if operand is None else (operand,))
    return [i for i in found if i < len(node.inputs) and (v := node.inputs[i]) is not None and v.is_initializer()]
