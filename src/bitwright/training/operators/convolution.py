"""Conv and ConvTranspose, of one to three spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from bitwright.training.operators.refusal import require
from bitwright.training.operators.windows import padded, windows

_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSE = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def conv(
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Slide filters over an image.

    Args:
        x: [N, C, *spatial].
        w: [O, C / group, *kernel]; `kernel_shape` says the same again.
        b: [O].
        pads: all beginnings, then all ends.

    Source: ONNX Conv-22.
    """
    rank = _spatial_rank(x)
    spatial = windows(x.shape[2:], w.shape[2:], strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    if all(window.begin == window.end for window in spatial):
        padding = [window.begin for window in spatial]
    else:
        x, padding = padded(x, spatial, 0), [0] * rank
    steps, gaps = [window.stride for window in spatial], [window.dilation for window in spatial]
    return _CONV[rank](x, w, b, stride=steps, padding=padding, dilation=gaps, groups=group)


def conv_transpose(
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """The transpose of Conv: every element puts a filter into the result.

        out = stride * (size - 1) + reach + output_padding - begin - end

    Args:
        x: [N, C, *spatial].
        w: [C, O / group, *kernel]; `kernel_shape` says the same again.
        b: [O].
        output_shape: the spatial sizes of the result; the pads follow from it.

    Source: ONNX ConvTranspose-22.
    """
    rank = _spatial_rank(x)
    strides, dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
    pads, extra = pads or [0] * (2 * rank), output_padding or [0] * rank
    full = _TRANSPOSE[rank](x, w, None, stride=strides, padding=0, groups=group, dilation=dilations)
    if output_shape is None and auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        output_shape = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    borders: list[int] = []
    for i in reversed(range(rank)):
        if output_shape is not None:
            total = full.shape[2 + i] + extra[i] - output_shape[i]
            begin = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            end = total - begin
        else:
            begin, end = (0, 0) if auto_pad == "VALID" else (pads[i], pads[i + rank])
        borders += [-begin, extra[i] - end]
    y = functional.pad(full, borders) if any(borders) else full
    return y if b is None else y + b.to(y.dtype).reshape(-1, *[1] * rank)


def _spatial_rank(x: torch.Tensor) -> int:
    rank: int = x.dim() - 2
    require(rank in _CONV, f"a convolution over {rank} spatial dimensions", "it must have one to three")
    return rank


OPERATORS: dict[str, Callable[..., Any]] = {"Conv": conv, "ConvTranspose": conv_transpose}
