"""Networks that train: of a model as floats, and quantized as a recipe asks."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import torch

from bitwright.calibration.collect import collect
from bitwright.calibration.feeds import input_specs
from bitwright.calibration.files import open_source
from bitwright.errors import UsageError
from bitwright.quantization.planner import observations
from bitwright.quantization.recipe import Entry, How, Recipe, recipe_for_mode
from bitwright.quantization.target import load_target
from bitwright.training.network import Network
from bitwright.training.placement import place, ranges_of
from bitwright.training.quantizers import MOMENTUM
from bitwright.training.written import written_graph
from bitwright.transforms.pipeline import prepare

#: How normalizations train: with running statistics that stay, or with those of the batch, corrected for.
NORMS = ("frozen", "correct")
#: Where scales come from: moving averages and largest magnitudes, or gradients.
RANGES = ("ema", "learned")
#: Bits of activations -> the storage type that is asked; None: the target's own.
_ACTIVATIONS = {8: None, 4: "u4"}


def quantization_aware(
    network: Network,
    recipe: str | Recipe = "int8",
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    per_channel: bool = True,
    target: str = "onnxruntime",
    bn: str = "frozen",
    ranges: str | None = None,
    momentum: float = MOMENTUM,
    delay: int = 0,
    calibration: Any = None,
    method: str | None = None,
    exclude: tuple[str, ...] = (),
) -> Network:
    """Quantize a network while it trains: see `bitwright.prepare_qat`."""
    if bn not in NORMS:
        raise UsageError(f"bn cannot be {bn!r}", next=f"one of {', '.join(NORMS)}")
    if activation_bits not in _ACTIVATIONS:
        raise UsageError(f"activations of {activation_bits} bits are not offered", next="8 or 4")
    if not 0 <= momentum < 1:
        raise UsageError(f"momentum cannot be {momentum}", next="how much of an average stays: at least 0, below 1")
    learned = _choice(ranges, min(weight_bits, activation_bits)) == "learned"
    runtime = load_target(target)
    if not isinstance(recipe, Recipe):
        recipe = recipe_for_mode(
            recipe,
            weight_bits=weight_bits,
            per_channel=per_channel,
            has_blocks=False,
            activation_storage=_ACTIVATIONS[activation_bits],
        )
    recipe = _with_shared_weights(recipe.exclude(*exclude), network)
    if network.placement is not None:
        raise UsageError("the network is quantized already", next="prepare the float model, or the pruned network")
    deployed = prepare(written_graph(network))
    placement = place(deployed, recipe, runtime, learned=learned, momentum=momentum)
    for scope in exclude:
        if not any(re.search(scope, str(node.name)) for node in deployed.graph):
            names = ", ".join(str(node.name) for node in deployed.graph)
            raise UsageError(f"exclude {scope!r} matches no node", next=f"the nodes are {names[:300]}")
    network.quantize_as(placement, delay=delay)
    if bn == "frozen":
        network.freeze_norms()
    if calibration is not None and recipe.needs_calibration:
        samples = open_source(calibration, input_specs(deployed))
        chosen = method or ("mse" if learned else runtime.calibration_method)
        seen = collect(deployed, samples, observations(deployed, recipe, runtime), method=chosen)
        with torch.no_grad():
            for name, (low, high) in ranges_of(placement, seen, chosen).items():
                network.activation_quantizer(name).set_range(low, high)
    return network


def _with_shared_weights(recipe: Recipe, network: Network) -> Recipe:
    """One scale a tensor where the weights of a tensor share values: a scale a channel would multiply these."""
    nodes = [re.escape(node) for node in network.nodes_of_shared()]
    how = How(weight_granularity="per-tensor")
    entries = tuple(Entry(f"^{node}$", "*", how) for node in nodes)
    return replace(recipe, entries=(*recipe.entries, *entries))


def _choice(ranges: str | None, bits: int) -> str:
    """Where scales come from: learned by default below 8 bits, where clipping decides."""
    if ranges is None:
        return "ema" if bits == 8 else "learned"
    if ranges not in RANGES:
        raise UsageError(f"ranges cannot be {ranges!r}", next=f"one of {', '.join(RANGES)}")
    return ranges
