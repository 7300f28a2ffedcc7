"""Weights of a network under training: how each lies in memory, and which of them regular expressions choose."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir
from torch import Tensor

from bitwright.errors import UsageError
from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import array_of
from bitwright.quantization.rules import RECURRENT
from bitwright.training.network import Network
from bitwright.training.placement import weights_of


@dataclass(frozen=True)
class Layout:
    """How a weight is seen as [outputs..., input channels, kernel...], whatever the order it is stored in.

        Conv           [O, I/G, k...]          ->  the same
        ConvTranspose  [I, O/G, k...]          ->  [G, O/G, I/G, k...]
        Gemm, MatMul   [..., I, O]             ->  [..., O, I]       (Gemm with transB: the same)
        LSTM, GRU      [directions, g * H, I]  ->  the same

    Args:
        stored: its shape.
        split: the shape with groups apart.
        order: axes of `split` in the order in which they are seen.
        rows: how many of those, from the first on, are output channels.
    """

    stored: tuple[int, ...]
    split: tuple[int, ...]
    order: tuple[int, ...]
    rows: int

    @property
    def seen(self) -> tuple[int, ...]:
        """The shape that is seen."""
        return tuple(self.split[axis] for axis in self.order)

    def view(self, weight: Tensor) -> Tensor:
        """A stored tensor as it is seen."""
        return weight.reshape(self.split).permute(self.order)

    def restored(self, seen: Tensor) -> Tensor:
        """What is seen, as it is stored; of any shape with the same elements."""
        back = sorted(range(len(self.order)), key=self.order.__getitem__)
        return seen.reshape(self.seen).permute(back).reshape(self.stored).contiguous()

    def matrix(self, weight: Tensor) -> Tensor:
        """A stored tensor as [outputs, rest]."""
        return self.view(weight).reshape(self.outputs, -1)

    @property
    def outputs(self) -> int:
        """Output channels."""
        return math.prod(self.seen[: self.rows])

    @property
    def input_channels(self) -> int:
        """Input channels of one group."""
        return math.prod(self.seen[self.rows : self.rows + 1])  # 1 where there is no such axis


def layout_of(node: ir.Node, operand: int, shape: tuple[int, ...]) -> Layout:
    """How a node's operand lies, which is one of its weights."""
    rank = len(shape)
    same = tuple(range(rank))
    if node.op_type == "ConvTranspose":
        groups = int_attribute(node, "group", 1)
        split = (groups, shape[0] // groups, *shape[1:])
        return Layout(shape, split, (0, 2, 1, *range(3, rank + 1)), rows=2)
    if node.op_type == "MatMul" and rank == 1:
        return Layout(shape, (1, *shape), (0, 1), rows=1)
    if node.op_type == "MatMul" and operand == 0:
        return Layout(shape, shape, same, rows=rank - 1)
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not int_attribute(node, "transB", 0)):
        return Layout(shape, shape, (*same[:-2], rank - 1, rank - 2), rows=rank - 1)
    return Layout(shape, shape, same, rows=2 if node.op_type in RECURRENT else 1)


def layouts(graph: ir.Model) -> dict[str, Layout]:
    """The layout of each weight, as the first node that reads it has it."""
    found: dict[str, Layout] = {}
    for node in graph.graph:
        for operand in weights_of(node):
            value, array = node.inputs[operand], array_of(node.inputs[operand])
            if value is not None and array is not None and array.ndim:
                found.setdefault(str(value.name), layout_of(node, operand, array.shape))
    return found


def trained_weights(network: Network) -> list[str]:
    """The weights that training changes, in order of execution."""
    names = network.weight_names()
    return [name for name in names if network.shared(name) is not None or network.place(name).is_parameter()]


def chosen_weights(network: Network, exclude: Sequence[str]) -> list[str]:
    """The weights that training changes, without those that are left out.

    Args:
        network: whose weights.
        exclude: regular expressions, searched in names.

    Raises:
        UsageError: one is no regular expression or matches nothing, or nothing is left.
    """
    names = trained_weights(network)
    excluded = {name for pattern in _patterns(exclude) for name in matching(pattern, names)}
    chosen = [name for name in names if name not in excluded]
    if not chosen:
        raise UsageError("no weight is left", next="the network has no weights that train, or exclude fewer of them")
    return chosen


def matching(pattern: str, names: Sequence[str]) -> list[str]:
    """The names that a regular expression is found in.

    Raises:
        UsageError: it is none, or it is found nowhere.
    """
    try:
        found = [name for name in names if re.search(pattern, name)]
    except (re.error, TypeError) as error:
        raise UsageError(
            f"{pattern!r} is not a regular expression: {error}", next="escape special characters with a \\"
        ) from error
    if not found:
        listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise UsageError(f"{pattern!r} matches no weight", next=f"the weights are {listed}")
    return found


def _patterns(given: Sequence[str]) -> Sequence[str]:
    return (given,) if isinstance(given, str) else given
