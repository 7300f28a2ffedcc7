"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR beside LiteRT's own kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.program.options import ResizeBilinearOptions, ResizeNearestNeighborOptions
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.program.verify import verify

EXAMPLES = settings(max_examples=50, deadline=None, derandomize=True)
OPTIONS = {"RESIZE_BILINEAR": ResizeBilinearOptions, "RESIZE_NEAREST_NEIGHBOR": ResizeNearestNeighborOptions}
KINDS = [pytest.param(kind, id=kind.lower()) for kind in OPTIONS]


def resize(peer, kind, shape, size, dtype="f32", **flags):
    result = (shape[0], *size, shape[3])
    if dtype == "f32":
        x, y = Tensor("x", shape), Tensor("y", result)
    else:
        x, y = (peer.quantized(name, s, dtype, scale=0.1) for name, s in (("x", shape), ("y", result)))
    operands = [x, peer.constant("size", np.int32(size), "i32")]
    return peer.one_operator(kind, operands, y, OPTIONS[kind](**flags))


@st.composite
def cases(draw, peer, kind, dtype):
    """A Program over sizes up and down and the three ways to lie on the input, and its input."""
    shape = tuple(draw(st.integers(1, most)) for most in (2, 8, 8, 9))
    size = (draw(st.integers(1, 20)), draw(st.integers(1, 20)))
    flag = draw(st.sampled_from([{}, {"align_corners": True}, {"half_pixel_centers": True}]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if dtype == "f32":
        x = rng.normal(size=shape).astype(np.float32)
    else:
        info = np.iinfo(DTYPES[dtype])
        x = rng.integers(info.min, info.max, shape, endpoint=True).astype(DTYPES[dtype])
    return resize(peer, kind, shape, size, dtype, **flag), {"x": x}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["i8", "u8", "i16"])
@EXAMPLES
@given(data=st.data())
def test_resize_gives_the_integers_of_both_resolvers(peer, kind, dtype, data):
    """LiteRT's reference kernel with `tflite_double`, its default with `fp32_even`: 0 integers differ."""
    program, feeds = data.draw(cases(peer, kind, dtype))

    ours = peer.reference_run(program, feeds)
    even = peer.reference_run(replace(program, rounding="fp32_even"), feeds)

    assert peer.differing(peer.litert_run(program, feeds), ours) == 0
    assert peer.differing(peer.litert_run(program, feeds, "DEFAULT"), even) == 0


@pytest.mark.parametrize("kind", KINDS)
@EXAMPLES
@given(data=st.data())
def test_float_resize_is_within_1e_6(peer, kind, data):
    """Floats agree with LiteRT's reference kernel to 1e-6 of the largest."""
    program, feeds = data.draw(cases(peer, kind, "f32"))

    wanted = peer.litert_run(program, feeds)["y"]

    atol = 1e-6 * float(np.abs(wanted).max())
    np.testing.assert_allclose(wanted, peer.reference_run(program, feeds)["y"], rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["i8", "i16"])
def test_bilinear_rounds_ties_away_from_zero(peer, dtype):
    """Halfway between -1 and -2 lies -2."""
    program = resize(peer, "RESIZE_BILINEAR", (1, 1, 2, 1), (1, 4), dtype)

    wanted = [-1, -2, -2, -2]

    x = np.array([-1, -2], DTYPES[dtype]).reshape(1, 1, 2, 1)
    assert wanted == peer.reference_run(program, {"x": x})["y"].ravel().tolist()


def test_resize_says_why_it_is_refused(peer):
    """The two ways to lie on the input exclude each other; a size is positive."""
    both = {"align_corners": True, "half_pixel_centers": True}
    with pytest.raises(ModelError, match="exclude each other"):
        verify(resize(peer, "RESIZE_BILINEAR", (1, 2, 2, 1), (3, 3), **both))
    with pytest.raises(ModelError, match="cannot be resized"):
        verify(resize(peer, "RESIZE_BILINEAR", (1, 2, 2, 1), (0, 3)))
