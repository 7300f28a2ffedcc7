"""Conversion: a trained network -> Graph + Plan, with the integers that it was trained with."""

from __future__ import annotations

import onnx_ir as ir
import torch

from bitwright.graph.constants import array_of
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.apply import apply_plan
from bitwright.quantization.given import Given
from bitwright.quantization.plan import Plan
from bitwright.quantization.planner import make_plan
from bitwright.training.network import Network
from bitwright.training.written import written_graph
from bitwright.transforms.pipeline import prepare


def converted(network: Network) -> tuple[ir.Model, Plan | None, ir.Model]:
    """The quantized graph, its plan, and the float graph that it is of; no plan where the network trained as floats.

    Raises:
        StatisticsError: an activation whose range no training step has seen.
    """
    graph = written_graph(network)
    placement = network.placement
    if placement is None:
        return graph, None, graph
    deployed = prepare(graph)
    told: dict[str, QuantParams] = {}
    with torch.no_grad():
        for name in dict.fromkeys(placement.weights.values()):
            array = array_of(deployed.graph.initializers[name])
            assert array is not None
            told[name] = network.weight_quantizer(name).qparams(torch.from_numpy(array.copy()))
        for name, quantizer in network.quantizers():
            if quantizer.fixed is None:
                told[name] = quantizer.qparams(name)
    plan = make_plan(deployed, placement.recipe, placement.target, given=Given(qparams=told))
    return apply_plan(deployed.clone(), plan, bias_correction=False), plan, deployed
