"""Reads a quantized ONNX file back: QDQ pairs and dynamic kernels -> Graph + Plan, its integers unchanged.

The inverse of `write`. Files of other tools that use the same forms are read too; what is not one of these forms stays
in the graph as the nodes it is.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from bitwright.exporters.onnx.dynamic import read_dynamic
from bitwright.exporters.onnx.editor import Editor
from bitwright.exporters.onnx.names import HALF, PLAN_KEY
from bitwright.exporters.onnx.pairs import read_activations, take_over
from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.numerics.quantize import quantize
from bitwright.quantization.plan import READ, Compute, NodePlan, Plan, Role, TensorPlan, make_plan_value
from bitwright.quantization.quantize_nodes import DATA_TYPES, STORAGE_OF, as_numpy, parameters_of, storage_of
from bitwright.quantization.rules import LOOKUP, RECURRENT, Kind, activation_operands, rule_of

_QUANTIZED_FORMS = {
    "QuantizeLinear",
    "DequantizeLinear",
    "ConvInteger",
    "DynamicQuantizeMatMul",
    "DynamicQuantizeLSTM",
}


def from_onnx(model: ir.Model) -> tuple[ir.Model, Plan | None]:
    """Graph and Plan of a file.

    Args:
        model: as loaded; changed in place.

    Returns:
        The graph in float meaning (constants held as their integers) and its plan; None when nothing is quantized.
    """
    graph = model.graph
    halves = [n for n in graph if n.op_type == "Cast" and _is_half(n)]
    if not halves and not any(n.op_type in _QUANTIZED_FORMS for n in graph):
        return model, None
    editor = Editor(model)
    tensors: dict[str, TensorPlan] = {}
    computes: dict[str, Compute] = {}
    for node in list(graph):
        if node.graph is None:
            continue
        if (made := read_dynamic(node, editor)) is not None:
            computes[str(made.name)] = Compute.DYNAMIC
        elif node.op_type == "QuantizeLinear":
            _read_float_constant(node, editor)
        elif node.op_type == "DequantizeLinear":
            _read_constant(node, editor)
        elif node.op_type == LOOKUP:
            _read_lookup(node, editor)
    for node in halves:
        _read_half(node, editor)
    activations = read_activations(editor)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]
        elif isinstance(value.const_value, QuantizedTensor):
            role = Role.BIAS if value.const_value.qparams.storage == "i32" else Role.WEIGHT
            tensors[name] = TensorPlan(name, role, value.const_value.qparams)
        elif isinstance(value.const_value, HalfTensor):
            tensors[name] = TensorPlan(name, Role.WEIGHT, None)
    ordered = [v for v in (*graph.inputs, *(v for n in graph for v in n.outputs)) if v.name in activations]
    tensors = {
        str(v.name): TensorPlan(str(v.name), Role.ACTIVATION, activations[str(v.name)]) for v in ordered
    } | tensors
    if not tensors:
        return model, None
    nodes = [_node_plan(node, tensors, computes) for node in graph]
    return model, _with_summary(model, tensors, nodes)


def _node_plan(node: ir.Node, tensors: dict[str, TensorPlan], computes: dict[str, Compute]) -> NodePlan:
    """How a node computes, from what it reads and gives."""
    name, rule = str(node.name), rule_of(node)
    compute = computes.get(name)
    if compute is None:
        compute = Compute.FLOAT
        plans = [tensors[str(v.name)] for v in node.inputs if v is not None and v.name in tensors]
        if rule is not None and plans:
            operands = activation_operands(node, rule)
            if any(v.name in tensors and tensors[str(v.name)].role is Role.ACTIVATION for v in operands):
                compute = Compute.INTEGER
            elif rule.kind is Kind.ANCHOR or node.op_type in (LOOKUP, *RECURRENT):
                compute = Compute.WEIGHT_ONLY
        if any(plan.qparams is None for plan in plans):
            compute = Compute.FLOAT16
    return NodePlan(name, node.op_type, compute, "")


def _with_summary(model: ir.Model, tensors: dict[str, TensorPlan], nodes: list[NodePlan]) -> Plan:
    """The plan with the mode, target and reasons that the writer left in the model's metadata, where it did."""
    text = model.metadata_props.pop(PLAN_KEY, None)
    try:
        data: dict[str, Any] = json.loads(text) if text else {}
        told = {name: (Compute(compute), reason) for compute, reason, names in data.get("nodes", ()) for name in names}
        reasons = {name: reason for reason, names in data.get("reasons", {}).items() for name in names}
    except (ValueError, TypeError, AttributeError):  # someone else's metadata under our key
        data, told, reasons = {}, {}, {}
    usual = str(data.get("reason", "read from a file"))
    if told:
        nodes = [NodePlan(n.name, n.op, *told.get(n.name, (n.compute, n.reason))) for n in nodes]
    whole = (TensorPlan(t.name, t.role, t.qparams, reasons.get(t.name, usual)) for t in tensors.values())
    return make_plan_value(str(data.get("mode", READ)), str(data.get("target", "onnxruntime")), whole, nodes)


