"""Writes Graph + Plan as ONNX: integer constants, QuantizeLinear/DequantizeLinear pairs, dynamic kernels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx_ir as ir

from bitwright.exporters.onnx.dynamic import write_dynamic
from bitwright.exporters.onnx.editor import Editor
from bitwright.exporters.onnx.names import (
    DATA_TYPES,
    DEQUANTIZED,
    HALF,
    PLAN_KEY,
    QUANTIZED,
    UNQUANTIZED,
    blocked_axis,
)
from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.plan import Compute, Plan, Role
from bitwright.quantization.rules import LOOKUP


def to_onnx(model: ir.Model, plan: Plan) -> ir.Model:
    """The graph as the file spells it.

    Args:
        model: the graph, constants already held as integers (quantization.apply); left as it is.
        plan: what was decided for it.

    Returns:
        A model in plain ONNX (and ONNX Runtime's dynamic kernels): names of inputs, outputs and values are kept.

    Source: ONNX QuantizeLinear-21, DequantizeLinear-21; ONNX Runtime's contrib operators.
    """
    copy = model.clone()
    editor = Editor(copy)
    for node in list(copy.graph):
        compute = plan.compute_of(node.name)
        if compute is Compute.DYNAMIC:
            write_dynamic(node, editor)
        elif node.op_type == LOOKUP and compute in (Compute.WEIGHT_ONLY, Compute.DYNAMIC):
            _write_lookup(node, editor)
    for value in list(copy.graph.initializers.values()):
        if isinstance(value.const_value, QuantizedTensor):
            _write_constant(value, value.const_value, editor)
        elif isinstance(value.const_value, HalfTensor):
            halves = editor.constant(value.const_value.halves, str(value.name) + HALF)
            editor.insert("Cast", [halves], editor.release(value), to=int(ir.DataType.FLOAT))
    for value in [*copy.graph.inputs, *(v for n in list(copy.graph) for v in n.outputs)]:
        tensor = plan.tensors.get(value.name or "")
        if tensor is not None and tensor.role is Role.ACTIVATION and tensor.qparams is not None:
            _write_activation(value, tensor.qparams, plan, editor)
    copy.metadata_props[PLAN_KEY] = summary(plan)
    return copy


def summary(plan: Plan) -> str:
    """What the integers do not say, as short JSON: mode, target, how nodes compute, reasons."""
    nodes: dict[tuple[str, str], list[str]] = {}
    for node in plan.nodes.values():
        nodes.setdefault((str(node.compute), node.reason), []).append(node.name)
    tensors: dict[str, list[str]] = {}
    for tensor in plan.tensors.values():
        tensors.setdefault(tensor.reason, []).append(tensor.name)
    most = max(tensors, key=lambda reason: len(tensors[reason]), default="")
    tensors.pop(most, None)
    return json.dumps(
        {
            "mode": plan.mode,
            "target": plan.target,
            "nodes": [[compute, reason, names] for (compute, reason), names in nodes.items()],
            "reason": most,
            "reasons": tensors,
        },
        separators=(",", ":"),
    )


def _write_constant(value: ir.Value, tensor: QuantizedTensor, editor: Editor) -> None:
    """integers -> DequantizeLinear -> the constant's own name; a matrix view is reshaped after."""
    name, qparams = str(value.name), tensor.qparams
    if not value.uses() and not value.is_graph_output():
        del editor.graph.initializers[name]
        return
    attributes: dict[str, Any] = {}
    if (blocks := blocked_axis(qparams)) is not None:
        attributes = {"axis": blocks[0], "block_size": blocks[1]}
    elif qparams.axis is not None:
        attributes = {"axis": qparams.axis}
    wants_point = not qparams.symmetric or qparams.kind.bits in (8, 16)
    inputs = [editor.integers(tensor, name), *editor.scale_and_point(qparams, name, point=wants_point)]
    produced = editor.release(value)
    if tuple(tensor.shape.numpy()) == tensor.integers.shape:
        editor.insert("DequantizeLinear", inputs, produced, **attributes)
        return
    shape = editor.constant(np.array(tensor.shape.numpy(), np.int64), name + "_shape", share=True)
    first = next(iter(editor.graph))
    matrix = editor.insert("DequantizeLinear", inputs, name + DEQUANTIZED, before=first, **attributes)
    editor.insert("Reshape", [matrix, shape], produced, before=first)


def _write_lookup(node: ir.Node, editor: Editor) -> None:
    """Gather on integers; what was looked up is dequantized."""
    table, result = node.inputs[0], node.outputs[0]
    if table is None or not isinstance(table.const_value, QuantizedTensor):
        return
    tensor, name, shown = table.const_value, str(table.name), str(result.name)
    parameters = editor.scale_and_point(tensor.qparams, name)
    node.replace_input_with(0, editor.integers(tensor, name))
    result.name = editor.free_name(shown + QUANTIZED)
    real = ir.val(shown, dtype=ir.DataType.FLOAT, shape=result.shape)
    result.type = ir.TensorType(DATA_TYPES[tensor.qparams.storage])
    result.replace_all_uses_with(real, replace_graph_outputs=True)
    attributes = {} if tensor.qparams.axis is None else {"axis": -1}
    editor.insert("DequantizeLinear", [result, *parameters], real, after=node, **attributes)
    editor.drop_unused(table)


def _write_activation(value: ir.Value, qparams: QuantParams, plan: Plan, editor: Editor) -> None:
    """value -> QuantizeLinear -> DequantizeLinear -> its readers.

    A float reader of a float value keeps reading the value itself. A graph output that an integer node gives is the
    DequantizeLinear's, under its own name.
    """
    producer, name = value.producer(), str(value.name)
    integer_made = producer is not None and plan.compute_of(producer.name) is Compute.INTEGER
    uses = [
        (use.node, use.idx)
        for use in value.uses()
        if integer_made or plan.compute_of(use.node.name) is Compute.INTEGER
    ]
    is_output = value.is_graph_output() and integer_made
    if not uses and not is_output:
        return
    real_name = editor.free_name(name + DEQUANTIZED)
    if is_output:
        value.name, real_name = editor.free_name(name + UNQUANTIZED), name
    parameters = editor.scale_and_point(qparams, name, share=True)
    integers = ir.val(editor.free_name(name + QUANTIZED), dtype=DATA_TYPES[qparams.storage], shape=value.shape)
    real = ir.val(real_name, dtype=ir.DataType.FLOAT, shape=value.shape)
    for node, index in uses:
        node.replace_input_with(index, real)
    if is_output:
        for index, output in enumerate(editor.graph.outputs):
            if output is value:
                editor.graph.outputs[index] = real
    pair = [
        ir.node("QuantizeLinear", [value, *parameters], outputs=[integers], name=name + "_QuantizeLinear"),
        ir.node("DequantizeLinear", [integers, *parameters], outputs=[real], name=name + "_DequantizeLinear"),
    ]
    if producer is not None:
        editor.graph.insert_after(producer, pair)
    else:
        editor.graph.insert_before(next(iter(editor.graph)), pair)
