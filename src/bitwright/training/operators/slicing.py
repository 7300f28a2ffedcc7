"""Parts of a tensor: Slice, Split, Trilu."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def slice_(
    x: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    axes: torch.Tensor | None = None,
    steps: torch.Tensor | None = None,
) -> torch.Tensor:
    """x[start:end:step] along each of the axes, as Python slices; steps may be negative.

    Source: ONNX Slice-13.
    """
    first, last = starts.tolist(), ends.tolist()
    named = list(range(len(first))) if axes is None else axes.tolist()
    strides = [1] * len(first) if steps is None else steps.tolist()
    for axis, start, end, step in zip(named, first, last, strides, strict=True):
        taken = range(*slice(start, end, step).indices(x.shape[axis]))
        if step < 0:
            taken = taken[::-1]
        part = slice(taken.start, taken.stop, taken.step)
        x = x[(slice(None),) * (axis % x.dim()) + (part,)]
        x = x.flip(axis) if step < 0 else x
    return x


def split(
    x: torch.Tensor,
    sizes: torch.Tensor | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: int = 1,
) -> tuple[torch.Tensor, ...]:
    """Parts along the axis, of the given sizes; else equal ones, the last smaller where they do not fit.

    Source: ONNX Split-18.
    """
    if sizes is not None:
        return tuple(torch.split(x, sizes.tolist(), axis))
    count, length = num_outputs or outputs, x.shape[axis]
    part = -(-length // count)
    return tuple(torch.split(x, [min(part, max(length - i * part, 0)) for i in range(count)], axis))


def trilu(x: torch.Tensor, k: torch.Tensor | None = None, *, upper: int = 1) -> torch.Tensor:
    """The upper or lower triangle of matrices from the k-th diagonal on, 0 elsewhere."""
    diagonal = 0 if k is None else int(k.item())
    return torch.triu(x, diagonal) if upper else torch.tril(x, diagonal)


OPERATORS: dict[str, Callable[..., Any]] = {"Slice": slice_, "Split": split, "Trilu": trilu}
