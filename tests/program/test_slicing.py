"""SLICE, STRIDED_SLICE, GATHER and GATHER_ND beside LiteRT's own kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.program.definition import Call
from bitwright.program.options import GatherOptions, StridedSliceOptions
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.program.verify import verify

EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)
TYPES = ("f32", "i8", "u8", "i16", "i32", "i64")

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)


def tensor(peer, name, shape, dtype):
    shape = tuple(int(n) for n in shape)
    return peer.quantized(name, shape, dtype, scale=0.1) if dtype in ("i8", "u8", "i16") else Tensor(name, shape, dtype)


def numbers(peer, name, values, dtype="i32"):
    return peer.constant(name, np.array(values, DTYPES[dtype]), dtype)


def assert_same_in_both_resolvers(peer, program, seed, resolvers=("BUILTIN_REF", "DEFAULT")):
    x = program.tensors["x"]
    low, high = (0, 255) if x.dtype == "u8" else (-128, 127)
    drawn = np.random.default_rng(seed).integers(low, high, x.shape, endpoint=True)
    feeds = {"x": drawn.astype(DTYPES[x.dtype])}
    ours = peer.reference_run(program, feeds)
    for resolver in resolvers:
        assert peer.differing(peer.litert_run(program, feeds, resolver), ours) == 0


@pytest.mark.parametrize("dtype", TYPES)
@EXAMPLES
@given(data=st.data())
def test_slice_is_that_of_litert(peer, dtype, data):
    """A window of any place and size; -1 is all that is left."""
    shape = data.draw(shapes)
    begin = [data.draw(st.integers(0, n - 1)) for n in shape]
    result = [data.draw(st.integers(1, n - b)) for n, b in zip(shape, begin, strict=True)]
    rest = [b + r == n for n, b, r in zip(shape, begin, result, strict=True)]
    size = [-1 if whole and data.draw(st.booleans()) else r for r, whole in zip(result, rest, strict=True)]
    integers = data.draw(st.sampled_from(["i32", "i64"]))
    operands = [
        tensor(peer, "x", shape, dtype),
        numbers(peer, "begin", begin, integers),
        numbers(peer, "size", size, integers),
    ]

    program = peer.one_operator("SLICE", operands, tensor(peer, "y", result, dtype))

    assert_same_in_both_resolvers(peer, program, data.draw(seeds))


def strided(peer, dtype, shape, begin, end, strides, options):
    """A one-operator Program whose result is what the shape rule gives."""
    operands = [
        tensor(peer, "x", shape, dtype),
        *(numbers(peer, name, v) for name, v in (("b", begin), ("e", end), ("s", strides))),
    ]
    program = peer.one_operator("STRIDED_SLICE", operands, tensor(peer, "y", shape, dtype), options)
    operator = program.operators[0]
    (result,) = DEFINITIONS["STRIDED_SLICE"].infer(Call(operator, program.operands(operator), ()))
    return peer.one_operator("STRIDED_SLICE", operands, tensor(peer, "y", result, dtype), options)


@pytest.mark.parametrize("dtype", TYPES)
@settings(EXAMPLES, max_examples=60)
@given(data=st.data())
def test_strided_slice_is_that_of_litert(peer, dtype, data):
    """Negative indices and strides, every mask, fewer or more numbers than dimensions."""
    shape = data.draw(shapes)
    count = data.draw(st.integers(1, len(shape) + 1))
    begin, end = (data.draw(st.lists(st.integers(-6, 6), min_size=count, max_size=count)) for _ in range(2))
    strides = data.draw(st.lists(st.sampled_from([1, 1, 2, 3, -1, -2]), min_size=count, max_size=count))
    mask = st.just(0) | st.integers(0, 2**count - 1)
    options = StridedSliceOptions(
        begin_mask=data.draw(mask),
        end_mask=data.draw(mask),
        ellipsis_mask=data.draw(st.just(0) | st.sampled_from([1 << i for i in range(count)])),
        new_axis_mask=data.draw(mask),
        shrink_axis_mask=data.draw(mask),
    )
    try:
        program = strided(peer, dtype, shape, begin, end, strides, options)
    except ModelError:
        assume(False)
    assume(program.tensors["y"].elements)

    # LiteRT registers one kernel for both, but the later versions of it not with its reference kernels.
    assert_same_in_both_resolvers(peer, program, data.draw(seeds), ("BUILTIN", "DEFAULT"))


@EXAMPLES
@given(data=st.data())
def test_strided_slice_of_nothing_is_empty(peer, data):
    """Where begin lies beyond end nothing is taken; the default resolver takes an end of 0 for the whole axis."""
    size = data.draw(st.integers(1, 5))
    begin = data.draw(st.integers(0, 6))
    program = strided(peer, "f32", (size,), [begin], [data.draw(st.integers(0, begin))], [1], StridedSliceOptions())

    assert program.tensors["y"].shape == (0,)
    assert_same_in_both_resolvers(peer, program, 0, ("BUILTIN_REF",))


def test_strided_slice_with_offset_takes_lengths(peer):
    """With the option `offset` the end is how far to go."""
    program = strided(peer, "i32", (6, 4), [1, 2], [4, 2], [2, 1], StridedSliceOptions(offset=True))

    assert program.tensors["y"].shape == (2, 2)
    assert_same_in_both_resolvers(peer, program, 3, ("BUILTIN",))


@pytest.mark.parametrize("dtype", TYPES)
@EXAMPLES
@given(data=st.data())
def test_gather_is_that_of_litert(peer, dtype, data):
    """Along any axis, with shared leading dimensions, indices of any rank."""
    shape = data.draw(shapes)
    axis = data.draw(st.integers(0, len(shape) - 1))
    batch = data.draw(st.integers(0, axis))
    places = data.draw(st.lists(st.integers(1, 3), min_size=0, max_size=2))
    indices_shape = (*shape[:batch], *places)
    draw_index = np.random.default_rng(data.draw(seeds)).integers
    kind = data.draw(st.sampled_from(["i16", "i32", "i64"]))
    operands = [
        tensor(peer, "x", shape, dtype),
        numbers(peer, "i", draw_index(0, shape[axis], indices_shape), kind),
    ]
    spelled = axis - len(shape) * data.draw(st.integers(0, 1))
    from_end = len(indices_shape) > batch and data.draw(st.booleans())
    options = GatherOptions(spelled, batch - len(indices_shape) if from_end else batch)
    result = (*shape[:axis], *places, *shape[axis + 1 :])

    program = peer.one_operator("GATHER", operands, tensor(peer, "y", result, dtype), options)

    assert_same_in_both_resolvers(peer, program, data.draw(seeds))


@pytest.mark.parametrize("dtype", TYPES)
@EXAMPLES
@given(data=st.data())
def test_gather_nd_is_that_of_litert(peer, dtype, data):
    """Indices that name one or more leading dimensions."""
    shape = data.draw(shapes)
    depth = data.draw(st.integers(1, len(shape)))
    places = data.draw(st.lists(st.integers(1, 3), min_size=0, max_size=2))
    rng = np.random.default_rng(data.draw(seeds))
    indices = np.stack([rng.integers(0, n, places) for n in shape[:depth]], axis=-1)
    operands = [tensor(peer, "x", shape, dtype), numbers(peer, "i", indices)]

    program = peer.one_operator("GATHER_ND", operands, tensor(peer, "y", (*places, *shape[depth:]), dtype))

    assert_same_in_both_resolvers(peer, program, data.draw(seeds))


@pytest.mark.parametrize(("kind", "result"), [("GATHER", (1, 3)), ("GATHER_ND", (3,))])
@pytest.mark.parametrize("index", [2, -1])
def test_gather_refuses_an_index_outside(peer, kind, result, index):
    """Indices are not counted from the end, and do not read beyond it."""
    options = GatherOptions() if kind == "GATHER" else None
    operands = [Tensor("x", (2, 3)), Tensor("i", (1,), "i32")]
    program = peer.one_operator(kind, operands, Tensor("y", result), options)

    with pytest.raises(ModelError, match=f"index {index} is outside"):
        peer.reference_run(program, {"x": np.zeros((2, 3), np.float32), "i": np.int32([index])})


@pytest.mark.parametrize(
    ("begin", "options", "reason"),
    [
        pytest.param([5], StridedSliceOptions(shrink_axis_mask=1), "index 5 is outside", id="shrink-outside"),
        pytest.param([0, 0], StridedSliceOptions(ellipsis_mask=3), "more than one ellipsis", id="two-ellipses"),
        pytest.param([1, 1], StridedSliceOptions(offset=True, begin_mask=1), "with offset", id="offset-and-mask"),
        pytest.param([1], StridedSliceOptions(offset=True), "reach out of", id="offset-beyond"),
    ],
)
def test_strided_slice_says_why_it_is_refused(peer, begin, options, reason):
    """What has no meaning is refused with the reason."""
    with pytest.raises(ModelError, match=reason):
        strided(peer, "f32", (4,) * len(begin), begin, [4] * len(begin), [1] * len(begin), options)


@pytest.mark.parametrize("size", [[3, 1], [-2, 1]])
def test_slice_refuses_what_reaches_out(peer, size):
    """A window lies within its operand."""
    operands = [Tensor("x", (4, 4)), numbers(peer, "b", [2, 0]), numbers(peer, "s", size)]

    with pytest.raises(ModelError, match="reach out of"):
        verify(peer.one_operator("SLICE", operands, Tensor("y", (2, 1))))


def test_gather_nd_refuses_indices_of_no_depth(peer):
    """Indices name one dimension at least."""
    operands = [Tensor("x", (4,)), numbers(peer, "i", np.zeros((2, 0)))]

    with pytest.raises(ModelError, match="do not point into"):
        verify(peer.one_operator("GATHER_ND", operands, Tensor("y", (2, 4))))
