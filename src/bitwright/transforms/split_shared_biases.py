"""split_shared_biases: every linear node owns its bias, because an integer bias has its node's scale."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.graph.constants import constant_of
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import graph_of, is_op, unique_name

BIAS_INDEX = 2


def split_shared_biases(model: ir.Model) -> Outcome:
    """Give each Conv, ConvTranspose and Gemm that reads a shared constant bias its own, under a new name.

    scale_bias = scale_x * scale_w differs from node to node. Weights stay shared. The first reader keeps the name.
    """
    split = 0
    owned: set[ir.Value] = set()
    for node in model.graph:
        if not is_op(node, "Conv", "ConvTranspose", "Gemm") or len(node.inputs) <= BIAS_INDEX:
            continue
        bias = node.inputs[BIAS_INDEX]
        tensor = constant_of(bias)
        if bias is None or tensor is None:
            continue
        uses = bias.uses()
        others = any(not (is_op(use.node, "Conv", "ConvTranspose", "Gemm") and use.idx == BIAS_INDEX) for use in uses)
        if (bias not in owned and not others and not bias.is_graph_output()) or len(uses) == 1:
            owned.add(bias)
            continue
        graph = graph_of(node)
        name = unique_name(graph, f"{bias.name}_{node.name or node.outputs[0].name}")
        own = ir.Value(name=name, shape=bias.shape, type=bias.type, const_value=tensor)  # the same bytes
        own.type = own.type or ir.TensorType(tensor.dtype)
        graph.register_initializer(own)
        node.replace_input_with(BIAS_INDEX, own)
        owned.add(own)
        split += 1
    return Outcome(model, split > 0, f"{split} biases copied")
