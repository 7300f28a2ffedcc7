"""Cut the channels out: constants get shorter, numbers smaller, shapes follow."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.constants import array_of
from bitwright.transforms.channels.trace import ConstantCut, CountCut, Trace, name_of
from bitwright.transforms.rewiring import set_constant


def cut(trace: Trace, stays: NDArray[np.bool_]) -> None:
    """Take channels out of the graph that a trace is of.

    Args:
        trace: of the graph, which is changed in place.
        stays: for every channel of the trace whether it stays.
    """
    for place in trace.cuts:
        keep = stays[place.ids]
        if keep.all():
            continue
        if isinstance(place, ConstantCut):
            cut_constant(place, keep)
        else:
            cut_count(place, int(keep.sum()))
    for value, channels in trace.channels.items():
        if value.shape is not None:
            sizes = list(value.shape)
            sizes[channels.axis] = int(stays[channels.ids].sum())
            value.shape = ir.Shape(sizes)


def cut_constant(place: ConstantCut, keep: NDArray[np.bool_]) -> None:
    """Keep the entries of a constant input along its axis."""
    array = array_of(place.node.inputs[place.index])
    assert array is not None
    shorter = np.ascontiguousarray(np.compress(keep, array, place.axis))
    set_constant(place.node, place.index, shorter, f"{name_of(place.node)}_{place.index}")


def cut_count(place: CountCut, number: int) -> None:
    """Say the new number."""
    node = place.node
    if isinstance(place.place, str):
        node.attributes[place.place] = ir.AttrInt64(place.place, number)
        return
    array = array_of(node.inputs[place.place])
    assert array is not None
    array = array.copy()
    array[place.entry] = number
    set_constant(node, place.place, array, f"{name_of(node)}_{place.place}")
