"""What operators do to the channels of their inputs: one rule a family, found by the operator's name."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import HalfTensor, QuantizedTensor, array_of, constant_of
from bitwright.transforms.channels.trace import (
    Channels,
    ConstantCut,
    CountCut,
    Ids,
    Trace,
    attribute_ints,
    axis_in,
    rank_of,
    sizes_of,
)

#: Fills in the trace for one node whose inputs carry channels. Returns why it cannot; they stay then.
Rule = Callable[[Trace, ir.Node], str | None]
ELSEWHERE = "the channels lie on another axis"


def elementwise(trace: Trace, node: ir.Node) -> str | None:
    """One element from one element of each input, with broadcasting: channels that meet go together."""
    rank = rank_of(node.outputs[0])
    carried = [(rank_of(value), channels) for value in node.inputs if (channels := trace.of(value)) is not None]
    if rank is None or seen(node, 1) or "axis" in node.attributes:
        return "not known to go element by element"
    from_end = {size - channels.axis if size is not None else None for size, channels in carried}
    behind, number = from_end.pop(), max(len(channels.ids) for _, channels in carried)
    if from_end or behind is None:
        return "the channels of its inputs lie on different axes"
    ids = next(channels.ids for _, channels in carried if len(channels.ids) == number)
    for index, value in enumerate(node.inputs):
        channels, sizes = trace.of(value), sizes_of(value)
        if value is None:
            continue
        if channels is not None and len(channels.ids) == number:
            trace.joins.append((ids, channels.ids))
        elif channels is not None:
            trace.pin(value, "it is broadcast over others")
        elif sizes is None or (len(sizes) >= behind and sizes[-behind] not in (1, number)):
            return "it meets a value whose channels are not known"
        elif len(sizes) >= behind and sizes[-behind] == number > 1:
            if not is_plain(value):
                return "it meets a value whose channels stay"
            trace.cuts.append(ConstantCut(node, index, len(sizes) - behind, ids))
    trace.channels[node.outputs[0]] = Channels(rank - behind, ids)
    return None


def normalization(trace: Trace, node: ir.Node) -> str | None:
    """Each channel by itself, with vectors of one entry a channel at the inputs behind the first."""
    channels = trace.of(node.inputs[0])
    if channels is None or channels.axis != 1:
        return ELSEWHERE
    if int_attribute(node, "training_mode", 0) or not int_attribute(node, "spatial", 1) or seen(node, 1):
        return "not in the form of inference"
    if any(not is_plain(value) or sizes_of(value) != (len(channels.ids),) for value in node.inputs[1:]):
        return "its parameters are not constants, one a channel"
    trace.cuts += [ConstantCut(node, index, 0, channels.ids) for index in range(1, len(node.inputs))]
    trace.channels[node.outputs[0]] = channels
    return None


def pooling(trace: Trace, node: ir.Node) -> str | None:
    """Windows over the axes behind axis 1."""
    channels = trace.of(node.inputs[0])
    if channels is None or channels.axis != 1:
        return ELSEWHERE
    if seen(node, 1):
        return "its indices count channels"
    trace.channels[node.outputs[0]] = channels
    return None


def reduction(trace: Trace, node: ir.Node) -> str | None:
    """Sums, means and the like over axes that are not the channels'."""
    channels, rank, axes = trace.of(node.inputs[0]), rank_of(node.inputs[0]), axes_of(node)
    if channels is None or rank is None or not axes:
        return "its axes are not known"
    if channels.axis in axes:
        return "it reduces over channels"
    gone = 0 if int_attribute(node, "keepdims", 1) else sum(axis < channels.axis for axis in axes)
    trace.channels[node.outputs[0]] = Channels(channels.axis - gone, channels.ids)
    return None


def squeeze(trace: Trace, node: ir.Node) -> str | None:
    """Axes of size 1 taken out."""
    channels, axes = trace.of(node.inputs[0]), axes_of(node)
    if channels is None or axes is None or channels.axis in axes:
        return "its axes are not known to leave the channels"
    trace.channels[node.outputs[0]] = Channels(channels.axis - sum(axis < channels.axis for axis in axes), channels.ids)
    return None


