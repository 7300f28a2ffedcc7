"""Activations: which values are quantized, and the parameters that their statistics give."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from bitwright.calibration.ranges import select_range
from bitwright.calibration.statistics import Statistics
from bitwright.errors import QuantParamsError
from bitwright.graph.constants import constant_of
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.numerics.ranges import qparams_from_range
from bitwright.quantization.decisions import Decision, Decisions, storage_of
from bitwright.quantization.plan import Compute, Role, TensorPlan
from bitwright.quantization.rules import Kind, Scale, activation_operands, clamp_range
from bitwright.quantization.target import Target


@dataclass
class Activation:
    """One quantized activation: the value, the one whose statistics give its parameters, and who asked.

    Args:
        value: what is quantized.
        source: back through moves, the value that was measured.
        decision: of the first integer node that reads or gives it.
        fixed: its real range where that is known beforehand.
    """

    value: ir.Value
    source: ir.Value
    decision: Decision
    fixed: tuple[float, float] | None = None


def activations_of(decisions: Decisions) -> dict[str, Activation]:
    """Every activation that is quantized, by value name, in the order that integer nodes meet them."""
    result: dict[str, Activation] = {}

    def add(value: ir.Value, decision: Decision) -> None:
        name = str(value.name)
        if name in result or constant_of(value) is not None:
            return
        if value.dtype is not None and value.dtype != ir.DataType.FLOAT:
            return
        source, fixed = _source(value, decisions)
        result[name] = Activation(value, source, decision, fixed)

    for node, decision in decisions.by_node.items():
        if decision.compute is not Compute.INTEGER or decision.rule is None:
            continue
        rule = decision.rule
        fused_before = rule.kind is Kind.CLAMP and _is_unquantized_result(node.inputs[0], decisions)
        for value in () if fused_before else activation_operands(node, rule):
            add(value, decision)
        for value in node.outputs if decision.quantized_result else ():
            if value.name and (value.uses() or value.is_graph_output()):
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


def plan_activations(
    activations: dict[str, Activation],
    statistics: Statistics | None,
    method: str,
    target: Target,
    tensors: dict[str, TensorPlan],
) -> None:
    measured = {str(a.source.name) for a in activations.values() if a.fixed is None}
    seen = statistics if statistics is not None else Statistics()
    seen.check(sorted(measured))
    chosen: dict[tuple[str, str, bool], QuantParams] = {}
    for name, activation in activations.items():
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
        low = min(low, high)  # of two bounds that cross, the upper one wins
    try:
        return qparams_from_range(low, high, storage=storage, symmetric=symmetric, inside=inside)
    except QuantParamsError as error:
        raise QuantParamsError(
            error.what, where=f"activation {name!r}, range {low}..{high}", next=error.next
        ) from error
