"""fold_batch_norms: normalizations and constant factors behind a linear node go into its weights and bias."""

from __future__ import annotations

from collections.abc import Container

import numpy as np
import onnx_ir as ir

from bitwright.transforms.affine import Vector, affine_of
from bitwright.transforms.linear import Linear, linear_of
from bitwright.transforms.outcome import Outcome, told
from bitwright.transforms.rewiring import absorb, add_constant, graph_of, is_op, only_reader, unique_name


def fold_batch_norms(model: ir.Model, *, keep_trainable: bool = False) -> Outcome:
    """Fold what multiplies and adds a constant per channel into the Conv, ConvTranspose, Gemm or MatMul before it.

        a * (W x + c) + b  =  (a W) x + (a c + b)

    A chain of such nodes is one (a, b) in f64, and weights are rounded once. The linear node keeps its name, and its
    result takes the name of the chain's last result. A MatMul has no bias: one Add stays behind it.
    A node whose result somebody else sees (a second reader, a graph output, a subgraph) is left as it is.

    Args:
        model: changed in place.
        keep_trainable: leave a BatchNormalization that stands alone behind its Conv or Gemm, for training to fold.
    """
    folded = 0
    for node in list(model.graph):
        linear = linear_of(node)
        if isinstance(linear, Linear) and not (keep_trainable and is_trainable(linear)):
            folded += fold_behind(linear)
    left = [why_left(node) for node in model.graph if is_op(node, "BatchNormalization")]
    return Outcome(model, folded > 0, told(f"{folded} nodes folded", left))


def is_trainable(linear: Linear) -> bool:
    """Whether what stands behind a node is one BatchNormalization that folds into it."""
    chain, _, _ = chain_behind(linear)
    return (
        not is_op(linear.node, "MatMul")
        and linear.bias() is not None
        and [node.op_type for node in chain] == ["BatchNormalization"]
    )


def fold_behind(linear: Linear) -> int:
    """Fold the chain behind one node. Returns how many nodes went away or were merged."""
    chain, factor, shift = chain_behind(linear)
    bias = linear.bias()
    product = is_op(linear.node, "MatMul")
    if not chain or bias is None or (product and len(chain) == 1 and factor is None):
        return 0
    with np.errstate(all="ignore"):
        new_bias = bias if factor is None else bias * factor
        new_bias = new_bias if shift is None else new_bias + shift
        new_weight = None if factor is None else linear.scaled(outputs=factor)
    if not np.all(np.isfinite(new_bias)) or (new_weight is not None and not np.all(np.isfinite(new_weight))):
        return 0
    if new_weight is not None:
        linear.set_weight(new_weight)
    if product and shift is not None:
        keep_one_add(linear, chain, new_bias)
        return len(chain)
    if not product and (shift is not None or linear.has_bias):
        linear.set_bias(new_bias)
    absorb(linear.node, chain)
    return len(chain)


def chain_behind(
    linear: Linear, kept: Container[str | None] = ()
) -> tuple[list[ir.Node], Vector | None, Vector | None]:
    """The affine nodes that follow one another behind a node, and their product (a, b), None for 1 and 0.

    Args:
        linear: the node.
        kept: names of values that must stay.
    """
    chain: list[ir.Node] = []
    factor: Vector | None = None
    shift: Vector | None = None
    value = linear.node.outputs[0]
    while value.name not in kept and (reader := only_reader(value)) is not None:
        step = affine_of(reader, value, channels=linear.out_channels, rank=linear.rank, trailing=linear.trailing)
        if isinstance(step, str):
            break
        a, b = step
        if a is not None:
            factor = a if factor is None else factor * a
            shift = None if shift is None else shift * a
        if b is not None:
            shift = b if shift is None else shift + b
        chain.append(reader)
        value = reader.outputs[0]
    return chain, factor, shift


def keep_one_add(linear: Linear, chain: list[ir.Node], bias: Vector) -> None:
    """Replace a chain behind a MatMul by one Add, under the name of the chain's last node."""
    graph, last, product = graph_of(linear.node), chain[-1], linear.node.outputs[0]
    constant = add_constant(graph, bias.astype(linear.weight.dtype), f"{last.outputs[0].name}_bias")
    result = ir.Value(name=unique_name(graph, f"{last.outputs[0].name}_sum"), type=product.type, shape=product.shape)
    add = ir.Node("", "Add", [product, constant], outputs=[result], name=last.name)
    first = chain[0]
    first.replace_input_with(list(first.inputs).index(product), result)
    graph.insert_after(linear.node, add)
    absorb(add, chain)


def why_left(node: ir.Node) -> str:
    """Why a BatchNormalization is still there."""
    value = node.inputs[0]
    linear = linear_of(value.producer() if value is not None else None)
    if isinstance(linear, str) or value is None:
        return str(linear)
    if only_reader(value) is None:
        return f"the result of the {linear.node.op_type} is seen elsewhere"
    step = affine_of(node, value, channels=linear.out_channels, rank=linear.rank, trailing=linear.trailing)
    if isinstance(step, str):
        return step
    if linear.bias() is None:
        return f"the bias of the {linear.node.op_type} is not constant"
    return "the folded weights would not be finite"
