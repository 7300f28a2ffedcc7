"""Constants: the parameters of weights, biases and constant operands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import QuantParamsError
from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import constant_of
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.numerics.ranges import qparams_from_range
from bitwright.quantization.decision import Decision, Decisions, storage_of
from bitwright.quantization.given import NOTHING, Given
from bitwright.quantization.kernels import integer_storage
from bitwright.quantization.plan import Compute, Role, TensorPlan
from bitwright.quantization.recipe import How
from bitwright.quantization.refusals import SMALLEST_WEIGHT_ELEMENTS, weight_elements
from bitwright.quantization.rules import LOOKUP, RECURRENT, Kind, Scale, activation_operands, rank_of, weight_operand
from bitwright.quantization.target import Target
from bitwright.quantization.weights import as_matrix, choose_weight_qparams

Array = NDArray[Any]

#: Storage types of weights that files have.
STORED = ("i4", "i8", "u8")
#: A bias must stay this far inside its storage type, so that the accumulator has room: kernels of 16-bit activations
#: requantize 48 bits.
LARGEST_BIAS = {"i32": 2.0**29, "i64": 2.0**45}


def plan_halves(node: ir.Node, decision: Decision, tensors: dict[str, TensorPlan]) -> None:
    """Every float32 constant of a node that is worth it and fits becomes float16; none: the node stays float."""
    fitted = False
    for value in node.inputs:
        if value is None or weight_elements(value) < SMALLEST_WEIGHT_ELEMENTS or value.is_graph_output():
            continue
        tensor = constant_of(value)
        largest = float(np.abs(tensor.numpy()).max(initial=0.0)) if tensor is not None else 0.0
        if largest <= float(np.finfo(np.float16).max) and value.is_initializer():
            tensors[str(value.name)] = TensorPlan(str(value.name), Role.WEIGHT, None)
            fitted = True
    if not fitted:
        decision.compute = Compute.FLOAT
        decision.reason = "its constants pass 65504, the largest float16"


def plan_constants(
    node: ir.Node, decision: Decision, target: Target, tensors: dict[str, TensorPlan], given: Given = NOTHING
) -> None:
    """Weights and constant operands of one node."""
    rule = decision.rule
    assert rule is not None
    if node.op_type == LOOKUP and decision.compute is not Compute.INTEGER:
        _plan_weight(node, 0, decision, 1, tensors, given)
    elif node.op_type in RECURRENT:
        for gates in RECURRENT[node.op_type]:
            if weight_elements(node.inputs[gates]):
                _plan_weight(node, gates, decision, 1, tensors, given)
    elif decision.compute is Compute.INTEGER and decision.weight is None:
        _plan_operands(node, decision, target, tensors)
    else:
        operand = decision.weight if decision.compute is Compute.INTEGER else weight_operand(node, rule)
        if operand is not None and weight_elements(node.inputs[operand]):
            left = 0 if rank_of(node.inputs[operand]) == 2 else None
            axis = rule.channel_axis(node) if operand == rule.weight else left
            _plan_weight(node, operand, decision, axis, tensors, given)


def _plan_operands(node: ir.Node, decision: Decision, target: Target, tensors: dict[str, TensorPlan]) -> None:
    """Constants beside activations: in their own range, or as the result that they are joined into."""
    assert decision.rule is not None
    storage, symmetric = storage_of(decision, target), bool(decision.how.activation_symmetric)
    result = tensors.get(str(node.outputs[0].name)) if decision.scale is Scale.JOINED else None
    product = decision.rule.kind is Kind.ANCHOR  # whose constants are no weights here, on either side
    for value in node.inputs if product else activation_operands(node, decision.rule):
        tensor = constant_of(value)
        if value is None or tensor is None or str(value.name) in tensors or not tensor.size:
            continue
        name = str(value.name)
        if result is not None:
            tensors[name] = TensorPlan(name, Role.WEIGHT, result.qparams, f"as {result.name}")
            continue
        array = tensor.numpy()
        low, high = float(array.min()), float(array.max())
        qparams = qparams_from_range(low, high, storage=storage, symmetric=symmetric)
        tensors[name] = TensorPlan(name, Role.WEIGHT, qparams, "constant operand")


def _plan_weight(
    node: ir.Node,
    operand: int,
    decision: Decision,
    axis: int | None,
    tensors: dict[str, TensorPlan],
    given: Given,
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
        rows = array.ndim == tensor.numpy().ndim and operand == 1 and _reduces_rows(node)
        block_shape = (size, 1) if rows else (1, size)
        if array.ndim != 2:
            block_shape = None
    if block_shape is not None or granularity == "per-tensor":
        axis = None
    storage = _weight_storage(node, decision)
    try:
        qparams = given.qparams.get(name) or choose_weight_qparams(
            array,
            storage=storage,
            axis=axis,
            block_shape=block_shape,
            symmetric=bool(how.weight_symmetric) or decision.compute is Compute.DYNAMIC,
            method=how.weight_method or "minmax",
            bits=None if node.op_type == LOOKUP else _weight_bits(storage, how),
        )
    except QuantParamsError as error:
        raise QuantParamsError(error.what, where=f"node {node.name!r}, weight {name!r}", next=error.next) from error
    if name in tensors:
        if tensors[name].qparams != qparams and decision.compute is not Compute.WEIGHT_ONLY:
            decision.compute = Compute.WEIGHT_ONLY
            decision.reason = f"its weight {name} is shared with a node that quantizes it otherwise"
        return
    reason = "trained" if name in given.qparams else how.weight_method or "minmax"
    tensors[name] = TensorPlan(name, Role.WEIGHT, qparams, reason)


def _reduces_rows(node: ir.Node) -> bool:
    """Whether the weight's first dimension is the reduced one: MatMul, and Gemm without transB."""
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and not int_attribute(node, "transB", 0))


