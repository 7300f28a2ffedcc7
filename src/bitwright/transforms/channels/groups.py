"""Groups: channels that are alike in what they cost, in classes that go as one; and the cost of any number of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.transforms.channels.trace import Ids, Trace


@dataclass(frozen=True)
class Costs:
    """Multiply-accumulates as a function of how many classes each group keeps.

        macs(kept) = sum over layers of unit * (outputs + outputs_by . kept) * (inputs + inputs_by . kept)

    Args:
        unit: [L], multiply-accumulates of one output and one input.
        outputs, inputs: [L], how many of them stay whatever goes.
        outputs_by, inputs_by: [L, G], how many of them each class of a group is.
    """

    unit: NDArray[Any]
    outputs: NDArray[Any]
    inputs: NDArray[Any]
    outputs_by: NDArray[Any]
    inputs_by: NDArray[Any]

    def of(self, kept: NDArray[Any]) -> int:
        """The multiply-accumulates when so many classes of each group are kept, [G]."""
        sides = (self.outputs + self.outputs_by @ kept), (self.inputs + self.inputs_by @ kept)
        return int(np.sum(self.unit * sides[0] * sides[1]))


def groups_of(trace: Trace, root: Ids) -> list[Ids]:
    """The classes that may go, each by its smallest channel, in groups whose members appear equally often everywhere.

    Args:
        trace: of a graph.
        root: the class of every channel (`trace.classes()`).
    """
    pinned = np.zeros(trace.count, bool)
    for ids, _ in trace.pins:
        pinned[root[ids]] = True
    appears: dict[int, list[tuple[int, int]]] = defaultdict(list)
    sides = [side for layer in trace.layers for side in (layer.outputs, layer.inputs)]
    for place, side in enumerate(sides):
        if side is None:
            continue
        classes, counts = np.unique(root[side], return_counts=True)
        for member, number in zip(classes.tolist(), counts.tolist(), strict=True):
            if not pinned[member]:
                appears[member].append((place, number))
    alike: dict[tuple[tuple[int, int], ...], list[int]] = defaultdict(list)
    for member in sorted(appears):
        alike[tuple(appears[member])].append(member)
    return [np.array(members) for members in alike.values()]


def costs_of(trace: Trace, root: Ids, groups: list[Ids], macs: dict[ir.Node, int]) -> Costs:
    """The costs of a graph.

    Args:
        trace: of the graph.
        root: the class of every channel.
        groups: the classes that may go.
        macs: of every layer as it is.
    """
    group_of = np.full(trace.count, len(groups))
    for index, members in enumerate(groups):
        group_of[members] = index
    sides = np.zeros((2, len(trace.layers), len(groups) + 1), np.int64)
    for row, layer in enumerate(trace.layers):
        for side, ids in enumerate((layer.outputs, layer.inputs)):
            if ids is None:
                sides[side, row, -1] = 1
            else:
                sides[side, row] = np.bincount(group_of[root[ids]], minlength=len(groups) + 1)
    sizes = np.array([len(members) for members in groups], np.int64)
    sides[:, :, :-1] //= np.maximum(sizes, 1)
    unit = [macs[layer.node] // (width(layer.outputs) * width(layer.inputs)) for layer in trace.layers]
    fixed, by = sides[:, :, -1], sides[:, :, :-1]
    return Costs(np.array(unit, np.int64), fixed[0], fixed[1], by[0], by[1])


def width(ids: Ids | None) -> int:
    """How many channels; 1 where their number is fixed."""
    return 1 if ids is None else len(ids)
