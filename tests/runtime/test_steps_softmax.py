"""SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION in the engine: bit for bit the numpy references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise_programs import DRAWN, program_of, tensor
from engine_checks import ROUNDINGS, assert_equals_reference, random_values
from hypothesis import given
from hypothesis import strategies as st

from bitwright.program.operator import Options
from bitwright.program.options import L2NormOptions, SoftmaxOptions
from bitwright.program.tensor import DTYPES
from bitwright.runtime.session import Session

#: Operator, types of operand and result, and the one scale and zero_point that the result has.
CASES = [
    pytest.param("SOFTMAX", "i8", "i8", 2.0**-8, -128, id="softmax-i8"),
    pytest.param("SOFTMAX", "u8", "u8", 2.0**-8, 0, id="softmax-u8"),
    pytest.param("SOFTMAX", "i8", "i16", 2.0**-15, 0, id="softmax-i8-i16"),
    pytest.param("SOFTMAX", "u8", "i16", 2.0**-16, -32768, id="softmax-u8-i16"),
    pytest.param("SOFTMAX", "i16", "i16", 2.0**-15, 0, id="softmax-i16"),
    pytest.param("LOG_SOFTMAX", "i8", "i8", 2.0**-4, 127, id="log_softmax-i8"),
    pytest.param("LOG_SOFTMAX", "u8", "u8", 2.0**-4, 255, id="log_softmax-u8"),
    pytest.param("L2_NORMALIZATION", "i8", "i8", 2.0**-7, 0, id="l2_normalization-i8"),
    pytest.param("L2_NORMALIZATION", "u8", "u8", 2.0**-7, 128, id="l2_normalization-u8"),
]
FACES = {case.id: case.values for case in CASES}


def options_of(kind, beta):
    return {"SOFTMAX": SoftmaxOptions(beta=beta), "L2_NORMALIZATION": L2NormOptions()}.get(kind, Options())


def normalization(face, shape, *, scale=0.1, zero_point=0, beta=1.0):
    """One operator over rows; face is a key of FACES."""
    kind, source, target, target_scale, target_point = FACES[face]
    x = tensor("x", shape, source, scale, zero_point)
    return program_of(kind, [x], tensor("y", shape, target, target_scale, target_point), options_of(kind, beta))


@pytest.mark.parametrize("face", FACES)
def test_normalization_equals_reference(face):
    """Rows of 1 to 500, spread and flat, over scales of many octaves."""
    source = FACES[face][1]

    @DRAWN
    @given(
        rows=st.sampled_from([(1,), (3, 2), (9,), (2, 2, 1)]),
        depth=st.sampled_from([1, 2, 3, 8, 10, 12, 15, 16, 17, 31, 32, 33, 64, 101, 256, 257, 500]),
        octave=st.floats(-9, 1),
        fraction=st.floats(0, 1),
        spread=st.sampled_from([0.0, 0.01, 0.1, 1.0]),
        beta=st.sampled_from([1.0, 1.0, 0.5, 3.0]),
        seed=st.integers(0, 2**32 - 1),
    )
    def check(rows, depth, octave, fraction, spread, beta, seed):
        bounds = np.iinfo(DTYPES[source])
        span = int(bounds.max) - int(bounds.min)
        point = 0 if source == "i16" else int(bounds.min) + round(fraction * span)
        scale = float(np.float32(2.0 ** (octave - (8 if source == "i16" else 0))))
        program = normalization(face, (*rows, depth), scale=scale, zero_point=point, beta=beta)
        drawn = np.random.default_rng(seed).normal(point, spread * span, (*rows, depth))
        x = np.clip(np.rint(drawn), bounds.min, bounds.max).astype(DTYPES[source])

        assert_equals_reference(program, feeds={"x": x})

    check()


@pytest.mark.parametrize("face", FACES)
def test_normalization_of_every_difference_equals_reference(face):
    """Rows that hold the largest integer and each of 256 others, alone and all together."""
    source = DTYPES[FACES[face][1]]
    bounds = np.iinfo(source)
    every = np.linspace(bounds.min, bounds.max, 256).astype(source)
    pairs = np.stack([np.full(256, bounds.max, source), every], axis=-1)
    for scale in (0.003, 0.1, 1.5):
        step = scale / 256 if source == np.int16 else scale
        assert_equals_reference(normalization(face, pairs.shape, scale=step), feeds={"x": pairs})
        assert_equals_reference(normalization(face, (256,), scale=step), feeds={"x": every})


@pytest.mark.parametrize("face", ["softmax-i8", "softmax-u8", "softmax-i8-i16", "softmax-i16", "log_softmax-i8"])
@pytest.mark.parametrize("depth", [1000, 1025, 4095])
def test_normalization_of_long_rows_equals_reference(face, depth):
    """Classes by the thousand, among them rows whose sum leaves no bit of a share: flat ones."""
    program = normalization(face, (3, depth))
    x = random_values(program.tensors["x"], np.random.default_rng(depth))
    x[1], x[2] = 0, x[2] // 8

    assert_equals_reference(program, feeds={"x": x})


@pytest.mark.parametrize("face", ["softmax-i8", "log_softmax-u8", "softmax-i16"])
def test_normalization_divided_between_threads_equals_reference(face):
    """Rows are divided, however many."""
    assert_equals_reference(normalization(face, (5, 29, 67)), threads=(2, 3))


@pytest.mark.parametrize("kind", ["SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"])
def test_normalization_of_reals_is_left_with_a_reason(kind):
    """Numpy's float32 exponentials and sums are its own."""
    program = program_of(kind, [tensor("x", (2, 9), "f32")], tensor("y", (2, 9), "f32"), options_of(kind, 1.0))

    assert list(Session(program, isa="scalar", threads=1).left.values()) == [
        "exponentials and sums of float32 are numpy's own"
    ]
    assert_equals_reference(program, all_in_engine=False)


@pytest.mark.parametrize(
    ("face", "depth", "rounding"),
    [
        pytest.param("softmax-i8", 4096, "tflite_double", id="softmax"),
        pytest.param("log_softmax-i8", 4096, "tflite_single", id="log-softmax"),
        pytest.param("softmax-i16", 65536, "fp32_even", id="softmax-i16"),
        pytest.param("l2_normalization-i8", 33026, "fp32_even", id="l2"),
    ],
)
def test_normalization_of_rows_too_long_for_their_sums_is_left_with_a_reason(face, depth, rounding):
    """One element less and the engine takes them."""
    for length, count in ((depth, 1), (depth - 1, 0)):
        program = replace(normalization(face, (1, length)), rounding=rounding)

        assert count == len(Session(program, isa="scalar", threads=1).left)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_softmax_of_a_scale_below_its_fixed_point_is_left(rounding):
    """Float32 takes any scale; gemmlowp's differences must be above 2**-26 each."""
    program = replace(normalization("softmax-i8", (1, 4), scale=2.0**-27), rounding=rounding)

    assert (rounding != "fp32_even") == bool(Session(program, isa="scalar", threads=1).left)
