"""Refusals: why a node has no integer or dynamic form. Every one is a reason that the report prints."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import float_attribute, int_attribute, ints_attribute
from bitwright.graph.constants import array_of, constant_of
from bitwright.quantization.rules import (
    RECURRENT,
    Kind,
    Rule,
    activation_operands,
    clamp_range,
    rank_of,
    weight_operand,
)

#: Weights smaller than this stay float outside integer nodes: their scale and names would outweigh what is saved.
SMALLEST_WEIGHT_ELEMENTS = 128

#: Beyond this a value is a mask (-inf, -3.4e38), not a quantity.
LARGEST_OPERAND = 1e9

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


def refuse_anchor(node: ir.Node, rule: Rule) -> str:
    """Why a node with constant weights has no integer form, "" when it has one."""
    assert rule.weight is not None
    weight = constant_of(node.inputs[rule.weight])
    if weight is None or weight.dtype != ir.DataType.FLOAT:
        return "its weights are not float32"
    if len(weight.shape) < 2 or weight.size == 0:
        return "its weight is a vector"
    if constant_of(node.inputs[0]) is not None:
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


def refuse_dynamic(node: ir.Node, rule: Rule) -> str:
    """Why a node with constant weights cannot quantize its activations as they arrive, "" when it can."""
    if node.op_type in RECURRENT:
        if any(constant_of(node.inputs[i]) is None for i in RECURRENT[node.op_type]):
            return "its weights are not constant"
        if int_attribute(node, "layout", 0):
            return "batch-first layout has no dynamic kernel"
        return ""
    if weight_operand(node, rule) != rule.weight:
        return "a constant left operand has no dynamic kernel"
    if reason := refuse_anchor(node, rule):
        return reason
    if node.op_type == "Conv" and int_attribute(node, "group", 1) != 1:
        return "grouped convolutions run slower with dynamic activations than in float"
    if node.op_type == "Conv" and rank_of(node.inputs[1]) != 4:
        return "only two-dimensional convolutions have a dynamic kernel"
    if node.op_type == "MatMul" and rank_of(node.inputs[1]) != 2:
        return "a batch of weight matrices has no dynamic kernel"
    return ""


def refuse_follower(node: ir.Node, rule: Rule, is_integer: Callable[[ir.Value], bool]) -> str:
    """Why a follower stays float, "" when it becomes integer.

    Args:
        node: the follower.
        rule: its row.
        is_integer: whether a value is there as integers anyway.
    """
    operands = activation_operands(node, rule)
    moving = [v for v in operands if constant_of(v) is None]
    if not moving:
        return "all its operands are constant"
    if any(v.dtype is not None and v.dtype != ir.DataType.FLOAT for v in operands):
        return "it moves integers"
    for value in operands:
        tensor = constant_of(value)
        if tensor is not None and tensor.dtype != ir.DataType.FLOAT:
            return "a constant operand is not float32"
        if tensor is not None and tensor.size and not np.abs(tensor.numpy()).max() < LARGEST_OPERAND:
            return "a constant operand is a mask: its range would leave one step for everything else"
    if not any(is_integer(v) for v in moving):
        return OPERANDS_ARE_FLOAT
    return refuse_form(node, rule)


def refuse_form(node: ir.Node, rule: Rule) -> str:
    """Why this form of the operator has no integer kernel, "" when it has one."""
    if rule.kind is Kind.CLAMP:
        bounds = clamp_range(node)
        if bounds is None:
            return "its bounds are not constant"
        if bounds[0] > 0 or bounds[1] < 0:
            return "its bounds leave out zero"
    if node.op_type == "Resize" and (mode := node.attributes.get("mode")) is not None and mode.as_string() != "nearest":
        return "Resize that interpolates has no integer kernel"
    how = node.attributes.get("coordinate_transformation_mode")
    if node.op_type == "Resize" and how is not None and how.as_string() == "tf_crop_and_resize":
        return "Resize that extrapolates has no integer kernel"
    if node.op_type == "AveragePool" and any(d != 1 for d in ints_attribute(node, "dilations")):
        return "pooling with dilations has no integer kernel"
    if node.op_type == "Pad" and len(node.inputs) > 2:
        fill = array_of(node.inputs[2])
        if node.inputs[2] is not None and (fill is None or fill.any()):
            return "it pads with a value other than zero"
    if node.op_type == "MaxPool" and len([v for v in node.outputs if v.name]) > 1:
        return "its indices are wanted"
    return ""
