"""The same values in another shape or order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from bitwright.training.operators.refusal import require


def identity(x: torch.Tensor) -> torch.Tensor:
    """`y` = x."""
    return x


def dropout(
    x: torch.Tensor,
    ratio: torch.Tensor | None = None,
    training_mode: torch.Tensor | None = None,
    *,
    seed: int = 0,
    outputs: int = 1,
) -> Any:
    """`y` = x, as at inference; a second output says that every element is kept.

    Source: ONNX Dropout-13.
    """
    training = training_mode is not None and bool(training_mode.item())
    require(not training, "Dropout in training mode", "export the network in evaluation mode")
    return x if outputs == 1 else (x, torch.ones_like(x, dtype=torch.bool))


def reshape(x: torch.Tensor, shape: torch.Tensor, *, allowzero: int = 0) -> torch.Tensor:
    """`x` with other sizes: -1 is what is left, 0 is the size x has there (or 0, with `allowzero`)."""
    sizes = shape.tolist()
    if not allowzero:
        sizes = [n or x.shape[i] for i, n in enumerate(sizes)]
    return x.reshape(sizes)


def flatten(x: torch.Tensor, *, axis: int = 1) -> torch.Tensor:
    """Two dimensions: those before the axis, and the others."""
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def transpose(x: torch.Tensor, *, perm: Sequence[int] | None = None) -> torch.Tensor:
    """Dimensions in another order; reversed by default."""
    return x.permute(tuple(reversed(range(x.dim()))) if perm is None else tuple(perm))


def squeeze(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
    """`x` without the dimensions of size 1, all or those named."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes.reshape(-1).tolist()))


def unsqueeze(x: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    """`x` with dimensions of size 1 that are the named ones in the result."""
    named = axes.reshape(-1).tolist()
    rank = x.dim() + len(named)
    for axis in sorted(n % rank for n in named):
        x = x.unsqueeze(axis)
    return x


def expand(x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """`x` repeated along dimensions of size 1; the sizes and x are broadcast to each other."""
    return x.expand(torch.broadcast_shapes(x.shape, shape.tolist()))


def depth_to_space(x: torch.Tensor, *, blocksize: int, mode: str = "DCR") -> torch.Tensor:
    """Channels become blocks: [N, C * b * b, H, W] -> [N, C, H * b, W * b]; b * b comes first in C with DCR.

    Source: ONNX DepthToSpace-13.
    """
    n, c, h, w = x.shape
    b, depth = blocksize, c // blocksize**2
    if mode == "CRD":
        blocks = x.reshape(n, depth, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    else:
        blocks = x.reshape(n, b, b, depth, h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, depth, h * b, w * b)


def space_to_depth(x: torch.Tensor, *, blocksize: int) -> torch.Tensor:
    """Blocks become channels: [N, C, H * b, W * b] -> [N, b * b * C, H, W].

    Source: ONNX SpaceToDepth-13.
    """
    n, c, h, w = x.shape
    b = blocksize
    blocks = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
    return blocks.reshape(n, c * b * b, h // b, w // b)


OPERATORS: dict[str, Callable[..., Any]] = {
    "DepthToSpace": depth_to_space,
    "Dropout": dropout,
    "Expand": expand,
    "Flatten": flatten,
    "Identity": identity,
    "Reshape": reshape,
    "SpaceToDepth": space_to_depth,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
