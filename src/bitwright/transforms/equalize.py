"""equalize: the channels between two linear nodes get weights of equal range on both sides."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from bitwright.errors import TransformError
from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import array_of
from bitwright.transforms.linear import Linear, Vector, linear_of
from bitwright.transforms.outcome import Outcome, told
from bitwright.transforms.rewiring import is_op, only_reader

#: Channels whose weights are all smaller than this part of the largest are dead: scaling them up would scale up noise.
DEAD = 1e-8
CONVERGED = 1e-3
SATURATING = ("Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Gelu", "Softmax", "Elu", "Selu", "Swish", "Mish")


@dataclass
class Side:
    """A linear node, the largest absolute weight of each pair of channels, and the factors found so far.

    Args:
        linear: the node.
        peaks: [G, O/G, I/G], the largest absolute weight over the kernel, times the factors so far.
        outputs: the factor per output channel, [O].
        inputs: the factor per input channel, [I].
    """

    linear: Linear
    peaks: Vector
    outputs: Vector
    inputs: Vector


@dataclass(frozen=True)
class Pair:
    """Two linear nodes, the second behind the first, with at most a positively homogeneous function between."""

    first: Side
    second: Side


def equalize(model: ir.Model, *, iterations: int = 50) -> Outcome:
    """Cross-layer equalization: output channel i of a layer is divided by s_i, input channel i of the next multiplied.

        s_i = sqrt(r1_i * r2_i) / r2_i,   r1_i, r2_i: the largest absolute weight of channel i in either layer
        f(s x) = s f(x) for s > 0:        Relu, LeakyRelu, PRelu, or nothing between

    Pairs are gone through until no s_i moves by more than 0.1 %. The float meaning stays; the weights are rounded once.

    Args:
        model: changed in place.
        iterations: at most so many rounds over all pairs.

    Raises:
        TransformError: iterations is less than 1.

    Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", equation 11.
    """
    if iterations < 1:
        raise TransformError(f"iterations must be at least 1 (got {iterations})", next="leave it out for 50")
    pairs, declined = find_pairs(model)
    for _ in range(iterations if pairs else 0):
        if max(balance(pair) for pair in pairs) < CONVERGED:
            break
    sides = {id(side): side for pair in pairs for side in (pair.first, pair.second)}
    changed = sum(write_back(side) for side in sides.values())
    return Outcome(model, changed > 0, told(f"{len(pairs)} pairs equalized", declined))


def find_pairs(model: ir.Model) -> tuple[list[Pair], list[str]]:
    """The pairs of a graph, and why others are none."""
    sides: dict[ir.Node, Side] = {}
    pairs: list[Pair] = []
    declined: list[str] = []
    for node in model.graph:
        first = linear_of(node)
        if isinstance(first, str):
            continue
        second = next_linear(first)
        if isinstance(second, str):
            if second:
                declined.append(second)
            continue
        for linear in (first, second):
            if linear.node not in sides:
                sides[linear.node] = side_of(linear)
        pairs.append(Pair(sides[first.node], sides[second.node]))
    return pairs, declined


def next_linear(first: Linear) -> Linear | str:
    """The linear node behind another, or why the two are no pair (empty when there is nothing to tell)."""
    if first.bias() is None:
        return f"the bias of the {first.node.op_type} is not constant"
    value = first.node.outputs[0]
    reader = only_reader(value)
    if reader is None:
        return f"the result of the {first.node.op_type} is seen elsewhere" if value.uses() else ""
    if is_op(reader, "Relu", "LeakyRelu", "PRelu", "Clip"):
        if is_op(reader, "Clip") and not is_relu(reader):
            return "a bounded Clip between"
        if reader.inputs[0] is not value or (is_op(reader, "LeakyRelu", "PRelu") and len(reader.outputs) != 1):
            return ""
        value, reader = reader.outputs[0], only_reader(reader.outputs[0])
        if reader is None:
            return "the activation is seen elsewhere" if value.uses() else ""
    if is_op(reader, *SATURATING):
        return f"{reader.op_type} between"
    second = linear_of(reader)
    if isinstance(second, str):
        return "" if not is_op(reader, "Conv", "ConvTranspose", "Gemm", "MatMul") else second
    if reader.inputs[0] is not value:
        return "the result is the weight of the next"
    if is_op(reader, "Gemm") and int_attribute(reader, "transA", 0):
        return "a transposed input"
    if (first.trailing > 0) != (second.trailing > 0) or first.out_channels != second.in_channels:
        return "the channels of the two are not the same"
    return second


def is_relu(clip: ir.Node) -> bool:
    """Clip from 0 to nothing or infinity, which is a Relu."""
    bounds = [array_of(value) for value in clip.inputs[1:]]
    if len(clip.inputs) < 2 or clip.inputs[1] is None or bounds[0] is None or np.any(bounds[0] != 0):
        return False
    if len(clip.inputs) < 3 or clip.inputs[2] is None:
        return True
    return bounds[1] is not None and bool(np.all(np.isposinf(bounds[1])))


def side_of(linear: Linear) -> Side:
    """A linear node before anything is scaled."""
    peaks = np.abs(linear.grouped(np.ascontiguousarray(linear.weight))).max(axis=3, initial=0)
    return Side(linear, peaks.astype(np.float64), np.ones(linear.out_channels), np.ones(linear.in_channels))


def balance(pair: Pair) -> float:
    """Equalize one pair. Returns the largest |log s| of its channels."""
    first, second = pair.first, pair.second
    r1 = first.peaks.max(axis=2, initial=0).ravel()
    r2 = second.peaks.max(axis=1, initial=0).ravel()
    with np.errstate(all="ignore"):
        s = np.sqrt(r1 * r2) / r2
    alive = (r1 > DEAD * r1.max(initial=0)) & (r2 > DEAD * r2.max(initial=0)) & np.isfinite(s) & (s > 0)
    s = np.where(alive, s, 1.0)
    first.outputs /= s
    first.peaks /= s.reshape(*first.peaks.shape[:2], 1)
    second.inputs *= s
    second.peaks *= s.reshape(second.peaks.shape[0], 1, second.peaks.shape[2])
    return max((abs(math.log(v)) for v in s), default=0.0)


def write_back(side: Side) -> bool:
    """Put the factors into weights and bias. False when all of them are 1."""
    outputs, inputs = np.any(side.outputs != 1), np.any(side.inputs != 1)
    if not outputs and not inputs:
        return False
    linear = side.linear
    bias = linear.bias()
    linear.set_weight(linear.scaled(outputs=side.outputs, inputs=side.inputs))
    if outputs and linear.has_bias and bias is not None:
        linear.set_bias(bias * side.outputs)
    return True
