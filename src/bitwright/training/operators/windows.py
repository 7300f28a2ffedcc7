"""Windows that slide over images: pads made explicit and result sizes, for convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Window:
    """How a window slides along one spatial dimension.

    Args:
        size: elements of the data.
        kernel, stride, dilation: of the window.
        begin, end: elements of padding before and after the data.
        out: windows there are.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    begin: int
    end: int
    out: int

    @property
    def reach(self) -> int:
        """Elements from the first to the last that a window reads."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def beyond(self) -> int:
        """Elements that the last window reads beyond the padded data; ceil_mode has such windows."""
        return max((self.out - 1) * self.stride + self.reach - (self.begin + self.size + self.end), 0)


def windows(
    sizes: Sequence[int],
    kernel: Sequence[int],
    *,
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: int = 0,
) -> list[Window]:
    """One window for each spatial dimension.

        out = floor((size + begin + end - reach) / stride) + 1; ceil with ceil_mode

    SAME_UPPER and SAME_LOWER pad so that out = ceil(size / stride), the odd element at the end or at the beginning;
    VALID pads nothing. A window that ceil_mode adds is dropped when it starts in the padding at the end.

    Source: ONNX Conv-22 and MaxPool-22.
    """
    rank = len(sizes)
    strides, dilations, pads = strides or [1] * rank, dilations or [1] * rank, pads or [0] * (2 * rank)
    made = []
    for i, size in enumerate(sizes):
        stride, reach = strides[i], (kernel[i] - 1) * dilations[i] + 1
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            out = -(-size // stride)
            total = max((out - 1) * stride + reach - size, 0)
            begin = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            end = total - begin
        else:
            begin, end = (0, 0) if auto_pad == "VALID" else (pads[i], pads[i + rank])
            room = size + begin + end - reach
            out = (-(-room // stride) if ceil_mode else room // stride) + 1
            if ceil_mode and (out - 1) * stride >= size + begin:
                out -= 1
        made.append(Window(size, kernel[i], stride, dilations[i], begin, end, out))
    return made


def padded(x: torch.Tensor, spatial: Sequence[Window], value: float) -> torch.Tensor:
    """`x` with its padding, and with what its last windows read beyond it, filled with a value."""
    pads = [n for w in reversed(spatial) for n in (w.begin, w.end + w.beyond)]
    return functional.pad(x, pads, value=value) if any(pads) else x
