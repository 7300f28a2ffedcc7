"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR, in the engine beside the numpy references."""

from __future__ import annotations

import pytest
from engine_checks import assert_equals_reference
from hypothesis import given
from hypothesis import strategies as st
from movement_programs import EXAMPLES, SIZES, numbers, one_operator, tensor

from bitwright.program.options import ResizeBilinearOptions, ResizeNearestNeighborOptions
from bitwright.runtime.steps.registry import steps_of


def resized(kind, shape, size, dtype, align_corners, half_pixel_centers):
    options = {"RESIZE_BILINEAR": ResizeBilinearOptions, "RESIZE_NEAREST_NEIGHBOR": ResizeNearestNeighborOptions}[kind]
    operands = [tensor("x", shape, dtype), numbers("size", size)]
    return one_operator(kind, operands, options(align_corners=align_corners, half_pixel_centers=half_pixel_centers))


@pytest.mark.parametrize("dtype", ["f32", "i8", "u8", "i16"])
@pytest.mark.parametrize("kind", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
@EXAMPLES
@given(data=st.data())
def test_resize_is_that_of_the_reference(kind, dtype, data):
    """Any sizes to any sizes, in every rounding."""
    shape = (data.draw(st.integers(1, 2)), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)), data.draw(SIZES))
    size = [data.draw(st.integers(1, 20)) for _ in range(2)]
    flags = data.draw(st.sampled_from([(False, False), (True, False), (False, True)]))

    assert_equals_reference(resized(kind, shape, size, dtype, *flags))


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_bilinear_of_whole_factors_is_that_of_the_reference(factor, dtype):
    """Weights of few bits, whose sums kernels keep in 16."""
    for centers in (False, True):
        program = resized("RESIZE_BILINEAR", (1, 5, 4, 17), [5 * factor, 4 * factor], dtype, False, centers)

        assert_equals_reference(program, threads=(1, 2))


def test_bilinear_is_left_where_rounded_positions_leave_the_image():
    """The scale of 10 bits is rounded: 66 times one pixel are more than that pixel."""
    program = resized("RESIZE_BILINEAR", (1, 1, 1, 1), [1, 66], "i8", False, False)

    assert steps_of(program) == ("rounded positions leave the image",)
