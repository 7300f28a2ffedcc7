"""Pad, in all its modes; negative pads crop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional


def pad(
    x: torch.Tensor,
    pads: torch.Tensor,
    value: torch.Tensor | None = None,
    axes: torch.Tensor | None = None,
    *,
    mode: str = "constant",
) -> torch.Tensor:
    """`x` with elements before and after it along each of the axes.

    Args:
        pads: all beginnings, then all ends.
        value: of the new elements in mode constant; 0 by default.

    Source: ONNX Pad-23.
    """
    amounts = pads.tolist()
    named = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in axes.tolist()]
    around = {axis: (amounts[i], amounts[i + len(named)]) for i, axis in enumerate(named)}
    if mode == "constant":
        fill = 0 if value is None else value.item()
        borders = [n for axis in reversed(range(x.dim())) for n in around.get(axis, (0, 0))]
        return functional.pad(x, borders, value=fill)
    for axis, (begin, end) in around.items():
        if begin or end:
            size = x.shape[axis]
            places = [_source(i, size, mode) for i in range(-begin, size + end)]
            x = x.index_select(axis, torch.tensor(places, dtype=torch.int64, device=x.device))
    return x


def _source(place: int, size: int, mode: str) -> int:
    """The element of a dimension that stands at a place before, in or after it."""
    if mode == "wrap":
        return place % size
    if mode == "edge" or size == 1:
        return min(max(place, 0), size - 1)
    place %= 2 * (size - 1)  # reflect: there and back, the ends once
    return min(place, 2 * (size - 1) - place)


OPERATORS: dict[str, Callable[..., Any]] = {"Pad": pad}
