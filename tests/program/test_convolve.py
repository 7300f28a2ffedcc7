"""Sums of products are exact, however many and large they are."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.program.convolve import convolve, convolve_depthwise, convolve_transposed, matrix_product
from bitwright.program.operator import Padding

ONE = (1, 1)


@pytest.mark.parametrize("largest", [3, 255, 32768], ids=["small", "8-bit", "16-bit"])
@pytest.mark.parametrize("depth", [1, 500, 4001])
def test_matrix_product_of_integers_is_exact(largest, depth):
    """Odd sums beyond 2**24 as well, which float32 does not hold."""
    a, b = np.full((2, depth), largest), np.full((depth, 3), 127)
    a[1, 0] -= 2

    expected = [[largest * depth * 127] * 3, [(largest * depth - 2) * 127] * 3]

    assert expected == matrix_product(a, b).tolist()


def test_convolutions_of_integers_are_exact():
    """Windows of thousands of elements, each as large as it gets."""
    x, size = np.full((1, 7, 7, 101), 255), {"stride": ONE, "padding": Padding.VALID}
    kernel = np.full((1, 7, 7, 101), 127)
    channel = 255 * 127 * 49
    whole = channel * 101

    assert whole == convolve(x, kernel, dilation=ONE, **size).item()
    assert [channel] * 101 == convolve_depthwise(x, kernel[0], dilation=ONE, **size).ravel().tolist()
    assert whole == convolve_transposed(x, kernel, (13, 13), **size).max()


def test_convolution_of_floats_stays_in_float32():
    """As LiteRT's kernels have it."""
    x, kernel = np.ones((1, 3, 3, 2), np.float32), np.ones((4, 2, 2, 2), np.float32)

    assert np.float32 == convolve(x, kernel, stride=ONE, dilation=ONE, padding=Padding.SAME).dtype
    assert np.float32 == convolve_transposed(x, kernel, (3, 3), stride=ONE, padding=Padding.SAME).dtype


def test_matrix_product_broadcasts_leading_dimensions():
    """As numpy does."""
    a, b = np.arange(12).reshape(2, 1, 2, 3), np.arange(9).reshape(3, 3, 1)

    np.testing.assert_array_equal(a @ b, matrix_product(a, b))
