"""Fake quantization in torch: the equation of `numerics.quantize`, and gradients that go straight through rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bitwright.numerics.ranges import SMALLEST_SCALE


def parameters_of_range(
    low: Tensor, high: Tensor, *, qmin: int, qmax: int, middle: int | None, inside: bool = False
) -> tuple[Tensor, Tensor]:
    """Scale and zero_point that cover [low, high], as `numerics.ranges.qparams_from_range` chooses them.

    Args:
        low, high: f32, of any one shape.
        qmin, qmax: the integers.
        middle: the zero_point of a symmetric range; None where the range is not symmetric.
        inside: no integer stands for a value beyond the range.

    Returns:
        scale f32, zero_point f32 (an integer), of the same shape.
    """
    lows, highs = low.double().clamp(max=0.0), high.double().clamp(min=0.0)
    covered = highs - lows if middle is None else torch.maximum(-lows, highs)
    real = covered / (qmax - (qmin if middle is None else middle))
    scale = real.float()
    if inside:
        scale = torch.where(scale.double() > real, torch.nextafter(scale, torch.zeros_like(scale)), scale)
    scale = torch.where(real > float(SMALLEST_SCALE), scale, torch.ones_like(scale))
    if middle is not None:
        return scale, torch.full_like(scale, float(middle))
    return scale, torch.round(qmin - lows / scale.double()).clamp(qmin, qmax).float()


def fake_quantize(x: Tensor, scale: Tensor, zero_point: Tensor, qmin: int, qmax: int) -> Tensor:
    """What x becomes as integers; the gradient of x goes through inside [qmin, qmax] and is zero outside.

        scale * (clamp(round_half_to_even(x / scale) + zero_point, qmin, qmax) - zero_point)

    Args:
        x: f32.
        scale, zero_point: f32, broadcast against x.
    """
    made: Tensor = _Straight.apply(x, scale, zero_point, qmin, qmax)
    return made


def learned_fake_quantize(x: Tensor, scale: Tensor, zero_point: Tensor, qmin: int, qmax: int) -> Tensor:
    """The same with a gradient for the scale.

        d/d scale = (q - zero_point) - x / scale inside, q - zero_point outside; times 1 / sqrt(elements * qmax)

    Source: Esser et al. 2020, Learned Step Size Quantization.
    """
    made: Tensor = _Learned.apply(x, scale, zero_point, qmin, qmax)
    return made


class _Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor, qmin: int, qmax: int) -> Tensor:
        q = (x / scale).round_().add_(zero_point)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward((q >= qmin).logical_and_(q <= qmax))
        return q.clamp_(qmin, qmax).sub_(zero_point).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0] * ctx.saved_tensors[0], None, None, None, None


class _Learned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor, qmin: int, qmax: int) -> Tensor:
        steps = x / scale
        rounded = steps.round().add_(zero_point)
        inside = (rounded >= qmin).logical_and_(rounded <= qmax)
        rounded = rounded.clamp_(qmin, qmax).sub_(zero_point)
        ctx.save_for_backward(inside, torch.where(inside, rounded - steps, rounded))
        ctx.scale_shape, ctx.most = scale.shape, qmax
        return rounded * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inside, slope = ctx.saved_tensors
        gradient = gradients[0]
        whole = (gradient * slope).sum_to_size(ctx.scale_shape)
        elements = slope.numel() / max(whole.numel(), 1)
        return gradient * inside, whole * (elements * ctx.most) ** -0.5, None, None, None
