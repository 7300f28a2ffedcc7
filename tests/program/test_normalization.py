"""SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION beside LiteRT's own kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.program.operator import Options
from bitwright.program.options import L2NormOptions, SoftmaxOptions
from bitwright.program.tensor import DTYPES, Tensor

EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)

#: Operator, types of operand and result, and the one scale and zero_point that the result has.
CASES = [
    pytest.param("SOFTMAX", "i8", "i8", 2.0**-8, -128, id="softmax-i8"),
    pytest.param("SOFTMAX", "u8", "u8", 2.0**-8, 0, id="softmax-u8"),
    pytest.param("SOFTMAX", "i8", "i16", 2.0**-15, 0, id="softmax-i8-i16"),
    pytest.param("SOFTMAX", "i16", "i16", 2.0**-15, 0, id="softmax-i16"),
    pytest.param("LOG_SOFTMAX", "i8", "i8", 2.0**-4, 127, id="log_softmax-i8"),
    pytest.param("LOG_SOFTMAX", "u8", "u8", 2.0**-4, 255, id="log_softmax-u8"),
    pytest.param("L2_NORMALIZATION", "i8", "i8", 2.0**-7, 0, id="l2_normalization-i8"),
    pytest.param("L2_NORMALIZATION", "u8", "u8", 2.0**-7, 128, id="l2_normalization-u8"),
]


def options_of(kind, beta=1.0):
    return {"SOFTMAX": SoftmaxOptions(beta=beta), "L2_NORMALIZATION": L2NormOptions()}.get(kind, Options())


@pytest.mark.parametrize(("kind", "source", "target", "scale", "zero_point"), CASES)
def test_normalization_of_integers_is_litert(peer, kind, source, target, scale, zero_point):
    """Rows of 1 to 500, spread and flat, over scales of many octaves, on the reference kernels and by default."""

    @EXAMPLES
    @given(
        depth=st.sampled_from([1, 2, 3, 10, 101, 500]),
        octave=st.floats(-9, 1),
        fraction=st.floats(0, 1),
        spread=st.sampled_from([0.01, 0.1, 1.0]),
        beta=st.sampled_from([1.0, 1.0, 0.5, 3.0]),
        seed=st.integers(0, 2**32 - 1),
    )
    def check(depth, octave, fraction, spread, beta, seed):
        bounds = np.iinfo(DTYPES[source])
        span = int(bounds.max) - int(bounds.min)
        point = 0 if source == "i16" else int(bounds.min) + round(fraction * span)
        draws = np.random.default_rng(seed).normal(point, spread * span, (3, 2, depth))
        x = np.clip(np.rint(draws), bounds.min, bounds.max).astype(DTYPES[source])
        step = float(np.float32(2.0 ** (octave - (8 if source == "i16" else 0))))
        operand = peer.quantized("x", x.shape, source, scale=step, zero_point=point)
        result = peer.quantized("y", x.shape, target, scale=scale, zero_point=zero_point)
        for rounding, resolver in (("tflite_double", "BUILTIN_REF"), ("fp32_even", "DEFAULT")):
            program = peer.one_operator(kind, [operand], result, options_of(kind, beta), rounding=rounding)
            ours = peer.reference_run(program, {"x": x})

            assert peer.differing(peer.litert_run(program, {"x": x}, resolver), ours) == 0

    check()


@pytest.mark.parametrize("kind", ["SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"])
def test_normalization_of_reals_is_litert(peer, kind):
    """Within 1e-5, on LiteRT's own kernels and on XNNPACK's; a row of zeros included."""
    x = np.random.default_rng(0).normal(0, 5, (4, 3, 37)).astype(np.float32)
    x[0, 0] = 0
    for beta in (1.0, 0.3) if kind == "SOFTMAX" else (1.0,):
        program = peer.one_operator(kind, [Tensor("x", x.shape)], Tensor("y", x.shape), options_of(kind, beta))
        for resolver in ("BUILTIN_REF", "DEFAULT"):
            expected = peer.litert_run(program, {"x": x}, resolver)["y"]

            np.testing.assert_allclose(peer.reference_run(program, {"x": x})["y"], expected, rtol=1e-5, atol=1e-7)


def test_softmax_of_a_wide_flat_row_is_zero(peer):
    """1/1000 rounds to 0/256: LiteRT's reference kernel aborts at such a row, its default gives the same."""
    x = np.zeros((1, 1000), np.int8)
    operand = peer.quantized("x", x.shape, scale=0.1)
    result = peer.quantized("y", x.shape, scale=2.0**-8, zero_point=-128)
    program = peer.one_operator("SOFTMAX", [operand], result, options_of("SOFTMAX"))

    ours = peer.reference_run(program, {"x": x})

    assert set(ours["y"].ravel().tolist()) == {-128}
    assert peer.differing(peer.litert_run(program, {"x": x}, "DEFAULT"), ours) == 0


@pytest.mark.parametrize(
    ("kind", "source", "target", "scale", "zero_point", "reason"),
    [
        pytest.param("SOFTMAX", "i8", "u8", 2.0**-8, 0, "no kernel from i8 to u8", id="mixed-types"),
        pytest.param("SOFTMAX", "i8", "i8", 2.0**-7, -128, "LiteRT takes 0.00390625 and -128", id="softmax-scale"),
        pytest.param("LOG_SOFTMAX", "i8", "i8", 2.0**-4, 0, "LiteRT takes 0.0625 and 127", id="log-softmax-point"),
        pytest.param("LOG_SOFTMAX", "i16", "i16", 2.0**-4, 0, "no kernel for i16", id="no-kernel"),
        pytest.param("L2_NORMALIZATION", "u8", "u8", 2.0**-7, 0, "LiteRT takes 0.0078125 and 128", id="l2-point"),
    ],
)
def test_normalization_refuses(peer, kind, source, target, scale, zero_point, reason):
    """What LiteRT has no kernel for, or stops at, is told before anything runs."""
    operand = peer.quantized("x", (2, 4), source, scale=0.1)
    result = peer.quantized("y", (2, 4), target, scale=scale, zero_point=zero_point)

    with pytest.raises(ModelError, match=reason):
        peer.reference_run(peer.one_operator(kind, [operand], result, options_of(kind)), {})


def test_normalization_refuses_a_scalar(peer):
    """There is no row."""
    program = peer.one_operator("SOFTMAX", [Tensor("x", ())], Tensor("y", ()), options_of("SOFTMAX"))

    with pytest.raises(ModelError, match="is a scalar"):
        peer.reference_run(program, {})
