"""Resize: one dimension after the other, each result element a weighted sum of a few of the data.

The places and weights follow ONNX Resize-19; antialias, tf_crop_and_resize and kept aspect ratios are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from bitwright.training.operators.refusal import refuse, require

_NEAREST: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(
    x: torch.Tensor,
    roi: torch.Tensor | None = None,
    scales: torch.Tensor | None = None,
    sizes: torch.Tensor | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> torch.Tensor:
    """`x` in other sizes: floor(size * scale) along each of the axes, or as `sizes` says.

    `roi` and `extrapolation_value` belong to tf_crop_and_resize.

    Source: ONNX Resize-19.
    """
    require(not antialias, "Resize with antialias", "export the network without it")
    require(keep_aspect_ratio_policy == "stretch", "Resize that keeps the aspect ratio", "give it the sizes")
    named = range(x.dim()) if axes is None else [axis % x.dim() for axis in axes]
    for axis, out, scale in _wanted(x.shape, list(named), scales, sizes):
        size = x.shape[axis]
        if out == size and scale == 1:
            continue
        where = _places(coordinate_transformation_mode, size, out, scale)
        if mode == "nearest":
            taps, weights = _NEAREST[nearest_mode](where)[None], None
        elif mode == "linear":
            taps, weights = _linear(where)
        else:
            taps, weights = _cubic(where, cubic_coeff_a)
        if weights is not None and exclude_outside:
            weights = np.where((taps >= 0) & (taps < size), weights, 0)
            weights = weights / weights.sum(0)
        x = _combined(x, axis, np.clip(taps, 0, size - 1), weights)
    return x


def _wanted(
    shape: Sequence[int], axes: list[int], scales: torch.Tensor | None, sizes: torch.Tensor | None
) -> list[tuple[int, int, float]]:
    """The axes with the size and the scale of each: a scale is taken as given, not as the sizes' quotient."""
    if sizes is not None and sizes.numel():
        return [(axis, out, out / shape[axis]) for axis, out in zip(axes, sizes.tolist(), strict=True)]
    factors = [] if scales is None else scales.tolist()
    # The product in float32, as runtimes have it: 10 * 1.3 is 13.
    return [
        (axis, int(np.float32(shape[axis]) * np.float32(factor)), factor)
        for axis, factor in zip(axes, factors, strict=True)
    ]


def _places(mode: str, size: int, out: int, scale: float) -> np.ndarray:
    """Where each result element lies in the data."""
    x = np.arange(out, dtype=np.float64)
    if mode == "asymmetric":
        return x / scale
    if mode == "align_corners":
        return x * ((size - 1) / (out - 1) if out > 1 else 0.0)
    if mode == "half_pixel_symmetric":
        return size / 2 * (1 - out / (scale * size)) + (x + 0.5) / scale - 0.5
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and out > 1):
        return (x + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return np.zeros(1)
    raise refuse(f"Resize with coordinates {mode}", "export the network with half_pixel, asymmetric or align_corners")


def _linear(where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two neighbours of each place and their weights, [2, out]."""
    below = np.floor(where)
    far = where - below
    return np.stack([below, below + 1]), np.stack([1 - far, far])


def _cubic(where: np.ndarray, a: float) -> tuple[np.ndarray, np.ndarray]:
    """The four neighbours of each place and their weights, [4, out].

    Source: Keys 1981, Cubic convolution interpolation, equation 15 with a free.
    """
    below = np.floor(where)
    far = where - below
    taps = np.stack([below - 1, below, below + 1, below + 2])
    inner = [((a + 2) * d - (a + 3)) * d * d + 1 for d in (far, 1 - far)]
    outer = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (1 + far, 2 - far)]
    return taps, np.stack([outer[0], inner[0], inner[1], outer[1]])


def _combined(x: torch.Tensor, axis: int, taps: np.ndarray, weights: np.ndarray | None) -> torch.Tensor:
    """The sum over the taps of their weights times the elements they point to."""
    picked = [x.index_select(axis, torch.from_numpy(tap.astype(np.int64)).to(x.device)) for tap in taps]
    if weights is None:
        return picked[0]
    shape = (-1, *[1] * (x.dim() - 1 - axis))
    shares = torch.from_numpy(weights).to(x.device, x.dtype)
    return sum(part * share.reshape(shape) for part, share in zip(picked, shares, strict=True))


OPERATORS: dict[str, Callable[..., Any]] = {"Resize": resize}
