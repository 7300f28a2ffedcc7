"""The planner: Recipe + Target + Statistics -> Plan. Nothing after it chooses a parameter."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.calibration.collect import Request
from bitwright.calibration.ranges import select_range
from bitwright.calibration.statistics import Statistics
from bitwright.errors import QuantParamsError, UnsupportedOpError
from bitwright.graph.constants import constant_of
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.numerics.ranges import qparams_from_range
from bitwright.quantization.decisions import (
    SMALLEST_WEIGHT_ELEMENTS,
    Decision,
    Decisions,
    decide,
    storage_of,
    weight_elements,
)
from bitwright.quantization.plan import Compute, NodePlan, Plan, Role, TensorPlan, make_plan_value
from bitwright.quantization.recipe import Recipe, recipe_for_mode
from bitwright.quantization.rules import (
    LOOKUP,
    RECURRENT,
    Kind,
    Scale,
    activation_operands,
    clamp_range,
)
from bitwright.quantization.target import Target, load_target
from bitwright.quantization.weights import as_matrix, choose_weight_qparams

Array = NDArray[Any]

#: A bias must stay this far inside int32, so that the accumulator has room.
LARGEST_BIAS = 2.0**29


@dataclass
class _Activation:
    """One quantized activation: the value whose statistics give its parameters, storage, and who asked."""

    value: ir.Value
    source: ir.Value
    decision: Decision
    fixed: tuple[float, float] | None = None


@dataclass
class _Activations:
    """Quantized activations by value name, in graph order."""

    found: dict[str, _Activation] = field(default_factory=dict)


def observations(model: ir.Model, recipe: Recipe, target: Target) -> list[Request]:
    """What calibration has to watch: ranges of activation sources, channel means for bias correction.

    Args:
        model: the prepared graph.
        recipe, target: as the plan will be made with.
    """
    decisions = decide(model, recipe, target)
    ranges = {str(a.source.name) for a in _activations(decisions, target).found.values() if a.fixed is None}
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
    unmeasured: Collection[str] = (),
) -> Plan:
    """Decide every parameter.

    Args:
        model: the prepared graph.
        recipe: what is asked.
        target: what the runtime has kernels for.
        statistics: what calibration saw; needed when anything is integer.
        method: minmax, ema, percentile, entropy or mse.
        strict: refuse when anything asked to be quantized stays float.
        unmeasured: values that calibration watched and found no numbers in; what uses them stays float.

    Raises:
        StatisticsError: statistics of a value are missing.
        UnsupportedOpError: strict, and nodes stay float: all of them, each with its reason.
        QuantParamsError: weights with NaN or Inf.
    """
    decisions = decide(model, recipe, target, unmeasured=unmeasured)
    activations = _activations(decisions, target)
    tensors: dict[str, TensorPlan] = {}
    if activations.found:
        _plan_activations(activations, statistics, method, target, tensors)
    for node, decision in decisions.by_node.items():
        if decision.compute is Compute.FLOAT16:
            _plan_halves(node, tensors)
        elif decision.compute is not Compute.FLOAT and decision.rule is not None:
            _plan_constants(node, decision, target, tensors)
    _plan_biases(decisions, tensors)
    if strict:
        _refuse_floats(model, decisions)
    nodes = (NodePlan(str(n.name), n.op_type, d.compute, d.reason) for n, d in decisions.by_node.items())
    return make_plan_value(recipe.mode, target.name, _in_graph_order(model, tensors), nodes)


def _in_graph_order(model: ir.Model, tensors: dict[str, TensorPlan]) -> list[TensorPlan]:
    """Activations as the graph gives them, then constants as it holds them."""
    graph = model.graph
    values = [*graph.inputs, *(v for n in graph for v in n.outputs), *graph.initializers.values()]
    return [tensors[str(v.name)] for v in values if v.name in tensors]


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


def _activations(decisions: Decisions, target: Target) -> _Activations:
    """Every activation that is quantized, and whose statistics give its parameters."""
    result = _Activations()

    def add(value: ir.Value, decision: Decision) -> None:
        name = str(value.name)
        if name in result.found or constant_of(value) is not None:
            return
        if value.dtype is not None and value.dtype != ir.DataType.FLOAT:
            return
        source, fixed = _source(value, decisions)
        result.found[name] = _Activation(value, source, decision, fixed)

    for node, decision in decisions.by_node.items():
        if decision.compute is not Compute.INTEGER or decision.rule is None:
            continue
        rule = decision.rule
        fused_before = rule.kind is Kind.CLAMP and _is_unquantized_result(node.inputs[0], decisions)
        operands = activation_operands(node, rule)
        if rule.kind is Kind.ANCHOR and rule.weight is not None and constant_of(node.inputs[rule.weight]) is None:
            operands = [v for v in node.inputs if v is not None]
        for value in () if fused_before else operands:
            add(value, decision)
        for value in node.outputs if decision.quantized_result else ():
            if value.name and (value.dtype is None or value.dtype == ir.DataType.FLOAT):
                add(value, decision)
    return result


def _is_unquantized_result(value: ir.Value | None, decisions: Decisions) -> bool:
    producer = value.producer() if value is not None else None
    found = decisions.by_node.get(producer) if producer is not None else None
    return found is not None and found.compute is Compute.INTEGER and not found.quantized_result


def _source(value: ir.Value, decisions: Decisions) -> tuple[ir.Value, tuple[float, float] | None]:
    """Where a value's parameters come from: back through moves to the value that was measured or is fixed."""
    while True:
        producer = value.producer()
        found = decisions.by_node.get(producer) if producer is not None else None
        if found is None or found.compute is not Compute.INTEGER or found.rule is None:
            return value, None
        if found.rule.scale is Scale.FIXED:
            return value, found.rule.fixed_range
        if found.rule.scale is not Scale.SAME or producer is None or producer.inputs[0] is None:
            return value, None
        value = producer.inputs[0]


