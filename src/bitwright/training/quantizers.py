"""Quantizers: what a network under training quantizes weights and activations with, and where scales come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from bitwright.errors import StatisticsError
from bitwright.numerics.qparams import QuantParams, integer_bounds
from bitwright.training.fake_quantize import fake_quantize, learned_fake_quantize, parameters_of_range

#: How much of a moving average stays at each step.
MOMENTUM = 0.95


class WeightQuantizer(nn.Module):
    """Quantizes a weight, with scales of its largest magnitudes at every step, or with learned ones.

    Args:
        start: the parameters that the planner chose for the weight as it is.
        learned: scales are parameters, which begin there.
    """

    def __init__(self, start: QuantParams, *, learned: bool) -> None:
        super().__init__()
        self.start, self.qmin, self.qmax = start, start.qmin, start.qmax
        self.symmetric = start.symmetric and start.qmin < 0  # a zero_point of 0 may be chance in an unsigned type
        self.learned = learned and self.symmetric
        if self.learned:
            self.scale = nn.Parameter(torch.from_numpy(start.scale.copy()))

    def parameters_for(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and zero_point, [channels] or [1]."""
        if self.learned:
            scale = self.scale.abs().clamp(min=1e-12)
            return scale, torch.zeros_like(scale)
        held = weight.detach()
        if self.start.axis is None:
            low, high = (bound.reshape(1) for bound in held.aminmax())
        else:
            low, high = held.transpose(0, self.start.axis).flatten(1).aminmax(dim=1)
        middle = 0 if self.symmetric else None
        return parameters_of_range(low, high, qmin=self.qmin, qmax=self.qmax, middle=middle)

    def _view(self, weight: Tensor) -> list[int]:
        """The shape in which scales broadcast against a weight."""
        return [-1 if axis == self.start.axis else 1 for axis in range(weight.dim())]

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The weight as its integers stand for it, and their scales."""
        scale, zero_point = self.parameters_for(weight)
        shape = self._view(weight)
        quantize = learned_fake_quantize if self.learned else fake_quantize
        made = quantize(weight, scale.reshape(shape), zero_point.reshape(shape), self.qmin, self.qmax)
        return made, scale.detach()

    def integers(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The integers of a weight without their zero_point, f32, and their scales."""
        scale, zero_point = self.parameters_for(weight)
        view = self._view(weight)
        point = zero_point.reshape(view)
        q = torch.round(weight / scale.reshape(view)).add_(point).clamp_(self.qmin, self.qmax).sub_(point)
        return q, scale

    def qparams(self, weight: Tensor) -> QuantParams:
        """The parameters for a weight, as a plan has them."""
        scale, zero_point = (_numpy(x) for x in self.parameters_for(weight))
        s = self.start
        return QuantParams(scale, zero_point.astype(np.int32), s.storage, s.axis, None, s.narrow_range, s.bits)


