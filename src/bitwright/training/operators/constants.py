"""Tensors made from little: constants, ranges, and patterns of ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from bitwright.training.operators.devices import on_one_device
from bitwright.training.operators.types import to_tensor, torch_type


def constant(
    *,
    value: np.ndarray | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
) -> torch.Tensor:
    """The value of the one attribute there is, in main memory."""
    if value is not None:
        return to_tensor(value)
    reals = value_floats if value_float is None else value_float
    if reals is not None:
        return torch.tensor(reals, dtype=torch.float32)
    return torch.tensor(value_ints if value_int is None else value_int, dtype=torch.int64)


def constant_of_shape(shape: torch.Tensor, *, value: np.ndarray | None = None) -> torch.Tensor:
    """A tensor of one value everywhere: of `value`, or of 0 in f32."""
    fill = torch.zeros(1) if value is None else to_tensor(value)
    return fill.reshape(()).expand(shape.tolist()).clone()


def arange(start: torch.Tensor, limit: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """start, start + delta, ... before the limit."""
    first, last, step = start.item(), limit.item(), delta.item()
    if (last - first) * step <= 0:
        return start.new_empty(0)
    return torch.arange(first, last, step, dtype=start.dtype, device=start.device)


def eye_like(x: torch.Tensor, *, dtype: int | None = None, k: int = 0) -> torch.Tensor:
    """Ones on the k-th diagonal of a matrix as large as x."""
    kind = x.dtype if dtype is None else torch_type(dtype)
    rows, columns = (torch.arange(n, device=x.device) for n in x.shape)
    return (columns - rows[:, None] == k).to(kind)


def one_hot(indices: torch.Tensor, depth: torch.Tensor, values: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """values[1] where the position along the new axis is the index, else values[0]; indices may count from the end."""
    count = int(depth.item())
    indices, values = on_one_device(indices.to(torch.int64), values)
    axis = axis % (indices.dim() + 1)
    positions = torch.arange(count, device=indices.device).reshape(-1, *[1] * (indices.dim() - axis))
    found = torch.where(indices < 0, indices + count, indices).unsqueeze(axis) == positions
    return torch.where(found, values[1], values[0])


def non_zero(x: torch.Tensor) -> torch.Tensor:
    """The positions of elements that are not 0, i64[R, count]."""
    return torch.nonzero(x).t()


OPERATORS: dict[str, Callable[..., Any]] = {
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "EyeLike": eye_like,
    "NonZero": non_zero,
    "OneHot": one_hot,
    "Range": arange,
}
