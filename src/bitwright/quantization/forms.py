"""Forms of operators that some runtimes have no kernel for, one row each: which nodes they are, and what is said.

A target names the rows that it refuses, see `Target.refused_forms`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import int_attribute, ints_attribute
from bitwright.graph.constants import array_of, constant_of
from bitwright.quantization.recipe import How
from bitwright.quantization.rules import RECURRENT, clamp_range, rank_of

#: Beyond this a value is a mask (-inf, -3.4e38), not a quantity.
LARGEST_OPERAND = 1e9

Form = Callable[[ir.Node, How], str]


def refused_form(node: ir.Node, how: How, rows: Iterable[str]) -> str:
    """The reason of the first row that the node is, "" when it is none."""
    return next((reason for name in rows if (reason := FORMS[name](node, how))), "")


def pads_with_numbers(node: ir.Node) -> bool:
    """Whether a Pad puts anything but zeros and the operand's own values around it."""
    if _text(node, "mode", "constant") != "constant" or len(node.inputs) < 3 or node.inputs[2] is None:
        return False
    fill = array_of(node.inputs[2])
    return fill is None or bool(fill.any())


def _text(node: ir.Node, name: str, default: str) -> str:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def _interpolated_resize(node: ir.Node, how: How) -> str:
    if node.op_type == "Resize" and _text(node, "mode", "nearest") != "nearest":
        return "Resize that interpolates has no integer kernel"
    return ""


def _cubic_resize(node: ir.Node, how: How) -> str:
    return "cubic Resize has no kernel" if node.op_type == "Resize" and _text(node, "mode", "") == "cubic" else ""


def _extrapolated_resize(node: ir.Node, how: How) -> str:
    if node.op_type == "Resize" and _text(node, "coordinate_transformation_mode", "") == "tf_crop_and_resize":
        return "Resize that extrapolates has no integer kernel"
    return ""


def _dilated_average(node: ir.Node, how: How) -> str:
    if node.op_type == "AveragePool" and any(d != 1 for d in ints_attribute(node, "dilations")):
        return "pooling with dilations has no integer kernel"
    return ""


def _filled_pad(node: ir.Node, how: How) -> str:
    if node.op_type == "Pad" and len(node.inputs) > 2:
        fill = array_of(node.inputs[2])
        if node.inputs[2] is not None and (fill is None or fill.any()):
            return "it pads with a value other than zero"
    return ""


def _mask_pad(node: ir.Node, how: How) -> str:
    if node.op_type != "Pad" or not pads_with_numbers(node):
        return ""
    fill = array_of(node.inputs[2])
    if fill is None:
        return "it pads with a value that is not constant"
    masks = not np.abs(fill).max(initial=0.0) < LARGEST_OPERAND
    return "it pads with a mask, whose range would leave one step for everything else" if masks else ""


def _edge_pad(node: ir.Node, how: How) -> str:
    if node.op_type == "Pad" and (mode := _text(node, "mode", "constant")) in ("edge", "wrap"):
        return f"no kernel pads by {mode}"
    return ""


def _pool_indices(node: ir.Node, how: How) -> str:
    wanted = node.op_type == "MaxPool" and len([v for v in node.outputs if v.name]) > 1
    return "its indices are wanted" if wanted else ""


def _clip_off_zero(node: ir.Node, how: How) -> str:
    bounds = clamp_range(node) if node.op_type in ("Relu", "Clip") else None
    if bounds is not None and (bounds[0] > 0 or bounds[1] < 0):
        return "its bounds leave out zero"
    return ""


def _volume(node: ir.Node, how: How) -> str:
    if node.op_type in ("Conv", "ConvTranspose"):
        rank = rank_of(node.inputs[1])
    elif node.op_type in ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"):
        rank = rank_of(node.inputs[0])
    else:
        return ""
    return "there are kernels for one and two dimensions alone" if rank is not None and rank > 4 else ""


def _computed_product(node: ir.Node, how: How) -> str:
    if node.op_type != "MatMul" or any(constant_of(v) is not None and rank_of(v) == 2 for v in node.inputs):
        return ""
    return "no such kernel multiplies two activations, or batches of matrices"


def _other_norm(node: ir.Node, how: How) -> str:
    if node.op_type == "LpNormalization" and int_attribute(node, "p", 2) != 2:
        return "there is a kernel for the norm with p = 2 alone"
    return ""


def _other_power(node: ir.Node, how: How) -> str:
    if node.op_type != "Pow":
        return ""
    exponent = array_of(node.inputs[1])
    square = exponent is not None and exponent.size == 1 and float(exponent.reshape(())) == 2.0
    return "" if square else "powers other than the square have no integer kernel"


def _long_sum(node: ir.Node, how: How) -> str:
    if node.op_type == "Sum" and len(node.inputs) > 2:
        return "partial sums of more than two operands have no range of their own"
    return ""


def _left_weights(node: ir.Node, how: How) -> str:
    left = node.op_type == "MatMul" and constant_of(node.inputs[1]) is None and constant_of(node.inputs[0]) is not None
    return "a constant left operand has no dynamic kernel" if left else ""


def _grouped(node: ir.Node, how: How) -> str:
    if node.op_type == "Conv" and int_attribute(node, "group", 1) != 1:
        return "grouped convolutions run slower with dynamic activations than in float"
    return ""


def _grouped_per_tensor(node: ir.Node, how: How) -> str:
    if node.op_type == "Conv" and int_attribute(node, "group", 1) != 1 and how.weight_granularity == "per-tensor":
        return "grouped convolutions with dynamic activations take one scale a channel"
    return ""


def _not_two_dimensional(node: ir.Node, how: How) -> str:
    if node.op_type == "Conv" and rank_of(node.inputs[1]) != 4:
        return "only two-dimensional convolutions have a dynamic kernel"
    return ""


def _batched_weights(node: ir.Node, how: How) -> str:
    if node.op_type == "MatMul" and rank_of(node.inputs[1]) != 2:
        return "a batch of weight matrices has no dynamic kernel"
    return ""


def _batch_first(node: ir.Node, how: How) -> str:
    batch_first = node.op_type in RECURRENT and int_attribute(node, "layout", 0)
    return "batch-first layout has no dynamic kernel" if batch_first else ""


FORMS: dict[str, Form] = {
    "interpolated-resize": _interpolated_resize,
    "cubic-resize": _cubic_resize,
    "extrapolated-resize": _extrapolated_resize,
    "dilated-average": _dilated_average,
    "filled-pad": _filled_pad,
    "mask-pad": _mask_pad,
    "edge-pad": _edge_pad,
    "pool-indices": _pool_indices,
    "clip-off-zero": _clip_off_zero,
    "volume": _volume,
    "computed-product": _computed_product,
    "other-norm": _other_norm,
    "other-power": _other_power,
    "long-sum": _long_sum,
    # with activations that are quantized as they arrive
    "left-weights": _left_weights,
    "grouped": _grouped,
    "grouped-per-tensor": _grouped_per_tensor,
    "not-two-dimensional": _not_two_dimensional,
    "batched-weights": _batched_weights,
    "batch-first": _batch_first,
}