def fixed_qparams(bounds: tuple[float, float], storage: str) -> QuantParams:
    """Parameters of a result whose range is known: 1/256 for [0, 1], 1/128 for [-1, 1], 1/32768 at 16 bits.

    Source: TFLite's quantization specification.

    >>> fixed_qparams((0.0, 1.0), "u8"), fixed_qparams((-1.0, 1.0), "i8")
    (QuantParams(u8, scale=0.00390625, zero_point=0), QuantParams(i8, scale=0.0078125, zero_point=0))
    """
    kind = STORAGES[storage]
    if kind.bits == 16 and kind.signed:
        return QuantParams((2.0**-15,), (0,), storage)
    scale = (bounds[1] - bounds[0]) / (1 << kind.bits)
    return QuantParams((scale,), (round(kind.qmin - bounds[0] / scale),), storage)


def _plan_activations(
    activations: _Activations,
    statistics: Statistics | None,
    method: str,
    target: Target,
    tensors: dict[str, TensorPlan],
) -> None:
    measured = {str(a.source.name) for a in activations.found.values() if a.fixed is None}
    seen = statistics if statistics is not None else Statistics()
    seen.check(sorted(measured))
    chosen: dict[tuple[str, str, bool], QuantParams] = {}
    for name, activation in activations.found.items():
        how = activation.decision.how
        storage, symmetric = storage_of(activation.decision, target), bool(how.activation_symmetric)
        if activation.fixed is not None:
            qparams, reason = fixed_qparams(activation.fixed, storage), "known range"
        else:
            source = str(activation.source.name)
            key = (source, storage, symmetric)
            if key not in chosen:
                chosen[key] = _measured(activation.source, seen, method, storage, symmetric)
            qparams, reason = chosen[key], method if source == name else f"as {source}"
        tensors[name] = TensorPlan(name, Role.ACTIVATION, qparams, reason)


