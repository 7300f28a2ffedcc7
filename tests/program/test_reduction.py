"""MEAN, SUM, REDUCE_MAX and MIN and PROD, ARG_MAX and ARG_MIN beside LiteRT's own kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.program.options import ArgMaxOptions, ArgMinOptions, ReducerOptions
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.program.verify import verify

EXAMPLES = settings(max_examples=30, deadline=None, derandomize=True)

SCALES = st.integers(1, 200).map(lambda n: n / 777)

#: What LiteRT's reference kernels reduce bit for bit; of SUM it misreads i8 and i16.
INTEGERS = [
    pytest.param(kind, dtype, id=f"{kind.lower()}-{dtype}")
    for kind, dtypes in {
        "MEAN": ("i8", "u8", "i16", "i32", "i64"),
        "SUM": ("u8", "i32", "i64"),
        "REDUCE_MAX": ("i8", "u8", "i16", "i32", "i64"),
        "REDUCE_MIN": ("i8", "u8", "i16", "i32", "i64"),
        "REDUCE_PROD": ("i8", "i16", "i32"),
    }.items()
    for dtype in dtypes
]
FREE = ("MEAN", "SUM", "REDUCE_PROD")


def scaled(peer, name, shape, dtype, parameters):
    if dtype not in ("i8", "u8", "i16"):
        return Tensor(name, shape, dtype)
    scale, zero_point = parameters
    return peer.quantized(name, shape, dtype, scale=scale, zero_point=zero_point)


def reducer(peer, kind, shape, dtype, axes, keep_dims, source=(0.1, 0), target=(0.1, 0)):
    """A one-operator Program; source and target are (scale, zero_point)."""
    whole = {axis % len(shape) for axis in axes}
    result = tuple(1 if i in whole else n for i, n in enumerate(shape) if keep_dims or i not in whole)
    axis = peer.constant("axes", np.asarray(axes, np.int32), "i32")
    x, y = scaled(peer, "x", shape, dtype, source), scaled(peer, "y", result, dtype, target)
    return peer.one_operator(kind, [x, axis], y, ReducerOptions(keep_dims))


def random_input(program, seed):
    tensor = program.tensors["x"]
    rng = np.random.default_rng(seed)
    if tensor.dtype == "f32":
        return {"x": rng.normal(size=tensor.shape).astype(np.float32)}
    info = np.iinfo(DTYPES[tensor.dtype])
    low, high = (info.min, info.max) if tensor.dtype in ("i8", "u8", "i16") else (-100, 100)
    return {"x": rng.integers(low, high, tensor.shape, endpoint=True).astype(DTYPES[tensor.dtype])}


@st.composite
def cases(draw, peer, kind, dtype):
    """A Program over ranks, axes, both spellings of them, scales and zero_points, and its input."""
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    count = draw(st.integers(1, len(shape)))
    axes = draw(st.permutations(range(len(shape))))[:count]
    axes = [axis - len(shape) * draw(st.integers(0, 1)) for axis in axes]
    info = np.iinfo(DTYPES[dtype]) if dtype in ("i8", "u8") else np.iinfo(np.int8)

    def parameters():
        point = 0 if dtype == "i16" else draw(st.integers(int(info.min), int(info.max)))
        return draw(SCALES), point

    source = parameters()
    target = parameters() if kind in FREE and draw(st.booleans()) else source
    program = reducer(peer, kind, shape, dtype, axes, draw(st.booleans()), source, target)
    return program, random_input(program, draw(st.integers(0, 2**32 - 1)))


@pytest.mark.parametrize(("kind", "dtype"), INTEGERS)
@EXAMPLES
@given(data=st.data())
def test_reduction_gives_litert_reference_integers(peer, kind, dtype, data):
    """LiteRT's reference kernel gives the same integers."""
    program, feeds = data.draw(cases(peer, kind, dtype))

    ours = peer.reference_run(program, feeds)

    assert peer.differing(peer.litert_run(program, feeds), ours) == 0


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [*INTEGERS, pytest.param("SUM", "i8", id="sum-i8"), pytest.param("SUM", "i16", id="sum-i16")],
)
@EXAMPLES
@given(data=st.data())
def test_reduction_fp32_even_gives_litert_default_integers(peer, kind, dtype, data):
    """With `fp32_even` the integers are those of LiteRT's default, which XNNPACK computes where it can."""
    program, feeds = data.draw(cases(peer, kind, dtype))

    even = peer.reference_run(replace(program, rounding="fp32_even"), feeds)

    assert peer.differing(peer.litert_run(program, feeds, "DEFAULT"), even) == 0


@EXAMPLES
@given(seed=st.integers(0, 2**32 - 1), scale=st.integers(1, 60).map(lambda n: n / 19))
def test_sum_of_i8_is_that_of_litert_where_bytes_are_not_negative(peer, seed, scale):
    """LiteRT's reference kernel takes the bytes of i8 for u8; where both are the same number it gives the same sum."""
    program = reducer(peer, "SUM", (3, 5), "i8", [1], False, source=(0.05, 0), target=(scale, 0))
    feeds = {"x": np.random.default_rng(seed).integers(0, 25, (3, 5)).astype(np.int8)}

    assert peer.differing(peer.litert_run(program, feeds), peer.reference_run(program, feeds)) == 0


