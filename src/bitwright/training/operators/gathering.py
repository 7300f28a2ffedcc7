"""Elements picked by index: Gather, GatherElements, GatherND. Indices may count from the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch


def from_start(indices: torch.Tensor, size: int, like: torch.Tensor) -> torch.Tensor:
    """Indices as i64 on the device of the data, none negative."""
    indices = indices.to(like.device, torch.int64)
    return torch.where(indices < 0, indices + size, indices)


def gather(x: torch.Tensor, indices: torch.Tensor, *, axis: int = 0) -> torch.Tensor:
    """y[..., i, ...] = x[..., indices[i], ...]: the shape of the indices takes the place of the axis."""
    axis = axis % x.dim()
    picked = x.index_select(axis, from_start(indices.reshape(-1), x.shape[axis], x))
    return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def gather_elements(x: torch.Tensor, indices: torch.Tensor, *, axis: int = 0) -> torch.Tensor:
    """y[i, j] = x[indices[i, j], j] for axis 0, and so on."""
    return torch.gather(x, axis, from_start(indices, x.shape[axis], x))


def gather_nd(x: torch.Tensor, indices: torch.Tensor, *, batch_dims: int = 0) -> torch.Tensor:
    """y[b, i] = x[b, *indices[b, i]]: the last dimension of the indices holds the places in x after the batch.

    Source: ONNX GatherND-13.
    """
    batch, depth = x.shape[:batch_dims], indices.shape[-1]
    outer = indices.shape[batch_dims:-1]
    data = x.reshape(math.prod(batch), *x.shape[batch_dims:])
    places = indices.reshape(math.prod(batch), math.prod(outer), depth).to(x.device, torch.int64)
    rows = torch.arange(math.prod(batch), device=x.device)[:, None].expand(places.shape[:2])
    picked = data[(rows, *places.unbind(-1))]
    return picked.reshape((*batch, *outer, *x.shape[batch_dims + depth :]))


OPERATORS: dict[str, Callable[..., Any]] = {"Gather": gather, "GatherElements": gather_elements, "GatherND": gather_nd}
