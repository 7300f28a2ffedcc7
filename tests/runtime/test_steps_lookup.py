"""Functions of one number in the engine: bit for bit the numpy references."""

from __future__ import annotations

import numpy as np
import pytest
from elementwise_programs import DRAWN, SPECIAL, every_integer, parameters, program_of, tensor
from engine_checks import USABLE_ISAS, assert_equals_reference
from hypothesis import assume, given
from hypothesis import strategies as st

from bitwright.errors import BitwrightError
from bitwright.program.operator import Options
from bitwright.program.options import GeluOptions, LeakyReluOptions
from bitwright.program.tensor import Tensor
from bitwright.program.verify import verify
from bitwright.runtime.session import Session

#: The one parameters that LiteRT takes for a result, where it takes one.
RESULTS = {
    ("LOGISTIC", "i8"): {"scale": 2.0**-8, "zero_point": -128},
    ("LOGISTIC", "u8"): {"scale": 2.0**-8, "zero_point": 0},
    ("LOGISTIC", "i16"): {"scale": 2.0**-15, "zero_point": 0},
    ("TANH", "i16"): {"scale": 2.0**-15, "zero_point": 0},
}
OF_BYTES = [
    *[(kind, dtype) for kind in ("LOGISTIC", "TANH", "GELU", "HARD_SWISH", "LEAKY_RELU") for dtype in ("i8", "u8")],
    *[(kind, dtype) for kind in ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1") for dtype in ("i8", "u8")],
    *[(kind, "i8") for kind in ("EXP", "LOG", "ELU", "ABS", "NEG")],
]
OF_WORDS = ["LOGISTIC", "TANH", "GELU", "EXP", "LOG", "ABS", "NEG", "RELU", "RELU6", "LEAKY_RELU"]
OF_REALS = ["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "HARD_SWISH", "ABS", "NEG", "SQUARE"]
OF_REALS += ["SQRT", "RSQRT", "FLOOR", "CEIL", "ROUND"]


def options_of(kind, alpha=0.1, approximate=False):
    if kind == "LEAKY_RELU":
        return LeakyReluOptions(alpha=alpha)
    return GeluOptions(approximate=approximate) if kind == "GELU" else Options()


def drawn(data, kind, dtype):
    """An operator over all integers of a type, with any parameters that LiteRT takes."""
    values = every_integer(dtype)
    operand = tensor("x", values.shape, dtype, **data.draw(parameters(dtype)))
    result = tensor("y", values.shape, dtype, **RESULTS.get((kind, dtype), data.draw(parameters(dtype))))
    alpha = float(np.float32(data.draw(st.sampled_from([0.1, 1.0, -0.3, 0.001]))))
    program = program_of(kind, [operand], result, options_of(kind, alpha, data.draw(st.booleans())))
    try:
        verify(program)
    except BitwrightError:
        assume(False)
    return program, {"x": values}


@pytest.mark.parametrize(("kind", "dtype"), OF_BYTES, ids=lambda value: value.lower())
def test_function_of_every_byte_equals_reference(kind, dtype):
    """All 256 integers, for all scales, zero points and slopes."""

    @DRAWN
    @given(st.data())
    def check(data):
        program, feeds = drawn(data, kind, dtype)

        assert_equals_reference(program, feeds=feeds)

    check()


@pytest.mark.parametrize("kind", OF_WORDS)
def test_function_of_every_int16_equals_reference(kind):
    """All 65536 integers; 513 entries are interpolated where the reference does, 65536 are looked up elsewhere."""
    for exponent in (-15, -12, -11, -9.3):
        operand = tensor("x", (65536,), "i16", float(np.float32(2.0**exponent)))
        result = tensor("y", (65536,), "i16", **RESULTS.get((kind, "i16"), {"scale": 2.0**-11}))

        assert_equals_reference(
            program_of(kind, [operand], result, options_of(kind)), feeds={"x": every_integer("i16")}
        )


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 63, 64, 65, 200])
def test_function_of_any_size_equals_reference(size):
    """Whole vectors and what is left over."""
    program = program_of("TANH", [tensor("x", (size,))], tensor("y", (size,), scale=2.0**-7))

    assert_equals_reference(program)


@pytest.mark.parametrize("kind", OF_REALS)
def test_function_of_reals_is_numpy(kind):
    """NaN, infinities, ties and both zeros."""
    rng = np.random.default_rng(0)
    x = np.concatenate([SPECIAL, rng.normal(0, 4, 200).astype(np.float32), np.arange(-8, 8, 0.5, dtype=np.float32)])
    program = program_of(
        kind, [tensor("x", x.shape, "f32")], tensor("y", x.shape, "f32"), options_of(kind, float(np.float32(0.1)))
    )

    with np.errstate(all="ignore"):
        assert_equals_reference(program, feeds={"x": x}, roundings=("fp32_even",))


def test_clamping_takes_the_bound_of_two_zeros():
    """The sign of zero is numpy's: RELU of -0.0 is 0.0."""
    program = program_of("RELU", [tensor("x", (9,), "f32")], tensor("y", (9,), "f32"))
    for isa in USABLE_ISAS:
        made = Session(program, isa=isa, threads=1)(np.full(9, -0.0, np.float32))

        assert not np.signbit(made).any()


def test_root_of_integers_below_zero_is_left_with_a_reason():
    """The reference refuses such integers while it runs, a table could not."""
    positive = program_of("RSQRT", [tensor("x", (256,), zero_point=-128)], tensor("y", (256,), scale=0.1))
    either = program_of("RSQRT", [tensor("x", (256,))], tensor("y", (256,), scale=0.1))

    assert_equals_reference(positive, feeds={"x": every_integer("i8")})
    (reason,) = Session(either, isa="scalar", threads=1).left.values()
    assert "not every integer has a result" in reason


@pytest.mark.parametrize("kind", ["EXP", "TANH", "LOGISTIC", "GELU", "SIN"])
def test_function_of_reals_beyond_arithmetic_is_left_with_a_reason(kind):
    """Transcendental functions of reals run on the numpy references."""
    program = program_of(kind, [Tensor("x", (3,))], Tensor("y", (3,)), options_of(kind))

    assert {f"{kind} y": f"no kernel for {kind} of f32"} == Session(program, isa="scalar", threads=1).left


def test_tensor_of_seven_dimensions_is_left_with_a_reason():
    """The engine's tensors have six at most."""
    shape = (1, 2, 1, 2, 1, 2, 1)
    program = program_of("TANH", [tensor("x", shape)], tensor("y", shape, scale=2.0**-7))

    assert_equals_reference(program, all_in_engine=False)
    left = Session(program, isa="scalar", threads=1).left
    assert left == {"TANH y": "a tensor of more than 6 dimensions"}
