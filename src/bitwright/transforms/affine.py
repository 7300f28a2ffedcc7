"""Nodes that multiply and add a constant per channel: BatchNormalization, and Mul, Add, Sub, Div by constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.attributes import float_attribute, int_attribute
from bitwright.transforms.rewiring import float_array, is_op

Vector = NDArray[np.float64]
ARITHMETIC = ("Mul", "Add", "Sub", "Div")


def affine_of(
    node: ir.Node, value: ir.Value, *, channels: int, rank: int | None, trailing: int
) -> tuple[Vector | None, Vector | None] | str:
    """What the node does to `value`: (a, b) of `a * value + b`, [C] each, None for 1 and for 0; or why it is not that.

    Args:
        node: a reader of the value.
        value: one of its inputs, with `channels` channels and `trailing` axes behind the channel axis.
        channels: C.
        rank: of the value; None when it is not known.
        trailing: axes behind the channel axis.
    """
    if is_op(node, "BatchNormalization"):
        if rank is None or rank - 1 - trailing != 1:
            return "axis 1 is not known to be the channels before it"
        return batch_norm(node, channels)
    if not is_op(node, *ARITHMETIC) or len(node.inputs) != 2 or "broadcast" in node.attributes:
        return "not a multiplication or addition of a constant"
    first = node.inputs[0] is value
    array = float_array(node.inputs[1 if first else 0])
    constant = None if array is None else per_channel(array, channels=channels, rank=rank, trailing=trailing)
    if constant is None:
        return "the other operand is not one constant per channel"
    if is_op(node, "Mul"):
        return constant, None
    if is_op(node, "Add"):
        return None, constant
    if is_op(node, "Sub"):
        return (None, -constant) if first else (np.full(channels, -1.0), constant)
    if not first or not np.all(constant):
        return "not a division by a constant other than zero"
    return 1.0 / constant, None


def batch_norm(node: ir.Node, channels: int) -> tuple[Vector, Vector] | str:
    """A BatchNormalization at inference as (a, b) of a * x + b, or why not.

        y = scale * (x - mean) / sqrt(var + epsilon) + bias
        a = scale / sqrt(var + epsilon),  b = bias - mean * a

    Source: ONNX BatchNormalization-15.
    """
    if int_attribute(node, "training_mode", 0):
        return "the BatchNormalization is in training mode"
    if len(node.outputs) != 1:
        return "the BatchNormalization gives its running statistics as well"
    if not int_attribute(node, "spatial", 1):
        return "the BatchNormalization is not spatial"
    arrays = [float_array(value) for value in node.inputs[1:5]]
    if len(arrays) != 4 or any(array is None or array.shape != (channels,) for array in arrays):
        return "the BatchNormalization's parameters are not constants, one a channel"
    scale, bias, mean, variance = (array.astype(np.float64) for array in arrays if array is not None)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + float_attribute(node, "epsilon", 1e-5))
        return factor, bias - mean * factor


def per_channel(array: NDArray[Any], *, channels: int, rank: int | None, trailing: int) -> Vector | None:
    """A constant that broadcasts over all axes but the channels, as [C]; None when it does not, or adds axes.

    >>> per_channel(np.ones((3, 1, 1)), channels=3, rank=4, trailing=2)
    array([1., 1., 1.])
    >>> per_channel(np.ones(3), channels=3, rank=4, trailing=2) is None
    True
    """
    if array.ndim > (1 if rank is None else rank):
        return None
    if array.size == 1:
        return np.full(channels, float(array.reshape(())))
    behind = array.shape[array.ndim - trailing :] if trailing else ()
    before = array.shape[: array.ndim - trailing - 1] if array.ndim > trailing else ()
    if array.ndim <= trailing or array.size != channels or any(d != 1 for d in (*behind, *before)):
        return None
    return array.reshape(channels).astype(np.float64)
