"""Channel scales: activations with a scale a channel between a convolution and depthwise ones get one scale for all.

    x[c] = scale[c] * q[c]: the convolution gives x[c] * s / scale[c], those behind it take that times scale[c] / s

The integers of the activations stay, and those of the weights: the factors go into the weights' scales.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bitwright.graph.constants import QuantizedTensor
from bitwright.lowering.weight_scales import held_weight, multiplied, scale_results, set_weight
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.quantize_nodes import pair_parameters
from bitwright.quantization.rules import Kind, clamp_range, rule_of
from bitwright.transforms.linear import Linear, linear_of
from bitwright.transforms.rewiring import only_reader, remove

Behind = list[tuple[ir.Node, QuantizedTensor]]


def join_channel_scales(graph: ir.Graph, activations: dict[str, QuantParams]) -> None:
    """Make pairs of scales for channels into parameters of one scale, where the weights on both sides take the rest.

    Args:
        graph: changed in place.
        activations: parameters by value; those of one scale are added.
    """
    for node in list(graph):
        if node.op_type != "QuantizeLinear" or node.graph is None:
            continue
        qparams = pair_parameters(node)
        if qparams is not None and qparams.axis == 1 and (qparams.zero_point == qparams.zero_point[0]).all():
            _join(node, qparams, activations)


def _join(quantize: ir.Node, qparams: QuantParams, activations: dict[str, QuantParams]) -> None:
    found, readers = _before(quantize, qparams, activations), _behind(quantize)
    if found is None or readers is None:
        return
    linear, weight, between = found
    scale = qparams.scale.astype(np.float64)
    most = scale.max()
    made = []
    for node, held in readers:
        factor = np.repeat(scale / most, held.integers.shape[0] // len(scale))
        if (behind := multiplied(node, held, factor)) is None:
            return
        made.append((node, behind))
    if not scale_results(linear, weight, most / scale):
        return
    for node, behind in made:
        set_weight(node, behind)
    value = linear.node.outputs[0]
    dequantize = list(quantize.outputs[0].consumers())
    for reader in dequantize:
        reader.outputs[0].replace_all_uses_with(value)
    remove(*dequantize, quantize, *between)
    activations[str(value.name)] = QuantParams(np.float32(most), qparams.zero_point[0], qparams.storage)


def _before(
    quantize: ir.Node, qparams: QuantParams, activations: dict[str, QuantParams]
) -> tuple[Linear, QuantizedTensor, list[ir.Node]] | None:
    """The convolution whose result is quantized, and the clamp between that saturation does as well."""
    value = quantize.inputs[0]
    node = None if value is None or only_reader(value) is not quantize else value.producer()
    between = []
    if node is not None and (rule := rule_of(node)) is not None and rule.kind is Kind.CLAMP:
        bounds, value = clamp_range(node), node.inputs[0]
        if bounds is None or value is None or only_reader(value) is not node or not _saturates(bounds, qparams):
            return None
        between, node = [node], value.producer()
    if node is None or node.op_type != "Conv" or str(node.outputs[0].name) in activations:
        return None
    weight = held_weight(node)
    linear = None if weight is None else linear_of(node, weight.integers)
    if weight is None or not isinstance(linear, Linear) or linear.out_channels != len(qparams.scale):
        return None
    return linear, weight, between


def _behind(quantize: ir.Node) -> Behind | None:
    """The depthwise convolutions that alone read a quantized value, with their weights."""
    found: Behind = []
    for dequantize in quantize.outputs[0].consumers():
        real = dequantize.outputs[0]
        if real.is_graph_output():
            return None
        for use in real.uses():
            weight = held_weight(use.node)
            if use.node.op_type != "Conv" or use.idx != 0 or weight is None or weight.integers.shape[1] != 1:
                return None
            found.append((use.node, weight))
    return found


def _saturates(bounds: tuple[float, float], qparams: QuantParams) -> bool:
    """Whether integers cannot stand for anything beyond the bounds but by less than half a step."""
    scale, point = qparams.scale.astype(np.float64), qparams.zero_point
    least, most = (np.rint(bound / scale) + point for bound in bounds)
    return bool((least <= qparams.qmin).all() and (most >= qparams.qmax).all())
