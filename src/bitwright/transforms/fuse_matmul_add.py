"""fuse_matmul_add: a product of matrices and the constant bias behind it become one Gemm."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bitwright.graph.constants import constant_of
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import FLOATS, absorb, graph_of, is_op, only_reader, set_constant


def fuse_matmul_add(model: ir.Model) -> Outcome:
    """MatMul(x, W) + b becomes Gemm(x, W, b) where x is known to be a matrix, and W and b are constant.

    x [N, I], W [I, O], b [O], [1, O] or one number. The Gemm keeps the MatMul's name, its result the Add's.
    Where the rank of x is not known, both nodes stay.
    """
    fused = sum(fuse_one(node) for node in list(model.graph) if is_op(node, "MatMul"))
    return Outcome(model, fused > 0, f"{fused} pairs of MatMul and Add became Gemm")


def fuse_one(node: ir.Node) -> bool:
    """Fuse one MatMul with the Add behind it. False when they stay."""
    x, product = node.inputs[0], node.outputs[0]
    weight, reader = constant_of(node.inputs[1]), only_reader(product)
    if x is None or x.shape is None or len(x.shape) != 2 or weight is None or len(weight.shape) != 2:
        return False
    if weight.dtype not in FLOATS or reader is None or not is_op(reader, "Add") or len(reader.inputs) != 2:
        return False
    bias = reader.inputs[1 if reader.inputs[0] is product else 0]
    constant = constant_of(bias)
    channels = weight.shape[1]
    if constant is None or constant.dtype != weight.dtype:
        return False
    if tuple(constant.shape) not in ((channels,), (1, channels), (1,), (1, 1), ()):
        return False
    gemm = ir.Node("", "Gemm", [x, node.inputs[1], bias], num_outputs=1, name=node.name, doc_string=node.doc_string)
    gemm.metadata_props.update(node.metadata_props)
    graph = graph_of(node)
    graph.insert_before(node, gemm)
    if constant.size == 1 and channels != 1:  # one value an output, as integer kernels want their biases
        set_constant(gemm, 2, np.repeat(constant.numpy().reshape(1), int(weight.numpy().shape[1])), f"{node.name}_bias")
    gemm.outputs[0].type = product.type
    product.replace_all_uses_with(gemm.outputs[0])
    graph.remove(node, safe=True)
    absorb(gemm, [reader])
    return True
