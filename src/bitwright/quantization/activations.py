"""Activations: which values are quantized, and the parameters that their statistics give."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from bitwright.calibration.ranges import select_range
from bitwright.calibration.statistics import Statistics
from bitwright.errors import QuantParamsError
from bitwright.graph.constants import array_of, constant_of
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.numerics.ranges import qparams_from_range
from bitwright.quantization.decision import Decision, Decisions, storage_of
from bitwright.quantization.given import NOTHING, Given
from bitwright.quantization.plan import Compute, Role, TensorPlan
from bitwright.quantization.rules import Kind, activation_operands, clamp_range, rule_of
from bitwright.quantization.sharing import joined_operands, source_of
from bitwright.quantization.target import Target


@dataclass
class Activation:
    """One quantized activation: the value, the one whose statistics give its parameters, and who asked.

    Args:
        value: what is quantized.
        source: the value that was measured: itself, what it was moved from, what it is joined into.
        decision: of the first integer node that reads or gives it.
        fixed: its real range where that is known beforehand.
    """

    value: ir.Value
    source: ir.Value
    decision: Decision
    fixed: tuple[float, float] | None = None

    @property
    def is_measured(self) -> bool:
        """Whether its parameters come from statistics."""
        return self.fixed is None and constant_of(self.source) is None


def activations_of(decisions: Decisions, *, joins: bool = True) -> dict[str, Activation]:
    """Every activation that is quantized, by value name, in the order that integer nodes meet them.

    Args:
        decisions: how every node computes.
        joins: whether operands of joining nodes have the parameters of the result; False: each its own.
    """
    result: dict[str, Activation] = {}
    joined = joined_operands(decisions) if joins else {}

    def add(value: ir.Value, decision: Decision) -> None:
        name = str(value.name)
        if name in result or constant_of(value) is not None:
            return
        if value.dtype is not None and value.dtype != ir.DataType.FLOAT:
            return
        source, fixed = source_of(value, decisions, joined)
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


def fixed_qparams(bounds: tuple[float, float], storage: str) -> QuantParams:
    """Parameters of a result whose range is known: 1/256 for [0, 1], 1/128 for [-1, 1], 1/32768 at 16 bits.

    Source: TFLite's quantization specification.

    >>> fixed_qparams((0.0, 1.0), "u8"), fixed_qparams((-1.0, 1.0), "i8")
    (QuantParams(u8, scale=0.00390625, zero_point=0), QuantParams(i8, scale=0.0078125, zero_point=0))
    >>> fixed_qparams((-16.0, 0.0), "i8")
    QuantParams(i8, scale=0.0625, zero_point=127)
    """
    kind = STORAGES[storage]
    if kind.bits == 16 and kind.signed:
        return QuantParams((max(-bounds[0], bounds[1]) / 2.0**15,), (0,), storage)
    scale = (bounds[1] - bounds[0]) / (1 << kind.bits)
    return QuantParams((scale,), (min(round(kind.qmin - bounds[0] / scale), kind.qmax),), storage)


def plan_activations(
    activations: dict[str, Activation],
    statistics: Statistics | None,
    method: str,
    target: Target,
    tensors: dict[str, TensorPlan],
    given: Given = NOTHING,
) -> None:
    """Give every activation its parameters, and say where they come from.

    Raises:
        StatisticsError: statistics of a value are missing, and no range stands in for them.
        UsageError: the mean and standard deviation of an input that is not quantized to u8.
    """
    seen = statistics if statistics is not None else Statistics()
    names = {str(a.source.name) for a in activations.values() if a.is_measured} - {*given.inputs, *given.qparams}
    if given.default is None:
        seen.check(sorted(names))
    chosen: dict[tuple[str, str, bool], tuple[QuantParams, str]] = {}
    least = _least_scales(activations)
    for name, activation in activations.items():
        how, source = activation.decision.how, str(activation.source.name)
        storage, symmetric = storage_of(activation.decision, target), bool(how.activation_symmetric)
        if activation.fixed is not None:
            qparams, reason = fixed_qparams(activation.fixed, storage), "known range"
        else:
            key = (source, storage, symmetric)
            if key not in chosen:
                qparams, reason = _choose(activation.source, seen, method, storage, symmetric, given)
                chosen[key] = _widened(qparams, least.get(source, 0.0)), reason
            qparams, reason = chosen[key]
            reason = reason if source == name else f"as {source}"
        tensors[name] = TensorPlan(name, Role.ACTIVATION, qparams, reason)
    given.check_used(activations)


def _choose(
    value: ir.Value, statistics: Statistics, method: str, storage: str, symmetric: bool, given: Given
) -> tuple[QuantParams, str]:
    """Parameters of a source, and where they come from."""
    name = str(value.name)
    if name in given.qparams:
        return given.qparams[name], "trained"
    if name in given.inputs:
        return given.input_qparams(name, storage), "given mean and standard deviation"
    if (array := array_of(value)) is not None:
        return qparams_from_range(array.min(), array.max(), storage=storage, symmetric=symmetric), "constant operand"
    measured = statistics.tensors.get(name)
    if given.default is not None and (measured is None or not measured.count):
        return _in_range(value, *given.default, storage, symmetric), "default range"
    low, high = select_range(statistics.tensors[name], method, storage=storage, symmetric=symmetric)
    return _in_range(value, low, high, storage, symmetric), method


def _least_scales(activations: dict[str, Activation]) -> dict[str, float]:
    """What the scale of a source is at least, for those who read it."""
    found: dict[str, float] = {}
    for activation in activations.values():
        for use in activation.value.uses():
            rule = rule_of(use.node)
            if rule is not None and rule.least_scale:
                name = str(activation.source.name)
                found[name] = max(found.get(name, 0.0), rule.least_scale)
    return found


def _widened(qparams: QuantParams, least: float) -> QuantParams:
    """The same storage and zero point on a scale of at least so much; `least` 0 leaves them as they are.

    >>> _widened(QuantParams((1e-12,), (3,), "i8"), 2.0**-25)
    QuantParams(i8, scale=2.98023e-08, zero_point=3)
    """
    if float(qparams.scale.max()) >= least:
        return qparams
    return QuantParams((least,), (int(qparams.zero_point.max()),), qparams.storage)


def _in_range(value: ir.Value, low: float, high: float, storage: str, symmetric: bool) -> QuantParams:
    """Parameters for a range, or for what of it is left by the clamp that gives the value."""
    producer, inside = value.producer(), False
    if producer is not None and producer.op_type in ("Relu", "Clip") and (bounds := clamp_range(producer)) is not None:
        low, high, inside = max(low, bounds[0]), min(high, bounds[1]), True
        low = min(low, high)  # of two bounds that cross, the upper one wins
    try:
        return qparams_from_range(low, high, storage=storage, symmetric=symmetric, inside=inside)
    except QuantParamsError as error:
        raise QuantParamsError(
            error.what, where=f"activation {str(value.name)!r}, range {low}..{high}", next=error.next
        ) from error
