"""untranspose_gemm: a constant Gemm weight is stored as it is multiplied, [K, N], and transB goes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import float_attribute, int_attribute
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import float_array, is_op, only_reader, set_constant


def untranspose_gemm(model: ir.Model) -> Outcome:
    """Store the constant weights of Gemm as [K, N]; a Gemm without C is a MatMul. Kernels that take a weight as it is
    have no transB.

    A weight with other readers stays as it is.
    """
    changed = sum(_untranspose(node) for node in model.graph if is_op(node, "Gemm"))
    return Outcome(model, changed > 0, f"{changed} weights are stored as they are multiplied")


def _untranspose(node: ir.Node) -> bool:
    weight = float_array(node.inputs[1])
    if weight is None or weight.ndim != 2 or node.inputs[1] is None:
        return False
    changed = False
    if int_attribute(node, "transB", 0) and only_reader(node.inputs[1]) is node:
        set_constant(node, 1, np.ascontiguousarray(weight.T), f"{node.name}_weight")
        node.attributes.pop("transB")
        changed = True
    plain = not int_attribute(node, "transA", 0) and not int_attribute(node, "transB", 0)
    if plain and float_attribute(node, "alpha", 1.0) == 1.0 and all(v is None for v in node.inputs[2:]):
        node.attributes.clear()
        node.resize_inputs(2)
        node.op_type = "MatMul"
        changed = True
    return changed
