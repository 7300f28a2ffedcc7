"""Dynamic kernels: integer weights, activations quantized as they arrive. How ONNX Runtime's CPU kernels want them.

| node | spelling |
|---|---|
| MatMul, Gemm | DynamicQuantizeMatMul, one kernel |
| LSTM | DynamicQuantizeLSTM, one kernel |
| Conv | DynamicQuantizeLinear, ConvInteger (uint8 weights: its only fast kernel), Cast, Mul, Add |

`read_dynamic` is the inverse of `write_dynamic`, node by node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.exporters.onnx.editor import Editor
from bitwright.exporters.onnx.names import MICROSOFT, QUANTIZED, SCALE, ZERO_POINT
from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import QuantizedTensor
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.quantize_nodes import as_numpy

#: Added to int8 weights of convolutions, whose kernel is fast for uint8 alone.
CONV_ZERO_POINT = 128
DYNAMIC_INTEGERS = "_dynamic"


def write_dynamic(node: ir.Node, editor: Editor) -> None:
    """Replace a node whose weights are held as int8 by its dynamic kernel."""
    editor.model.opset_imports.setdefault(MICROSOFT, 1)
    {"MatMul": _write_product, "Gemm": _write_product, "Conv": _write_conv, "LSTM": _write_lstm}[node.op_type](
        node, editor
    )


def _held(value: ir.Value | None) -> QuantizedTensor:
    assert value is not None and isinstance(value.const_value, QuantizedTensor)
    return value.const_value


def _replace(result: ir.Value) -> ir.Value:
    """A value of the same name and readers, for the node that takes a node's place."""
    fresh = ir.val(str(result.name), type=result.type, shape=result.shape)
    result.replace_all_uses_with(fresh, replace_graph_outputs=True)
    return fresh


def _write_product(node: ir.Node, editor: Editor) -> None:
    weight = node.inputs[1]
    tensor = _held(weight)
    assert weight is not None
    name, qparams = str(weight.name), tensor.qparams
    transposed = bool(int_attribute(node, "transB", 0))
    scale = qparams.scale if qparams.axis is not None else qparams.scale.reshape(())

    def held() -> tuple[ir.Value, ir.Value]:
        integers = np.ascontiguousarray(tensor.integers.T) if transposed else tensor.integers
        return editor.constant(integers, name + QUANTIZED), editor.constant(scale, name + SCALE)

    bias = node.inputs[2] if node.op_type == "Gemm" and len(node.inputs) > 2 else None
    inputs = [node.inputs[0], *editor.once(f"product {transposed}", weight, held), None, bias]
    while inputs[-1] is None:
        inputs.pop()
    if bias is not None and bias.const_value is not None and len(bias.const_value.shape) != 1:
        bias.const_value = ir.Tensor(bias.const_value.numpy().reshape(-1), name=bias.name)
        bias.shape = ir.Shape(bias.const_value.shape)
    _swap(node, [_kernel(node, "DynamicQuantizeMatMul", inputs)], editor)
    editor.drop_unused(weight)


def _kernel(node: ir.Node, op: str, inputs: list[ir.Value | None]) -> ir.Node:
    outputs = [_replace(v) for v in node.outputs]
    attributes = [a for a in node.attributes.values() if op == "DynamicQuantizeLSTM" and a.name != "layout"]
    remembered = dict(node.metadata_props)
    return ir.Node(MICROSOFT, op, inputs, attributes, outputs=outputs, name=node.name, metadata_props=remembered)


def _swap(node: ir.Node, replacement: list[ir.Node], editor: Editor) -> None:
    editor.graph.insert_before(node, replacement)
    editor.graph.remove(node, safe=True)


def _write_lstm(node: ir.Node, editor: Editor) -> None:
    """W and R as [directions, width, gates * hidden]; scales per direction and gate row."""
    inputs = list(node.inputs) + [None] * (8 - len(node.inputs))
    added: list[ir.Value | None] = []
    for index in (1, 2):
        value = inputs[index]
        tensor = _held(value)
        name = str(value.name)  # type: ignore[union-attr]
        inputs[index] = editor.constant(np.ascontiguousarray(tensor.integers.transpose(0, 2, 1)), name + QUANTIZED)
        directions, rows = tensor.integers.shape[0], tensor.integers.shape[1]
        if tensor.qparams.axis is None:
            scale = np.repeat(tensor.qparams.scale, directions)
        else:
            scale = np.broadcast_to(tensor.qparams.scale, (directions, rows)).copy()
        added += [
            editor.constant(scale, name + SCALE),
            editor.constant(np.zeros(scale.shape, np.int8), name + ZERO_POINT, share=True),
        ]
    weights = [node.inputs[1], node.inputs[2]]
    _swap(node, [_kernel(node, "DynamicQuantizeLSTM", [*inputs, *added])], editor)
    for value in weights:
        editor.drop_unused(value)  # type: ignore[arg-type]


