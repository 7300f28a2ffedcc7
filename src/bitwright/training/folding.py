"""Folding: a BatchNormalization behind a Conv, ConvTranspose or Gemm, as it will be deployed, while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from bitwright.graph.attributes import float_attribute
from bitwright.transforms.fold_batch_norms import is_trainable
from bitwright.transforms.linear import Linear, linear_of

if TYPE_CHECKING:
    from bitwright.training.network import Network
    from bitwright.training.steps import Step


#: A channel whose factor is smaller gives nothing, and so says nothing of its statistics.
_SMALLEST_FACTOR = 1e-12


@dataclass(frozen=True)
class Norm:
    """A BatchNormalization.

    Args:
        scale, shift, mean, variance: names of its constants.
        epsilon: added to the variance.
        momentum: how much of the running statistics a batch replaces.
        groups: of the linear node before it.
        outputs_first: whether that node's weights have output channels before input channels.
    """

    scale: str
    shift: str
    mean: str
    variance: str
    epsilon: float
    momentum: float
    groups: int = 1
    outputs_first: bool = True

    @staticmethod
    def of(node: ir.Node, linear: Linear | None = None) -> Norm:
        """What a node and the linear one before it say."""
        scale, shift, mean, variance = (str(value.name) for value in node.inputs[1:5] if value is not None)
        return Norm(
            scale,
            shift,
            mean,
            variance,
            epsilon=float_attribute(node, "epsilon", 1e-5),
            momentum=1.0 - float_attribute(node, "momentum", 0.9),
            groups=1 if linear is None else linear.groups,
            outputs_first=linear is None or linear.outputs_first,
        )

    def weight_times(self, weight: Tensor, factor: Tensor) -> Tensor:
        """A weight times a factor an output channel, rounded once to float32."""
        if self.outputs_first:
            return (weight.double() * factor.reshape(-1, *[1] * (weight.dim() - 1))).float()
        grouped = weight.double().reshape(self.groups, -1, *weight.shape[1:])
        shape = (self.groups, 1, -1, *[1] * (weight.dim() - 2))
        return (grouped * factor.reshape(shape)).reshape(weight.shape).float()


def folds(network: Network, weight: str | None = None) -> bool:
    """Whether a normalization folds into a weight when the network is deployed; into any, where none is named."""
    for node in network.graph.graph:
        linear = linear_of(node)
        named = weight is None or any(value is not None and value.name == weight for value in node.inputs)
        if named and isinstance(linear, Linear) and is_trainable(linear):
            return True
    return False


def live_norm(norm: Norm, network: Network, operands: list[Tensor | None]) -> Tensor:
    """A normalization that is a step of its own.

    Args:
        norm: its constants' names are those of operands 1 to 4.
        network: whose it is.
        operands: x [N,C,...], scale, shift, running mean and variance.
    """
    x, scale, shift, mean, variance = operands
    assert x is not None
    train = network.uses_batch_statistics
    return functional.batch_norm(x, mean, variance, scale, shift, train, norm.momentum, norm.epsilon)


def folded(
    step: Step, network: Network, operands: list[Tensor | None]
) -> tuple[list[Tensor | None], Mapping[str, Any]]:
    """Operands and attributes of a linear node with its normalization folded into them.

    W' = W * scale / sqrt(var + eps)
    b' = shift + (b - mean) * scale / sqrt(var + eps)
    """
    norm, index = step.norm, next(iter(step.weights))
    weight = operands[index]
    assert norm is not None and weight is not None
    mean, shift, factor = network.tensor(norm.mean), network.tensor(norm.shift), _factor(norm, network)
    bias = (shift.double() + (_bias(step, operands, shift).double() - mean.double()) * factor).float()
    made = [*operands[:2], bias]
    made[index] = norm.weight_times(weight, factor)
    return made, {name: value for name, value in step.attributes.items() if name != "beta"}


def corrected_result(step: Step, network: Network, operands: list[Tensor | None], *, quantizes: bool) -> Tensor:
    """A linear node and its normalization while batch statistics are used, with the weights that will be deployed.

    Weights are folded with the running variance, as they will be, and results are corrected to what the statistics of
    the batch would have given:

        y = (W' x - its mean over the batch) * sqrt(running var + eps) / sqrt(batch var + eps) + shift

    Source: Krishnamoorthi 2018, section 3.2.2.
    """
    norm, index = step.norm, next(iter(step.weights))
    weight = operands[index]
    assert norm is not None and weight is not None
    mean, variance = network.tensor(norm.mean), network.tensor(norm.variance)
    shift, factor = network.tensor(norm.shift), _factor(norm, network)
    bias = _bias(step, operands, shift)
    operands = [*operands[:2]]
    operands[index] = norm.weight_times(weight, factor)
    if quantizes:
        step.quantize_weights(network, operands)
    attributes = {name: value for name, value in step.attributes.items() if name != "beta"}
    raw: Tensor = step.function(*operands, **attributes).float()
    raw_variance, raw_mean = torch.var_mean(raw, [axis for axis in range(raw.dim()) if axis != 1], correction=0)
    small = factor.abs() < _SMALLEST_FACTOR
    safe = torch.where(small, torch.ones_like(factor), factor).float()
    batch_mean = torch.where(small, mean, raw_mean / safe + bias)
    batch_variance = torch.where(small, variance, raw_variance / (safe * safe))
    view = (1, -1, *[1] * (raw.dim() - 2))
    correction = torch.sqrt((variance + norm.epsilon) / (batch_variance + norm.epsilon))
    # A bias before a normalization has no gradient; all parameters must have one for DistributedDataParallel.
    made = (raw - raw_mean.reshape(view)) * correction.reshape(view) + (shift + 0.0 * bias).reshape(view)
    with torch.no_grad():
        count = raw.numel() // raw.shape[1]
        unbiased = torch.where(small, variance, batch_variance * (count / max(count - 1, 1)))
        mean.copy_(torch.lerp(mean, batch_mean, norm.momentum))
        variance.copy_(torch.lerp(variance, unbiased, norm.momentum))
    return made


def _factor(norm: Norm, network: Network) -> Tensor:
    """Scale / sqrt(running var + eps), f64[C]."""
    variance = network.tensor(norm.variance).double()
    return network.tensor(norm.scale).double() / torch.sqrt(variance + norm.epsilon)


def _bias(step: Step, operands: list[Tensor | None], like: Tensor) -> Tensor:
    """The linear node's own bias as it is added, [C]."""
    given = operands[2] if len(operands) > 2 else None
    return torch.zeros_like(like) if given is None else given.reshape(-1) * step.attributes.get("beta", 1.0)
