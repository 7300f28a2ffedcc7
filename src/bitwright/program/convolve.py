"""Sums of products: convolutions and matrix products over plain numbers, exact for integers.

Integers are multiplied in floats, which BLAS is fast at: float32 or float64, whichever holds every partial sum exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.program.operator import Padding
from bitwright.program.tensor import Array
from bitwright.program.window import padding_before, windows

Floats = NDArray[np.floating[Any]]
#: (of H, of W).
Pair = tuple[int, int]

#: Elements that are laid out as a matrix at a time.
_BLOCK = 1 << 21


def as_exact_floats(a: Array, b: Array, terms: int) -> tuple[Floats, Floats]:
    """Both in a float type that holds every sum of `terms` products of their elements; floats as they are.

    >>> [x.dtype.name for x in as_exact_floats(np.int32([255]), np.int32([-127]), 512)]
    ['float32', 'float32']
    """
    if a.dtype.kind == "f":
        return a, b
    largest = [int(np.abs(x).max(initial=0)) for x in (a, b)]
    kind = np.float32 if largest[0] * largest[1] * terms < 1 << 24 else np.float64
    return a.astype(kind), b.astype(kind)


def _as_given(sums: Floats, a: Array) -> Array:
    return sums if a.dtype.kind == "f" else sums.astype(np.int64)


def matrix_product(a: Array, b: Array) -> Array:
    """The product of a [...,M,K] and b [...,K,N], leading dimensions broadcast: floats, or int64 of integers.

    >>> matrix_product(np.int32([[1, 2]]), np.int32([[3], [4]])).tolist()
    [[11]]
    """
    left, right = as_exact_floats(a, b, a.shape[-1])
    return _as_given(left @ right, a)


def convolve(x: Array, kernel: Array, *, stride: Pair, dilation: Pair, padding: Padding) -> Array:
    """A grouped convolution.

    Args:
        x: [N,H,W,C], 0 beyond the border.
        kernel: [O,KH,KW,C/G].
        stride, dilation, padding: of the window.

    Returns:
        [N,OH,OW,O]: floats, or int64 of integers.
    """
    results, height, width, depth = kernel.shape
    groups = x.shape[3] // depth
    data, weights = as_exact_floats(x, kernel, height * width * depth)
    seen = windows(data, (height, width), stride, dilation, padding)
    images, rows, columns = seen.shape[:3]
    matrices = weights.reshape(groups, results // groups, -1).transpose(0, 2, 1)
    row_elements = columns * height * width * x.shape[3]
    step = max(1, min(rows, _BLOCK // row_elements))
    images_step = max(1, _BLOCK // (rows * row_elements))
    sums = np.empty((images, rows, columns, results), data.dtype)
    for image in range(0, images, images_step):
        for row in range(0, rows, step):
            block = seen[image : image + images_step, row : row + step]
            place = sums[image : image + images_step, row : row + step]
            parts = block.reshape(-1, height * width, groups, depth).transpose(2, 0, 1, 3)
            product = parts.reshape(groups, -1, height * width * depth) @ matrices
            place[...] = product.transpose(1, 0, 2).reshape(place.shape)
    return _as_given(sums, x)


def convolve_depthwise(x: Array, kernel: Array, *, stride: Pair, dilation: Pair, padding: Padding) -> Array:
    """Every channel with filters of its own.

    Args:
        x: [N,H,W,C], 0 beyond the border.
        kernel: [KH,KW,C*M]: the M filters of a channel lie together.
        stride, dilation, padding: of the window.

    Returns:
        [N,OH,OW,C*M]: floats, or int64 of integers.
    """
    height, width, results = kernel.shape
    data, weights = as_exact_floats(x, kernel, height * width)
    seen = windows(data, (height, width), stride, dilation, padding)
    channels = x.shape[3]
    by_channel = weights.reshape(height, width, channels, results // channels)
    sums = np.zeros((*seen.shape[:3], *by_channel.shape[2:]), data.dtype)
    for row in range(height):
        for column in range(width):
            sums += seen[:, :, :, row, column, :, None] * by_channel[row, column]
    return _as_given(sums.reshape(*seen.shape[:3], results), x)


def convolve_transposed(x: Array, kernel: Array, size: Pair, *, stride: Pair, padding: Padding) -> Array:
    """Every element of x adds its multiple of the kernel to the result.

    Args:
        x: [N,H,W,C].
        kernel: [O,KH,KW,C].
        size: (OH,OW) of the result: what lies beyond is dropped.
        stride: how far kernels of neighbours are apart.
        padding: that of the convolution which takes `size` to (H,W).

    Returns:
        [N,OH,OW,O]: floats, or int64 of integers.
    """
    results, height, width, depth = kernel.shape
    terms = depth * -(-height // stride[0]) * -(-width // stride[1])
    data, weights = as_exact_floats(x, kernel, terms)
    images, rows, columns, _ = x.shape
    (top, _), (left, _) = (
        padding_before(size[axis], kernel.shape[axis + 1], stride[axis], 1, padding) for axis in range(2)
    )
    reach = [
        max((n - 1) * s + k, o + b)
        for n, s, k, o, b in zip((rows, columns), stride, (height, width), size, (top, left), strict=True)
    ]
    sums = np.zeros((images, *reach, results), data.dtype)
    for row in range(height):
        for column in range(width):
            place = sums[:, row :: stride[0], column :: stride[1]][:, :rows, :columns]
            place += data @ weights[:, row, column].T
    return _as_given(sums[:, top : top + size[0], left : left + size[1]], x)
