"""Writes Graph + Plan as ONNX: integer constants, QuantizeLinear/DequantizeLinear pairs, dynamic kernels."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from bitwright.exporters.onnx.dynamic import write_dynamic
from bitwright.exporters.onnx.editor import Editor
from bitwright.exporters.onnx.names import (
    DEQUANTIZED,
    HALF,
    MICROSOFT,
    PLAN_KEY,
    QUANTIZED,
    SCALE,
    UNQUANTIZED,
    blocked_axis,
)
from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.plan import Compute, NodePlan, Plan, Role
from bitwright.quantization.quantize_nodes import DATA_TYPES
from bitwright.quantization.rules import LOOKUP

#: A bias scale of fewer entries costs less stored than multiplied.
SHORTEST_PRODUCT = 32


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
    if not plan.tensors:
        return copy
    editor = Editor(copy)
    for node in list(copy.graph):
        compute = plan.compute_of(node.name)
        if compute is Compute.DYNAMIC:
            write_dynamic(node, editor)
        elif node.op_type == LOOKUP and compute in (Compute.WEIGHT_ONLY, Compute.DYNAMIC):
            _write_lookup(node, editor)
    for tensor in plan.tensors.values():
        if tensor.role is Role.ACTIVATION and tensor.qparams is not None:
            editor.activation_parameters(tensor.name, in_bytes(tensor.qparams)[0])
    first = next(iter(copy.graph), None)  # constants are spelled before it, in the order they are held
    # Biases last: their scales are products of the others.
    constants = list(copy.graph.initializers.values())
    for value in sorted(constants, key=_is_bias):
        if isinstance(value.const_value, QuantizedTensor):
            if value.const_value.qparams.storage in DATA_TYPES:
                _write_constant(value, value.const_value, editor, first)
            else:  # a bias of 64 bits: DequantizeLinear takes none
                value.const_value = ir.Tensor(value.const_value.numpy(), name=value.name)
        elif isinstance(value.const_value, HalfTensor):
            halves = editor.constant(value.const_value.halves, str(value.name) + HALF)
            editor.insert("Cast", [halves], editor.release(value), before=first, name="", to=int(ir.DataType.FLOAT))
    clips: list[NodePlan] = []
    for value in [*copy.graph.inputs, *(v for n in list(copy.graph) for v in n.outputs)]:
        found = plan.tensors.get(value.name or "")
        if found is not None and found.role is Role.ACTIVATION and found.qparams is not None:
            clips += _write_activation(value, found.qparams, plan, editor)
    for node in copy.graph:
        for value in node.outputs:  # runtimes infer these; they would take as much room as the names
            if not value.is_graph_output() and node.domain in ("", MICROSOFT):
                value.type = value.shape = None
    for value in copy.graph.initializers.values():
        value.type = value.shape = None
    written = plan if not clips else replace(plan, nodes={**plan.nodes, **{clip.name: clip for clip in clips}})
    copy.metadata_props[PLAN_KEY] = summary(written)
    return copy


def _is_bias(value: ir.Value) -> bool:
    return isinstance(value.const_value, QuantizedTensor) and value.const_value.qparams.storage == "i32"


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


def _write_constant(value: ir.Value, tensor: QuantizedTensor, editor: Editor, first: ir.Node | None) -> None:
    """Integers -> DequantizeLinear -> the constant's own name; a matrix view is reshaped after."""
    name, qparams = str(value.name), tensor.qparams
    if not value.uses() and not value.is_graph_output():
        del editor.graph.initializers[name]
        return
    inputs: list[ir.Value | None]
    attributes: dict[str, Any] = {}
    if (blocks := blocked_axis(qparams)) is not None:
        attributes = {"axis": blocks[0], "block_size": blocks[1]}
    elif qparams.axis is not None:
        attributes = {"axis": qparams.axis}
    if qparams.storage == "i32" and (factors := _scale_factors(value, qparams, editor)) is not None:
        scale = editor.insert("Mul", list(factors), name + SCALE, before=first, name="")
        inputs = [editor.integers(tensor, name), scale]
    else:
        wants_point = not qparams.symmetric or qparams.kind.bits in (8, 16)
        parameters = editor.once("parameters", value, lambda: editor.scale_and_point(qparams, name, point=wants_point))
        inputs = [editor.once("integers", value, lambda: editor.integers(tensor, name)), *parameters]
    produced = editor.release(value)
    if tuple(tensor.shape.numpy()) == tensor.integers.shape:
        editor.insert("DequantizeLinear", inputs, produced, before=first, name="", **attributes)
        return
    shape = editor.constant(np.array(tensor.shape.numpy(), np.int64), name + "_shape", share=True)
    matrix = editor.insert("DequantizeLinear", inputs, name + DEQUANTIZED, before=first, name="", **attributes)
    editor.insert("Reshape", [matrix, shape], produced, before=first, name="")


