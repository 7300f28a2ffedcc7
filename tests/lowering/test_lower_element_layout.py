"""Layouts of elements: what they say is what numpy does."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.lowering.element_layout import (
    channel_layout,
    channels_last,
    dims_moved,
    permutation,
    placed,
    row_major,
    split_by_dims,
    stored_perm,
    transposed,
    with_channels,
)

DRAWN = settings(max_examples=60, deadline=None, derandomize=True)
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def stored(array: np.ndarray, perm: tuple[int, ...]) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(perm)).reshape(-1)


@DRAWN
@given(shape=SHAPES, data=st.data())
def test_layout_transposing_a_value_moves_no_element(shape, data):
    """The transposed value's layout finds the same elements in the same tensor."""
    array = np.arange(math.prod(shape)).reshape(shape)
    held, perm = (tuple(data.draw(st.permutations(range(len(shape))))) for _ in range(2))

    layout = transposed(placed(shape, held), shape, perm)

    assert layout is not None
    assert stored(array, held).tolist() == layout.arranged(array.transpose(perm)).tolist()


@DRAWN
@given(shape=SHAPES, data=st.data())
def test_layout_permutation_brings_one_order_into_another(shape, data):
    """Seen in the given shape and transposed, a tensor of the first layout is one of the second."""
    array = np.arange(math.prod(shape)).reshape(shape)
    one, other = (tuple(data.draw(st.permutations(range(len(shape))))) for _ in range(2))

    seen, perm = permutation(placed(shape, one), placed(shape, other))

    assert stored(array, other).tolist() == stored(array, one).reshape(seen).transpose(perm).reshape(-1).tolist()


@DRAWN
@given(shape=SHAPES, data=st.data())
def test_layout_knows_the_order_of_dimensions_it_was_made_of(shape, data):
    """With the tensor's own shape as a hint, dimensions of one element come out where they were."""
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    layout = placed(shape, perm)

    found = stored_perm(layout, shape, [shape[p] for p in perm])

    assert found is not None
    assert layout == placed(shape, found)
    assert [shape[p] for p in perm] == [shape[p] for p in found]


def test_layout_of_one_element_dimensions_is_row_major():
    """Moving dimensions of one element changes nothing."""
    assert row_major((1, 1, 28, 28)) == placed((1, 1, 28, 28), channels_last(4))


def test_layout_refuses_a_dimension_that_straddles_a_factor():
    """A transposed [6, 4] has no dimensions [4, 6]; it has [2, 3, 4]."""
    layout = placed((6, 4), (1, 0))

    assert split_by_dims(layout, (4, 6)) is None
    assert split_by_dims(layout, (2, 3, 4))[1] == [[0], [1], [2]]


def test_layout_shuffled_channels_are_seen_as_an_order_of_channels():
    """[1, 6, 2, 2] channels last, channels as [2, 3] swapped: the places are as usual, channels run 0, 2, 4, 1, ..."""
    swapped = transposed(placed((1, 6, 2, 2), channels_last(4)), (1, 3, 2, 2, 2), (0, 2, 1, 3, 4))

    channels = channel_layout(swapped, (1, 6, 2, 2))

    assert channels.arranged(np.arange(6)).tolist() == [0, 3, 1, 4, 2, 5]
    assert swapped == with_channels((1, 6, 2, 2), channels)


def test_layout_moves_dimensions_as_a_permutation_of_factors_does():
    """[1, 2, 5, 3] holds the factors 10 and 3; swapped, its own dimensions are [1, 3, 2, 5]."""
    assert dims_moved((1, 2, 5, 3), (10, 3), (1, 0)) == (0, 3, 1, 2)
    assert dims_moved((30,), (10, 3), (1, 0)) is None
