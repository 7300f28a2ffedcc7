"""CONCATENATION, SPLIT, SPLIT_V, PACK and UNPACK beside LiteRT's own kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.program.operator import Activation
from bitwright.program.options import ConcatenationOptions, PackOptions, SplitOptions, SplitVOptions, UnpackOptions
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.program.verify import verify

EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)
TYPES = ("f32", "i8", "u8", "i16", "i32", "i64")
QUANTIZED = ("i8", "u8", "i16")


def tensor(peer, name, shape, dtype, *, scale=0.1, zero_point=0):
    if dtype not in QUANTIZED:
        return Tensor(name, tuple(shape), dtype)
    return peer.quantized(name, shape, dtype, scale=scale, zero_point=zero_point)


def random_inputs(program, seed):
    rng = np.random.default_rng(seed)
    feeds = {}
    for port in program.inputs:
        given_tensor = program.tensors[port.tensor]
        low, high = (0, 255) if given_tensor.dtype == "u8" else (-128, 127)
        drawn = rng.integers(low, high, given_tensor.shape, endpoint=True)
        feeds[port.name] = drawn.astype(DTYPES[given_tensor.dtype])
    return feeds


def assert_same_in_both_resolvers(peer, program, seed, resolvers=("BUILTIN_REF", "DEFAULT")):
    feeds = random_inputs(program, seed)
    ours = peer.reference_run(program, feeds)
    for resolver in resolvers:
        assert peer.differing(peer.litert_run(program, feeds, resolver), ours) == 0


def replaced(shape, axis, size):
    shape = list(shape)
    shape[axis] = size
    return tuple(shape)


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("dtype", TYPES)
@EXAMPLES
@given(data=st.data())
def test_concatenation_is_that_of_litert(peer, dtype, data):
    """Any number of operands, any axis, from either end."""
    shape = data.draw(shapes)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    operands = [tensor(peer, f"x{i}", replaced(shape, axis, n), dtype) for i, n in enumerate(sizes)]
    result = tensor(peer, "y", replaced(shape, axis, sum(sizes)), dtype)

    program = peer.one_operator("CONCATENATION", operands, result, ConcatenationOptions(axis))

    assert_same_in_both_resolvers(peer, program, data.draw(seeds))


@EXAMPLES
@given(data=st.data())
def test_concatenation_of_u8_rescales_operands_of_other_scales(peer, data):
    """Of all types u8 alone is brought to the scale of the result, in float32."""
    parameters = st.tuples(st.integers(1, 99).map(lambda n: n / 313), st.integers(0, 255))
    (first, second, result) = (data.draw(parameters) for _ in range(3))
    operands = [
        tensor(peer, name, (2, 40), "u8", scale=scale, zero_point=zero_point)
        for name, (scale, zero_point) in (("a", first), ("b", second))
    ]
    y = tensor(peer, "y", (2, 80), "u8", scale=result[0], zero_point=result[1])

    program = peer.one_operator("CONCATENATION", operands, y, ConcatenationOptions(1))

    assert_same_in_both_resolvers(peer, program, data.draw(seeds), ("BUILTIN_REF",))


@pytest.mark.parametrize("dtype", TYPES)
@EXAMPLES
@given(data=st.data())
def test_split_is_that_of_litert(peer, dtype, data):
    """Equal parts along any axis."""
    shape, parts = data.draw(shapes), data.draw(st.integers(1, 4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    operands = [
        peer.constant("axis", np.int32(axis).reshape(()), "i32"),
        tensor(peer, "x", replaced(shape, axis, shape[axis] * parts), dtype),
    ]
    results = [tensor(peer, f"y{i}", shape, dtype) for i in range(parts)]

    program = peer.one_operator("SPLIT", operands, results, SplitOptions(parts))

    assert_same_in_both_resolvers(peer, program, data.draw(seeds))


@pytest.mark.parametrize("dtype", TYPES)
@EXAMPLES
@given(data=st.data())
def test_split_v_is_that_of_litert(peer, dtype, data):
    """Parts of given sizes, one of which may be what the others leave."""
    shape = data.draw(shapes)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    open_part = data.draw(st.none() | st.integers(0, len(sizes) - 1))
    asked = [-1 if i == open_part else n for i, n in enumerate(sizes)]
    integers = data.draw(st.sampled_from(["i32", "i64"]))
    operands = [
        tensor(peer, "x", replaced(shape, axis, sum(sizes)), dtype),
        peer.constant("sizes", np.array(asked, DTYPES[integers]), integers),
        peer.constant("axis", np.int32(axis).reshape(()), "i32"),
    ]
    results = [tensor(peer, f"y{i}", replaced(shape, axis, n), dtype) for i, n in enumerate(sizes)]

    program = peer.one_operator("SPLIT_V", operands, results, SplitVOptions(len(sizes)))

    assert_same_in_both_resolvers(peer, program, data.draw(seeds))


@pytest.mark.parametrize("dtype", TYPES)
@EXAMPLES
@given(data=st.data())
def test_pack_is_that_of_litert(peer, dtype, data):
    """Operands stacked along a new axis, from either end."""
    shape, count = data.draw(shapes), data.draw(st.integers(1, 3))
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    place = axis % (len(shape) + 1)
    operands = [tensor(peer, f"x{i}", shape, dtype) for i in range(count)]
    result = tensor(peer, "y", (*shape[:place], count, *shape[place:]), dtype)

    program = peer.one_operator("PACK", operands, result, PackOptions(count, axis))

    assert_same_in_both_resolvers(peer, program, data.draw(seeds))


@pytest.mark.parametrize("dtype", ["f32", "i8", "u8", "i16", "i32"])
@EXAMPLES
@given(data=st.data())
def test_unpack_is_that_of_litert(peer, dtype, data):
    """Every slice along an axis becomes a result."""
    shape = data.draw(shapes)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    count = shape[axis]
    part = [n for i, n in enumerate(shape) if i != axis % len(shape)]
    results = [tensor(peer, f"y{i}", part, dtype) for i in range(count)]

    program = peer.one_operator("UNPACK", [tensor(peer, "x", shape, dtype)], results, UnpackOptions(count, axis))

    assert_same_in_both_resolvers(peer, program, data.draw(seeds))


def two(peer, kind, dtype, options, *, second=(2, 3), result=(4, 3), scale=0.1):
    operands = [tensor(peer, "a", (2, 3), dtype), tensor(peer, "b", second, dtype, scale=scale)]
    return peer.one_operator(kind, operands, tensor(peer, "y", result, dtype), options)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        pytest.param(
            lambda p: two(p, "CONCATENATION", "f32", ConcatenationOptions(0, Activation.RELU)),
            "without a fused activation",
            id="concatenation-activation",
        ),
        pytest.param(
            lambda p: two(p, "CONCATENATION", "i8", ConcatenationOptions(), scale=0.2),
            "same parameters",
            id="concatenation-i8-scales",
        ),
        pytest.param(
            lambda p: two(p, "CONCATENATION", "f32", ConcatenationOptions(), second=(2, 4)),
            "do not join",
            id="concatenation-shapes",
        ),
        pytest.param(
            lambda p: two(p, "PACK", "i8", PackOptions(2), result=(2, 2, 3), scale=0.2), "same parameters", id="pack"
        ),
        pytest.param(
            lambda p: two(p, "PACK", "f32", PackOptions(3), result=(2, 2, 3)), "values_count", id="pack-count"
        ),
        pytest.param(
            lambda p: p.one_operator(
                "CONCATENATION", [Tensor("a", (2,)), None], Tensor("y", (2,)), ConcatenationOptions()
            ),
            "leaves out",
            id="concatenation-of-nothing",
        ),
        pytest.param(
            lambda p: p.one_operator("UNPACK", [Tensor("x", (2, 3))], [Tensor("y", (3,))], UnpackOptions(2)),
            "1 results",
            id="unpack-count",
        ),
        pytest.param(
            lambda p: p.one_operator(
                "SPLIT", [p.constant("a", np.int32(0).reshape(()), "i32"), Tensor("x", (3,))], [], SplitOptions(0)
            ),
            "equal parts",
            id="split-into-nothing",
        ),
        pytest.param(
            lambda p: p.one_operator(
                "SPLIT_V",
                [
                    Tensor("x", (3,)),
                    p.constant("s", np.int32([-1, -1]), "i32"),
                    p.constant("a", np.int32(0).reshape(()), "i32"),
                ],
                [Tensor("y", (1,)), Tensor("z", (2,))],
                SplitVOptions(2),
            ),
            "make up the 3",
            id="split-v-open-twice",
        ),
    ],
)
def test_joining_says_why_it_is_refused(peer, made, reason):
    """What has no kernel or no meaning is refused with the reason."""
    with pytest.raises(ModelError, match=reason):
        verify(made(peer))
