"""Inputs that hold integers: what was fed as floats is fed as uint8 of a known range."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from bitwright.errors import UsageError
from bitwright.exporters.onnx.read import from_onnx
from bitwright.model import Model
from bitwright.numerics.ranges import qparams_from_range
from bitwright.quantization.plan import Role
from bitwright.transforms.remove_redundant_quantization import remove_redundant_quantization
from bitwright.transforms.rewiring import add_constant, unique_name


def with_integer_inputs(model: Model, low: float, high: float) -> Model:
    """The model with uint8 in the place of every float input: low <= scale * (q - zero_point) <= high.

    Args:
        model: quantized.
        low, high: the real values of 0 and 255; the range is widened to hold 0.

    Raises:
        UsageError: a model for .tflite files whose activations are float.
    """
    plan = model.plan
    if plan is not None and plan.target == "litert":
        if not any(tensor.role is Role.ACTIVATION for tensor in plan.tensors.values()):
            raise UsageError(
                "a .tflite file whose activations are float has float inputs",
                next="give fallback_min and fallback_max, or calibration data, too; or write an .onnx file",
            )
        return model.with_ports("uint8", None)
    qparams = qparams_from_range(low, high, storage="u8")
    graph = ir.from_proto(ir.to_proto(model.to_ir()))
    main = graph.graph
    floats = [value for value in main.inputs if value.dtype == ir.DataType.FLOAT]
    first = next(iter(main), None)
    for value in floats:
        name = str(value.name)
        scale = add_constant(main, qparams.scale.reshape(()), f"{name}_min_max_scale")
        point = add_constant(main, qparams.zero_point.astype("uint8").reshape(()), f"{name}_min_max_zero_point")
        real = ir.val(unique_name(main, f"{name}_eightbit"), dtype=ir.DataType.FLOAT, shape=value.shape)
        value.replace_all_uses_with(real, replace_graph_outputs=True)
        value.type = ir.TensorType(ir.DataType.UINT8)
        node = ir.node("DequantizeLinear", [value, scale, point], outputs=[real], name=f"{name}_eightbit_dequantize")
        if first is None:
            main.append(node)
        else:
            main.insert_before(first, node)
    remove_redundant_quantization(graph)
    read, plan = from_onnx(graph)
    return replace(model, graph=read, plan=plan, file_program=None)