def _add_constant(name: str, tensor: ir.TensorProtocol, produced: ir.Value, editor: Editor) -> None:
    """Put a constant in the place of the value that a node gave."""
    value = ir.val(name, const_value=tensor, dtype=tensor.dtype, shape=ir.Shape(tensor.shape.numpy()))
    produced.replace_all_uses_with(value)
    editor.graph.register_initializer(value)


def _read_float_constant(node: ir.Node, editor: Editor) -> None:
    """QuantizeLinear of a constant -> the integers that it gives."""
    reals, result, storage = as_numpy(node.inputs[0]), node.outputs[0], storage_of(node)
    if reals is None or reals.dtype != np.float32 or not storage or result.is_graph_output():
        return
    qparams = parameters_of(node, storage, rank=reals.ndim)
    if qparams is None or qparams.block_shape is not None:
        return
    integers = quantize(reals, qparams)
    _add_constant(str(result.name), ir.Tensor(integers, dtype=DATA_TYPES[storage]), result, editor)
    editor.graph.remove(node, safe=True)


def _read_constant(node: ir.Node, editor: Editor) -> None:
    stored, result = node.inputs[0], node.outputs[0]
    integers = as_numpy(stored)
    if integers is None or stored is None or stored.dtype not in STORAGE_OF or result.is_graph_output():
        return
    storage = STORAGE_OF[stored.dtype]
    qparams = parameters_of(node, storage, rank=integers.ndim, weight_min=int(integers.min(initial=0)))
    if qparams is None:
        return
    users = result.consumers()
    shape, gone = tuple(integers.shape), [node]
    if qparams.granularity == "per-block" and len(users) == 1 and users[0].op_type == "Reshape":
        wanted = as_numpy(users[0].inputs[1])
        if wanted is not None and wanted.size > 2 and not users[0].outputs[0].is_graph_output():
            shape, result = tuple(int(n) for n in wanted), users[0].outputs[0]
            gone = [users[0], node]
    tensor = QuantizedTensor(integers, qparams, name=str(result.name), shape=shape)
    _add_constant(str(result.name), tensor, result, editor)
    scale = node.inputs[1]
    product = scale.producer() if scale is not None else None
    for old in gone:
        editor.graph.remove(old, safe=True)
    if product is not None and scale is not None and not scale.uses() and not scale.is_graph_output():
        editor.graph.remove(product, safe=True)


def _is_half(node: ir.Node) -> bool:
    value = node.inputs[0]
    array = as_numpy(value)
    return array is not None and array.dtype == np.float16 and str(value.name).endswith(HALF)  # type: ignore[union-attr]


def _read_half(node: ir.Node, editor: Editor) -> None:
    result, halves = node.outputs[0], as_numpy(node.inputs[0])
    if result.is_graph_output() or halves is None or node.attributes["to"].as_int() != int(ir.DataType.FLOAT):
        return
    _add_constant(str(result.name), HalfTensor(halves, name=str(result.name)), result, editor)
    editor.graph.remove(node, safe=True)


def _read_lookup(node: ir.Node, editor: Editor) -> None:
    """Gather of an integer table, then DequantizeLinear -> Gather of the table in float meaning."""
    stored, found = node.inputs[0], node.outputs[0]
    integers = as_numpy(stored)
    users = found.consumers()
    if integers is None or stored is None or stored.dtype not in STORAGE_OF or integers.ndim != 2:
        return
    if len(users) != 1 or users[0].op_type != "DequantizeLinear" or found.is_graph_output():
        return
    dequantize = users[0]
    qparams = parameters_of(dequantize, STORAGE_OF[stored.dtype], rank=2, weight_min=int(integers.min(initial=0)))
    if qparams is None or qparams.granularity == "per-block" or qparams.axis not in (None, 1):
        return
    if qparams.axis == 1 and int_attribute(dequantize, "axis", 1) != -1:
        return
    table = partial(editor.held, QuantizedTensor(integers, qparams), str(stored.name))
    node.replace_input_with(0, editor.once("table", stored, table))
    real = dequantize.outputs[0]
    take_over(found, real)
    editor.graph.remove(dequantize, safe=True)
