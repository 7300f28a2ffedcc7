"""Refusals: why a node has no integer or dynamic form. Every one is a reason that the report prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import float_attribute, int_attribute
from bitwright.graph.constants import constant_of
from bitwright.quantization.forms import LARGEST_OPERAND, refused_form
from bitwright.quantization.recipe import How
from bitwright.quantization.rules import (
    LOOKUP,
    RECURRENT,
    Kind,
    Rule,
    activation_operands,
    clamp_range,
    weight_operand,
)

#: Weights smaller than this stay float outside integer nodes: their scale and names would outweigh what is saved.
SMALLEST_WEIGHT_ELEMENTS = 128

#: A move with this reason becomes integer after all when only integer nodes read it.
OPERANDS_ARE_FLOAT = "its operands are float"


def gives_float(node: ir.Node) -> bool:
    """Whether any result is (or may be) floating point."""
    kinds = [v.dtype for v in node.outputs]
    return not kinds or any(kind is None or kind.is_floating_point() for kind in kinds)


def wrong_type(node: ir.Node) -> str | None:
    """The floating type other than float32 that the node computes in, None when it is float32 or not known."""
    for value in (*node.inputs[:1], *node.outputs[:1]):
        if value is not None and value.dtype is not None and value.dtype.is_floating_point():
            return None if value.dtype == ir.DataType.FLOAT else value.dtype.name.lower()
    return None


def weight_elements(value: ir.Value | None) -> int:
    """Elements of a float32 constant weight, 0 when the value is none."""
    tensor = constant_of(value)
    if tensor is None or tensor.dtype != ir.DataType.FLOAT:
        return 0
    return int(tensor.size)


def refuse_anchor(node: ir.Node, rule: Rule, operand: int) -> str:
    """Why a node with constant weights has no integer form, "" when it has one.

    Args:
        operand: which operand is the weight.
    """
    weight = constant_of(node.inputs[operand])
    if weight is None or weight.dtype != ir.DataType.FLOAT:
        return "its weights are not float32"
    if len(weight.shape) < 2 or weight.size == 0:
        return "its weight is a vector"
    if constant_of(node.inputs[1 - operand]) is not None:
        return "its data operand is constant"
    if node.op_type == "Gemm" and (
        int_attribute(node, "transA", 0)
        or float_attribute(node, "alpha", 1) != 1
        or float_attribute(node, "beta", 1) != 1
    ):
        return "Gemm with transA, alpha or beta has no integer form"
    if rule.bias is not None and len(node.inputs) > rule.bias and (bias := node.inputs[rule.bias]) is not None:
        tensor = constant_of(bias)
        if tensor is None or tensor.dtype != ir.DataType.FLOAT:
            return "its bias is not constant"
        axis = rule.channel_axis(node)
        group = int_attribute(node, "group", 1) if node.op_type == "ConvTranspose" else 1
        channels = weight.numpy().shape[axis if axis is not None else 1] * group
        if tuple(tensor.shape.numpy()) not in ((channels,), (1, channels)):
            return "its bias is not one value per output channel"
    return ""


def refuse_dynamic(node: ir.Node, rule: Rule, how: How, refused: Sequence[str]) -> str:
    """Why a node with constant weights cannot quantize its activations as they arrive, "" when it can.

    Args:
        refused: the forms that the target has no such kernel for.
    """
    if node.op_type == LOOKUP:
        return ""
    if node.op_type in RECURRENT:
        if any(constant_of(node.inputs[i]) is None for i in RECURRENT[node.op_type]):
            return "its weights are not constant"
        return refused_form(node, how, refused)
    operand = weight_operand(node, rule)
    assert operand is not None
    if operand != rule.weight and (reason := refused_form(node, how, refused)):
        return reason
    return refuse_anchor(node, rule, operand) or refused_form(node, how, refused)


def refuse_follower(
    node: ir.Node,
    rule: Rule,
    how: How,
    refused: Sequence[str],
    is_integer: Callable[[ir.Value], bool],
    *,
    holds_tables: bool = False,
) -> str:
    """Why a follower stays float, "" when it becomes integer.

    Args:
        node: the follower.
        rule: its row.
        refused: the forms that the target has no integer kernel for.
        is_integer: whether a value is there as integers anyway, or may be quantized for this node.
        holds_tables: whether a constant table that is looked up may be held as integers.
    """
    operands = activation_operands(node, rule)
    moving = [v for v in operands if constant_of(v) is None]
    if not moving and not (holds_tables and node.op_type == LOOKUP):
        return "all its operands are constant"
    if any(v.dtype is not None and v.dtype != ir.DataType.FLOAT for v in operands):
        return "it moves integers"
    for value in operands:
        tensor = constant_of(value)
        if tensor is not None and tensor.dtype != ir.DataType.FLOAT:
            return "a constant operand is not float32"
        if tensor is not None and tensor.size and not np.abs(tensor.numpy()).max() < LARGEST_OPERAND:
            return "a constant operand is a mask: its range would leave one step for everything else"
    if moving and not any(is_integer(v) for v in moving):
        return OPERANDS_ARE_FLOAT
    return refuse_form(node, rule, how, refused)


def refuse_form(node: ir.Node, rule: Rule, how: How, refused: Sequence[str]) -> str:
    """Why this form of the operator has no integer kernel, "" when it has one."""
    if rule.kind is Kind.CLAMP and clamp_range(node) is None:
        return "its bounds are not constant"
    return refused_form(node, how, refused)
