"""Copies between the caller's arrays and tensors of a plan, and borders around them."""

from __future__ import annotations

import numpy as np
import pytest
from engine_checks import USABLE_ISAS
from hypothesis import given
from hypothesis import strategies as st
from movement_programs import EXAMPLES, SIZES

from bitwright import _engine
from bitwright.runtime.segment import dense_strides

ARENA_BYTES = 1 << 22
DTYPES = {"u8": np.uint8, "i16": np.int16, "i32": np.int32, "i64": np.int64, "f32": np.float32}


def values(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(-100, 100, shape).astype(dtype)


@pytest.mark.parametrize("kind", DTYPES)
@EXAMPLES
@given(data=st.data())
def test_copy_turns_planes_into_pixels_and_back(kind, data):
    """An array of the caller's in NCHW becomes a tensor in NHWC with a border, which becomes an array in NCHW."""
    n, h, w, c = data.draw(st.integers(1, 2)), data.draw(SIZES), data.draw(SIZES), data.draw(SIZES)
    top, left = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))
    planes = values((n, c, h, w), DTYPES[kind])
    turned = [dense_strides(planes.shape)[axis] for axis in (0, 2, 3, 1)]
    around = dense_strides((n, h + 2 * top, w + 2 * left, c))
    start = (top * around[1] + left * around[2]) * planes.itemsize
    for isa in USABLE_ISAS:
        plan = _engine.Plan(isa, 1, n * around[0] * planes.itemsize)
        x, z = (plan.external(kind, (n, h, w, c), turned, index) for index in (0, 1))
        y = plan.tensor(kind, (n, h, w, c), around, start)
        plan.copy(x=x, y=y, bias=False)
        plan.copy(x=y, y=z, bias=False)
        made = np.zeros_like(planes)

        plan.run((planes,), [made])

        np.testing.assert_array_equal(made, planes)


@pytest.mark.parametrize("shape", [(1,), (5, 1), (3, 4, 5), (1, 30, 31, 3), (2, 3, 40, 17), (2, 1, 3, 2, 2, 4)])
@pytest.mark.parametrize("order", ["as-it-is", "turned"])
def test_copy_with_bias_stores_i8_as_u8(shape, order):
    """Q becomes q + 128, and comes back."""
    x = values(shape, np.int8)
    axes = range(len(shape)) if order == "as-it-is" else range(len(shape))[::-1]
    dims = [shape[axis] for axis in axes]
    turned = [dense_strides(shape)[axis] for axis in axes]
    for isa in USABLE_ISAS:
        plan = _engine.Plan(isa, 1, x.size)
        numbers = plan.external("u8", dims, turned, 0), plan.tensor("u8", dims, dense_strides(dims), 0)
        outputs = [plan.external("u8", dims, dense_strides(dims), index) for index in (1, 2)]
        plan.copy(x=numbers[0], y=numbers[1], bias=True)
        plan.copy(x=numbers[1], y=outputs[0], bias=False)
        plan.copy(x=numbers[1], y=outputs[1], bias=True)
        stored, back = np.empty(dims, np.uint8), np.empty(dims, np.int8)

        plan.run((x,), [stored, back])

        np.testing.assert_array_equal(stored, x.transpose(axes).astype(np.int16) + 128)
        np.testing.assert_array_equal(back, x.transpose(axes))


@pytest.mark.parametrize(("kind", "value"), [("u8", 128), ("i16", 0), ("i16", -300), ("i32", 70000)])
@pytest.mark.parametrize("border", [(1, 1, 1, 1), (0, 2, 0, 1), (3, 0, 2, 0), (0, 0, 1, 0)])
def test_fill_border_writes_the_border_alone(kind, value, border):
    """All of it is the value; the image, and what lies before and behind, stay."""
    top, bottom, left, right = border
    n, h, w, c = 2, 4, 5, 3
    around = (n, top + h + bottom, left + w + right, c)
    image = values((n, h, w, c), DTYPES[kind])
    expected = np.full(around, value, DTYPES[kind])
    expected[:, top : top + h, left : left + w] = image
    for isa in USABLE_ISAS:
        spare = 64
        size = expected.size + 2 * spare
        plan = _engine.Plan(isa, 1, size * expected.itemsize)
        before = plan.tensor(kind, (size,), (1,), 0)
        start = (spare + top * (left + w + right) * c + left * c) * expected.itemsize
        x = plan.tensor(kind, (n, h, w, c), dense_strides(around), start)
        given_array, given_image, made = (
            plan.external(kind, shape, dense_strides(shape), i)
            for i, shape in enumerate([(size,), image.shape, (size,)])
        )
        plan.copy(x=given_array, y=before, bias=False)
        plan.copy(x=given_image, y=x, bias=False)
        plan.fill_border(x=x, value=value, border=border)
        plan.copy(x=before, y=made, bias=False)
        untouched = values((size,), DTYPES[kind], 1)
        result = np.empty_like(untouched)

        plan.run((untouched, image), [result])

        np.testing.assert_array_equal(result[spare:-spare].reshape(around), expected)
        np.testing.assert_array_equal(result[:spare], untouched[:spare])
        np.testing.assert_array_equal(result[-spare:], untouched[-spare:])


def test_a_border_outside_the_arena_is_refused():
    """It would be written over whatever lies there."""
    plan = _engine.Plan("scalar", 1, 75)
    x = plan.tensor("u8", (1, 5, 5, 3), dense_strides((1, 5, 5, 3)), 0)

    with pytest.raises(IndexError, match="outside the arena"):
        plan.fill_border(x=x, value=0, border=(1, 1, 1, 1))


def test_copy_refuses_tensors_of_other_shapes():
    """Elements must have places to go to."""
    plan = _engine.Plan("scalar", 1, 128)
    x, y = (plan.tensor("u8", shape, dense_strides(shape), 0) for shape in [(2, 3), (3, 2)])

    with pytest.raises(ValueError, match="other shapes"):
        plan.copy(x=x, y=y, bias=False)
