"""Bias correction: what rounding the weights adds to the mean of each output channel is taken off its bias.

    y = W x + b,  y' = W' x + b'  with  b' = b - (W' - W) E[x]   =>   E[y'] = E[y]

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 3.3, with
E[x] from calibration. Padding is left out of E[x].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.attributes import int_attribute

Array = NDArray[Any]


def expected_shift(node: ir.Node, error: Array, mean: Array) -> Array | None:
    """Mean that a weight error adds to each output channel.

    Args:
        node: Conv, ConvTranspose, Gemm or MatMul.
        error: quantized minus real weight, f32, the weight's shape.
        mean: mean of the activation per channel, [I].

    Returns:
        [O], or None when the channels do not line up (a mean along another axis).
    """
    group = int_attribute(node, "group", 1)
    if node.op_type == "Conv":
        taps = error.reshape(error.shape[0], error.shape[1], -1).sum(axis=2, dtype=np.float64)  # [O, I/G]
        if mean.size != taps.shape[1] * group:
            return None
        per_group = mean.reshape(group, 1, -1)
        return np.asarray((taps.reshape(group, -1, taps.shape[1]) * per_group).sum(axis=2).reshape(-1))
    if (
        node.op_type == "ConvTranspose"
    ):  # [I, O/G, ...]; each output sums over strides^-1 of the taps: not a constant shift
        return None
    if node.op_type == "Gemm" and int_attribute(node, "transB", 0):
        error = error.T
    if error.ndim != 2 or mean.size != error.shape[0]:
        return None
    return np.asarray(mean @ error.astype(np.float64))
