"""What a tensor's shape is, as a tensor in main memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def shape(x: torch.Tensor, *, start: int = 0, end: int | None = None) -> torch.Tensor:
    """The sizes of the dimensions from `start` to before `end`, i64[R]."""
    return torch.tensor(x.shape[start:end], dtype=torch.int64)


def size(x: torch.Tensor) -> torch.Tensor:
    """The number of elements, i64[]."""
    return torch.tensor(x.numel())


OPERATORS: dict[str, Callable[..., Any]] = {"Shape": shape, "Size": size}
