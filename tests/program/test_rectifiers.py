"""RELU and its kin, LEAKY_RELU, PRELU and HARD_SWISH beside LiteRT's own kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.program.operator import Options
from bitwright.program.options import LeakyReluOptions
from bitwright.program.tensor import DTYPES, Tensor

EXAMPLES = settings(max_examples=30, deadline=None, derandomize=True)


KINDS = [
    ("RELU", ("i8", "u8", "i16")),
    ("RELU6", ("i8", "u8", "i16")),
    ("RELU_N1_TO_1", ("i8", "u8")),
    ("RELU_0_TO_1", ("i8", "u8")),
    ("LEAKY_RELU", ("i8", "u8", "i16")),
    ("PRELU", ("i8", "u8", "i16")),
    ("HARD_SWISH", ("i8", "u8")),
]
CASES = [pytest.param(kind, dtype, id=f"{kind.lower()}-{dtype}") for kind, dtypes in KINDS for dtype in dtypes]


def options_of(kind, alpha=0.3):
    return LeakyReluOptions(alpha=float(np.float32(alpha))) if kind == "LEAKY_RELU" else Options()


def differing(peer, program, feeds, resolver):
    """The reference runs first: it refuses where LiteRT would abort."""
    ours = peer.reference_run(program, feeds)
    return peer.differing(peer.litert_run(program, feeds, resolver), ours)


@st.composite
def calls(draw, peer, kind, dtype):
    """Operands, result, options and feeds; every integer of the type, slopes along the last dimension."""
    bounds = np.iinfo(DTYPES[dtype])
    x = np.arange(bounds.min, bounds.max + 1).astype(DTYPES[dtype]).reshape(-1, 4)

    def tensor(name, shape, storage, data=None, octaves=(-8, 2)):
        low, high = (int(bound) for bound in (np.iinfo(DTYPES[storage]).min, np.iinfo(DTYPES[storage]).max))
        point = 0 if storage == "i16" else draw(st.one_of(st.sampled_from([low, high]), st.integers(low, high)))
        scale = float(np.float32(2.0 ** draw(st.floats(*octaves))))
        return peer.quantized(name, shape, storage, scale=scale, zero_point=point, data=data)

    operands = [tensor("x", x.shape, dtype)]
    if kind == "PRELU":
        storage = "i8" if dtype == "i16" else dtype
        slopes = np.random.default_rng(draw(st.integers(0, 999))).integers(0, 127, (4,), DTYPES[storage])
        operands.append(tensor("slopes", (4,), storage, slopes))
    octaves = (np.log2(operands[0].scale) - 6.9, 2) if kind == "HARD_SWISH" else (-8, 2)
    result = tensor("y", x.shape, dtype, octaves=octaves)
    return operands, result, options_of(kind, draw(st.sampled_from([0.01, 0.1, 0.3, 1.5, -0.25]))), {"x": x}


@pytest.mark.parametrize(("kind", "dtype"), CASES)
def test_rectifier_of_integers_is_litert(peer, kind, dtype):
    """Every integer, on the reference kernels and by default, over many scales, slopes and zero points.

    Of int16, LiteRT's optimized LEAKY_RELU, its default, has ties of its own on x86.
    """

    @settings(EXAMPLES, max_examples=5 if dtype == "i16" else 30)
    @given(st.data())
    def check(data):
        operands, result, options, feeds = data.draw(calls(peer, kind, dtype))
        modes = [("tflite_double", "BUILTIN_REF"), ("fp32_even", "DEFAULT")]
        for rounding, resolver in modes[:1] if (kind, dtype) == ("LEAKY_RELU", "i16") else modes:
            program = peer.one_operator(kind, operands, result, options, rounding=rounding)

            assert differing(peer, program, feeds, resolver) == 0

    check()


def test_leaky_relu_tie_rule(peer):
    """-0.5 * 3 = -1.5 and 1.5: away from zero by LiteRT's kernel, upward by XNNPACK's."""
    program = [
        peer.one_operator(
            "LEAKY_RELU",
            [peer.quantized("x", (2,), scale=0.5)],
            peer.quantized("y", (2,)),
            options_of("LEAKY_RELU", 0.5),
            rounding=rounding,
        )
        for rounding in ("tflite_double", "fp32_even")
    ]

    ours = [peer.reference_run(each, {"x": np.int8([-6, 3])})["y"].tolist() for each in program]

    assert ours == [[-2, 2], [-1, 2]]


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS])
def test_rectifier_of_reals_is_litert(peer, kind):
    """Within 1e-5, on LiteRT's own kernels and on XNNPACK's."""
    x = np.random.default_rng(0).uniform(-9, 9, (2, 5, 8)).astype(np.float32)
    slopes = np.linspace(-1, 1, 8, dtype=np.float32)
    operands = [Tensor("x", x.shape)] + ([Tensor("slopes", (8,), data=slopes)] if kind == "PRELU" else [])
    program = peer.one_operator(kind, operands, Tensor("y", x.shape), options_of(kind))
    for resolver in ("BUILTIN_REF", "DEFAULT"):
        expected = peer.litert_run(program, {"x": x}, resolver)["y"]

        np.testing.assert_allclose(peer.reference_run(program, {"x": x})["y"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "types", "scales", "reason"),
    [
        pytest.param("HARD_SWISH", ("i16", "i16"), (1, 1), "no kernel for i16", id="no-kernel"),
        pytest.param("RELU_N1_TO_1", ("i16", "i16"), (1, 1), "no kernel for i16", id="no-bounded-int16"),
        pytest.param("HARD_SWISH", ("i8", "i8"), (1, 0.001), "below 1/128", id="result-too-fine"),
        pytest.param("PRELU", ("i16", "i16"), (1, 1), "LiteRT takes i8 for i16", id="int16-slopes"),
    ],
)
def test_rectifier_refuses(peer, kind, types, scales, reason):
    """What LiteRT has no kernel for, or stops at, is told before anything runs."""
    operands = [peer.quantized("x", (4,), types[0], scale=scales[0])]
    if kind == "PRELU":
        operands.append(peer.quantized("slopes", (4,), types[0]))
    program = peer.one_operator(kind, operands, peer.quantized("y", (4,), types[1], scale=scales[1]))

    with pytest.raises(ModelError, match=reason):
        peer.reference_run(program, {})


def test_prelu_refuses_slopes_that_stretch_the_operand(peer):
    """They broadcast to it, not beyond."""
    program = peer.one_operator("PRELU", [Tensor("x", (1, 4)), Tensor("slopes", (3, 4))], Tensor("y", (3, 4)))

    with pytest.raises(ModelError, match=r"slopes of shape \[3, 4\] do not fit \[1, 4\]"):
        peer.reference_run(program, {})
