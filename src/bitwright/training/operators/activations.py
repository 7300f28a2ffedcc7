"""Activations: functions of one number with ONNX's settings, and the Softmax family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from bitwright.training.operators.devices import on_one_device


def relu(x: torch.Tensor) -> torch.Tensor:
    """`y` = max(x, 0)."""
    return torch.relu(x)


def leaky_relu(x: torch.Tensor, *, alpha: float = 0.01) -> torch.Tensor:
    """`y` = x, alpha * x below 0."""
    return functional.leaky_relu(x, alpha)


def prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """`y` = x, slope * x below 0; the slope is broadcast to x."""
    return torch.where(x < 0, slope * x, x)


def elu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """`y` = x, alpha * (exp(x) - 1) below 0."""
    return functional.elu(x, alpha)


def selu(x: torch.Tensor, *, alpha: float = 1.6732631921768188, gamma: float = 1.0507010221481323) -> torch.Tensor:
    """`y` = gamma * x, gamma * alpha * (exp(x) - 1) below 0; the defaults are ONNX's float32 values."""
    return gamma * functional.elu(x, alpha)


def celu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """`y` = max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""
    return functional.celu(x, alpha)


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """`y` = 1 / (1 + exp(-x))."""
    return torch.sigmoid(x)


def hard_sigmoid(x: torch.Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> torch.Tensor:
    """`y` = max(0, min(1, alpha * x + beta))."""
    return torch.clamp(alpha * x + beta, 0, 1)


def hard_swish(x: torch.Tensor) -> torch.Tensor:
    """`y` = x * max(0, min(1, x / 6 + 1 / 2))."""
    return functional.hardswish(x)


def swish(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """`y` = x * sigmoid(alpha * x)."""
    return functional.silu(x) if alpha == 1 else x * torch.sigmoid(alpha * x)


def mish(x: torch.Tensor) -> torch.Tensor:
    """`y` = x * tanh(log(1 + exp(x)))."""
    return functional.mish(x)


def softplus(x: torch.Tensor) -> torch.Tensor:
    """`y` = log(1 + exp(x))."""
    return functional.softplus(x)


def softsign(x: torch.Tensor) -> torch.Tensor:
    """`y` = x / (1 + |x|)."""
    return functional.softsign(x)


def thresholded_relu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """`y` = x above alpha, else 0."""
    return torch.where(x > alpha, x, 0)


def shrink(x: torch.Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> torch.Tensor:
    """`y` = x - bias above lambd, x + bias below -lambd, else 0."""
    moved = torch.where(x > lambd, x - bias, torch.where(x < -lambd, x + bias, 0))
    return moved.to(x.dtype)


def gelu(x: torch.Tensor, *, approximate: str = "none") -> torch.Tensor:
    """`y` = x * (1 + erf(x / sqrt(2))) / 2, or its form with tanh."""
    return functional.gelu(x, approximate=approximate)


def clip(x: torch.Tensor, low: torch.Tensor | None = None, high: torch.Tensor | None = None) -> torch.Tensor:
    """`y` = min(high, max(low, x)); bounds that learn get gradients too."""
    if low is None and high is None:
        return x
    x, low, high = on_one_device(x, low, high)
    return torch.clamp(x, low, high)


def softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """`y` = exp(x) / sum(exp(x)) along the axis."""
    return torch.softmax(x, axis)


def log_softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """`y` = x - log(sum(exp(x))) along the axis."""
    return torch.log_softmax(x, axis)


def hardmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """1 where the first maximum along the axis is, else 0."""
    return torch.zeros_like(x).scatter(axis, x.argmax(axis, keepdim=True), 1)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Celu": celu,
    "Clip": clip,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Hardmax": hardmax,
    "LeakyRelu": leaky_relu,
    "LogSoftmax": log_softmax,
    "Mish": mish,
    "PRelu": prelu,
    "Relu": relu,
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": sigmoid,
    "Softmax": softmax,
    "Softplus": softplus,
    "Softsign": softsign,
    "Swish": swish,
    "ThresholdedRelu": thresholded_relu,
}
