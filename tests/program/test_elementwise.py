"""Functions of one real beside LiteRT's own kernels: all 256 integers, all 65536, and float32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError, SampleError
from bitwright.program.operator import Options
from bitwright.program.options import GeluOptions
from bitwright.program.tensor import DTYPES, Tensor

EXAMPLES = settings(max_examples=25, deadline=None, derandomize=True)

#: The one parameters that LiteRT takes for a result, where it takes one.
RESULTS = {
    ("LOGISTIC", "i8"): (2.0**-8, -128),
    ("LOGISTIC", "u8"): (2.0**-8, 0),
    ("LOGISTIC", "i16"): (2.0**-15, 0),
    ("TANH", "i16"): (2.0**-15, 0),
}

QUANTIZED = [
    ("LOGISTIC", "i8"),
    ("LOGISTIC", "u8"),
    ("TANH", "i8"),
    ("TANH", "u8"),
    ("GELU", "i8"),
    ("GELU", "u8"),
    ("EXP", "i8"),
    ("LOG", "i8"),
    ("ELU", "i8"),
    ("RSQRT", "i8"),
    ("ABS", "i8"),
    ("NEG", "i8"),
]
WIDE = ["LOGISTIC", "TANH", "EXP", "LOG", "RSQRT", "ABS", "NEG"]

#: Where the reference resolver has no kernel at all.
WITHOUT_REFERENCE = ("ELU", "CEIL", "ROUND")


def cases(pairs):
    return [pytest.param(kind, dtype, id=f"{kind.lower()}-{dtype}") for kind, dtype in pairs]


def options_of(kind, approximate=False):
    return GeluOptions(approximate=approximate) if kind == "GELU" else Options()


def every_integer(kind, tensor):
    """All values of a type, those that the operator takes."""
    bounds = np.iinfo(DTYPES[tensor.dtype])
    values = np.arange(bounds.min, bounds.max + 1).astype(DTYPES[tensor.dtype])
    return np.maximum(values, values.dtype.type(tensor.zero_point)) if kind == "RSQRT" else values


@st.composite
def parameters(draw, kind, dtype):
    """Scale and zero_point of an operand and its result; every second zero_point at a bound."""
    bounds = np.iinfo(DTYPES[dtype])
    points = st.one_of(
        st.sampled_from([int(bounds.min), int(bounds.max)]), st.integers(int(bounds.min), int(bounds.max))
    )

    def one():
        octave = draw(st.floats(-8, 0)) - (8 if dtype == "i16" else 0)
        return float(np.float32(2.0**octave)), 0 if dtype == "i16" else draw(points)

    source = one()
    if kind in ("LOGISTIC", "TANH") and dtype == "i16" and draw(st.booleans()):
        source = (2.0 ** draw(st.integers(-14, -10)), 0)
    return source, RESULTS.get((kind, dtype)) or one()


def program_of(peer, kind, dtype, drawn, rounding="tflite_double", approximate=False):
    (scale, zero_point), (scale_out, zero_point_out) = drawn
    size = 1 << (8 * DTYPES[dtype].itemsize)
    source = peer.quantized("x", (size,), dtype, scale=scale, zero_point=zero_point)
    target = peer.quantized("y", (size,), dtype, scale=scale_out, zero_point=zero_point_out)
    feeds = {"x": every_integer(kind, source)}
    return peer.one_operator(kind, [source], target, options_of(kind, approximate), rounding=rounding), feeds


def differing(peer, program, feeds, resolver):
    """The reference runs first: it refuses where LiteRT would abort."""
    ours = peer.reference_run(program, feeds)
    return peer.differing(peer.litert_run(program, feeds, resolver), ours)


@pytest.mark.parametrize(("kind", "dtype"), cases(QUANTIZED))
def test_function_of_8_bits_is_litert(peer, kind, dtype):
    """Every integer, on the reference kernels and by default, over many scales and zero points."""

    @EXAMPLES
    @given(drawn=parameters(kind, dtype), approximate=st.booleans())
    def check(drawn, approximate):
        reference = "BUILTIN" if kind in WITHOUT_REFERENCE else "BUILTIN_REF"
        for rounding, resolver in (("tflite_double", reference), ("fp32_even", "DEFAULT")):
            program, feeds = program_of(peer, kind, dtype, drawn, rounding, approximate)

            assert differing(peer, program, feeds, resolver) == 0

    check()


@pytest.mark.parametrize("kind", WIDE)
def test_function_of_16_bits_is_litert(peer, kind):
    """Every int16, on the reference kernels and by default: interpolated tables, and their special scales."""

    @settings(EXAMPLES, max_examples=6)
    @given(drawn=parameters(kind, "i16"))
    def check(drawn):
        for rounding, resolver in (("tflite_double", "BUILTIN_REF"), ("fp32_even", "DEFAULT")):
            program, feeds = program_of(peer, kind, "i16", drawn, rounding)

            assert differing(peer, program, feeds, resolver) == 0

    check()


def test_gelu_of_16_bits_is_litert_but_for_the_c_library(peer):
    """Within one integer, on an entry or two of its table: the library's erfc and tanh are not correctly rounded."""
    for seed in range(4):
        octaves = np.random.default_rng(seed).uniform(-16, -9, 2)
        drawn = [(float(np.float32(2.0**octave)), 0) for octave in octaves]
        program, feeds = program_of(peer, "GELU", "i16", drawn, approximate=bool(seed % 2))
        ours = peer.reference_run(program, feeds)["y"].astype(int)
        difference = np.abs(ours - peer.litert_run(program, feeds)["y"])

        assert difference.max() <= 1
        assert np.count_nonzero(difference) <= 2 * 128


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("LOGISTIC", -20, 20),
        ("TANH", -10, 10),
        ("GELU", -8, 8),
        ("EXP", -20, 20),
        ("LOG", 1e-6, 1e6),
        ("ELU", -20, 20),
        ("RSQRT", 1e-6, 1e6),
        ("SQRT", 0, 1e6),
        ("ABS", -9, 9),
        ("NEG", -9, 9),
        ("SQUARE", -9, 9),
        ("SIN", -9, 9),
        ("COS", -9, 9),
        ("FLOOR", -9, 9),
        ("CEIL", -9, 9),
        ("ROUND", -9, 9),
    ],
)
def test_function_of_reals_is_litert(peer, kind, low, high):
    """Within 1e-5, on LiteRT's own kernels and on XNNPACK's; halves are rounded to even."""
    x = np.random.default_rng(0).uniform(low, high, 2000).astype(np.float32)
    if kind in ("FLOOR", "CEIL", "ROUND"):
        x[:18] = np.arange(-9, 9) + 0.5
    for approximate in (False, True) if kind == "GELU" else (False,):
        program = peer.one_operator(kind, [Tensor("x", x.shape)], Tensor("y", x.shape), options_of(kind, approximate))
        ours = peer.reference_run(program, {"x": x})["y"]
        reference = "BUILTIN" if kind in WITHOUT_REFERENCE else "BUILTIN_REF"
        for resolver in (reference, "DEFAULT"):
            expected = peer.litert_run(program, {"x": x}, resolver)["y"]

            # What GELU leaves of x far below zero is a difference of nearly equal numbers in Eigen's own tanh and erfc.
            np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=2e-6 if kind == "GELU" else 2e-7)