def _write_conv(node: ir.Node, editor: Editor) -> None:
    data, weight = node.inputs[0], node.inputs[1]
    assert data is not None and weight is not None
    tensor, name, shown = _held(weight), str(weight.name), str(node.outputs[0].name)
    quantizer = next((n for n in data.consumers() if n.op_type == "DynamicQuantizeLinear"), None)
    if quantizer is None:
        outputs = [ir.val(editor.free_name(str(data.name) + DYNAMIC_INTEGERS + s)) for s in ("", SCALE, ZERO_POINT)]
        quantizer = ir.node(
            "DynamicQuantizeLinear",
            [data],
            outputs=outputs,
            name=editor.node_name(f"{data.name}_DynamicQuantizeLinear"),
        )
        editor.graph.insert_before(node, quantizer)
    integers, step, point = quantizer.outputs
    middle = editor.constant(np.array(CONV_ZERO_POINT, np.uint8), "conv" + ZERO_POINT, share=True)

    def held() -> tuple[ir.Value, ir.Value]:
        integers = (tensor.integers.astype(np.int16) + CONV_ZERO_POINT).astype(np.uint8)
        scale = tensor.qparams.scale.reshape((1, -1, 1, 1) if tensor.qparams.axis is not None else ())
        return editor.constant(integers, name + QUANTIZED), editor.constant(scale, name + SCALE)

    stored, scales = editor.once("conv", weight, held)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    result = _replace(node.outputs[0])
    product = result if bias is None else ir.val(editor.free_name(shown + "_product"))
    sums, reals, steps = (ir.val(editor.free_name(shown + s)) for s in ("_accumulator", "_float", "_step"))
    kernel = ir.Node(
        "", "ConvInteger", [integers, stored, point, middle], node.attributes.values(), outputs=[sums], name=node.name
    )
    nodes = [
        kernel,
        ir.node(
            "Cast", [sums], {"to": int(ir.DataType.FLOAT)}, outputs=[reals], name=editor.node_name(f"{node.name}_Cast")
        ),
        ir.node("Mul", [step, scales], outputs=[steps], name=editor.node_name(f"{node.name}_Step")),
        ir.node("Mul", [reals, steps], outputs=[product], name=editor.node_name(f"{node.name}_Mul")),
    ]
    if bias is not None:
        values = bias.const_value
        assert values is not None
        shaped = editor.constant(values.numpy().reshape(1, -1, 1, 1), f"{bias.name}_column")
        nodes.append(ir.node("Add", [product, shaped], outputs=[result], name=editor.node_name(f"{node.name}_Add")))
    _swap(node, nodes, editor)
    editor.drop_unused(weight)
    if bias is not None:
        editor.drop_unused(bias)


def read_dynamic(node: ir.Node, editor: Editor) -> ir.Node | None:
    """The node that a dynamic kernel stands for, put in its place; None when this is no dynamic kernel of ours.

    Reads what `write_dynamic` wrote; the same kernels from other tools where they have the same form.
    """
    if node.domain == MICROSOFT and node.op_type == "DynamicQuantizeMatMul":
        return _read_product(node, editor)
    if node.domain == MICROSOFT and node.op_type == "DynamicQuantizeLSTM":
        return _read_lstm(node, editor)
    if node.op_type == "ConvInteger":
        return _read_conv(node, editor)
    return None


def _restore(
    integers: NDArray[Any], scale: NDArray[Any], axis: int | None, stored: ir.Value, editor: Editor
) -> ir.Value:
    """A weight as the graph holds it, under the name it had; kernels that share one share it again."""

    def made() -> ir.Value:
        qparams = QuantParams(scale.reshape(-1), 0, "i8", axis, narrow_range=bool(integers.min(initial=0) >= -127))
        return editor.held(QuantizedTensor(integers, qparams), str(stored.name))

    return editor.once(f"restored {axis}", stored, made)