def unsqueeze(trace: Trace, node: ir.Node) -> str | None:
    """Axes of size 1 put in."""
    channels, rank = trace.of(node.inputs[0]), rank_of(node.outputs[0])
    axes = axes_of(node, rank=rank)
    if channels is None or rank is None or axes is None:
        return "its axes are not known"
    kept = [axis for axis in range(rank) if axis not in axes]
    trace.channels[node.outputs[0]] = Channels(kept[channels.axis], channels.ids)
    return None


def transpose(trace: Trace, node: ir.Node) -> str | None:
    """The channels lie on another axis behind it."""
    channels, rank = trace.of(node.inputs[0]), rank_of(node.inputs[0])
    if channels is None or rank is None:
        return "the rank of its input is not known"
    order = attribute_ints(node, "perm") or list(reversed(range(rank)))
    trace.channels[node.outputs[0]] = Channels(order.index(channels.axis), channels.ids)
    return None


def flatten(trace: Trace, node: ir.Node) -> str | None:
    """[N, C, ...] becomes [N, C * r, ...]: each channel is r entries that follow one another."""
    channels, before, after = trace.of(node.inputs[0]), sizes_of(node.inputs[0]), sizes_of(node.outputs[0])
    if channels is None or channels.axis != 1:
        return ELSEWHERE
    if before is None or after is None or product(before[1:]) is None or product(before[1:]) != product(after[1:]):
        return "it is not known to keep axis 0"
    width = after[1] or 0
    if width % len(channels.ids):
        return "it mixes channels"
    ids = np.repeat(channels.ids, width // len(channels.ids))
    if node.op_type == "Reshape":
        target = array_of(node.inputs[1])
        if target is None or len(target) != len(after):
            return "its shape is not constant"
        if target[1] > 0:
            trace.cuts.append(CountCut(node, 1, 1, ids))
    trace.channels[node.outputs[0]] = Channels(1, ids)
    return None


def concat(trace: Trace, node: ir.Node) -> str | None:
    """Along the channels they follow one another; along another axis those of all inputs go together."""
    rank = rank_of(node.outputs[0])
    carried = [trace.of(value) for value in node.inputs]
    axes = {channels.axis for channels in carried if channels is not None}
    if rank is None or len(axes) != 1:
        return "the channels of its inputs lie on different axes"
    own, axis = axes.pop(), axis_in(int_attribute(node, "axis", 0), rank)
    parts: list[Ids] = []
    for value, channels in zip(node.inputs, carried, strict=True):
        if channels is not None:
            parts.append(channels.ids)
            continue
        sizes = sizes_of(value)
        number = sizes[own] if sizes is not None and len(sizes) == rank else None
        if axis != own or number is None:
            return "it meets a value whose channels stay"
        parts.append(trace.new(number))
        trace.pins.append((parts[-1], "not channels of a layer"))
    if axis != own:
        trace.joins += [(parts[0], part) for part in parts[1:]]
    trace.channels[node.outputs[0]] = Channels(own, np.concatenate(parts) if axis == own else parts[0])
    return None


def pad(trace: Trace, node: ir.Node) -> str | None:
    """Borders of other axes; zeros before and behind the channels are channels of their own."""
    channels, rank = trace.of(node.inputs[0]), rank_of(node.inputs[0])
    amounts = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = axes_of(node, index=3) if len(node.inputs) > 3 and node.inputs[3] is not None else None
    if channels is None or rank is None or amounts is None or (len(node.inputs) > 3 and node.inputs[3] and not axes):
        return "its amounts are not constant"
    padded = axes if axes is not None else list(range(rank))
    if channels.axis not in padded:
        trace.channels[node.outputs[0]] = channels
        return None
    entry = padded.index(channels.axis)
    front, end = int(amounts[entry]), int(amounts[entry + len(padded)])
    fill = array_of(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros(1)
    mode = node.attributes.get("mode")
    ids = channels.ids
    if front or end:
        if min(front, end) < 0 or (mode is not None and mode.as_string() != "constant") or fill is None or fill.any():
            return "it pads the channels with other than zeros"
        before, behind = trace.new(front), trace.new(end)
        trace.cuts += [CountCut(node, 1, entry, before), CountCut(node, 1, entry + len(padded), behind)]
        ids = np.concatenate([before, ids, behind])
    trace.channels[node.outputs[0]] = Channels(channels.axis, ids)
    return None


def cut_out(trace: Trace, node: ir.Node) -> str | None:
    """Slice along other axes."""
    channels, axes = trace.of(node.inputs[0]), axes_of(node, index=3)
    if channels is None or axes is None or channels.axis in axes:
        return "it is not known to take all channels"
    trace.channels[node.outputs[0]] = channels
    return None


def resize(trace: Trace, node: ir.Node) -> str | None:
    """Other axes get another size."""
    channels, sizes, after = trace.of(node.inputs[0]), sizes_of(node.inputs[0]), sizes_of(node.outputs[0])
    if channels is None or sizes is None or after is None or after[channels.axis] != len(channels.ids):
        return "it is not known to keep the channels"
    mode = node.attributes.get("coordinate_transformation_mode")
    axes = attribute_ints(node, "axes")
    if mode is not None and mode.as_string() == "tf_crop_and_resize":
        return "it crops"
    listed = [axis_in(axis, len(sizes)) for axis in axes] if axes is not None else list(range(len(sizes)))
    scales = array_of(node.inputs[2]) if len(node.inputs) > 2 else None
    wanted = node.inputs[3] if len(node.inputs) > 3 else None
    if channels.axis in listed and scales is not None and scales.size and scales[listed.index(channels.axis)] != 1:
        return "it is not known to keep the channels"
    if wanted is not None and channels.axis in listed:
        if not is_plain(wanted):
            return "its sizes are not constant"
        trace.cuts.append(CountCut(node, 3, listed.index(channels.axis), channels.ids))
    trace.channels[node.outputs[0]] = channels
    return None


def axes_of(node: ir.Node, *, index: int = 1, rank: int | None = None) -> list[int] | None:
    """The axes that a node names, in its attribute or a constant input, counted from the front; None when unknown.

    Args:
        node: the node.
        index: of the constant input.
        rank: that the axes count in; the first input's by default.
    """
    given = node.inputs[index] if len(node.inputs) > index else None
    array, rank = array_of(given), rank_of(node.inputs[0]) if rank is None else rank
    axes = attribute_ints(node, "axes") if given is None else None if array is None else [int(v) for v in array.ravel()]
    return None if axes is None or rank is None else [axis_in(axis, rank) for axis in axes]


def product(sizes: tuple[int | None, ...]) -> int | None:
    """How many elements; None when a size is free."""
    known = [size for size in sizes if size is not None]
    return math.prod(known) if known and len(known) == len(sizes) else None


def is_plain(value: ir.Value | None) -> bool:
    """Whether a value is a constant that is held as what it means."""
    tensor = constant_of(value)
    return tensor is not None and not isinstance(tensor, QuantizedTensor | HalfTensor)


def seen(node: ir.Node, index: int) -> bool:
    """Whether somebody reads a result behind the first."""
    return any(value.uses() or value.is_graph_output() for value in node.outputs[index:])


ELEMENTWISE = (
    "Abs Add Cast Ceil Celu Clip Div Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log"
    " Max Mean Min Mish Mul Neg PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Softplus Softsign Sqrt Sub Sum"
    " Swish Tanh ThresholdedRelu Where"
)
POOLING = "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool"
REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
)
RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE.split(), elementwise),
    **dict.fromkeys(POOLING.split(), pooling),
    **dict.fromkeys(REDUCTIONS.split(), reduction),
    "BatchNormalization": normalization,
    "InstanceNormalization": normalization,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Flatten": flatten,
    "Reshape": flatten,
    "Concat": concat,
    "Pad": pad,
    "Slice": cut_out,
    "Resize": resize,
}