def _scale_factors(value: ir.Value, qparams: QuantParams, editor: Editor) -> tuple[ir.Value, ir.Value] | None:
    """The scales of the activation and the weight, whose product a long bias scale is: stored once,
    multiplied on loading.
    """
    if qparams.scale.size < SHORTEST_PRODUCT or len(value.consumers()) != 1:
        return None
    (user,) = value.consumers()
    data, weight = user.inputs[0], user.inputs[1]
    factors = [editor.scales.get(str(v.name)) for v in (data, weight) if v is not None]
    if len(factors) != 2 or factors[0] is None or factors[1] is None:
        return None
    arrays = [f.const_value.numpy() for f in factors if f is not None and f.const_value is not None]
    if len(arrays) != 2 or not np.array_equal(arrays[0] * arrays[1], qparams.scale):
        return None
    return factors[0], factors[1]


def _write_lookup(node: ir.Node, editor: Editor) -> None:
    """Gather on integers; what was looked up is dequantized. A table with a scale for each row is dequantized whole."""
    table, result = node.inputs[0], node.outputs[0]
    if table is None or not isinstance(table.const_value, QuantizedTensor) or table.const_value.qparams.axis == 0:
        return
    tensor, name, shown = table.const_value, str(table.name), str(result.name)
    parameters = editor.once("parameters", table, lambda: editor.scale_and_point(tensor.qparams, name))
    node.replace_input_with(0, editor.once("integers", table, lambda: editor.integers(tensor, name)))
    result.name = editor.free_name(shown + QUANTIZED)
    real = ir.val(shown, dtype=ir.DataType.FLOAT, shape=result.shape)
    result.type = ir.TensorType(DATA_TYPES[tensor.qparams.storage])
    result.replace_all_uses_with(real, replace_graph_outputs=True)
    attributes: dict[str, Any] = {} if tensor.qparams.axis is None else {"axis": -1}
    editor.insert("DequantizeLinear", [result, *parameters], real, after=node, **attributes)
    editor.drop_unused(table)


def in_bytes(qparams: QuantParams) -> tuple[QuantParams, tuple[float, float] | None]:
    """Parameters of an activation as 8-bit ones, and the real bounds of what is narrower; None where nothing is.

    >>> in_bytes(QuantParams(0.5, 1, "u4"))
    (QuantParams(u8, scale=0.5, zero_point=1), (-0.5, 7.0))
    """
    if qparams.kind.bits >= 8:
        return qparams, None
    scale, point = qparams.scale.item(), qparams.zero_point.item()
    wide = QuantParams(qparams.scale, qparams.zero_point, qparams.storage[0] + "8")
    return wide, (scale * (qparams.qmin - point), scale * (qparams.qmax - point))


def _write_activation(value: ir.Value, qparams: QuantParams, plan: Plan, editor: Editor) -> list[NodePlan]:
    """Value -> QuantizeLinear -> DequantizeLinear -> its readers.

    A float reader of a float value keeps reading the value itself. A graph output that an integer node gives is the
    DequantizeLinear's, under its own name. Integers of less than 8 bits are clipped floats in 8: ONNX Runtime has
    kernels for no others.

    Returns:
        The clips that it put there, as nodes of the plan.
    """
    producer, name = value.producer(), str(value.name)
    asked, (qparams, bounds) = qparams, in_bytes(qparams)
    integer_made = producer is not None and plan.compute_of(producer.name) is Compute.INTEGER
    uses = [
        (use.node, use.idx) for use in value.uses() if integer_made or plan.compute_of(use.node.name) is Compute.INTEGER
    ]
    is_output = value.is_graph_output() and integer_made
    if not uses and not is_output:
        return []
    real_name = editor.free_name(name + DEQUANTIZED)
    if is_output:
        value.name, real_name = editor.free_name(name + UNQUANTIZED), name
    parameters = editor.activation_parameters(name, qparams)
    integers = ir.val(editor.free_name(name + QUANTIZED), dtype=DATA_TYPES[qparams.storage], shape=value.shape)
    real = ir.val(real_name, dtype=ir.DataType.FLOAT, shape=value.shape)
    for node, index in uses:
        node.replace_input_with(index, real)
    if is_output:
        for index, output in enumerate(editor.graph.outputs):
            if output is value:
                editor.graph.outputs[index] = real
    pair, clipped = [], value
    if bounds is not None:
        limits = [
            editor.constant(np.array(x, np.float32), f"{name}_{end}")
            for x, end in zip(bounds, ("low", "high"), strict=True)
        ]
        clipped = ir.val(editor.free_name(name + "_clipped"), dtype=ir.DataType.FLOAT, shape=value.shape)
        pair.append(ir.node("Clip", [value, *limits], outputs=[clipped], name=editor.node_name(name + "_Clip")))
    pair += [
        ir.node(
            "QuantizeLinear",
            [clipped, *parameters],
            outputs=[integers],
            name=editor.node_name(name + "_QuantizeLinear"),
        ),
        ir.node(
            "DequantizeLinear",
            [integers, *parameters],
            outputs=[real],
            name=editor.node_name(name + "_DequantizeLinear"),
        ),
    ]
    if producer is not None:
        editor.graph.insert_after(producer, pair)
    else:
        editor.graph.insert_before(next(iter(editor.graph)), pair)
    reason = f"holds {qparams.storage[0]}{asked.kind.bits} of {name} in its range"
    return [NodePlan(str(node.name), "Clip", Compute.INTEGER, reason) for node in pair if node.op_type == "Clip"]
