"""untranspose_gemm: a constant Gemm weight is stored as it is multiplied, [K, N], and transB goes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import float_array, int_attribute, is_op, set_constant


def untranspose_gemm(model: ir.Model) -> Outcome:
    """Store the constant weights of Gemm as [K, N]: kernels that take the weight as it is have no transB."""
    changed = 0
    for node in model.graph:
        if not is_op(node, "Gemm") or not int_attribute(node, "transB", 0):
            continue
        weight = float_array(node.inputs[1])
        if weight is None or weight.ndim != 2:
            continue
        set_constant(node, 1, np.ascontiguousarray(weight.T), f"{node.name}_weight")
        node.attributes.pop("transB")
        changed += 1
    return Outcome(model, changed > 0, f"{changed} weights are stored as they are multiplied")
