"""AVERAGE_POOL_2D and MAX_POOL_2D beside LiteRT's own kernels."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.program.operator import Activation, Padding
from bitwright.program.options import Pool2DOptions
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.program.verify import verify
from bitwright.program.window import output_size

EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)
KINDS = [pytest.param(kind, id=kind.lower()) for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D")]
ACTIVATIONS = [Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]


def pool(peer, kind, shape, dtype, options, *, scale=0.05, zero_point=0):
    """A one-operator Program with one scale and zero_point on both sides."""
    height = output_size(shape[1], options.filter_height, options.stride_h, 1, options.padding)
    width = output_size(shape[2], options.filter_width, options.stride_w, 1, options.padding)
    result = (shape[0], height, width, shape[3])
    if dtype == "f32":
        return peer.one_operator(kind, [Tensor("x", shape)], Tensor("y", result), options)
    x, y = (peer.quantized(n, s, dtype, scale=scale, zero_point=zero_point) for n, s in (("x", shape), ("y", result)))
    return peer.one_operator(kind, [x], y, options)


def random_input(program, seed):
    tensor = program.tensors["x"]
    rng = np.random.default_rng(seed)
    if tensor.dtype == "f32":
        return {"x": rng.normal(scale=4, size=tensor.shape).astype(np.float32)}
    info = np.iinfo(DTYPES[tensor.dtype])
    return {"x": rng.integers(info.min, info.max, tensor.shape, endpoint=True).astype(DTYPES[tensor.dtype])}


@st.composite
def cases(draw, peer, kind, dtype):
    """A Program over paddings, strides, windows up to the whole plane and activations, and its input."""
    shape = tuple(draw(st.integers(1, most)) for most in (2, 9, 9, 5))
    padding = draw(st.sampled_from(list(Padding)))
    reach = shape[1:3] if padding is Padding.VALID else (6, 6)
    options = Pool2DOptions(
        padding,
        stride_w=draw(st.integers(1, 4)),
        stride_h=draw(st.integers(1, 4)),
        filter_width=draw(st.integers(1, reach[1])),
        filter_height=draw(st.integers(1, reach[0])),
        fused_activation_function=draw(st.sampled_from(ACTIVATIONS)),
    )
    info = np.iinfo(np.int16 if dtype == "f32" else DTYPES[dtype])
    zero_point = 0 if dtype in ("f32", "i16") else draw(st.integers(int(info.min), int(info.max)))
    scale = draw(st.sampled_from([0.003, 0.05, 0.31]))
    program = pool(peer, kind, shape, dtype, options, scale=scale, zero_point=zero_point)
    return program, random_input(program, draw(st.integers(0, 2**32 - 1)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["i8", "u8", "i16"])
@EXAMPLES
@given(data=st.data())
def test_pool_gives_the_integers_of_both_resolvers(peer, kind, dtype, data):
    """LiteRT's reference kernels and its default give the integers of the reference, whatever the rounding."""
    program, feeds = data.draw(cases(peer, kind, dtype))

    ours = peer.reference_run(program, feeds)
    even = peer.reference_run(replace(program, rounding="fp32_even"), feeds)

    assert peer.differing(peer.litert_run(program, feeds), ours) == 0
    assert peer.differing(peer.litert_run(program, feeds, "DEFAULT"), even) == 0


@pytest.mark.parametrize("kind", KINDS)
@EXAMPLES
@given(data=st.data())
def test_float_pool_is_within_1e_6(peer, kind, data):
    """Floats agree with LiteRT to 1e-6 of the largest."""
    program, feeds = data.draw(cases(peer, kind, "f32"))

    wanted = peer.litert_run(program, feeds)["y"]

    np.testing.assert_allclose(
        wanted, peer.reference_run(program, feeds)["y"], rtol=0, atol=1e-6 * max(1.0, np.abs(wanted).max())
    )


@pytest.mark.parametrize(("dtype", "values", "mean"), [("i8", (-1, -2), -2), ("i8", (1, 2), 2), ("u8", (4, 5), 5)])
def test_average_pool_rounds_ties_away_from_zero(peer, dtype, values, mean):
    """The mean of two neighbours lies between them, and goes to the one further from zero."""
    options = Pool2DOptions(Padding.VALID, filter_width=2)
    program = pool(peer, "AVERAGE_POOL_2D", (1, 1, 2, 1), dtype, options)

    feeds = {"x": np.array(values, DTYPES[dtype]).reshape(1, 1, 2, 1)}

    assert mean == int(peer.reference_run(program, feeds)["y"].item())


def test_average_pool_leaves_padding_out_of_the_count(peer):
    """At the corner of a plane of ones the mean is 1, not 4 / 9."""
    program = pool(peer, "AVERAGE_POOL_2D", (1, 4, 4, 1), "f32", Pool2DOptions(filter_width=3, filter_height=3))

    assert (peer.reference_run(program, {"x": np.ones((1, 4, 4, 1), np.float32)})["y"] == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_pool_takes_a_window_far_larger_than_the_tensor(peer, kind):
    """A window of 2**31 - 1 costs no more than the tensor it looks at."""
    options = Pool2DOptions(filter_width=2**31 - 1, filter_height=2**31 - 1)
    program = pool(peer, kind, (1, 3, 3, 2), "i8", options)

    begun = time.perf_counter()
    y = peer.reference_run(program, {"x": np.full((1, 3, 3, 2), 7, np.int8)})["y"]

    assert (y == 7).all()
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        pytest.param((1, 4, 4, 1), Pool2DOptions(fused_activation_function=Activation.TANH), "TANH", id="fused-tanh"),
        pytest.param((1, 2, 2, 1), Pool2DOptions(Padding.VALID, filter_height=3), "no window", id="window-too-large"),
        pytest.param((4, 4, 1), Pool2DOptions(), "3 dimensions", id="three-dimensions"),
        pytest.param((1, 4, 4, 1), Pool2DOptions(stride_w=0), "stride 0", id="stride-0"),
    ],
)
def test_pool_says_why_it_is_refused(peer, shape, options, reason):
    """What has no kernel or no meaning is refused with the reason."""
    program = peer.one_operator("MAX_POOL_2D", [Tensor("x", shape)], Tensor("y", shape), options)

    with pytest.raises(ModelError, match=reason):
        verify(program)
