"""Conv, ConvTranspose, Gemm and MatMul seen alike: weights as [G, O/G, I/G, K], one bias an output channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.attributes import float_attribute, int_attribute
from bitwright.graph.constants import array_of
from bitwright.transforms.rewiring import float_array, is_op, set_constant

Vector = NDArray[np.float64]
LINEAR_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Linear:
    """A node that is linear in its input 0, with constant weights at input 1.

    Args:
        node: Conv, ConvTranspose, Gemm or MatMul.
        weight: its weights as stored, or their integers: Conv [O, I/G, k...], ConvTranspose [I, O/G, k...], Gemm and
            MatMul [I, O] (Gemm with transB [O, I]).
        groups: G.
        outputs_first: weights are stored with output channels before input channels.
        rank: of the result; None when it is not known.
        trailing: axes behind the channel axis in the result.
    """

    node: ir.Node
    weight: NDArray[Any]
    groups: int
    outputs_first: bool
    rank: int | None
    trailing: int

    def grouped(self, weight: NDArray[Any]) -> NDArray[Any]:
        """A view [G, O/G, I/G, K] of weights stored as this node stores them (which must be contiguous)."""
        group, first = self.groups, weight.shape[0] // self.groups
        split = weight.reshape(group, first, weight.shape[1], -1)
        return split if self.outputs_first else split.swapaxes(1, 2)

    @property
    def out_channels(self) -> int:
        """O."""
        shape = self.weight.shape
        return int(shape[0] if self.outputs_first else shape[1] * self.groups)

    @property
    def in_channels(self) -> int:
        """I."""
        shape = self.weight.shape
        return int(shape[1] * self.groups if self.outputs_first else shape[0])

    @property
    def has_bias(self) -> bool:
        """Whether a bias is given."""
        return len(self.node.inputs) > 2 and self.node.inputs[2] is not None

    def scaled(self, *, outputs: Vector | None = None, inputs: Vector | None = None) -> NDArray[Any]:
        """Weights times a factor per output channel and a factor per input channel, rounded once.

        weight'[g, o, i, k] = weight[g, o, i, k] * (outputs[g, o] * inputs[g, i])
        """
        factor = np.ones((1, 1, 1, 1))
        if outputs is not None:
            factor = factor * outputs.reshape(self.groups, -1, 1, 1)
        if inputs is not None:
            factor = factor * inputs.reshape(self.groups, 1, -1, 1)
        weight = np.ascontiguousarray(self.weight)
        result = np.empty_like(weight)
        if weight.dtype in (np.float32, np.float64):  # in blocks of numpy's own: no f64 copy of all weights
            np.multiply(self.grouped(weight), factor, out=self.grouped(result), casting="same_kind")
        else:
            self.grouped(result)[...] = (self.grouped(weight).astype(np.float64) * factor).astype(weight.dtype)
        return result

    def bias(self, *, held: bool = False) -> NDArray[np.float64] | None:
        """The bias as it is added (Gemm: beta * C): [O], or what broadcasts to [N, O]; zeros when there is none.

        None when it is not a plain float constant, nor, with `held`, one that is held as integers or halves.
        """
        given = self.node.inputs[2] if len(self.node.inputs) > 2 else None
        if given is None:
            return np.zeros(self.out_channels)
        array = array_of(given) if held else float_array(given)
        if array is None:
            return None
        if is_op(self.node, "Gemm"):
            array = array.reshape(-1) if array.ndim == 2 and array.shape[0] == 1 else array
            return array.astype(np.float64) * float_attribute(self.node, "beta", 1.0)
        return array.astype(np.float64)

    def set_weight(self, weight: NDArray[Any]) -> None:
        """Give the node new weights; other readers of the old ones keep those."""
        set_constant(self.node, 1, weight, f"{self.node.outputs[0].name}_weight")

    def set_bias(self, bias: Vector) -> None:
        """Give the node a bias that is added as it is."""
        if is_op(self.node, "Gemm") and "beta" in self.node.attributes:
            self.node.attributes["beta"] = ir.AttrFloat32("beta", 1.0)
        dtype = self.weight.dtype if self.weight.dtype.kind == "f" else np.dtype(np.float32)
        set_constant(self.node, 2, bias.astype(dtype), f"{self.node.outputs[0].name}_bias")


def linear_of(node: ir.Node | None, held: NDArray[Any] | None = None) -> Linear | str:
    """The node seen as a linear one, or the reason why not.

    Args:
        node: any.
        held: its weights, where they are held as integers.
    """
    if node is None or not is_op(node, *LINEAR_OPS):
        return "no Conv, ConvTranspose, Gemm or MatMul before it"
    weight = held
    if weight is None and len(node.inputs) > 1:
        weight = float_array(node.inputs[1])
    if weight is None:
        return f"the weights of the {node.op_type} are not a plain float constant"
    if is_op(node, "Conv", "ConvTranspose"):
        groups = int_attribute(node, "group", 1)
        if weight.ndim < 3 or groups < 1 or weight.shape[0] % groups:
            return f"the {node.op_type} is malformed"
        conv = is_op(node, "Conv")
        return Linear(node, weight, groups, outputs_first=conv, rank=weight.ndim, trailing=weight.ndim - 2)
    if weight.ndim != 2:
        return f"the weights of the {node.op_type} have {weight.ndim} axes"
    if is_op(node, "Gemm"):
        return Linear(node, weight, 1, outputs_first=bool(int_attribute(node, "transB", 0)), rank=2, trailing=0)
    return Linear(node, weight, 1, outputs_first=False, rank=rank_of(node.outputs[0], node.inputs[0]), trailing=0)


def rank_of(*values: ir.Value | None) -> int | None:
    """The rank of the first value whose shape is known."""
    for value in values:
        if value is not None and value.shape is not None:
            return len(value.shape)
    return None