class ActivationQuantizer(nn.Module):
    """Quantizes activations that share their parameters: those of a moving average of their ranges, or a learned scale.

    Parameters stay the same during one step: what a step sees counts from the next one on. Until a range is known,
    values pass as they are.

    Args:
        storage: storage type of the integers.
        symmetric: zero_point is 0 (the middle of an unsigned type).
        bounds: of a clamp that gives the values; infinite where there is none.
        fixed: parameters that are known beforehand.
        learned: the scale is a parameter, which begins at that of the first range.
        momentum: how much of the average stays at each step.
    """

    def __init__(
        self,
        storage: str,
        *,
        symmetric: bool = False,
        bounds: tuple[float, float] | None = None,
        fixed: QuantParams | None = None,
        learned: bool = False,
        momentum: float = MOMENTUM,
    ) -> None:
        super().__init__()
        self.storage, self.bounds, self.fixed, self.momentum = storage, bounds, fixed, momentum
        self.qmin, self.qmax = integer_bounds(storage)
        self.middle = (0 if self.qmin < 0 else (self.qmax + 1) // 2) if symmetric else None
        self.learned = learned and fixed is None
        self.frozen = False
        self.register_buffer("low", torch.tensor(float("inf")))
        self.register_buffer("high", torch.tensor(float("-inf")))
        self.register_buffer("seen_low", torch.tensor(float("inf")))
        self.register_buffer("seen_high", torch.tensor(float("-inf")))
        if self.learned:
            self.scale = nn.Parameter(torch.tensor(0.0))
            self.register_buffer("zero_point", torch.tensor(0.0))
        self._parameters_now: tuple[Tensor, Tensor] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a range is known."""
        return self.fixed is not None or bool(self.low <= self.high)

    def set_range(self, low: float, high: float) -> None:
        """Begin with a range, such as calibration found."""
        self.low.fill_(low)
        self.high.fill_(high)
        self._begin()

    def next_step(self) -> None:
        """What the last step saw becomes part of the average."""
        self._parameters_now = None
        if self.fixed is not None or self.frozen or (self.learned and bool(self.low <= self.high)):
            return
        if not bool(self.seen_low <= self.seen_high):
            return
        if bool(self.low <= self.high):
            self.low.lerp_(self.seen_low, 1.0 - self.momentum)
            self.high.lerp_(self.seen_high, 1.0 - self.momentum)
        else:
            self.low.copy_(self.seen_low)
            self.high.copy_(self.seen_high)
            self._begin()
        self.seen_low.fill_(float("inf"))
        self.seen_high.fill_(float("-inf"))

    def observe(self, x: Tensor) -> None:
        """Take note of values, for the next step."""
        if self.fixed is None and not self.frozen and x.numel():
            low, high = x.detach().float().aminmax()
            torch.minimum(self.seen_low, low, out=self.seen_low)
            torch.maximum(self.seen_high, high, out=self.seen_high)

    def forward(self, x: Tensor) -> Tensor:
        """Values as their integers stand for them."""
        scale, zero_point = self.now()
        quantize = learned_fake_quantize if self.learned else fake_quantize
        return quantize(x.float(), scale, zero_point, self.qmin, self.qmax)

    def of_steps(self, steps: Tensor, clamp: tuple[float, float] | None = None) -> Tensor:
        """Values as their integers stand for them, from what a kernel gives before it rounds: values / scale.

        Args:
            steps: f32.
            clamp: the real bounds of the clamp that the kernel runs as well.
        """
        scale, zero_point = self.now()
        made = torch.round(steps)
        if clamp is not None:
            made = made.clamp(*(torch.round(bound / scale) for bound in clamp))
        return made.add_(zero_point).clamp_(self.qmin, self.qmax).sub_(zero_point).mul_(scale)

    def now(self) -> tuple[Tensor, Tensor]:
        """Scale and zero_point of this step, f32[]."""
        if self.learned:
            return self.scale.abs().clamp(min=1e-12), self.zero_point
        if self._parameters_now is None:
            self._parameters_now = self._of_range()
        return self._parameters_now

    def qparams(self, name: str) -> QuantParams:
        """The parameters, as a plan has them.

        Raises:
            StatisticsError: no range is known yet.
        """
        if self.fixed is not None:
            return self.fixed
        if not self.is_ready:
            self.next_step()  # one step may be all there was
        if not self.is_ready:
            raise StatisticsError(
                f"no values of {name!r} were seen yet", next="train first, or give calibration data to prepare_qat"
            )
        scale, zero_point = (_numpy(x) for x in (self.now() if self.learned else self._of_range()))
        return QuantParams(scale.reshape(1), zero_point.reshape(1).astype(np.int32), self.storage)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ActivationQuantizer:
        self._parameters_now = None  # these are on the old device
        super()._apply(fn, recurse)
        return self

    def _load_from_state_dict(self, *arguments: Any, **named: Any) -> None:
        self._parameters_now = None  # these are of the old range
        super()._load_from_state_dict(*arguments, **named)

    def _begin(self) -> None:
        self._parameters_now = None
        if self.learned:
            scale, zero_point = self._of_range()
            with torch.no_grad():
                self.scale.copy_(scale)
            self.zero_point.copy_(zero_point)

    def _of_range(self) -> tuple[Tensor, Tensor]:
        if self.fixed is not None:
            scale, point = (torch.from_numpy(x.astype(np.float32)) for x in (self.fixed.scale, self.fixed.zero_point))
            device = cast(Tensor, self.low).device
            return scale.reshape(()).to(device), point.reshape(()).to(device)
        low, high = self.low, self.high
        if self.bounds is not None:
            low, high = low.clamp(min=self.bounds[0]), high.clamp(max=self.bounds[1])
            low = torch.minimum(low, high)
        return parameters_of_range(
            low, high, qmin=self.qmin, qmax=self.qmax, middle=self.middle, inside=self.bounds is not None
        )


def as_planned(x: Tensor, qparams: QuantParams) -> Tensor:
    """A constant as its integers stand for it; with parameters of the whole tensor."""
    scale, zero_point = (torch.tensor(held.item(), device=x.device) for held in (qparams.scale, qparams.zero_point))
    return fake_quantize(x, scale, zero_point, qparams.qmin, qparams.qmax)


def with_all_scales(made: Tensor, quantizers: Iterable[nn.Module]) -> Tensor:
    """A result as it is, whose gradient is zero for each learned scale.

    DistributedDataParallel wants a gradient for every parameter, also of quantizers that are not in use yet.
    """
    scales = [scale.sum() for quantizer in quantizers for scale in quantizer.parameters()]
    return made + 0.0 * torch.stack(scales).sum() if scales and made.is_floating_point() else made


def rounded_bias(bias: Tensor, scale: Tensor) -> Tensor:
    """A bias in steps of a scale, its gradient as it is.

    Args:
        bias: f32, [channels] or what broadcasts from it.
        scale: f32[channels] or [1].
    """
    with torch.no_grad():
        wide = scale.double()
        moved = torch.round(bias.detach().double() / wide) * wide - bias.detach().double()
    return bias + moved.float()


def _numpy(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()