@pytest.mark.parametrize("kind", ["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"])
@EXAMPLES
@given(data=st.data())
def test_float_reduction_is_within_1e_6(peer, kind, data):
    """Floats agree with LiteRT to 1e-6 of the sum of their magnitudes."""
    program, feeds = data.draw(cases(peer, kind, "f32"))

    wanted, ours = peer.litert_run(program, feeds)["y"], peer.reference_run(program, feeds)["y"]

    most = max(1.0, float(np.abs(wanted).max(initial=0)))
    if kind in ("MEAN", "SUM"):
        most *= feeds["x"].size
    np.testing.assert_allclose(wanted, ours, rtol=0, atol=1e-6 * most)


@pytest.mark.parametrize("kind", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize("dtype", ["f32", "i8", "u8", "i32"])
@EXAMPLES
@given(data=st.data())
def test_arg_max_gives_litert_indices(peer, kind, dtype, data):
    """The first of equal elements is taken, along any axis, as i32 or i64."""
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    index_type = data.draw(st.sampled_from(["i32", "i64"]))
    result = tuple(n for i, n in enumerate(shape) if i != axis % len(shape))
    options = (ArgMaxOptions if kind == "ARG_MAX" else ArgMinOptions)(index_type)
    operands = [scaled(peer, "x", shape, dtype, (0.1, 3)), peer.constant("axis", np.int32([axis]), "i32")]
    program = peer.one_operator(kind, operands, Tensor("y", result, index_type), options)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    feeds = {"x": rng.integers(0, 4, shape).astype(DTYPES[dtype])}

    ours = peer.reference_run(program, feeds)

    assert peer.differing(peer.litert_run(program, feeds), ours) == 0
    assert peer.differing(peer.litert_run(program, feeds, "DEFAULT"), ours) == 0


@pytest.mark.parametrize("values", [[np.nan, 1, 3], [3, np.nan, 1], [np.nan] * 3], ids=["first", "middle", "all"])
def test_arg_max_passes_over_nan(peer, values):
    """NaN is neither the largest nor the smallest, wherever it stands."""
    operands = [Tensor("x", (3,)), peer.constant("axis", np.int32([0]), "i32")]
    for kind, options in (("ARG_MAX", ArgMaxOptions()), ("ARG_MIN", ArgMinOptions())):
        program = peer.one_operator(kind, operands, Tensor("y", (), "i64"), options)
        feeds = {"x": np.float32(values)}

        assert peer.differing(peer.litert_run(program, feeds), peer.reference_run(program, feeds)) == 0


def test_mean_rounds_as_its_resolver_does(peer):
    """2.5 goes away from zero in fixed point, to even in XNNPACK."""
    program = reducer(peer, "MEAN", (1, 2), "i8", [1], False)
    feeds = {"x": np.int8([[2, 3]])}

    wanted = (3, 2)

    fixed, even = (peer.reference_run(replace(program, rounding=r), feeds) for r in ("tflite_double", "fp32_even"))

    assert wanted == (int(fixed["y"].item()), int(even["y"].item()))


def test_mean_of_plain_integers_is_cut_toward_zero(peer):
    """-7 / 2 is -3, as C divides."""
    program = reducer(peer, "MEAN", (2,), "i32", [0], False)

    assert int(peer.reference_run(program, {"x": np.int32([-3, -4])})["y"]) == -3


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        pytest.param(lambda p: reducer(p, "REDUCE_MAX", (4,), "i8", [0], False, (0.1, 0), (0.2, 0)), "same", id="max"),
        pytest.param(lambda p: reducer(p, "REDUCE_PROD", (4,), "u8", [0], False), "no kernel for u8", id="prod-u8"),
        pytest.param(
            lambda p: reducer(p, "MEAN", (4,), "i16", [0], False, (0.1, 0), (0.1, 5)), "zero_point 0", id="i16"
        ),
    ],
)
def test_reduction_says_why_it_is_refused(peer, program, reason):
    """What LiteRT has no kernel for is refused with the reason."""
    with pytest.raises(ModelError, match=reason):
        verify(program(peer))


@pytest.mark.parametrize("axis", [2, -3])
def test_reduction_refuses_an_axis_outside_the_tensor(peer, axis):
    """An axis that the operand does not have is named."""
    axes = peer.constant("axes", np.int32([axis]), "i32")
    program = peer.one_operator("SUM", [Tensor("x", (2, 3)), axes], Tensor("y", (2,)), ReducerOptions())

    with pytest.raises(ModelError, match=f"axis {axis} is outside"):
        verify(program)


def test_reduction_refuses_axes_that_are_computed(peer):
    """Axes that are fed or computed leave the shape of the result open."""
    operands = [Tensor("x", (2, 3)), Tensor("axes", (1,), "i32")]
    program = peer.one_operator("SUM", operands, Tensor("y", (2,)), ReducerOptions())

    with pytest.raises(ModelError, match="computed while the model runs"):
        verify(program)
