"""QuantizeLinear and DequantizeLinear nodes: the constants and parameters that they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import QuantParamsError
from bitwright.graph.attributes import int_attribute
from bitwright.numerics.qparams import QuantParams

DATA_TYPES: dict[str, ir.DataType] = {
    "i2": ir.DataType.INT2,
    "u2": ir.DataType.UINT2,
    "i4": ir.DataType.INT4,
    "u4": ir.DataType.UINT4,
    "i8": ir.DataType.INT8,
    "u8": ir.DataType.UINT8,
    "i16": ir.DataType.INT16,
    "u16": ir.DataType.UINT16,
    "i32": ir.DataType.INT32,
}
STORAGE_OF: dict[ir.DataType, str] = {kind: storage for storage, kind in DATA_TYPES.items()}


def as_numpy(value: ir.Value | None) -> NDArray[Any] | None:
    """A constant initializer, or the product of two, as an array, 4-bit types one a byte; None when it is neither."""
    if value is None or value.is_graph_input():
        return None
    producer = value.producer()
    if producer is not None and producer.op_type == "Mul" and producer.domain == "":
        factors = [v.const_value for v in producer.inputs if v is not None and v.const_value is not None]
        return factors[0].numpy() * factors[1].numpy() if len(factors) == 2 else None
    if value.const_value is None:
        return None
    array = value.const_value.numpy()
    return array.astype(np.int8) if array.dtype.kind == "V" or "int4" in str(array.dtype) else array


def storage_of(node: ir.Node) -> str:
    """The storage type of the integers that a QuantizeLinear gives, by its zero_point; "" for one that is not known."""
    point = node.inputs[2] if len(node.inputs) > 2 else None
    if point is None or point.dtype is None:
        return "u8"
    return STORAGE_OF.get(point.dtype, "")


def parameters_of(
    node: ir.Node, storage: str, *, rank: int | None = None, weight_min: int | None = None
) -> QuantParams | None:
    """Parameters of a Quantize- or DequantizeLinear whose scale and zero_point are constant float32 ones.

    Args:
        node: a QuantizeLinear or DequantizeLinear.
        storage: type of its integers.
        rank: of its data, which an axis counted from behind needs.
        weight_min: the least of the integers, where they are constant.
    """
    scale = as_numpy(node.inputs[1])
    given = node.inputs[2] if len(node.inputs) > 2 else None
    point = as_numpy(given)
    if scale is None or scale.dtype != np.float32 or (given is not None and point is None):
        return None
    if point is None:
        point = np.zeros(scale.shape, np.int32)
    axis = int_attribute(node, "axis", 1)
    block = int_attribute(node, "block_size", 0)
    narrow = weight_min is not None and storage == "i8" and not point.any() and weight_min >= -127
    try:
        if block:
            shape = tuple(block if i == axis % scale.ndim else 1 for i in range(scale.ndim))
            return QuantParams(scale, point, storage, block_shape=shape, narrow_range=narrow)
        if scale.ndim == 0 or (scale.shape == (1,) and "axis" not in node.attributes):
            return QuantParams(scale, point.reshape(-1), storage, narrow_range=narrow)
        if axis < 0:
            if rank is None:
                return None
            axis += rank
        return QuantParams(scale, point, storage, axis, narrow_range=narrow)
    except QuantParamsError:
        return None


def pair_parameters(node: ir.Node) -> QuantParams | None:
    """The parameters of a QuantizeLinear behind which there are DequantizeLinears of the same alone; None otherwise."""
    integers, storage = node.outputs[0], storage_of(node)
    readers = integers.consumers()
    if not storage or not readers or integers.is_graph_output():
        return None
    data = node.inputs[0]
    rank = None if data is None or data.shape is None else len(data.shape)
    qparams = parameters_of(node, storage, rank=rank)
    if any(n.op_type != "DequantizeLinear" or parameters_of(n, storage, rank=rank) != qparams for n in readers):
        return None
    return qparams
