"""Operators that take a part of a tensor, in the engine beside the numpy references."""

from __future__ import annotations

import numpy as np
import pytest
from engine_checks import assert_equals_reference
from hypothesis import assume, given
from hypothesis import strategies as st
from movement_programs import EXAMPLES, TYPES, numbers, one_operator, shapes, tensor

from bitwright.errors import ModelError
from bitwright.program.options import (
    GatherOptions,
    SplitOptions,
    SplitVOptions,
    StridedSliceOptions,
    UnpackOptions,
)
from bitwright.runtime.steps.registry import steps_of

ROUNDING = ("tflite_double",)


@EXAMPLES
@given(data=st.data())
def test_slice_is_that_of_the_reference(data):
    """A box of elements, empty ones too."""
    shape = data.draw(shapes)
    begin = [data.draw(st.integers(0, size - 1)) for size in shape]
    sizes = [data.draw(st.integers(0, size - start)) for size, start in zip(shape, begin, strict=True)]
    x = tensor("x", shape, data.draw(st.sampled_from(TYPES)))

    assert_equals_reference(one_operator("SLICE", [x, numbers("b", begin), numbers("s", sizes)]), roundings=ROUNDING)


@EXAMPLES
@given(data=st.data())
def test_strided_slice_is_that_of_the_reference(data):
    """Steps of any sign, with every mask."""
    shape = data.draw(shapes)
    count = data.draw(st.integers(1, len(shape)))
    begin, end = (data.draw(st.lists(st.integers(-9, 9), min_size=count, max_size=count)) for _ in range(2))
    strides = data.draw(st.lists(st.sampled_from([1, 1, 2, 3, -1, -2]), min_size=count, max_size=count))
    mask = st.integers(0, (1 << count) - 1)
    options = StridedSliceOptions(
        begin_mask=data.draw(mask),
        end_mask=data.draw(mask),
        ellipsis_mask=data.draw(st.just(0) | st.sampled_from([1 << i for i in range(count)])),
        new_axis_mask=data.draw(mask),
        shrink_axis_mask=data.draw(mask),
    )
    operands = [tensor("x", shape, data.draw(st.sampled_from(TYPES))), numbers("b", begin), numbers("e", end)]
    try:
        program = one_operator("STRIDED_SLICE", [*operands, numbers("s", strides)], options)
    except ModelError:
        assume(False)
    assume(len(program.tensors["y0"].shape) <= 6)

    assert_equals_reference(program, roundings=ROUNDING)


@EXAMPLES
@given(data=st.data())
def test_gather_is_that_of_the_reference(data):
    """Constant indices of any shape, along any axis."""
    shape = data.draw(shapes)
    axis = data.draw(st.integers(0, len(shape) - 1))
    places = data.draw(st.lists(st.integers(1, 5), min_size=0, max_size=2))
    indices = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, shape[axis], places)
    x = tensor("x", shape, data.draw(st.sampled_from(TYPES)))

    program = one_operator("GATHER", [x, numbers("i", indices, "i64")], GatherOptions(axis=axis))

    assert_equals_reference(program, roundings=ROUNDING)


@EXAMPLES
@given(data=st.data())
def test_parts_are_those_of_the_reference(data):
    """SPLIT, SPLIT_V and UNPACK give every part."""
    shape = data.draw(shapes)
    axis = data.draw(st.integers(0, len(shape) - 1))
    dtype = data.draw(st.sampled_from(["f32", "i8", "u8", "i16", "i32"]))
    x, along = tensor("x", shape, dtype), numbers("axis", axis)
    first = data.draw(st.integers(0, shape[axis]))
    parts = data.draw(st.sampled_from([n for n in range(1, shape[axis] + 1) if shape[axis] % n == 0 and n <= 8]))

    for program in (
        one_operator("SPLIT", [along, x], SplitOptions(parts), results=parts),
        one_operator("SPLIT_V", [x, numbers("sizes", [first, -1]), along], SplitVOptions(2), results=2),
        one_operator("UNPACK", [x], UnpackOptions(shape[axis], axis), results=shape[axis]),
    ):
        assert_equals_reference(program, roundings=ROUNDING)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        pytest.param(
            one_operator("GATHER", [tensor("x", (2, 3), "f32"), tensor("i", (2,), "i32")], GatherOptions()),
            "'i' is computed while the model runs",
            id="indices",
        ),
        pytest.param(
            one_operator("GATHER", [tensor("x", (2, 3), "f32"), numbers("i", [2])], GatherOptions()),
            "an index is outside the operand",
            id="outside",
        ),
        pytest.param(
            one_operator(
                "GATHER", [tensor("x", (2, 3), "f32"), numbers("i", [[0], [1]])], GatherOptions(axis=1, batch_dims=1)
            ),
            "indices are its own for each of 1 leading dimensions",
            id="batch",
        ),
    ],
)
def test_slicing_says_why_the_engine_leaves_it(program, reason):
    """The references run what the engine cannot know beforehand, and tell what is wrong."""
    assert (reason,) == steps_of(program)
