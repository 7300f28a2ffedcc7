"""The layers of a graph that ncnn quantizes, and the scales that it gives their weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.calibration.tables.thresholds import LEVELS
from bitwright.errors import StatisticsError
from bitwright.graph.attributes import int_attribute, ints_attribute
from bitwright.graph.constants import array_of

#: The largest weight of a convolution that ncnn may run as Winograd's F(4, 3): its int8 form overflows above 6 bits.
_WINOGRAD_LEVELS = 31


@dataclass(frozen=True, eq=False)
class Layer:
    """One Convolution, ConvolutionDepthWise or InnerProduct.

    Args:
        name: the node's.
        input: the name of the value that it reads.
        scales: f32: 127 / max|w| of each output channel, of each group where there are groups; 31 / max|w| of 3 x 3
            convolutions of stride 1; 0 where there are no weights.
        channels: how many output channels there are.
    """

    name: str
    input: str
    scales: NDArray[np.float32]
    channels: int


def layers_of(model: ir.Model) -> Iterator[Layer]:
    """The layers in the order of the graph: Conv on images, Gemm and MatMul, all with constant weights.

    Source: ncnn's tools/quantize/ncnn2table.cpp, `quantize_KL`; Tencent/ncnn issue 4031 on the 6 bits.

    Raises:
        StatisticsError: weights that are no numbers.
    """
    for node in model.graph:
        if node.domain not in ("", "ai.onnx") or len(node.inputs) < 2 or node.inputs[0] is None:
            continue
        rows, levels = _weights_by_channel(node), LEVELS
        if rows is None:
            continue
        if not np.isfinite(rows).all():
            raise StatisticsError(
                "weights hold NaN or Inf", where=f"node {node.name!r}", next="repair or retrain the model"
            )
        group, channels = int_attribute(node, "group", 1), rows.shape[0]
        if group > 1:
            rows = rows.reshape(group, -1)
        elif _is_winograd(node):
            levels = _WINOGRAD_LEVELS
        yield Layer(str(node.name), str(node.inputs[0].name), _scales(rows, levels), channels)


def _weights_by_channel(node: ir.Node) -> NDArray[np.float32] | None:
    """f32[O, K]: the weights of each output channel; None when ncnn has no such layer of the node."""
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    array = array_of(node.inputs[1])
    if array is None or not array.size or array.dtype.kind != "f":
        return None
    if node.op_type == "Conv":
        return array.reshape(array.shape[0], -1).astype(np.float32) if array.ndim == 4 else None
    if array.ndim != 2 or int_attribute(node, "transA", 0):
        return None
    return (array if int_attribute(node, "transB", 0) else array.T).astype(np.float32)


def _is_winograd(node: ir.Node) -> bool:
    weight = array_of(node.inputs[1])
    if node.op_type != "Conv" or weight is None or weight.shape[2:] != (3, 3):
        return False
    return {*ints_attribute(node, "strides"), *ints_attribute(node, "dilations")} <= {1}


def _scales(rows: NDArray[np.float32], levels: int) -> NDArray[np.float32]:
    """Per row, levels / max|w|; 0 for a row of zeros, and for one so small that the quotient is infinite."""
    largest = np.abs(rows).max(axis=1)
    with np.errstate(divide="ignore", over="ignore"):
        scales: NDArray[np.float32] = np.float32(levels) / largest
    return np.where(np.isfinite(scales), scales, np.float32(0))