@pytest.mark.parametrize(("kind", "dtype"), [("ABS", "i32"), ("NEG", "i32"), ("NEG", "i64")])
def test_function_of_plain_integers_is_litert(peer, kind, dtype):
    """The lowest integer stays."""
    bounds = np.iinfo(DTYPES[dtype])
    x = np.array([bounds.min, bounds.min + 1, -5, 0, 5, bounds.max], DTYPES[dtype])
    program = peer.one_operator(kind, [Tensor("x", x.shape, dtype)], Tensor("y", x.shape, dtype))

    assert differing(peer, program, {"x": x}, "BUILTIN") == 0


def test_root_of_a_negative_integer_refuses(peer):
    """As LiteRT does, which stops."""
    program, feeds = program_of(peer, "RSQRT", "i8", [(0.1, 3), (0.1, 0)])

    with pytest.raises(SampleError, match="root of a negative number"):
        peer.reference_run(program, feeds | {"x": np.full(256, 2, np.int8)})


@pytest.mark.parametrize(
    ("kind", "dtype", "drawn", "reason"),
    [
        pytest.param("EXP", "u8", [(0.1, 0), (0.1, 0)], "no kernel for u8", id="no-kernel"),
        pytest.param("SQRT", "i8", [(0.1, 0), (0.1, 0)], "no kernel for i8", id="float-only"),
        pytest.param("LOGISTIC", "i8", [(0.1, 0), (0.1, -128)], "LiteRT takes 0.00390625", id="fixed-scale"),
        pytest.param("LOGISTIC", "i16", [(0.1, 1), (2.0**-15, 0)], "zero_point 0", id="int16-zero-point"),
        pytest.param("LOGISTIC", "i16", [(2e5, 0), (2.0**-15, 0)], "multiplier holds less", id="int16-scale"),
    ],
)
def test_function_refuses(peer, kind, dtype, drawn, reason):
    """What LiteRT has no kernel for, or stops at, is told before anything runs."""
    program, feeds = program_of(peer, kind, dtype, drawn)

    with pytest.raises(ModelError, match=reason):
        peer.reference_run(program, feeds)


def test_function_refuses_integers_without_scale(peer):
    """8-bit integers always stand for reals."""
    program = peer.one_operator("TANH", [Tensor("x", (4,), "i8")], Tensor("y", (4,), "i8"))

    with pytest.raises(ModelError, match="has no scale"):
        peer.reference_run(program, {"x": np.zeros(4, np.int8)})
