"""Operators that move elements, beside LiteRT's own kernels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.program.operator import MirrorPadMode, Options
from bitwright.program.options import (
    DepthToSpaceOptions,
    MirrorPadOptions,
    ReshapeOptions,
    ShapeOptions,
    SpaceToDepthOptions,
    SqueezeOptions,
)
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.program.verify import verify

EXAMPLES = settings(max_examples=30, deadline=None, derandomize=True)
TYPES = ("f32", "i8", "u8", "i16", "i32", "i64")
ZERO_POINTS = {"i8": -7, "u8": 130, "i16": 0}

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)
seeds = st.integers(0, 2**32 - 1)
index_types = st.sampled_from(["i32", "i64"])


def tensor(peer, name, shape, dtype):
    shape = tuple(int(n) for n in shape)
    if dtype not in ZERO_POINTS:
        return Tensor(name, shape, dtype)
    return peer.quantized(name, shape, dtype, scale=0.1, zero_point=ZERO_POINTS[dtype])


def numbers(peer, name, values, dtype="i32"):
    return peer.constant(name, np.array(values, DTYPES[dtype]), dtype)


def random_inputs(program, seed):
    rng = np.random.default_rng(seed)
    feeds = {}
    for port in program.inputs:
        given_tensor = program.tensors[port.tensor]
        low, high = (0, 255) if given_tensor.dtype == "u8" else (-128, 127)
        drawn = rng.integers(low, high, given_tensor.shape, endpoint=True)
        feeds[port.name] = drawn.astype(DTYPES[given_tensor.dtype])
    return feeds


#: Versions that files need and LiteRT's own reference resolver does not register; there the optimized kernels serve.
UNREGISTERED = (("DEPTH_TO_SPACE", "i8"), ("TILE", "i8"))


def assert_same_in_both_resolvers(peer, program, seed):
    feeds = random_inputs(program, seed)
    ours = peer.reference_run(program, feeds)
    unregistered = (program.operators[0].kind, program.tensors["y"].dtype) in UNREGISTERED
    for resolver in ("BUILTIN" if unregistered else "BUILTIN_REF", "DEFAULT"):
        assert peer.differing(peer.litert_run(program, feeds, resolver), ours) == 0


def reshape(draw, peer, dtype):
    shape = draw(shapes)
    result = draw(st.permutations(shape))
    asked = list(result)
    if draw(st.booleans()):
        asked[draw(st.integers(0, len(asked) - 1))] = -1
    operands = [tensor(peer, "x", shape, dtype)]
    if draw(st.booleans()):
        operands.append(numbers(peer, "shape", asked))
    return operands, result, ReshapeOptions(tuple(asked))


def squeeze(draw, peer, dtype):
    shape = draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=5))
    ones = [i for i, n in enumerate(shape) if n == 1]
    named = sorted(draw(st.sets(st.sampled_from(ones)))) if ones else []
    dropped = set(named or ones)
    dims = tuple(i - len(shape) * draw(st.integers(0, 1)) for i in named)
    return [tensor(peer, "x", shape, dtype)], [n for i, n in enumerate(shape) if i not in dropped], SqueezeOptions(dims)


def expand_dims(draw, peer, dtype):
    shape = draw(shapes)
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    operands = [tensor(peer, "x", shape, dtype), numbers(peer, "axis", axis, draw(index_types))]
    return operands, np.expand_dims(np.empty(shape), axis).shape, Options()


def transpose(draw, peer, dtype):
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    order = draw(st.permutations(range(len(shape))))
    spelled = [axis - len(shape) * draw(st.integers(0, 1)) for axis in order]
    return (
        [tensor(peer, "x", shape, dtype), numbers(peer, "order", spelled)],
        [shape[axis] for axis in order],
        Options(),
    )


def pads_of(draw, shape, most):
    return [[draw(st.integers(0, most(n))), draw(st.integers(0, most(n)))] for n in shape]


def padded(shape, pads):
    return [before + n + after for n, (before, after) in zip(shape, pads, strict=True)]


def pad(draw, peer, dtype):
    shape = draw(shapes)
    pads = pads_of(draw, shape, lambda n: 3)
    return (
        [tensor(peer, "x", shape, dtype), numbers(peer, "pads", pads, draw(index_types))],
        padded(shape, pads),
        Options(),
    )


def padv2(draw, peer, dtype):
    operands, result, options = pad(draw, peer, dtype)
    return [*operands, tensor(peer, "value", (1,) if draw(st.booleans()) else (), dtype)], result, options


def mirror_pad(draw, peer, dtype):
    shape, mode = draw(shapes), draw(st.sampled_from(list(MirrorPadMode)))
    pads = pads_of(draw, shape, lambda n: n - (mode is MirrorPadMode.REFLECT))
    return [tensor(peer, "x", shape, dtype), numbers(peer, "pads", pads)], padded(shape, pads), MirrorPadOptions(mode)


def space_to_depth(draw, peer, dtype):
    n, h, w, c, block = (draw(st.integers(1, 3)) for _ in range(5))
    result = (n, h, w, c * block * block)
    return [tensor(peer, "x", (n, h * block, w * block, c), dtype)], result, SpaceToDepthOptions(block)


def depth_to_space(draw, peer, dtype):
    n, h, w, c, block = (draw(st.integers(1, 3)) for _ in range(5))
    result = (n, h * block, w * block, c)
    return [tensor(peer, "x", (n, h, w, c * block * block), dtype)], result, DepthToSpaceOptions(block)


def tile(draw, peer, dtype):
    shape = draw(shapes)
    times = [draw(st.integers(1, 3)) for _ in shape]
    result = [n * k for n, k in zip(shape, times, strict=True)]
    return [tensor(peer, "x", shape, dtype), numbers(peer, "times", times, draw(index_types))], result, Options()


def broadcast_to(draw, peer, dtype):
    result = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    shape = [draw(st.sampled_from([1, n])) for n in result][draw(st.integers(0, len(result) - 1)) :]
    return [tensor(peer, "x", shape, dtype), numbers(peer, "shape", result, draw(index_types))], result, Options()


def reverse_v2(draw, peer, dtype):
    shape = draw(shapes)
    first = draw(st.integers(0, len(shape) - 1))
    axes = range(first, draw(st.integers(first + 1, len(shape))))
    return [tensor(peer, "x", shape, dtype), numbers(peer, "axes", list(axes))], shape, Options()


def blocks_of(draw):
    """Block sizes, (before, after) and the inner plane that they leave whole."""
    spatial = draw(st.integers(1, 2))
    sizes, sides, plane = [], [], []
    for _ in range(spatial):
        block, count = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        before = draw(st.integers(0, block * count - 1))
        after = draw(st.integers(0, block * count - 1 - before))
        sizes.append(block)
        sides.append([before, after])
        plane.append((block * count - before - after, count))
    return sizes, sides, plane


def space_to_batch_nd(draw, peer, dtype):
    sizes, sides, plane = blocks_of(draw)
    shape, result = [2, *(n for n, _ in plane), 3], [2 * math.prod(sizes), *(n for _, n in plane), 3]
    return [tensor(peer, "x", shape, dtype), numbers(peer, "b", sizes), numbers(peer, "s", sides)], result, Options()


def batch_to_space_nd(draw, peer, dtype):
    sizes, sides, plane = blocks_of(draw)
    result, shape = [2, *(n for n, _ in plane), 3], [2 * math.prod(sizes), *(n for _, n in plane), 3]
    return [tensor(peer, "x", shape, dtype), numbers(peer, "b", sizes), numbers(peer, "s", sides)], result, Options()


def fill(draw, peer, dtype):
    shape = draw(shapes)
    return [numbers(peer, "shape", shape, draw(index_types)), tensor(peer, "value", (), dtype)], shape, Options()


CASES = [
    pytest.param(kind, maker, dtype, id=f"{kind.lower()}-{dtype}")
    for kind, maker in {
        "RESHAPE": reshape,
        "SQUEEZE": squeeze,
        "EXPAND_DIMS": expand_dims,
        "TRANSPOSE": transpose,
        "PAD": pad,
        "PADV2": padv2,
        "MIRROR_PAD": mirror_pad,
        "SPACE_TO_DEPTH": space_to_depth,
        "DEPTH_TO_SPACE": depth_to_space,
        "TILE": tile,
        "BROADCAST_TO": broadcast_to,
        "REVERSE_V2": reverse_v2,
        "SPACE_TO_BATCH_ND": space_to_batch_nd,
        "BATCH_TO_SPACE_ND": batch_to_space_nd,
        "FILL": fill,
    }.items()
    for dtype in TYPES
    if (kind, dtype) not in (("SPACE_TO_DEPTH", "i16"), ("DEPTH_TO_SPACE", "i16"))
]


@pytest.mark.parametrize(("kind", "maker", "dtype"), CASES)
@EXAMPLES
@given(data=st.data())
def test_movement_is_that_of_litert(peer, kind, maker, dtype, data):
    """The same elements in the same places, in both resolvers."""
    operands, result, options = maker(data.draw, peer, dtype)

    program = peer.one_operator(kind, operands, tensor(peer, "y", result, dtype), options)

    assert_same_in_both_resolvers(peer, program, data.draw(seeds))


@pytest.mark.parametrize("out_type", ["i32", "i64"])
def test_shape_is_what_is_declared(peer, out_type):
    """SHAPE gives the sizes, whatever the values."""
    program = peer.one_operator("SHAPE", [Tensor("x", (2, 3, 1))], Tensor("y", (3,), out_type), ShapeOptions(out_type))

    assert_same_in_both_resolvers(peer, program, 0)


def test_pad_puts_the_zero_point_around(peer):
    """What stands for 0 is not the integer 0."""
    operands = [tensor(peer, "x", (1,), "u8"), numbers(peer, "pads", [[1, 1]])]
    program = peer.one_operator("PAD", operands, tensor(peer, "y", (3,), "u8"))

    wanted = [130, 9, 130]

    assert wanted == peer.reference_run(program, {"x": np.uint8([9])})["y"].tolist()


def test_reshape_takes_a_computed_shape_that_is_the_declared_one(peer):
    """A shape that is fed need not be known before, and must be what the file declares."""
    operands = [Tensor("x", (2, 3)), Tensor("shape", (2,), "i32")]
    program = peer.one_operator("RESHAPE", operands, Tensor("y", (3, 2)), ReshapeOptions())
    x = np.zeros((2, 3), np.float32)

    assert peer.reference_run(program, {"x": x, "shape": np.int32([-1, 2])})["y"].shape == (3, 2)
    with pytest.raises(ModelError, match="asks for"):
        peer.reference_run(program, {"x": x, "shape": np.int32([6, 1])})


def pads(peer, values, kind="PAD", options=None):
    operands = [Tensor("x", (2, 3)), numbers(peer, "pads", values)]
    return peer.one_operator(kind, operands, Tensor("y", (2, 3)), options)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        pytest.param(lambda p: pads(p, [[0, -1], [0, 0]]), "not negative", id="pad-negative"),
        pytest.param(lambda p: pads(p, [0, 0, 0, 0]), r"are \[2, 2\]", id="pad-flat"),
        pytest.param(
            lambda p: pads(p, [[2, 0], [0, 0]], "MIRROR_PAD", MirrorPadOptions()), "beyond the mirror", id="mirror"
        ),
        pytest.param(
            lambda p: p.one_operator("TILE", [Tensor("x", (2,)), numbers(p, "times", [-1])], Tensor("y", (2,))),
            "multiples are not negative",
            id="tile-negative",
        ),
        pytest.param(
            lambda p: p.one_operator("PAD", [Tensor("x", ()), numbers(p, "pads", np.zeros((0, 2)))], Tensor("y", ())),
            "no border",
            id="pad-scalar",
        ),
        pytest.param(
            lambda p: p.one_operator("RESHAPE", [Tensor("x", (6,))], Tensor("y", (4,)), ReshapeOptions((-1, 4))),
            "do not fit",
            id="reshape-elements",
        ),
        pytest.param(
            lambda p: p.one_operator("RESHAPE", [Tensor("x", (6,))], Tensor("y", (6,)), ReshapeOptions((-1, -1))),
            "do not fit",
            id="reshape-open-twice",
        ),
        pytest.param(
            lambda p: p.one_operator("SQUEEZE", [Tensor("x", (6, 1))], Tensor("y", (1,)), SqueezeOptions((0,))),
            "not all 1",
            id="squeeze",
        ),
        pytest.param(
            lambda p: p.one_operator(
                "TRANSPOSE", [Tensor("x", (2, 3)), numbers(p, "order", [0, -2])], Tensor("y", (2, 2))
            ),
            "no permutation",
            id="transpose-twice",
        ),
        pytest.param(
            lambda p: p.one_operator(
                "SPACE_TO_DEPTH", [Tensor("x", (1, 3, 4, 1))], Tensor("y", (1, 1, 2, 4)), SpaceToDepthOptions(2)
            ),
            "blocks of 2",
            id="space-to-depth",
        ),
        pytest.param(
            lambda p: p.one_operator(
                "DEPTH_TO_SPACE",
                [Tensor("x", (1, 3, 4, 4), "i16")],
                Tensor("y", (1, 6, 8, 1), "i16"),
                DepthToSpaceOptions(2),
            ),
            "no kernel for i16",
            id="depth-to-space-i16",
        ),
        pytest.param(
            lambda p: p.one_operator(
                "REVERSE_V2", [Tensor("x", (2, 3, 4)), numbers(p, "axes", [0, 2])], Tensor("y", (2, 3, 4))
            ),
            "neighbouring axes",
            id="reverse-apart",
        ),
        pytest.param(
            lambda p: p.one_operator(
                "PADV2",
                [
                    tensor(p, "x", (2,), "i8"),
                    numbers(p, "pads", [[0, 0]]),
                    p.quantized("value", (), "i8", scale=0.5),
                ],
                tensor(p, "y", (2,), "i8"),
            ),
            "same parameters",
            id="pad-value-scale",
        ),
    ],
)
def test_movement_says_why_it_is_refused(peer, made, reason):
    """What has no kernel or no meaning is refused with the reason."""
    with pytest.raises(ModelError, match=reason):
        verify(made(peer))


def test_tile_of_any_size_costs_nothing_before_it_runs(peer):
    """A shape rule only multiplies: 2**62 elements are compared with what the file declares, not laid out."""
    operands = [Tensor("x", (1, 1)), numbers(peer, "times", [2**31 - 1, 2**31 - 1])]
    program = peer.one_operator("TILE", operands, Tensor("y", (2**31 - 1, 2**31 - 1)))

    verify(program)
