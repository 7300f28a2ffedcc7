"""Order along an axis: ArgMax, ArgMin, TopK, CumSum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def argmax(x: torch.Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> torch.Tensor:
    """Where the largest element is along the axis: the first of equal ones, or the last."""
    if select_last_index:
        return x.shape[axis] - 1 - x.flip(axis).argmax(axis, keepdim=bool(keepdims))
    return x.argmax(axis, keepdim=bool(keepdims))


def argmin(x: torch.Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> torch.Tensor:
    """Where the smallest element is along the axis: the first of equal ones, or the last."""
    if select_last_index:
        return x.shape[axis] - 1 - x.flip(axis).argmin(axis, keepdim=bool(keepdims))
    return x.argmin(axis, keepdim=bool(keepdims))


def top_k(
    x: torch.Tensor, k: torch.Tensor, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest (smallest) elements along the axis and where they are; the first of equal ones comes first."""
    count = int(k.item())
    values, indices = torch.sort(x, dim=axis, descending=bool(largest), stable=True)
    return values.narrow(axis, 0, count), indices.narrow(axis, 0, count)


def cumulative_sum(x: torch.Tensor, axis: torch.Tensor, *, exclusive: int = 0, reverse: int = 0) -> torch.Tensor:
    """The sum of every element and those before it (after it, with `reverse`); without itself if `exclusive`."""
    dim = int(axis.item())
    y = x.flip(dim) if reverse else x
    sums = torch.cumsum(y, dim, dtype=x.dtype)
    sums = sums - y if exclusive else sums
    return sums.flip(dim) if reverse else sums


OPERATORS: dict[str, Callable[..., Any]] = {
    "ArgMax": argmax,
    "ArgMin": argmin,
    "CumSum": cumulative_sum,
    "TopK": top_k,
}
