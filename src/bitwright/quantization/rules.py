"""The rules: one row per ONNX operator that may be quantized.

A row says which operand is the weight and along which axis its channels lie, which operands are activations, and how
the parameters of results follow from those of operands. What a runtime has kernels for is the Target's business; an
operator without a row stays float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import onnx_ir as ir

from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import array_of, constant_of


class Kind(Enum):
    """What an operator is to the planner."""

    ANCHOR = "anchor"  # multiplies by weights: the reason to quantize
    FOLLOWER = "follower"  # integer when an operand is
    CLAMP = "clamp"  # Relu, Clip: disappears into what comes before it


class Scale(Enum):
    """How a result's parameters follow from the operands'."""

    FREE = "free"  # measured
    SAME = "same"  # those of the first operand: values are moved, none is new
    FIXED = "fixed"  # known beforehand
    JOINED = "joined"  # measured, and every operand is read in them


@dataclass(frozen=True)
class Rule:
    """One row.

    Args:
        kind, scale: see above.
        activations: operand indices that are activations; None = all.
        weight: operand index of the weight.
        channel_axis: the weight's output-channel axis for a node; None = no single one.
        bias: operand index of the bias.
        data_axis: the activation's channel axis that the weight's reduced axis meets (for bias correction).
        fixed_range: the result's real range when `scale` is FIXED.
        least_scale: what an operand's scale is at least: kernels have no finer one, and the result would not tell it.
    """

    kind: Kind
    scale: Scale = Scale.FREE
    activations: tuple[int, ...] | None = (0,)
    weight: int | None = None
    channel_axis: Callable[[ir.Node], int | None] = lambda node: None
    bias: int | None = None
    data_axis: int | None = None
    fixed_range: tuple[float, float] | None = None
    least_scale: float = 0.0


def rank_of(value: ir.Value | None) -> int | None:
    """Dimensions of a value, None when they are not known."""
    return None if value is None or value.shape is None else len(value.shape)


def _transposed_axis(node: ir.Node) -> int | None:
    """[I, O/G, ...]: groups share the second dimension, so only one group has a channel axis."""
    return 1 if int_attribute(node, "group", 1) == 1 else None


def _gemm_axis(node: ir.Node) -> int:
    return 0 if int_attribute(node, "transB", 0) else 1


def _matmul_axis(node: ir.Node) -> int | None:
    """Columns of a 2-D weight; a batch of matrices has no single channel axis."""
    return 1 if rank_of(node.inputs[1]) == 2 else None


_MOVES = Rule(Kind.FOLLOWER, Scale.SAME)
_MEASURED = Rule(Kind.FOLLOWER)

RULES: dict[str, Rule] = {
    # weights
    "Conv": Rule(Kind.ANCHOR, weight=1, channel_axis=lambda n: 0, bias=2, data_axis=1),
    "ConvTranspose": Rule(Kind.ANCHOR, weight=1, channel_axis=_transposed_axis, bias=2, data_axis=1),
    "Gemm": Rule(Kind.ANCHOR, weight=1, channel_axis=_gemm_axis, bias=2, data_axis=1),
    "MatMul": Rule(Kind.ANCHOR, weight=1, channel_axis=_matmul_axis, data_axis=-1),
    # recurrent: the input weight W and the recurrence weight R, see RECURRENT
    "LSTM": Rule(Kind.ANCHOR, weight=1, channel_axis=lambda n: 1),
    "GRU": Rule(Kind.ANCHOR, weight=1, channel_axis=lambda n: 1),
    # arithmetic on two activations
    "Add": Rule(Kind.FOLLOWER, activations=None),
    "Sub": Rule(Kind.FOLLOWER, activations=None),
    "Mul": Rule(Kind.FOLLOWER, activations=None),
    "Div": Rule(Kind.FOLLOWER, activations=None),
    "Sum": Rule(Kind.FOLLOWER, activations=None),
    "Max": Rule(Kind.FOLLOWER, activations=None),
    "Min": Rule(Kind.FOLLOWER, activations=None),
    "Concat": Rule(Kind.FOLLOWER, activations=None),
    # clamps
    "Relu": Rule(Kind.CLAMP),
    "Clip": Rule(Kind.CLAMP),
    # one activation, a measured result
    "LeakyRelu": _MEASURED,
    "PRelu": Rule(Kind.FOLLOWER, activations=None),
    "HardSwish": _MEASURED,
    "Gelu": _MEASURED,
    "Elu": _MEASURED,
    "Exp": _MEASURED,
    "Log": _MEASURED,
    "Sqrt": _MEASURED,
    "Reciprocal": _MEASURED,
    "Pow": _MEASURED,
    "Abs": _MEASURED,
    "Neg": _MEASURED,
    "AveragePool": _MEASURED,
    "GlobalAveragePool": _MEASURED,
    "ReduceMean": _MEASURED,
    "ReduceSum": _MEASURED,
    # one activation, a known range
    "Sigmoid": Rule(Kind.FOLLOWER, Scale.FIXED, fixed_range=(0.0, 1.0)),
    "Softmax": Rule(Kind.FOLLOWER, Scale.FIXED, fixed_range=(0.0, 1.0), least_scale=2.0**-25),
    "LogSoftmax": Rule(Kind.FOLLOWER, Scale.FIXED, fixed_range=(-16.0, 0.0), least_scale=2.0**-25),
    "Tanh": Rule(Kind.FOLLOWER, Scale.FIXED, fixed_range=(-1.0, 1.0)),
    "LpNormalization": Rule(Kind.FOLLOWER, Scale.FIXED, fixed_range=(-1.0, 1.0)),
    # values are moved
    "MaxPool": _MOVES,
    "GlobalMaxPool": _MOVES,
    "ReduceMax": _MOVES,
    "ReduceMin": _MOVES,
    "Identity": _MOVES,
    "Reshape": _MOVES,
    "Flatten": _MOVES,
    "Transpose": _MOVES,
    "Squeeze": _MOVES,
    "Unsqueeze": _MOVES,
    "Slice": _MOVES,
    "Split": _MOVES,
    "Gather": _MOVES,
    "Expand": _MOVES,
    "Tile": _MOVES,
    "Pad": _MOVES,
    "Resize": _MOVES,
    "DepthToSpace": _MOVES,
    "SpaceToDepth": _MOVES,
    # named so that the report can say why
    "LayerNormalization": Rule(Kind.FOLLOWER),
}

#: Weight operands of recurrent operators: input weights and recurrence weights, [directions, gates * hidden, width].
RECURRENT: dict[str, tuple[int, int]] = {"LSTM": (1, 2), "GRU": (1, 2)}

#: A table that is looked up rather than multiplied by: its constant operand may be stored as integers.
LOOKUP = "Gather"


def rule_of(node: ir.Node) -> Rule | None:
    """The row for a node of the ONNX domain, or None."""
    return RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None


def weight_operand(node: ir.Node, rule: Rule) -> int | None:
    """Which operand is the weight: the table of a lookup, the left one where MatMul has its constant there."""
    if node.op_type == LOOKUP:
        return 0
    if node.op_type == "MatMul" and constant_of(node.inputs[1]) is None and constant_of(node.inputs[0]) is not None:
        return 0
    return rule.weight


def activation_operands(node: ir.Node, rule: Rule) -> list[ir.Value]:
    """The operands of a node that are activations, in order; both of a product of two activations."""
    both = rule.activations is None or (node.op_type == "MatMul" and constant_of(node.inputs[1]) is None)
    indices = range(len(node.inputs)) if both or rule.activations is None else rule.activations
    return [value for i in indices if i < len(node.inputs) and (value := node.inputs[i]) is not None]


def clamp_range(node: ir.Node) -> tuple[float, float] | None:
    """The constant range a Relu or Clip limits its result to, None when it is not constant."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    bounds = [float("-inf"), float("inf")]
    for i in (1, 2):
        if i < len(node.inputs) and node.inputs[i] is not None:
            bound = array_of(node.inputs[i])
            if bound is None or bound.size != 1:
                return None
            bounds[i - 1] = float(bound.reshape(()))
    return bounds[0], bounds[1]
