"""Trace: which channels every value carries, which must go together, which must stay, and what to cut when some go."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.constants import constant_of

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Channels:
    """The channels along one axis of a value: entry i of the axis is part of channel ids[i]."""

    axis: int
    ids: Ids


@dataclass(frozen=True)
class Layer:
    """A Conv, ConvTranspose, Gemm or MatMul, and the channels that its multiply-accumulates are in proportion to.

    Args:
        node: the node.
        outputs: channels of its result; None where their number is fixed.
        inputs: channels that each of its outputs sums over; None where their number is fixed (1 for depthwise ones).
    """

    node: ir.Node
    outputs: Ids | None
    inputs: Ids | None


@dataclass(frozen=True)
class ConstantCut:
    """Constant input `index` of a node has one entry along `axis` for each of `ids`."""

    node: ir.Node
    index: int
    axis: int
    ids: Ids


@dataclass(frozen=True)
class CountCut:
    """A node says how many `ids` there are: in an attribute, or in one entry of a constant input.

    Args:
        node: the node.
        place: the attribute's name, or the index of the input.
        entry: which number of a list; None where there is one number alone.
        ids: what is counted.
    """

    node: ir.Node
    place: str | int
    entry: int | None
    ids: Ids


@dataclass
class Trace:
    """What is known of a graph's channels; the rules of its operators fill it, in order of execution.

    Args:
        channels: of the values whose channels may go; a value that is not here keeps its shape.
        count: channels so far; they are numbered from 0.
        joins: pairs of rows of channels; the two of a column meet in one element, so they go together.
        pins: channels that stay, and the reason.
        layers: the nodes that cost multiply-accumulates.
        refused: why a layer's own channels cannot go, for layers that have none in the trace.
        cuts: what else says how many channels there are.
    """

    channels: dict[ir.Value, Channels] = field(default_factory=dict)
    count: int = 0
    joins: list[tuple[Ids, Ids]] = field(default_factory=list)
    pins: list[tuple[Ids, str]] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    refused: dict[ir.Node, str] = field(default_factory=dict)
    cuts: list[ConstantCut | CountCut] = field(default_factory=list)

    def new(self, number: int) -> Ids:
        """So many channels that are not there yet."""
        self.count += number
        return np.arange(self.count - number, self.count)

    def of(self, value: ir.Value | None) -> Channels | None:
        """The channels of a value that may go."""
        return None if value is None else self.channels.get(value)

    def pin(self, value: ir.Value | None, reason: str) -> None:
        """The channels of a value stay."""
        channels = self.of(value)
        if channels is not None:
            self.pins.append((channels.ids, reason))

    def classes(self) -> Ids:
        """For every channel the smallest channel that it goes together with, by the joins and theirs in turn."""
        root = np.arange(self.count)
        pairs = [np.concatenate(side) for side in zip(*self.joins, strict=True)]
        while pairs:
            before = root.copy()
            lowest = np.minimum(root[pairs[0]], root[pairs[1]])
            for side in pairs:
                np.minimum.at(root, before[side], lowest)
                np.minimum.at(root, side, lowest)
            root = root[root]
            if np.array_equal(root, before):
                break
        return root


def name_of(node: ir.Node) -> str:
    """The node's name, or its result's where it has none."""
    return str(node.name or node.outputs[0].name)


def pin_what_is_seen(trace: Trace, graph: ir.Graph) -> None:
    """Pin the channels that somebody outside the graph's own nodes sees: the caller, or a subgraph."""
    for value in list(trace.channels):
        if value.is_graph_output():
            trace.pin(value, f"{value.name!r} is an output of the graph")
        captors = [use.node for use in value.uses() if use.node.graph is not graph]
        if captors:
            trace.pin(value, f"{value.name!r} is read inside a subgraph")


def sizes_of(value: ir.Value | None) -> tuple[int | None, ...] | None:
    """The sizes of a value, None for those that are free; None when not even the rank is known."""
    constant = constant_of(value)
    if constant is not None:
        return tuple(constant.shape.numpy())
    if value is None or value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else None for size in value.shape)


def rank_of(value: ir.Value | None) -> int | None:
    """The rank of a value, None when it is not known."""
    sizes = sizes_of(value)
    return None if sizes is None else len(sizes)


def attribute_ints(node: ir.Node, name: str) -> list[int] | None:
    """A list of integers, None when the node does not have it."""
    attribute = node.attributes.get(name)
    return None if attribute is None or attribute.is_ref() else list(attribute.as_ints())


def axis_in(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis + rank if axis < 0 else axis
