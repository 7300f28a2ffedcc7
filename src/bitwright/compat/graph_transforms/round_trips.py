"""What fewer bits would cost a float network: its layers' numbers are rounded, and stay floats.

Layers are Conv, ConvTranspose, Gemm and MatMul; TensorFlow's script had Conv2D, MatMul and BiasAdd.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.numerics.quantize import dequantize, quantize
from bitwright.numerics.ranges import qparams_from_range
from bitwright.transforms.linear import LINEAR_OPS
from bitwright.transforms.rewiring import float_array, is_op, unique_name


def round_layers(model: ir.Model, levels: int) -> int:
    """Round the constants of every layer to so many evenly spaced values; in place. Returns how many constants.

    step = (max - min) / (levels - 1),    rounded = min + step * round((value - min) / step)
    """
    constants = list(layer_constants(model))
    for value, array in constants:
        low, high = array.min(initial=np.inf).astype(np.float64), array.max(initial=-np.inf).astype(np.float64)
        if low < high:
            step = (high - low) / (levels - 1)
            hold(value, low + step * np.rint((array - low) / step))
    return len(constants)


def quantize_layers(model: ir.Model) -> int:
    """Put every layer's numbers into uint8 and back to floats: its constants now, what it reads and gives in each run.

        dequantize(quantize(x)),    the range of x with 0 in it

    In place. Returns how many layers.
    """
    for constant, array in layer_constants(model):
        qparams = qparams_from_range(array.min(), array.max(), storage="u8")
        hold(constant, dequantize(quantize(array, qparams), qparams))
    layers = [node for node in model.graph if is_op(node, *LINEAR_OPS)]
    seen: set[ir.Value] = set()
    for node in layers:
        for value in (node.inputs[0], node.outputs[0]):
            if value is not None and value not in seen and float_array(value) is None:
                seen.update((value, *add_round_trip(model.graph, value)))
    return len(layers)


def layer_constants(model: ir.Model) -> Iterator[tuple[ir.Value, NDArray[Any]]]:
    """The finite float32 initializers that layers read, and the biases that are added behind them; each once."""
    seen: set[ir.Value] = set()
    for node in model.graph:
        behind = is_op(node, "Add") and any(
            value is not None and is_op(value.producer(), *LINEAR_OPS) for value in node.inputs
        )
        for value in node.inputs if behind or is_op(node, *LINEAR_OPS) else ():
            if value is None or value in seen or not value.is_initializer():
                continue
            array = float_array(value)
            if array is not None and array.dtype == np.float32 and array.size > 1 and np.isfinite(array).all():
                seen.add(value)
                yield value, array


def hold(value: ir.Value, array: NDArray[Any]) -> None:
    """Give an initializer other numbers."""
    value.const_value = ir.Tensor(array.astype(np.float32), name=value.name)


def add_round_trip(graph: ir.Graph, value: ir.Value) -> list[ir.Value]:
    """Let every reader of a value read it after a trip through uint8, in the range that it has then."""
    parts = [
        ir.val(unique_name(graph, f"{value.name}_quantize{end}"), dtype=kind, shape=shape)
        for end, kind, shape in (
            ("", ir.DataType.UINT8, value.shape),
            ("_scale", ir.DataType.FLOAT, ir.Shape(())),
            ("_zero_point", ir.DataType.UINT8, ir.Shape(())),
        )
    ]
    real = ir.val(unique_name(graph, f"{value.name}_dequantize"), dtype=ir.DataType.FLOAT, shape=value.shape)
    named = value.is_graph_output()
    value.replace_all_uses_with(real, replace_graph_outputs=True)
    if named:
        value.name, real.name = real.name, value.name
    pair = [
        ir.node("DynamicQuantizeLinear", [value], outputs=parts, name=str(parts[0].name)),
        ir.node("DequantizeLinear", parts, outputs=[real], name=f"{parts[0].name}_back"),
    ]
    producer = value.producer()
    first = next(iter(graph))
    if producer is not None:
        graph.insert_after(producer, pair)
    else:
        graph.insert_before(first, pair)
    return [real]
