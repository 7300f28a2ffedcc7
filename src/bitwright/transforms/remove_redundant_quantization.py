"""remove_redundant_quantization: a Dequantize that meets a Quantize of the same parameters."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import array_of
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import drop_unread, graph_of, is_op, take_name

EXACT = frozenset(
    {
        ir.DataType.INT4,
        ir.DataType.UINT4,
        ir.DataType.INT8,
        ir.DataType.UINT8,
        ir.DataType.INT16,
        ir.DataType.UINT16,
    }
)


def remove_redundant_quantization(model: ir.Model) -> Outcome:
    """Where a QuantizeLinear reads a DequantizeLinear of equal constant parameters, its readers get the integers.

        Q(DQ(q)) = round(((q - z) * s) / s) + z = q      exact in f32 for integers of up to 16 bits

    The DequantizeLinear goes too when nobody else reads it, so that Q -> DQ -> Q is Q again.
    The last figure of TensorFlow's eight-bit rewriting.
    """
    removed = sum(remove_one(node) for node in list(model.graph) if is_op(node, "QuantizeLinear"))
    return Outcome(model, removed > 0, f"{removed} nodes removed")


def remove_one(quantize: ir.Node) -> int:
    """Take out one QuantizeLinear, and the DequantizeLinear before it. Returns how many nodes went away."""
    graph, real, result = graph_of(quantize), quantize.inputs[0], quantize.outputs[0]
    dequantize = real.producer() if real is not None else None
    if real is None or dequantize is None or dequantize.graph is not graph or not is_op(dequantize, "DequantizeLinear"):
        return 0
    source = dequantize.inputs[0]
    if source is None or not same_parameters(dequantize, quantize):
        return 0
    if result.is_graph_output():
        named = source.is_graph_output() or source.is_graph_input() or source.is_initializer()
        if named or source.graph is not graph or sum(value is result for value in graph.outputs) > 1:
            return 0
    named = result.is_graph_output()
    parameters = [*quantize.inputs[1:], *dequantize.inputs[1:]]
    result.replace_all_uses_with(source, replace_graph_outputs=True)
    graph.remove(quantize, safe=True)
    if named:
        take_name(source, result)
    removed = 1
    if not real.uses() and not real.is_graph_output():
        graph.remove(dequantize, safe=True)
        removed = 2
    drop_unread(parameters)
    return removed


def same_parameters(dequantize: ir.Node, quantize: ir.Node) -> bool:
    """Equal constant scales (f32), zero points, axes, blocks and integer types."""
    scales = [array_of(node.inputs[1]) if len(node.inputs) > 1 else None for node in (dequantize, quantize)]
    a, b = scales
    if a is None or b is None or a.dtype != np.float32 or b.dtype != np.float32:
        return False
    # (q - z) * s must neither overflow nor lose bits to subnormal numbers
    if a.size != b.size or not np.array_equal(a.ravel(), b.ravel()) or np.any(a < 1e-30) or np.any(a > 1e30):
        return False
    points, types = [], []
    for node in (dequantize, quantize):
        given = node.inputs[2] if len(node.inputs) > 2 else None
        point = array_of(given)
        if given is not None and point is None:
            return False
        points.append(np.zeros(a.size) if point is None else point.astype(np.int64).ravel())
        types.append(given.dtype if given is not None and given.dtype is not None else None)
    source = dequantize.inputs[0]
    read = types[0] or (source.dtype if source is not None else None)
    asked = int_attribute(quantize, "output_dtype", 0)
    written = types[1] or (ir.DataType(asked) if asked else ir.DataType.UINT8)
    if read != written or written not in EXACT or not np.array_equal(points[0], points[1]):
        return False
    if int_attribute(dequantize, "block_size", 0) != int_attribute(quantize, "block_size", 0):
        return False
    per_tensor = a.size == 1 and not int_attribute(quantize, "block_size", 0)
    return per_tensor or (
        a.shape == b.shape and int_attribute(dequantize, "axis", 1) == int_attribute(quantize, "axis", 1)
    )
