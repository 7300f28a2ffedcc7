"""How much a channel matters, as its weights tell."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.constants import array_of
from bitwright.transforms.channels.trace import Ids, Trace
from bitwright.transforms.linear import Linear, linear_of
from bitwright.transforms.rewiring import is_op

Vector = NDArray[np.float64]

#: What makes a channel important: the L2 norm of the filter that gives it, or the scale of the BatchNormalization
#: behind that (Liu et al. 2017, "Learning Efficient Convolutional Networks through Network Slimming").
CRITERIA = ("magnitude", "bn")


def scores_of(trace: Trace, root: Ids, groups: list[Ids], criterion: str) -> list[Vector]:
    """The importance of each class, by group: 1 on average in each group, so that groups compare.

        score(class) = sum over the filters f that give one of its channels of |f| / mean of |f| in their layer

    Args:
        trace: of a graph.
        root: the class of every channel.
        groups: the classes that may go.
        criterion: one of CRITERIA; "bn" takes |scale| for |f| where a BatchNormalization reads the layer.
    """
    total = np.zeros(trace.count)
    for layer in trace.layers:
        linear = linear_of(layer.node)
        if layer.outputs is None or isinstance(linear, str):
            continue
        scale = normalization_scale(layer.node) if criterion == "bn" else None
        size = filter_norms(linear) if scale is None else np.abs(scale)
        np.add.at(total, root[layer.outputs], size / (size.mean() or 1.0))
    return [total[members] / (total[members].mean() or 1.0) for members in groups]


def filter_norms(linear: Linear) -> Vector:
    """The L2 norm of the weights of every output channel, [O]."""
    weight = linear.grouped(np.ascontiguousarray(linear.weight)).astype(np.float64)
    return np.asarray(np.sqrt(np.square(weight).sum(axis=(2, 3))).ravel())


def normalization_scale(node: ir.Node) -> Vector | None:
    """The scale of the BatchNormalization that reads a node's result, [O]; None where none does."""
    for use in node.outputs[0].uses():
        if is_op(use.node, "BatchNormalization"):
            array = array_of(use.node.inputs[1])
            return None if array is None else array.astype(np.float64)
    return None
