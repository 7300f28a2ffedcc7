"""MaxPool, AveragePool, LpPool and their global forms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from bitwright.training.operators.refusal import require
from bitwright.training.operators.windows import Window, padded, windows

_MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def max_pool(
    x: torch.Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
    outputs: int = 1,
) -> Any:
    """The largest element of each window; a second output says where it is in x, counted over all of x row by row.

    Source: ONNX MaxPool-22.
    """
    require(storage_order == 0, "MaxPool with indices column by column", "export the model with storage_order 0")
    spatial = _spatial(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    lowest = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    values, indices = _MAX[len(spatial)](
        padded(x, spatial, lowest),
        kernel_size=[w.kernel for w in spatial],
        stride=[w.stride for w in spatial],
        dilation=[w.dilation for w in spatial],
        return_indices=True,
    )
    return values if outputs == 1 else (values, _unpadded(indices, x.shape, spatial))


def _unpadded(indices: torch.Tensor, shape: Sequence[int], spatial: Sequence[Window]) -> torch.Tensor:
    """Positions in one padded plane as positions in the whole of the data."""
    place, step = torch.zeros_like(indices), 1
    for window in reversed(spatial):
        length = window.begin + window.size + window.end + window.beyond
        place = place + (indices % length - window.begin) * step
        indices, step = indices // length, step * window.size
    planes = torch.arange(shape[0] * shape[1], device=place.device).reshape(*shape[:2], *[1] * len(spatial))
    return place + planes * step


def average_pool(
    x: torch.Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """The mean of each window: over the data in it, or over data and padding where `count_include_pad` is set.

    Source: ONNX AveragePool-22.
    """
    spatial = _spatial(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    means = _means(padded(x, spatial, 0), spatial)
    counts = [_counts(window, count_include_pad) for window in spatial]
    if all(set(own) == {window.kernel} for own, window in zip(counts, spatial, strict=True)):
        return means
    for axis, (own, window) in enumerate(zip(counts, spatial, strict=True), start=2):
        shares = torch.tensor([window.kernel / n for n in own], dtype=x.dtype, device=x.device)
        means = means * shares.reshape(-1, *[1] * (x.dim() - 1 - axis))
    return means


def _counts(window: Window, count_include_pad: int) -> list[int]:
    """How many elements each window of a dimension counts: the last windows of ceil_mode reach beyond the padding."""
    low, high = (-window.begin, window.size + window.end) if count_include_pad else (0, window.size)
    starts = [i * window.stride - window.begin for i in range(window.out)]
    return [sum(low <= start + k * window.dilation < high for k in range(window.kernel)) for start in starts]


def lp_pool(
    x: torch.Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """`y` = (sum |x| ** p) ** (1 / p) over each window.

    Source: ONNX LpPool-22.
    """
    spatial = _spatial(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    area = math.prod(w.kernel for w in spatial)
    return (_means(padded(x.abs() ** p, spatial, 0), spatial) * area) ** (1 / p)


def _means(x: torch.Tensor, spatial: Sequence[Window]) -> torch.Tensor:
    """The mean of every window over padded data; PyTorch's pooling has no dilation, its convolution has."""
    rank, kernel, stride = len(spatial), [w.kernel for w in spatial], [w.stride for w in spatial]
    if all(w.dilation == 1 for w in spatial):
        return _AVERAGE[rank](x, kernel, stride)
    planes = x.reshape(-1, 1, *x.shape[2:])
    ones = torch.full((1, 1, *kernel), 1 / math.prod(kernel), dtype=x.dtype, device=x.device)
    means = _CONV[rank](planes, ones, stride=stride, dilation=[w.dilation for w in spatial])
    return means.reshape(*x.shape[:2], *means.shape[2:])


def _spatial(
    x: torch.Tensor,
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: int,
) -> list[Window]:
    rank = x.dim() - 2
    require(rank in _MAX, f"pooling over {rank} spatial dimensions", "it must have one to three")
    return windows(
        x.shape[2:], kernel, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad, ceil_mode=ceil_mode
    )


def global_average_pool(x: torch.Tensor) -> torch.Tensor:
    """The mean of each channel, [N, C, 1, ...]."""
    return x.mean(tuple(range(2, x.dim())), keepdim=True)


def global_max_pool(x: torch.Tensor) -> torch.Tensor:
    """The largest element of each channel, [N, C, 1, ...]; equal ones share the gradient."""
    return x.amax(tuple(range(2, x.dim())), keepdim=True)


def global_lp_pool(x: torch.Tensor, *, p: int = 2) -> torch.Tensor:
    """`y` = (sum |x| ** p) ** (1 / p) over each channel, [N, C, 1, ...]."""
    return torch.linalg.vector_norm(x, p, tuple(range(2, x.dim())), keepdim=True)


OPERATORS: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": global_max_pool,
    "LpPool": lp_pool,
    "MaxPool": max_pool,
}