def _measured(value: ir.Value, statistics: Statistics, method: str, storage: str, symmetric: bool) -> QuantParams:
    name = str(value.name)
    low, high = select_range(statistics.tensors[name], method, storage=storage, symmetric=symmetric)
    producer, inside = value.producer(), False
    if producer is not None and producer.op_type in ("Relu", "Clip") and (bounds := clamp_range(producer)) is not None:
        low, high, inside = max(low, bounds[0]), min(high, bounds[1]), True
    try:
        return qparams_from_range(low, high, storage=storage, symmetric=symmetric, inside=inside)
    except QuantParamsError as error:
        raise QuantParamsError(
            error.what, where=f"activation {name!r}, range {low}..{high}", next=error.next
        ) from error


def _plan_halves(node: ir.Node, tensors: dict[str, TensorPlan]) -> None:
    """Every float32 constant of a node that is worth it and fits becomes float16."""
    for value in node.inputs:
        if value is None or weight_elements(value) < SMALLEST_WEIGHT_ELEMENTS or value.is_graph_output():
            continue
        tensor = constant_of(value)
        largest = float(np.abs(tensor.numpy()).max(initial=0.0)) if tensor is not None else 0.0
        if largest <= float(np.finfo(np.float16).max) and value.is_initializer():
            tensors[str(value.name)] = TensorPlan(str(value.name), Role.WEIGHT, None)


def _plan_constants(node: ir.Node, decision: Decision, target: Target, tensors: dict[str, TensorPlan]) -> None:
    """Weights and constant operands of one node."""
    rule = decision.rule
    assert rule is not None
    if node.op_type == LOOKUP and decision.compute is not Compute.INTEGER:
        _plan_weight(node, 0, decision, 1, tensors)
    elif node.op_type in RECURRENT:
        for operand in RECURRENT[node.op_type]:
            if weight_elements(node.inputs[operand]):
                _plan_weight(node, operand, decision, 1, tensors)
    elif rule.weight is not None and weight_elements(node.inputs[rule.weight]):
        _plan_weight(node, rule.weight, decision, rule.channel_axis(node), tensors)
    elif decision.compute is Compute.INTEGER:
        storage = storage_of(decision, target)
        symmetric = bool(decision.how.activation_symmetric)
        for value in activation_operands(node, rule):
            tensor = constant_of(value)
            if tensor is not None and str(value.name) not in tensors and tensor.size:
                array = tensor.numpy()
                qparams = qparams_from_range(array.min(), array.max(), storage=storage, symmetric=symmetric)
                tensors[str(value.name)] = TensorPlan(str(value.name), Role.WEIGHT, qparams, "constant operand")


def _plan_weight(
    node: ir.Node, operand: int, decision: Decision, axis: int | None, tensors: dict[str, TensorPlan]
) -> None:
    value = node.inputs[operand]
    tensor = constant_of(value)
    assert value is not None and tensor is not None
    how, name = decision.how, str(value.name)
    array = tensor.numpy()
    granularity = how.weight_granularity
    block_shape: tuple[int, ...] | None = None
    if (
        granularity == "per-block"
        and decision.compute is Compute.WEIGHT_ONLY
        and node.op_type not in (LOOKUP, *RECURRENT)
    ):
        array = as_matrix(array)
        size = how.block_size or 32
        block_shape = (size, 1) if array.ndim == tensor.numpy().ndim and _reduces_rows(node) else (1, size)
        if array.ndim != 2:
            block_shape = None
    if block_shape is not None or granularity == "per-tensor":
        axis = None
    try:
        qparams = choose_weight_qparams(
            array,
            storage=_weight_storage(decision),
            axis=axis,
            block_shape=block_shape,
            symmetric=bool(how.weight_symmetric),
            method=how.weight_method or "minmax",
        )
    except QuantParamsError as error:
        raise QuantParamsError(error.what, where=f"node {node.name!r}, weight {name!r}", next=error.next) from error
    if name in tensors:
        if tensors[name].qparams != qparams:
            decision.compute = Compute.FLOAT
            decision.reason = f"its weight {name} is shared with a node that quantizes it otherwise"
        return
    tensors[name] = TensorPlan(name, Role.WEIGHT, qparams, how.weight_method or "minmax")


