"""Operators that give elements another shape or order, in the engine beside the numpy references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_checks import assert_equals_reference
from hypothesis import given
from hypothesis import strategies as st
from movement_programs import EXAMPLES, SIZES, TYPES, numbers, one_operator, shapes, tensor

from bitwright.program.operator import MirrorPadMode, Operator, Options
from bitwright.program.options import (
    ConcatenationOptions,
    Conv2DOptions,
    DepthToSpaceOptions,
    MirrorPadOptions,
    ReshapeOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    SpaceToDepthOptions,
    SqueezeOptions,
)
from bitwright.program.program import Port
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.runtime.steps.registry import steps_of


def reshape(draw, x):
    return [x, numbers("shape", draw(st.permutations(x.shape)))], ReshapeOptions()


def squeeze(draw, x):
    return [x], SqueezeOptions()


def expand_dims(draw, x):
    return [x, numbers("axis", [draw(st.integers(0, len(x.shape)))])], Options()


def transpose(draw, x):
    return [x, numbers("order", draw(st.permutations(range(len(x.shape)))))], Options()


def tile(draw, x):
    return [x, numbers("times", [draw(st.integers(1, 2)) for _ in x.shape])], Options()


def broadcast_to(draw, x):
    added = [draw(st.integers(1, 2)) for _ in range(draw(st.integers(0, 6 - len(x.shape))))]
    wanted = [draw(st.integers(1, 3)) if size == 1 else size for size in x.shape]
    return [x, numbers("shape", [*added, *wanted])], Options()


def reverse(draw, x):
    first = draw(st.integers(0, len(x.shape) - 1))
    return [x, numbers("axes", list(range(first, draw(st.integers(first + 1, len(x.shape))))))], Options()


def pad(draw, x):
    sides = st.sampled_from([0, 0, 1, 3])
    return [x, numbers("pads", [[draw(sides), draw(sides)] for _ in x.shape])], Options()


def mirror_pad(draw, x):
    mode = draw(st.sampled_from(list(MirrorPadMode)))
    most = [min(size - (mode is MirrorPadMode.REFLECT), 3) for size in x.shape]
    pads = [[draw(st.integers(0, m)), draw(st.integers(0, m))] for m in most]
    return [x, numbers("pads", pads)], MirrorPadOptions(mode)


OF_ANY_SHAPE = {
    "RESHAPE": reshape,
    "SQUEEZE": squeeze,
    "EXPAND_DIMS": expand_dims,
    "TRANSPOSE": transpose,
    "TILE": tile,
    "BROADCAST_TO": broadcast_to,
    "REVERSE_V2": reverse,
    "PAD": pad,
    "MIRROR_PAD": mirror_pad,
}


@pytest.mark.parametrize("kind", OF_ANY_SHAPE)
@EXAMPLES
@given(data=st.data())
def test_movement_is_that_of_the_reference(kind, data):
    """The same elements in the same places, of every type that the engine stores."""
    dtype = data.draw(st.sampled_from(TYPES))
    operands, options = OF_ANY_SHAPE[kind](data.draw, tensor("x", data.draw(shapes), dtype))

    assert_equals_reference(one_operator(kind, operands, options), roundings=("tflite_double",), threads=(1, 2))


@pytest.mark.parametrize("dtype", [t for t in TYPES if t != "bool"])
def test_padv2_puts_its_value_around(dtype):
    """Around the plane by runs, around channels by filling everything first."""
    constant = replace(tensor("value", (), dtype), data=np.asarray(5, DTYPES[dtype]))
    for pads in ([[0, 0], [1, 2], [3, 0], [0, 0]], [[0, 0], [1, 0], [0, 0], [2, 3]]):
        program = one_operator("PADV2", [tensor("x", (2, 5, 7, 3), dtype), numbers("pads", pads), constant])

        assert_equals_reference(program, roundings=("tflite_double",))


@EXAMPLES
@given(data=st.data())
def test_blocks_of_depth_are_those_of_the_reference(data):
    """Blocks of a plane become channels and come back."""
    n, h, w, block = (data.draw(st.integers(1, 4)) for _ in range(4))
    c, dtype = data.draw(SIZES), data.draw(st.sampled_from(["f32", "i8", "u8", "i32", "i64"]))
    plane, depth = tensor("x", (n, h * block, w * block, c), dtype), tensor("x", (n, h, w, c * block**2), dtype)

    for kind, x, options in (
        ("SPACE_TO_DEPTH", plane, SpaceToDepthOptions(block)),
        ("DEPTH_TO_SPACE", depth, DepthToSpaceOptions(block)),
    ):
        assert_equals_reference(one_operator(kind, [x], options), roundings=("tflite_double",))


@EXAMPLES
@given(data=st.data())
def test_blocks_of_batches_are_those_of_the_reference(data):
    """Blocks of a plane or a row become images and come back, with and without paddings and crops."""
    spatial = data.draw(st.integers(1, 2))
    blocks, sides, plane = [], [], []
    for _ in range(spatial):
        block, count = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
        before = data.draw(st.integers(0, block * count - 1)) * data.draw(st.integers(0, 1))
        after = data.draw(st.integers(0, block * count - 1 - before)) * data.draw(st.integers(0, 1))
        blocks.append(block)
        sides.append([before, after])
        plane.append((block * count - before - after, count))
    c, dtype = data.draw(SIZES), data.draw(st.sampled_from(TYPES))
    whole = tensor("x", (2, *(size for size, _ in plane), c), dtype)
    parts = tensor("x", (2 * int(np.prod(blocks)), *(count for _, count in plane), c), dtype)

    for kind, x in (("SPACE_TO_BATCH_ND", whole), ("BATCH_TO_SPACE_ND", parts)):
        program = one_operator(kind, [x, numbers("blocks", blocks), numbers("sides", sides)])
        assert_equals_reference(program, roundings=("tflite_double",))


def convolved(program, *names):
    """The Program with a convolution of each of these images, whose padding lies around them in memory."""
    tensors, operators, outputs = dict(program.tensors), [*program.operators], [*program.outputs]
    for name in names:
        channels = tensors[name].shape[3]
        weights = np.ones((2, 3, 3, channels), np.int8)
        qparams = tensor("w", (), "i8", zero_point=0).qparams
        made = (
            Tensor(f"{name} weights", weights.shape, "i8", qparams, weights),
            numbers(f"{name} bias", [0, 5]),
            tensor(f"{name} convolved", (*tensors[name].shape[:3], 2), "i8", scale=9.0),
        )
        tensors |= {t.name: t for t in made}
        operators.append(Operator("CONV_2D", (name, made[0].name, made[1].name), (made[2].name,), Conv2DOptions()))
        outputs.append(Port(made[2].name, made[2].name))
    return replace(program, tensors=tensors, operators=tuple(operators), outputs=tuple(outputs))


X = tensor("x", (1, 6, 5, 20), "i8")
IMAGES = {
    "transpose": ("TRANSPOSE", [X, numbers("order", [0, 2, 3, 1])], None),
    "tile": ("TILE", [X, numbers("times", [1, 2, 1, 2])], None),
    "mirror_pad": ("MIRROR_PAD", [X, numbers("pads", [[0, 0], [1, 2], [0, 1], [0, 0]])], MirrorPadOptions()),
    "slice": ("SLICE", [X, numbers("begin", [0, 1, 0, 3]), numbers("size", [1, 4, 5, 16])], None),
    "concatenation": ("CONCATENATION", [X, replace(X, name="z")], ConcatenationOptions(axis=3)),
    "nearest": ("RESIZE_NEAREST_NEIGHBOR", [X, numbers("size", [9, 7])], ResizeNearestNeighborOptions()),
    "bilinear": ("RESIZE_BILINEAR", [X, numbers("size", [12, 10])], ResizeBilinearOptions(half_pixel_centers=True)),
    "bilinear-long": ("RESIZE_BILINEAR", [X, numbers("size", [13, 7])], ResizeBilinearOptions()),
}


@pytest.mark.parametrize("case", IMAGES)
def test_images_are_moved_out_of_their_border_into_another(case):
    """Operand and result have padding around them for other readers; both stay whole."""
    assert_equals_reference(convolved(one_operator(*IMAGES[case]), "x", "y0"), threads=(1, 2))


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        pytest.param(
            one_operator("TRANSPOSE", [tensor("x", (2, 3), "f16"), numbers("order", [1, 0])]),
            "the engine stores no f16",
            id="type",
        ),
        pytest.param(
            one_operator("PADV2", [tensor("x", (2,), "f32"), numbers("pads", [[1, 1]]), tensor("value", (), "f32")]),
            "'value' is computed while the model runs",
            id="value",
        ),
    ],
)
def test_movement_says_why_the_engine_leaves_it(program, reason):
    """The references run what the engine cannot hold or know beforehand."""
    assert (reason,) == steps_of(program)
