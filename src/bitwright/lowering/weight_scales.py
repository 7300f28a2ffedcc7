"""Weight scales: what multiplies a channel of a result goes into the scales of the weights, whose integers stay."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.constants import QuantizedTensor
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.rules import rule_of
from bitwright.transforms.fold_batch_norms import chain_behind
from bitwright.transforms.linear import Linear, linear_of
from bitwright.transforms.rewiring import absorb, drop_unread, graph_of, is_op, only_reader, unique_name

Vector = NDArray[np.float64]

#: A bias of more steps of its accumulator than this gets a coarser scale, so that it and what is added to it fit i32.
MOST_BIAS_STEPS = 2.0**30

#: No weight's scale is smaller: below it float32 has fewer digits.
LEAST_SCALE = 2.0**-100


def held_weight(node: ir.Node) -> QuantizedTensor | None:
    """The weights of a linear node that are held as integers with at most one scale a channel; None for all others."""
    rule, value = rule_of(node), node.inputs[1] if len(node.inputs) > 1 else None
    held = None if value is None or not value.is_initializer() else value.const_value
    if rule is None or rule.weight != 1 or not isinstance(held, QuantizedTensor):
        return None
    channels = rule.channel_axis(node)
    shown = tuple(held.shape.numpy()) == held.integers.shape
    if channels is None or not shown or held.qparams.block_shape is not None:
        return None
    return held if held.qparams.axis in (None, channels) else None


def fold_behind(node: ir.Node, kept: set[str]) -> bool:
    """Fold the normalizations and constant factors behind a node with integer weights.

        a * (s W x + c) + b  =  ((|a| s) (sign(a) W)) x + (a c + b)

    The node's result takes the name of the last one; the bias becomes float.

    Args:
        node: any.
        kept: names of values that must stay.

    Returns:
        Whether something was folded.
    """
    weight = held_weight(node)
    linear = linear_of(node, None if weight is None else weight.integers)
    if weight is None or isinstance(linear, str) or is_op(node, "MatMul"):
        return False
    chain, factor, shift = chain_behind(linear, kept)
    bias = linear.bias(held=True)
    if not chain or bias is None:
        return False
    if factor is not None:
        made = multiplied(node, weight, factor)
        if made is None:
            return False
        bias = bias * factor
        set_weight(node, made)
    bias = bias if shift is None else bias + shift
    if shift is not None or linear.has_bias:
        linear.set_bias(np.asarray(bias, np.float32))
    absorb(node, chain)
    return True


def multiplied(node: ir.Node, weight: QuantizedTensor, factor: Vector) -> QuantizedTensor | None:
    """Weights times a factor per output channel; None where no integers of the type stand for them.

    Args:
        node: that they are the weights of.
        weight: as `held_weight` gives them.
        factor: [O].
    """
    q, axis = weight.qparams, _channel_axis(node)
    shape = tuple(-1 if i == axis else 1 for i in range(weight.integers.ndim))
    if not np.isfinite(factor).all() or (q.zero_point.any() and (factor <= 0).any()):
        return None
    sign = np.sign(factor).astype(np.int8)
    integers = weight.integers
    if (sign != 1).any():
        turned = integers.astype(np.int16) * sign.reshape(shape)
        if turned.min(initial=0) < q.kind.qmin or turned.max(initial=0) > q.kind.qmax:
            return None
        integers = turned.astype(weight.integers.dtype)
    scale = q.scale.astype(np.float64) * np.where(factor == 0, 1.0, np.abs(factor))
    return _rescaled(integers, q, scale, np.maximum(scale, LEAST_SCALE), axis)


def with_room(node: ir.Node, weight: QuantizedTensor, data: QuantParams) -> QuantizedTensor:
    """Weights whose scales are large enough that the node's bias is a number of 32 bits.

        |bias| <= data scale * weight scale * MOST_BIAS_STEPS

    Channels with too small a scale are rounded to a larger one: beside such a bias what they add is next to nothing.
    """
    linear = linear_of(node, weight.integers)
    if isinstance(linear, str):
        return weight
    bias = linear.bias(held=True)
    if bias is None or bias.shape != (linear.out_channels,):
        return weight
    axis, q = _channel_axis(node), weight.qparams
    scale = np.broadcast_to(q.scale.astype(np.float64), bias.shape)
    wanted = np.maximum(scale, np.abs(bias) / (float(data.scale[0]) * MOST_BIAS_STEPS))
    if (wanted == scale).all() or q.zero_point.any():
        return weight
    return _rescaled(weight.integers, q, scale, wanted, axis)


def _rescaled(
    integers: NDArray[np.integer], q: QuantParams, scale: Vector, wanted: Vector, axis: int
) -> QuantizedTensor:
    """Integers of one scale a channel in another, rounded where it is larger."""
    if (wanted != scale).any():
        ratio = (scale / wanted).reshape([-1 if i == axis else 1 for i in range(integers.ndim)])
        integers = np.rint(integers * ratio).astype(integers.dtype)
    points = np.broadcast_to(q.zero_point, wanted.shape)
    return QuantizedTensor(
        integers, QuantParams(wanted.astype(np.float32), points, q.storage, axis, narrow_range=q.narrow_range)
    )


def _channel_axis(node: ir.Node) -> int:
    rule = rule_of(node)
    axis = None if rule is None else rule.channel_axis(node)
    assert axis is not None
    return axis


def set_weight(node: ir.Node, weight: QuantizedTensor) -> None:
    """Give a node other weights; other readers of the old ones keep those."""
    graph, old = graph_of(node), node.inputs[1]
    assert old is not None
    if only_reader(old) is node:
        weight.name = old.name
        old.const_value = weight
        return
    weight.name = unique_name(graph, str(old.name))
    value = ir.val(weight.name, const_value=weight, dtype=weight.dtype, shape=weight.shape)
    graph.register_initializer(value)
    node.replace_input_with(1, value)
    drop_unread([old])


def scale_results(linear: Linear, weight: QuantizedTensor, factor: Vector) -> bool:
    """Multiply every channel of what a node gives. False where its weights or bias do not allow it."""
    made, bias = multiplied(linear.node, weight, factor), linear.bias(held=True)
    if made is None or bias is None:
        return False
    set_weight(linear.node, made)
    if linear.has_bias:
        linear.set_bias(np.asarray(bias * factor, np.float32))
    return True