def _reduces_rows(node: ir.Node) -> bool:
    """Whether the weight's first dimension is the reduced one: MatMul, and Gemm without transB."""
    transposed = node.attributes.get("transB")
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and not (transposed and transposed.as_int()))


def _weight_storage(decision: Decision) -> str:
    storage = decision.how.weight_storage or "i8"
    if decision.compute is not Compute.WEIGHT_ONLY and STORAGES[storage].bits < 8:
        return "i8" if storage[0] == "i" else "u8"
    return storage


def _biased_nodes(decisions: Decisions) -> Iterable[tuple[ir.Value, ir.Value, ir.Value]]:
    """(activation, weight, constant bias) of every integer node that has all three."""
    for node, decision in decisions.by_node.items():
        rule = decision.rule
        if decision.compute is not Compute.INTEGER or rule is None or rule.weight is None or rule.bias is None:
            continue
        bias = node.inputs[rule.bias] if len(node.inputs) > rule.bias else None
        data, weight = node.inputs[0], node.inputs[rule.weight]
        if bias is not None and data is not None and weight is not None and constant_of(bias) is not None:
            yield data, weight, bias


def _plan_biases(decisions: Decisions, tensors: dict[str, TensorPlan]) -> None:
    """int32, scale = scale of the activation * scale of the weight; weight scales grow where a bias would not fit."""
    biased = list(_biased_nodes(decisions))
    for data, weight, bias in biased:
        plan = tensors[str(weight.name)]
        grown = _room_for_bias(_scale_of(data, tensors), plan, _array(weight), np.abs(_array(bias).reshape(-1)))
        tensors[plan.name] = grown
    for data, weight, bias in biased:
        qparams = tensors[str(weight.name)].qparams
        assert qparams is not None
        scale = (np.float32(_scale_of(data, tensors)) * qparams.scale).astype(np.float32)
        axis = 0 if qparams.axis is not None else None
        tensors[str(bias.name)] = TensorPlan(str(bias.name), Role.BIAS, QuantParams(scale, 0, "i32", axis))


def _room_for_bias(step: float, plan: TensorPlan, weight: Array, magnitude: Array) -> TensorPlan:
    """The weight's plan with scales large enough that every bias stays well inside int32.

    A channel without weights has no scale of its own: it gets one that leaves its bias 24 bits.
    """
    qparams = plan.qparams
    assert qparams is not None
    needed = magnitude.astype(np.float64) / (LARGEST_BIAS * step)
    if qparams.axis is None:
        needed, empty = needed.max(initial=0.0, keepdims=True), np.array([not weight.any()])
    else:
        empty = ~np.moveaxis(weight, qparams.axis, 0).reshape(qparams.scale.size, -1).any(axis=1)
    spare = max(float(magnitude.max(initial=0.0)) / (2.0**24 * step), 2.0**-60)
    grown = np.maximum(np.where(empty, spare, qparams.scale.astype(np.float64)), needed).astype(np.float32)
    if np.array_equal(grown, qparams.scale):
        return plan
    changed = QuantParams(grown, qparams.zero_point, qparams.storage, qparams.axis, None, qparams.narrow_range)
    return TensorPlan(plan.name, plan.role, changed, plan.reason)


def _scale_of(value: ir.Value, tensors: dict[str, TensorPlan]) -> float:
    qparams = tensors[str(value.name)].qparams
    assert qparams is not None
    return float(qparams.scale[0])


def _array(value: ir.Value) -> Array:
    tensor = constant_of(value)
    assert tensor is not None
    return tensor.numpy()


def float_nodes(plan: Plan) -> Iterable[NodePlan]:
    """Nodes that stay float and could have been integer, with their reasons."""
    return (node for node in plan.nodes.values() if node.compute is Compute.FLOAT)
