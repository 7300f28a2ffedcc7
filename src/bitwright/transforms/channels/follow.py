"""Follow the channels through a graph: every linear node begins some and ends others, the rules carry them between."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import int_attribute
from bitwright.transforms.channels.macs import LAYERS
from bitwright.transforms.channels.rules import RULES, is_plain
from bitwright.transforms.channels.trace import (
    Channels,
    ConstantCut,
    CountCut,
    Ids,
    Layer,
    Trace,
    name_of,
    pin_what_is_seen,
    sizes_of,
)
from bitwright.transforms.linear import Linear, linear_of
from bitwright.transforms.rewiring import is_op


def follow(model: ir.Model, *, exclude: Sequence[str] = ()) -> Trace:
    """The trace of the main graph.

    Args:
        model: with the shapes of its values, in order of execution.
        exclude: regular expressions; the channels of layers whose name matches stay.
    """
    trace = Trace()
    for node in model.graph:
        layer = is_op(node, *LAYERS)
        if not layer and not any(value in trace.channels for value in node.inputs):
            continue
        rule = None if node.domain not in ("", "ai.onnx") else RULES.get(node.op_type)
        if layer:
            reason = follow_layer(trace, node, exclude)
        else:
            reason = "the operator is not known to channel pruning" if rule is None else rule(trace, node)
        if reason is None:
            continue
        if layer:
            trace.refused[node] = reason
        for value in node.inputs:
            trace.pin(value, f"{node.op_type} {name_of(node)!r}: {reason}")
    pin_what_is_seen(trace, model.graph)
    return trace


def follow_layer(trace: Trace, node: ir.Node, exclude: Sequence[str]) -> str | None:
    """A linear node: its inputs' channels end here, those of its result begin. Returns why it cannot change."""
    linear, channels = linear_of(node), trace.of(node.inputs[0])
    reason = linear if isinstance(linear, str) else why_fixed(trace, linear, channels)
    if isinstance(linear, str) or reason is not None:
        trace.layers.append(Layer(node, None, None))
        return reason
    if linear.groups > 1 and channels is not None:
        outputs = np.repeat(channels.ids, linear.out_channels // linear.in_channels)
        follow_depthwise(trace, linear, channels.ids, outputs)
    else:
        outputs = trace.new(linear.out_channels)
        follow_dense(trace, linear, None if channels is None else channels.ids, outputs)
    trace.channels[node.outputs[0]] = Channels(channel_axis(linear), outputs)
    bias = sizes_of(node.inputs[2]) if linear.has_bias else None
    if bias and bias[-1] == len(outputs) > 1:
        trace.cuts.append(ConstantCut(node, 2, len(bias) - 1, outputs))
    if any(re.search(scope, name_of(node)) for scope in exclude):
        trace.pins.append((outputs, "excluded"))
    return None


def why_fixed(trace: Trace, linear: Linear, channels: Channels | None) -> str | None:
    """Why neither inputs nor outputs of a linear node may change."""
    node = linear.node
    if any(value in trace.channels for value in node.inputs[1:]):
        return "a constant of it is computed"
    if linear.rank is None:
        return "the rank of its result is not known"
    if channels is not None and (channels.axis != channel_axis(linear) or int_attribute(node, "transA", 0)):
        return "the channels lie on another axis"
    if linear.has_bias and not is_plain(node.inputs[2]):
        return "its bias is not constant"
    if linear.groups > 1 and linear.groups != linear.in_channels:
        return "a grouped convolution"
    if linear.groups > 1 and channels is None:
        return "one filter a channel, and the channels stay"
    return None


def channel_axis(linear: Linear) -> int:
    """The axis of the channels in its input and result."""
    return 1 if linear.trailing else (linear.rank or 1) - 1


def follow_dense(trace: Trace, linear: Linear, inputs: Ids | None, outputs: Ids) -> None:
    """Each output sums over all inputs."""
    trace.layers.append(Layer(linear.node, outputs, inputs))
    trace.cuts.append(ConstantCut(linear.node, 1, 0 if linear.outputs_first else 1, outputs))
    if inputs is not None:
        trace.cuts.append(ConstantCut(linear.node, 1, 1 if linear.outputs_first else 0, inputs))


def follow_depthwise(trace: Trace, linear: Linear, inputs: Ids, outputs: Ids) -> None:
    """Each output has one input: it goes with that."""
    trace.layers.append(Layer(linear.node, outputs, None))
    trace.cuts.append(ConstantCut(linear.node, 1, 0, outputs if linear.outputs_first else inputs))
    trace.cuts.append(CountCut(linear.node, "group", None, inputs))