def _read_product(node: ir.Node, editor: Editor) -> ir.Node | None:
    stored, scale = as_numpy(node.inputs[1]), as_numpy(node.inputs[2])
    point = as_numpy(node.inputs[3]) if len(node.inputs) > 3 else None
    has_point = len(node.inputs) > 3 and node.inputs[3] is not None
    if stored is None or scale is None or stored.ndim != 2 or stored.dtype != np.int8:
        return None
    if has_point and (point is None or point.any()):
        return None
    axis = 1 if scale.ndim == 1 and scale.size == stored.shape[1] else None
    weight = _restore(stored, scale, axis, node.inputs[1], editor)  # type: ignore[arg-type]
    bias = node.inputs[4] if len(node.inputs) > 4 else None
    inputs = [node.inputs[0], weight] + ([bias] if bias is not None else [])
    outputs = [_replace(node.outputs[0])]
    op, remembered = "MatMul" if bias is None else "Gemm", dict(node.metadata_props)
    made = ir.Node("", op, inputs, (), outputs=outputs, name=node.name, metadata_props=remembered)
    _swap(node, [made], editor)
    return made


def _read_lstm(node: ir.Node, editor: Editor) -> ir.Node | None:
    given = list(node.inputs) + [None] * (12 - len(node.inputs))
    weights = []
    for index, at in ((1, 8), (2, 10)):
        stored, scale, point = (as_numpy(given[i]) for i in (index, at, at + 1))
        if stored is None or scale is None or point is None or stored.dtype != np.int8 or point.any():
            return None
        if (scale != scale[:1]).any():
            return None  # directions with scales of their own have no single axis
        weights.append((np.ascontiguousarray(stored.transpose(0, 2, 1)), scale, given[index]))
    inputs = given[:8]
    for index, (integers, scale, value) in enumerate(weights, start=1):
        axis = 1 if scale.ndim == 2 else None
        inputs[index] = _restore(integers, scale[0] if axis is not None else scale[:1], axis, value, editor)  # type: ignore[arg-type]
    while inputs[-1] is None:
        inputs.pop()
    outputs = [_replace(v) for v in node.outputs]
    remembered, attributes = dict(node.metadata_props), node.attributes.values()
    made = ir.Node("", "LSTM", inputs, attributes, outputs=outputs, name=node.name, metadata_props=remembered)
    _swap(node, [made], editor)
    return made


def _only_user(value: ir.Value, op: str) -> ir.Node | None:
    users = value.consumers()
    return users[0] if len(users) == 1 and users[0].op_type == op and not value.is_graph_output() else None


def _read_conv(node: ir.Node, editor: Editor) -> ir.Node | None:
    if len(node.inputs) != 4 or node.inputs[0] is None:
        return None
    quantizer, stored, middle = node.inputs[0].producer(), as_numpy(node.inputs[1]), as_numpy(node.inputs[3])
    cast = _only_user(node.outputs[0], "Cast")
    product = _only_user(cast.outputs[0], "Mul") if cast is not None else None
    if quantizer is None or quantizer.op_type != "DynamicQuantizeLinear" or product is None or stored is None:
        return None
    if middle is None or stored.dtype != np.uint8 or (middle != CONV_ZERO_POINT).any():
        return None
    steps = next((v.producer() for v in product.inputs if v is not None and v.producer() is not cast), None)
    scale = as_numpy(steps.inputs[1]) if steps is not None and steps.op_type == "Mul" else None
    if steps is None or scale is None or steps.inputs[0] is not quantizer.outputs[1]:
        return None
    integers = (stored.astype(np.int16) - CONV_ZERO_POINT).astype(np.int8)
    weight = _restore(integers, scale, 0 if scale.ndim == 4 else None, node.inputs[1], editor)  # type: ignore[arg-type]
    inputs: list[ir.Value | None] = [quantizer.inputs[0], weight]
    last = product
    added = _only_user(product.outputs[0], "Add")
    column = as_numpy(added.inputs[1]) if added is not None else None
    if added is not None and column is not None and column.shape == (1, stored.shape[0], 1, 1):
        name = str(added.inputs[1].name)  # type: ignore[union-attr]
        name = editor.free_name(name[: -len("_column")] if name.endswith("_column") else name + "_bias")
        tensor = ir.Tensor(column.reshape(-1), name=name)
        bias = ir.val(name, const_value=tensor, dtype=tensor.dtype, shape=tensor.shape)
        editor.graph.register_initializer(bias)
        inputs.append(bias)
        last = added
    result = _replace(last.outputs[0])
    made = ir.Node("", "Conv", inputs, node.attributes.values(), outputs=[result], name=node.name)
    editor.graph.insert_before(node, made)
    for gone in (added if last is added else None, product, cast, steps, node):
        if gone is not None:
            editor.graph.remove(gone, safe=True)
    if not any(v.uses() or v.is_graph_output() for v in quantizer.outputs):
        editor.graph.remove(quantizer, safe=True)
    return made
