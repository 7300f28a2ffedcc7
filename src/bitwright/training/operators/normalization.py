"""Normalizations: data less its mean, over its deviation or its norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from bitwright.training.operators.refusal import require
from bitwright.training.operators.types import torch_type


def batch_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> torch.Tensor:
    """`y` = (x - mean) / sqrt(variance + epsilon) * scale + bias for each channel, with the running statistics.

    Source: ONNX BatchNormalization-15.
    """
    require(training_mode == 0, "BatchNormalization in training mode", "export the network in evaluation mode")
    return functional.batch_norm(x, mean, variance, scale, bias, training=False, eps=epsilon)


def layer_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    outputs: int = 1,
) -> Any:
    """`y` = (x - mean) / sqrt(variance + epsilon) * scale + bias over the dimensions from `axis` on.

    Further outputs are the mean and 1 / sqrt(variance + epsilon), in the type that `stash_type` names.

    Source: ONNX LayerNormalization-17.
    """
    shape = tuple(x.shape[axis:])
    if scale.shape == shape and (bias is None or bias.shape == shape):
        y = functional.layer_norm(x, shape, scale, bias, epsilon)
    else:
        y = functional.layer_norm(x, shape, eps=epsilon) * scale
        y = y if bias is None else y + bias
    if outputs == 1:
        return y
    variance, mean = torch.var_mean(x.to(torch_type(stash_type)), _from(x, axis), correction=0, keepdim=True)
    return (y, mean, torch.rsqrt(variance + epsilon))[:outputs]


def rms_normalization(
    x: torch.Tensor, scale: torch.Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> torch.Tensor:
    """`y` = x / sqrt(mean(x ** 2) + epsilon) * scale over the dimensions from `axis` on.

    Computed in the type that `stash_type` names, or in that of x where it is wider.

    Source: ONNX RMSNormalization-23.
    """
    wide = x.to(torch.promote_types(x.dtype, torch_type(stash_type)))
    power = wide.square().mean(_from(x, axis), keepdim=True)
    return (wide * torch.rsqrt(power + epsilon)).to(x.dtype) * scale


def instance_normalization(
    x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor, *, epsilon: float = 1e-5
) -> torch.Tensor:
    """`y` = (x - mean) / sqrt(variance + epsilon) * scale + bias over each channel of each image."""
    return torch.group_norm(x, x.shape[1], scale, bias, epsilon)


def group_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    *,
    epsilon: float = 1e-5,
    num_groups: int,
    stash_type: int = 1,
) -> torch.Tensor:
    """`y` = (x - mean) / sqrt(variance + epsilon) * scale + bias over each group of channels; scale and bias are [C].

    Source: ONNX GroupNormalization-21.
    """
    return torch.group_norm(x, num_groups, scale, bias, epsilon)


def lp_normalization(x: torch.Tensor, *, axis: int = -1, p: int = 2) -> torch.Tensor:
    """`y` = x / norm(x) along the axis, 0 where the norm is."""
    norm = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / norm.masked_fill(norm == 0, 1)


def mean_variance_normalization(x: torch.Tensor, *, axes: Sequence[int] = (0, 2, 3)) -> torch.Tensor:
    """`y` = (x - mean) / (deviation + 1e-9) over the axes; the addend is that of ONNX's definition."""
    variance, mean = torch.var_mean(x, tuple(axes), correction=0, keepdim=True)
    return (x - mean) / (variance.sqrt() + 1e-9)


def lrn(x: torch.Tensor, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> torch.Tensor:
    """`y` = x / (bias + alpha / size * sum(x ** 2)) ** beta over the `size` channels around each.

    Of an even number of channels the odd one comes after; PyTorch's own function has it before.

    Source: ONNX LRN-13.
    """
    squares = x.square().reshape(x.shape[0], 1, x.shape[1], math.prod(x.shape[2:]))
    around = functional.pad(squares, (0, 0, (size - 1) // 2, size // 2))
    means = functional.avg_pool2d(around, (size, 1), 1).reshape(x.shape)
    return x / (bias + alpha * means) ** beta


def _from(x: torch.Tensor, axis: int) -> tuple[int, ...]:
    return tuple(range(axis % x.dim(), x.dim()))


OPERATORS: dict[str, Callable[..., Any]] = {
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": lrn,
    "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "RMSNormalization": rms_normalization,
}
