"""apply: Graph + Plan -> the same graph with its constants held as the integers that the plan says."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.calibration.statistics import Statistics
from bitwright.graph.constants import HalfTensor, QuantizedTensor, constant_of
from bitwright.numerics.quantize import quantize
from bitwright.quantization.bias_correction import expected_shift
from bitwright.quantization.plan import Plan, Role
from bitwright.quantization.rules import RULES
from bitwright.quantization.weights import as_matrix


def apply_plan(
    model: ir.Model, plan: Plan, statistics: Statistics | None = None, *, bias_correction: bool = True
) -> ir.Model:
    """Hold every constant as its integers. The graph's float meaning becomes that of the integers.

    Args:
        model: the prepared graph; changed in place.
        plan: what was decided for it.
        statistics: channel means for bias correction; without them no bias is corrected.
        bias_correction: take the mean error of rounded weights off the biases.

    Returns:
        The same model.
    """
    graph = model.graph
    corrected = _corrected_biases(graph, plan, statistics) if bias_correction and statistics is not None else {}
    for name, tensor_plan in plan.tensors.items():
        value = graph.initializers.get(name)
        if tensor_plan.role is Role.ACTIVATION or value is None or value.const_value is None:
            continue
        array = corrected.get(name)
        array = value.const_value.numpy() if array is None else array
        if tensor_plan.qparams is None:
            value.const_value = HalfTensor(array.astype(np.float16), name=name)
            continue
        if tensor_plan.role is Role.BIAS:  # one value a channel, whatever shape it was broadcast from
            array = array.reshape(-1)
            value.shape = ir.Shape(array.shape)
        value.const_value = QuantizedTensor(
            quantize(_viewed(array, tensor_plan.qparams.block_shape), tensor_plan.qparams),
            tensor_plan.qparams,
            name=name,
            shape=tuple(array.shape),
        )
    return model


def _viewed(array: NDArray[Any], block_shape: tuple[int, ...] | None) -> NDArray[Any]:
    return array if block_shape is None else as_matrix(array)


def _corrected_biases(graph: ir.Graph, plan: Plan, statistics: Statistics) -> dict[str, NDArray[Any]]:
    """Corrected real biases by name, computed from the real weights before any is replaced."""
    corrected: dict[str, NDArray[Any]] = {}
    for node in graph:
        rule = RULES.get(node.op_type)
        if rule is None or rule.weight is None or rule.bias is None or len(node.inputs) <= rule.bias:
            continue
        data, weight, bias = node.inputs[0], node.inputs[rule.weight], node.inputs[rule.bias]
        if data is None or weight is None or bias is None:
            continue
        bias_plan = plan.tensors.get(str(bias.name))
        weight_qparams = plan.qparams_of(weight.name)
        real_bias, real_weight = constant_of(bias), constant_of(weight)
        seen = statistics.tensors.get(str(data.name))
        if bias_plan is None or weight_qparams is None or real_bias is None or real_weight is None or seen is None:
            continue
        if bias_plan.role is not Role.BIAS or seen.channel_mean is None:
            continue
        array = real_weight.numpy()
        integers = QuantizedTensor(quantize(array, weight_qparams), weight_qparams)
        shift = expected_shift(node, integers.numpy() - array, seen.channel_mean)
        if shift is not None:
            values = real_bias.numpy()
            corrected[str(bias.name)] = (values - shift.reshape(values.shape)).astype(np.float32)
    return corrected
