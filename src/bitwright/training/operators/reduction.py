"""Reductions: many elements to one, along axes that an input names.

Without axes all are reduced, or none where `noop_with_empty_axes` is set; what is done to every element before and
after is done then too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

_Axes = tuple[int, ...]


def _reduction(
    reduce: Callable[[Any, _Axes], Any],
    *,
    before: Callable[[Any], Any] | None = None,
    after: Callable[[Any], Any] | None = None,
) -> Callable[..., Any]:
    """An operator from a function that reduces axes and keeps them as ones."""

    def operator(
        x: torch.Tensor, axes: torch.Tensor | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> torch.Tensor:
        chosen = () if axes is None else tuple(n % x.dim() for n in axes.tolist())
        if not chosen and not noop_with_empty_axes:
            chosen = tuple(range(x.dim()))
        y = x if before is None else before(x)
        y = reduce(y, chosen) if chosen else y
        y = y if after is None else after(y)
        return y if keepdims or not chosen else y.squeeze(chosen)

    return operator


def _sum(x: torch.Tensor, axes: _Axes) -> torch.Tensor:
    return x.sum(axes, keepdim=True, dtype=x.dtype)


def _mean(x: torch.Tensor, axes: _Axes) -> torch.Tensor:
    if x.is_floating_point():
        return x.mean(axes, keepdim=True)
    return torch.div(_sum(x, axes), math.prod(x.shape[axis] for axis in axes), rounding_mode="trunc")


def _product(x: torch.Tensor, axes: _Axes) -> torch.Tensor:
    for axis in axes:
        x = x.prod(axis, keepdim=True, dtype=x.dtype)
    return x


def _norm(x: torch.Tensor, axes: _Axes) -> torch.Tensor:
    if x.is_floating_point():
        return torch.linalg.vector_norm(x, 2, axes, keepdim=True)
    return torch.linalg.vector_norm(x.to(torch.float64), 2, axes, keepdim=True).to(x.dtype)


def _log_sum_exp(x: torch.Tensor, axes: _Axes) -> torch.Tensor:
    return torch.logsumexp(x, axes, keepdim=True)


def _max(x: torch.Tensor, axes: _Axes) -> torch.Tensor:
    return _limit(x, axes, -1) if _is_empty(x, axes) else x.amax(axes, keepdim=True)


def _min(x: torch.Tensor, axes: _Axes) -> torch.Tensor:
    return _limit(x, axes, 1) if _is_empty(x, axes) else x.amin(axes, keepdim=True)


def _is_empty(x: torch.Tensor, axes: _Axes) -> bool:
    return any(x.shape[axis] == 0 for axis in axes)


def _limit(x: torch.Tensor, axes: _Axes, sign: int) -> torch.Tensor:
    """What nothing is reduced to: the type's largest value, or its smallest."""
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    if x.is_floating_point():
        return x.new_full(shape, sign * math.inf)
    if x.dtype == torch.bool:
        return x.new_full(shape, sign > 0)
    bounds = torch.iinfo(x.dtype)
    return x.new_full(shape, bounds.max if sign > 0 else bounds.min)


OPERATORS: dict[str, Callable[..., Any]] = {
    "ReduceL1": _reduction(_sum, before=torch.abs),
    "ReduceL2": _reduction(_norm, before=torch.abs),
    "ReduceLogSum": _reduction(_sum, after=torch.log),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ReduceMax": _reduction(_max),
    "ReduceMean": _reduction(_mean),
    "ReduceMin": _reduction(_min),
    "ReduceProd": _reduction(_product),
    "ReduceSum": _reduction(_sum),
    "ReduceSumSquare": _reduction(_sum, before=torch.square),
}
