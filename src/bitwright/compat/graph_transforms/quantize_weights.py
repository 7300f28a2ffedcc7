"""quantize_weights: large float constants are stored in eight bits and dequantized where they are read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from bitwright.compat.graph_transforms.work import Work
from bitwright.errors import QuantParamsError
from bitwright.graph.constants import QuantizedTensor
from bitwright.numerics.quantize import quantize
from bitwright.quantization.plan import Compute, NodePlan, Role, TensorPlan, make_plan_value
from bitwright.quantization.rules import LOOKUP, RECURRENT, Kind, rank_of, rule_of, weight_operand
from bitwright.quantization.weights import choose_weight_qparams
from bitwright.transforms.lift_constants import lift_constants
from bitwright.transforms.name_nodes import name_nodes
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.pipeline import copy_of
from bitwright.transforms.rewiring import float_array


def quantize_weights(work: Work, *, minimum_size: int = 1024) -> Outcome:
    """Store every float32 constant of at least `minimum_size` elements as int8; arithmetic stays float.

        constant = scale * integer        weights: one scale an output channel; other constants: one scale

    TensorFlow's tool had uint8 and one range a constant. These are the parameters that `quantize_nodes` gives the same
    weights, so that they are rounded once, whether this step runs before it or not.

    Raises:
        QuantParamsError: a constant holds NaN or Inf.

    Source: TensorFlow's Graph Transform Tool, `quantize_weights`.
    """
    given = work.model
    if work.is_integer or work.is_dynamic:
        return Outcome(given.graph, False, "the weights of a quantized model are integers already")
    graph = copy_of(given.graph)
    lift_constants(graph)
    name_nodes(graph)
    tensors = dict(given.plan.tensors) if given.plan is not None else {}
    stored = 0
    for value in graph.graph.initializers.values():
        array = None if value.is_graph_input() or value.is_graph_output() else float_array(value)
        if array is None or array.dtype != np.float32 or array.size < max(1, minimum_size) or not value.uses():
            continue
        name = str(value.name)
        try:
            qparams = choose_weight_qparams(array, axis=channel_axis(value), method="minmax")
        except QuantParamsError as error:
            raise QuantParamsError(error.what, where=f"constant {name!r}", next=error.next) from error
        value.const_value = QuantizedTensor(quantize(array, qparams), qparams, name=name, shape=array.shape)
        tensors[name] = TensorPlan(name, Role.WEIGHT, qparams, "minmax")
        stored += 1
    if not stored:
        return Outcome(given.graph, False, f"no float constant has {minimum_size} elements")
    nodes = [NodePlan(str(n.name), n.op_type, computes(n, tensors), "") for n in graph.graph]
    plan = make_plan_value("weight-only", work.runtime, tensors.values(), nodes)
    work.model = replace(given, graph=graph, plan=plan, report=None, file_program=None)
    return Outcome(graph, True, f"{stored} constants stored in 8 bits")


def channel_axis(value: ir.Value) -> int | None:
    """The axis of output channels that all readers of a weight agree on; None for what is no such weight."""
    axes = {axis_at(use.node, use.idx) for use in value.uses()}
    return axes.pop() if len(axes) == 1 else None


def axis_at(node: ir.Node, index: int) -> int | None:
    """The axis of output channels of one operand, None where it has none."""
    rule = rule_of(node)
    if rule is None:
        return None
    if node.op_type in RECURRENT:
        return 1 if index in RECURRENT[node.op_type] else None
    if weight_operand(node, rule) != index:
        return None
    if node.op_type == LOOKUP:
        return 1 if rank_of(node.inputs[0]) == 2 else None
    return rule.channel_axis(node) if index == rule.weight else 0 if rank_of(node.inputs[index]) == 2 else None


def computes(node: ir.Node, tensors: dict[str, TensorPlan]) -> Compute:
    """Weight-only for what multiplies by a stored constant or looks one up; float for the rest."""
    rule = rule_of(node)
    by_weight = rule is not None and (rule.kind is Kind.ANCHOR or (node.op_type == LOOKUP and axis_at(node, 0) == 1))
    read = any(value is not None and value.name in tensors for value in node.inputs)
    return Compute.WEIGHT_ONLY if by_weight and read else Compute.FLOAT
