"""Windows that slide over NHWC tensors: how many there are, what is padded, and views of them."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from bitwright.errors import ModelError
from bitwright.program.operator import Padding
from bitwright.program.tensor import Array


def output_size(size: int, window: int, stride: int, dilation: int, padding: Padding) -> int:
    """How many windows there are along one dimension.

        SAME: ceil(size / stride); VALID: ceil((size - (window - 1) * dilation) / stride)

    Raises:
        ModelError: a stride, dilation or window below 1, or no whole window fits.

    Source: TensorFlow Lite padding.h, ComputeOutSize.

    >>> output_size(7, 3, 2, 1, Padding.SAME), output_size(7, 3, 2, 1, Padding.VALID)
    (4, 3)
    """
    if min(window, stride, dilation) < 1:
        raise ModelError(
            f"a window of {window} with stride {stride} and dilation {dilation} is none",
            next="all of them are 1 or more",
        )
    reach = 1 if padding == Padding.SAME else (window - 1) * dilation + 1
    count = (size - reach) // stride + 1
    if count < 1:
        raise ModelError(
            f"no window of {window} (dilation {dilation}) fits into {size}", next="pad the input, or use padding SAME"
        )
    return count


def padding_before(size: int, window: int, stride: int, dilation: int, padding: Padding) -> tuple[int, int]:
    """How much lies (before, after) one dimension; of an odd sum the larger half is after.

    Source: TensorFlow Lite padding.h, ComputePaddingWithOffset.

    >>> padding_before(7, 3, 2, 1, Padding.SAME), padding_before(8, 3, 2, 1, Padding.SAME)
    ((1, 1), (0, 1))
    """
    if padding == Padding.VALID:
        return 0, 0
    windows = output_size(size, window, stride, dilation, padding)
    total = max((windows - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def windows(
    x: Array, window: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: Padding
) -> Array:
    """Every window of x, zeros beyond its border, as a view that must not be written to.

    Args:
        x: [N,H,W,C].
        window, stride, dilation: of H and of W.
        padding: SAME or VALID.

    Returns:
        [N,OH,OW,KH,KW,C].

    >>> windows(np.arange(4).reshape(1, 2, 2, 1), (2, 2), (1, 1), (1, 1), Padding.VALID).ravel().tolist()
    [0, 1, 2, 3]
    """
    counts = [output_size(x.shape[a + 1], window[a], stride[a], dilation[a], padding) for a in range(2)]
    border = [padding_before(x.shape[a + 1], window[a], stride[a], dilation[a], padding) for a in range(2)]
    padded = np.pad(x, [(0, 0), *border, (0, 0)]) if any(map(any, border)) else x
    n, h, w, c = padded.strides
    shape = (x.shape[0], counts[0], counts[1], window[0], window[1], x.shape[3])
    strides = (n, h * stride[0], w * stride[1], h * dilation[0], w * dilation[1], c)
    return as_strided(padded, shape, strides, writeable=False)
