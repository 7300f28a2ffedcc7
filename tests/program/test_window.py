"""How windows are placed at the border."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.errors import ModelError
from bitwright.program.operator import Padding
from bitwright.program.window import output_size, padding_before, windows


@pytest.mark.parametrize(
    ("size", "window", "stride", "dilation", "padding", "expected"),
    [
        pytest.param(7, 3, 2, 1, Padding.SAME, (4, 1, 1), id="same"),
        pytest.param(8, 3, 2, 1, Padding.SAME, (4, 0, 1), id="same-odd-sum"),
        pytest.param(5, 1, 3, 1, Padding.SAME, (2, 0, 0), id="same-window-below-stride"),
        pytest.param(7, 3, 1, 2, Padding.SAME, (7, 2, 2), id="same-dilated"),
        pytest.param(7, 3, 2, 1, Padding.VALID, (3, 0, 0), id="valid"),
        pytest.param(7, 3, 2, 3, Padding.VALID, (1, 0, 0), id="valid-dilated"),
    ],
)
def test_window_is_placed_as_tflite_has_it(size, window, stride, dilation, padding, expected):
    """How many windows, and the border before and after."""
    assert expected == (
        output_size(size, window, stride, dilation, padding),
        *padding_before(size, window, stride, dilation, padding),
    )


@pytest.mark.parametrize(
    ("size", "window", "stride", "dilation"),
    [(2, 3, 1, 1), (4, 3, 1, 2), (0, 1, 1, 1), (5, 0, 1, 1), (5, 1, 0, 1), (5, 1, 1, 0)],
    ids=["too-large", "too-far", "nothing", "no-window", "no-stride", "no-dilation"],
)
def test_window_that_does_not_fit_is_refused(size, window, stride, dilation):
    """With padding VALID."""
    with pytest.raises(ModelError, match="window"):
        output_size(size, window, stride, dilation, Padding.VALID)


def test_windows_see_zeros_beyond_the_border():
    """Their first one hangs over the upper left corner."""
    x = np.arange(1, 10).reshape(1, 3, 3, 1)

    seen = windows(x, (3, 3), (2, 2), (1, 1), Padding.SAME)

    assert seen.shape == (1, 2, 2, 3, 3, 1)
    assert seen[0, 0, 0, :, :, 0].tolist() == [[0, 0, 0], [0, 1, 2], [0, 4, 5]]
    assert seen[0, 1, 1, :, :, 0].tolist() == [[5, 6, 0], [8, 9, 0], [0, 0, 0]]
