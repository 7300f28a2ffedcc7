"""Operators that join tensors, in the engine beside the numpy references."""

from __future__ import annotations

from engine_checks import assert_equals_reference
from hypothesis import given
from hypothesis import strategies as st
from movement_programs import EXAMPLES, SIZES, TYPES, one_operator, shapes, tensor

from bitwright.program.options import ConcatenationOptions, PackOptions


@EXAMPLES
@given(data=st.data())
def test_concatenation_is_that_of_the_reference(data):
    """Operands of different sizes, along any axis."""
    shape = data.draw(shapes)
    axis = data.draw(st.integers(0, len(shape) - 1))
    dtype = data.draw(st.sampled_from(TYPES))
    sizes = data.draw(st.lists(SIZES, min_size=1, max_size=3))
    operands = [tensor(f"x{i}", (*shape[:axis], size, *shape[axis + 1 :]), dtype) for i, size in enumerate(sizes)]

    program = one_operator("CONCATENATION", operands, ConcatenationOptions(axis - len(shape)))

    assert_equals_reference(program, roundings=("tflite_double",), threads=(1, 2))


@EXAMPLES
@given(data=st.data())
def test_concatenation_of_u8_brings_operands_to_the_scale_of_the_result(data):
    """Operands of other parameters go through a table, one of the same does not."""
    result = tensor("like", (), "u8", scale=0.1, zero_point=data.draw(st.integers(0, 255)))
    operands = [
        tensor("x0", (2, 33), "u8", scale=data.draw(st.floats(0.01, 1)), zero_point=data.draw(st.integers(0, 255))),
        tensor("x1", (2, 3), "u8", scale=0.1, zero_point=result.zero_point),
    ]

    program = one_operator("CONCATENATION", operands, ConcatenationOptions(1), like=result)

    assert_equals_reference(program)


@EXAMPLES
@given(data=st.data())
def test_pack_is_that_of_the_reference(data):
    """Operands of one shape along a new axis."""
    shape = data.draw(shapes)
    count, axis = data.draw(st.integers(1, 3)), data.draw(st.integers(0, len(shape)))
    dtype = data.draw(st.sampled_from(["f32", "i8", "u8", "i16", "i32", "i64"]))
    operands = [tensor(f"x{i}", shape, dtype) for i in range(count)]

    assert_equals_reference(one_operator("PACK", operands, PackOptions(count, axis)), roundings=("tflite_double",))
