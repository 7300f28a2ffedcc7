"""Elements put at places: ScatterElements, ScatterND. What lies there is replaced, or joined by a reduction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from bitwright.training.operators.devices import on_one_device
from bitwright.training.operators.gathering import from_start

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def scatter_elements(
    x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, *, axis: int = 0, reduction: str = "none"
) -> torch.Tensor:
    """A copy of x with y[indices[i, j], j] = updates[i, j] for axis 0, and so on.

    Source: ONNX ScatterElements-18.
    """
    x, updates = on_one_device(x, updates)
    return _scattered(x, axis, from_start(indices, x.shape[axis], x), updates, reduction)


def scatter_nd(
    x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, *, reduction: str = "none"
) -> torch.Tensor:
    """A copy of x with y[*indices[i]] = updates[i]: the last dimension of the indices holds places in x.

    Source: ONNX ScatterND-18.
    """
    x, updates = on_one_device(x, updates)
    depth = indices.shape[-1]
    width = math.prod(x.shape[depth:])
    rows = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    for size, place in zip(x.shape[:depth], indices.unbind(-1), strict=True):
        rows = rows * size + from_start(place, size, x)
    data = x.reshape(math.prod(x.shape[:depth]), width)
    rows = rows.reshape(-1, 1).expand(-1, width)
    return _scattered(data, 0, rows, updates.reshape(rows.shape), reduction).reshape(x.shape)


def _scattered(
    x: torch.Tensor, axis: int, indices: torch.Tensor, updates: torch.Tensor, reduction: str
) -> torch.Tensor:
    updates = updates.to(x.dtype)
    if reduction == "none":
        return x.scatter(axis, indices, updates)
    return x.scatter_reduce(axis, indices, updates, _REDUCTIONS[reduction], include_self=True)


OPERATORS: dict[str, Callable[..., Any]] = {"ScatterElements": scatter_elements, "ScatterND": scatter_nd}