def _weight_storage(node: ir.Node, decision: Decision) -> str:
    storage = decision.how.weight_storage or "i8"
    if decision.compute is Compute.DYNAMIC or (node.op_type == LOOKUP and STORAGES[storage].bits < 8):
        return "i8"
    return storage if decision.compute is Compute.WEIGHT_ONLY and storage in STORED else integer_storage(storage)


def _weight_bits(storage: str, how: How) -> int | None:
    """The bits of weights that are asked narrower than the type that they are stored in."""
    asked = min(STORAGES[how.weight_storage or "i8"].bits, how.weight_bits or 8)
    return asked if asked < STORAGES[storage].bits else None


@dataclass(frozen=True)
class _Biased:
    """An integer node's activation, weight and constant bias, and what the bias is stored in."""

    data: ir.Value
    weight: ir.Value
    bias: ir.Value
    storage: str


def _biased_nodes(decisions: Decisions, target: Target) -> Iterator[_Biased]:
    """Every integer node that has all three."""
    for node, decision in decisions.by_node.items():
        rule = decision.rule
        if decision.compute is not Compute.INTEGER or rule is None or rule.weight is None or rule.bias is None:
            continue
        bias = node.inputs[rule.bias] if len(node.inputs) > rule.bias else None
        data, weight = node.inputs[0], node.inputs[rule.weight]
        if bias is not None and data is not None and weight is not None and constant_of(bias) is not None:
            yield _Biased(data, weight, bias, target.bias_storage(storage_of(decision, target)))


def plan_biases(decisions: Decisions, target: Target, tensors: dict[str, TensorPlan]) -> None:
    """Biases have the product of the scales of activation and weight, which grow where a bias would not fit."""
    biased = list(_biased_nodes(decisions, target))
    for one in biased:
        if not np.isfinite(_array(one.bias)).all():
            raise QuantParamsError(
                "a bias holds NaN or Inf",
                where=f"bias {str(one.bias.name)!r}",
                next="repair the model: such a bias has no integer form",
            )
        plan = tensors[str(one.weight.name)]
        magnitude = np.abs(_array(one.bias).reshape(-1))
        largest = LARGEST_BIAS[one.storage]
        grown = _room_for_bias(_scale_of(one.data, tensors), plan, _array(one.weight), magnitude, largest)
        tensors[plan.name] = grown
    for one in biased:
        qparams = tensors[str(one.weight.name)].qparams
        assert qparams is not None
        scale = (np.float32(_scale_of(one.data, tensors)) * qparams.scale).astype(np.float32)
        axis = 0 if qparams.axis is not None else None
        name = str(one.bias.name)
        tensors[name] = TensorPlan(name, Role.BIAS, QuantParams(scale, 0, one.storage, axis))


def _room_for_bias(step: float, plan: TensorPlan, weight: Array, magnitude: Array, largest: float) -> TensorPlan:
    """The weight's plan with scales large enough that every bias stays well inside its storage type.

    A channel without weights has no scale of its own: it gets one that leaves its bias 24 bits.
    """
    qparams = plan.qparams
    assert qparams is not None
    needed = magnitude.astype(np.float64) / (largest * step)
    empty: Array = np.array([not weight.any()])
    if qparams.axis is None:
        needed = needed.max(initial=0.0, keepdims=True)
    else:
        used = np.moveaxis(weight, qparams.axis, 0).reshape(qparams.scale.size, -1).any(axis=1)
        empty = np.logical_not(used)
    spare = max(float(magnitude.max(initial=0.0)) / (2.0**24 * step), 2.0**-60)
    grown = np.maximum(np.where(empty, spare, qparams.scale.astype(np.float64)), needed).astype(np.float32)
    if np.array_equal(grown, qparams.scale):
        return plan
    changed = QuantParams(
        grown, qparams.zero_point, qparams.storage, qparams.axis, None, qparams.narrow_range, qparams.bits
    )
    return TensorPlan(plan.name, plan.role, changed, plan.reason)


def _scale_of(value: ir.Value, tensors: dict[str, TensorPlan]) -> float:
    qparams = tensors[str(value.name)].qparams
    assert qparams is not None
    return float(qparams.scale[0])


def _array(value: ir.Value) -> Array:
    tensor = constant_of(value)
    assert tensor is not None
    return tensor.numpy()
