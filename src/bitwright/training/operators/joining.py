"""Tensors put side by side: Concat, Tile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bitwright.training.operators.devices import on_one_device


def concat(*operands: torch.Tensor, axis: int) -> torch.Tensor:
    """The operands one after the other along the axis."""
    return torch.cat(on_one_device(*operands), axis)


def tile(x: torch.Tensor, repeats: torch.Tensor) -> torch.Tensor:
    """`x` repeated so many times along each dimension."""
    return x.repeat(repeats.tolist())


OPERATORS: dict[str, Callable[..., Any]] = {"Concat": concat, "Tile": tile}
