"""Operators of two operands in the engine: bit for bit the numpy references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise_programs import DRAWN, SPECIAL, every_integer, parameters, program_of, tensor
from engine_checks import ROUNDINGS, USABLE_ISAS, assert_equals_reference
from hypothesis import assume, given
from hypothesis import strategies as st

from bitwright.errors import BitwrightError
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation, Operator, Options, Padding
from bitwright.program.options import AddOptions, Conv2DOptions, DivOptions, MulOptions, SubOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.program.verify import verify
from bitwright.runtime.session import Session

OPTIONS = {"ADD": AddOptions, "SUB": SubOptions, "MUL": MulOptions, "DIV": DivOptions}
ACTIVATIONS = [Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]
QUANTIZED = [(kind, dtype) for kind in ("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM") for dtype in ("i8", "u8", "i16")]

#: Result, and operands that broadcast to it.
SHAPES = {
    "scalars": ((), (), ()),
    "short": ((7,), (7,), (7,)),
    "long": ((3, 4, 50), (3, 4, 50), (3, 4, 50)),
    "channels": ((1, 5, 6, 19), (1, 5, 6, 19), (19,)),
    "few-channels": ((1, 9, 8, 3), (1, 1, 1, 3), (1, 9, 8, 3)),
    "gate": ((2, 3, 3, 70), (2, 3, 3, 70), (2, 1, 1, 70)),
    "mask": ((2, 3, 4, 33), (2, 3, 4, 1), (2, 3, 4, 33)),
    "outer": ((6, 40), (6, 1), (1, 40)),
    "number": ((2, 70), (2, 70), (1,)),
    "both": ((2, 3, 1, 4, 2, 5), (2, 1, 1, 4, 1, 5), (3, 1, 4, 2, 1)),
}
BROADCASTS = [pytest.param(shapes, id=name) for name, shapes in SHAPES.items()]


def options_of(kind, activation=Activation.NONE):
    return OPTIONS[kind](fused_activation_function=activation) if kind in OPTIONS else Options()


def constant(rng, operand):
    bounds = np.iinfo(DTYPES[operand.dtype])
    data = rng.integers(bounds.min, bounds.max, operand.shape, DTYPES[operand.dtype], endpoint=True)
    return replace(operand, data=np.asarray(data))


def is_refused(program):
    """Whether LiteRT has no such kernel: then there is nothing to compare."""
    try:
        verify(program)
    except BitwrightError:
        return True
    return False


@pytest.mark.parametrize(("kind", "dtype"), QUANTIZED, ids=lambda value: value.lower())
def test_pair_of_integers_equals_reference(kind, dtype):
    """Any scales, zero points, activations; an operand computed or constant; all ways to broadcast."""

    @DRAWN
    @given(st.data())
    def check(data):
        y, a, b = data.draw(st.sampled_from(list(SHAPES.values())))
        operands = [tensor(name, shape, dtype, **data.draw(parameters(dtype))) for name, shape in (("a", a), ("b", b))]
        which = data.draw(st.sampled_from([None, None, 0, 1]))
        if which is not None:
            operands[which] = constant(np.random.default_rng(0), operands[which])
        options = options_of(kind, data.draw(st.sampled_from(ACTIVATIONS)))
        program = program_of(kind, operands, tensor("y", y, dtype, **data.draw(parameters(dtype))), options)
        assume(not is_refused(program))

        assert_equals_reference(program, all_in_engine=False)

    check()


@pytest.mark.parametrize("shapes", BROADCASTS)
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "MINIMUM", "SQUARED_DIFFERENCE"])
def test_pair_of_integers_is_all_in_the_engine(kind, shapes):
    """Of usual scales nothing is left to the references, whichever operand is constant."""
    y, a, b = shapes
    operands = [tensor("a", a, scale=0.05, zero_point=3), tensor("b", b, scale=0.02, zero_point=-128)]
    for which in (None, 0, 1):
        given = [constant(np.random.default_rng(1), t) if i == which else t for i, t in enumerate(operands)]

        assert_equals_reference(program_of(kind, given, tensor("y", y, scale=0.07, zero_point=9), options_of(kind)))


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"])
@pytest.mark.parametrize("scale", [0.03, 0.4, 4.0], ids=["fine", "middle", "coarse"])
def test_every_pair_of_int8_equals_reference(kind, scale):
    """All 65536 pairs."""
    operands = [tensor("a", (256, 1), scale=0.05, zero_point=-3), tensor("b", (256,), scale=0.11, zero_point=127)]
    program = program_of(kind, operands, tensor("y", (256, 256), scale=scale, zero_point=-20), options_of(kind))

    assert_equals_reference(program, feeds={"a": every_integer("i8").reshape(-1, 1), "b": every_integer("i8")})


@pytest.mark.parametrize("exponents", [(0, -3), (-1, 0), (0, 0), (-15, 0)], ids=str)
@pytest.mark.parametrize("kind", ["ADD", "SUB"])
def test_sum_of_int16_with_scales_of_powers_of_two_shifts(kind, exponents):
    """One operand has the result's scale, the other at most that."""
    operands = [tensor(name, (5, 37), "i16", 2.0 ** (e - 8)) for name, e in zip("ab", exponents, strict=True)]
    options = OPTIONS[kind](pot_scale_int16=True, fused_activation_function=Activation.RELU6)

    assert_equals_reference(program_of(kind, operands, tensor("y", (5, 37), "i16", 2.0**-8), options))


@pytest.mark.parametrize("dtype", ["i8", "u8"])
@pytest.mark.parametrize("shape", [(21,), (1, 1, 1)], ids=["per-channel", "one"])
def test_prelu_of_integers_equals_reference(dtype, shape):
    """Constant slopes, one a channel or one for all."""
    x = tensor("x", (1, 6, 7, 21), dtype, 0.05, 7)
    slopes = constant(np.random.default_rng(2), tensor("s", shape, dtype, 0.01, 3))

    assert_equals_reference(program_of("PRELU", [x, slopes], tensor("y", x.shape, dtype, 0.04, 20)))


@pytest.mark.parametrize("kind", ["ADD", "MUL", "DIV", "SQUARED_DIFFERENCE", "MAXIMUM"])
def test_pair_with_a_constant_number_is_a_table(kind):
    """256 results are all that there are; so it is for an operand beside itself."""
    x = tensor("x", (1, 4, 5, 6), scale=0.05, zero_point=3)
    number = tensor("n", (1,), scale=0.1, zero_point=-1, data=np.int8([37]))
    y = tensor("y", x.shape, scale=0.3, zero_point=1)
    program = program_of(kind, [x, number], y, options_of(kind))

    assert_equals_reference(program)
    session = Session(program, isa="scalar", threads=1)
    assert "lut.scalar" in {t.kernel for t in session.profile({"x": np.zeros(x.shape, np.int8)})}
    if kind != "DIV":
        assert_equals_reference(program_of(kind, [x, x], y, options_of(kind)))


@pytest.mark.parametrize("shapes", BROADCASTS)
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "DIV", "MINIMUM", "MAXIMUM", "SQUARED_DIFFERENCE"])
def test_pair_of_reals_is_numpy(kind, shapes):
    """NaN, infinities, both zeros and every activation."""
    y, a, b = shapes
    rng = np.random.default_rng(3)
    feeds = {
        name: np.asarray(np.where(rng.integers(0, 2, s), rng.choice(SPECIAL, s), rng.normal(0, 3, s)), np.float32)
        for name, s in (("a", a), ("b", b))
    }
    for activation in ACTIVATIONS if kind in OPTIONS else [Activation.NONE]:
        operands = [tensor("a", a, "f32"), tensor("b", b, "f32")]
        program = program_of(kind, operands, tensor("y", y, "f32"), options_of(kind, activation))

        with np.errstate(all="ignore"):
            assert_equals_reference(program, feeds=feeds, roundings=("tflite_double", "fp32_even"))


def test_zeros_have_the_signs_that_numpy_gives():
    """Of two zeros a bound is taken: -0.0 clamped to [0, 6] is 0.0."""
    program = program_of(
        "ADD",
        [tensor("a", (2,), "f32"), tensor("b", (2,), "f32")],
        tensor("y", (2,), "f32"),
        options_of("ADD", Activation.RELU6),
    )
    for isa in USABLE_ISAS:
        made = Session(program, isa=isa, threads=1)(np.float32([-0.0, 7.0]), np.float32([-0.0, 0.0]))

        assert np.signbit(made).tolist() == [False, False]


@pytest.mark.parametrize("dtype", ["i16", "i32", "i64"])
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM"])
def test_pair_of_plain_integers_wraps(kind, dtype):
    """Integers without parameters keep the bits of their type, then the activation bounds them."""
    operands = [Tensor("a", (3, 41), dtype), Tensor("b", (41,), dtype)]
    for activation in (Activation.NONE, Activation.RELU6) if kind in OPTIONS else (Activation.NONE,):
        program = program_of(kind, operands, Tensor("y", (3, 41), dtype), options_of(kind, activation))

        assert_equals_reference(program, roundings=("tflite_double",))


def test_prelu_of_reals_is_numpy():
    """Slopes apply below zero alone."""
    operands = [tensor("x", (1, 4, 4, 9), "f32"), tensor("s", (1, 1, 9), "f32", data=np.linspace(-1, 1, 9, dtype="f4"))]
    operands[1] = replace(operands[1], data=operands[1].data.reshape(1, 1, 9))

    assert_equals_reference(program_of("PRELU", operands, tensor("y", (1, 4, 4, 9), "f32")))


def test_quotient_of_integers_is_left_with_a_reason():
    """Such a quotient runs on the numpy reference."""
    operands = [tensor("a", (3,)), tensor("b", (3,), zero_point=-128)]
    session = Session(program_of("DIV", operands, tensor("y", (3,)), DivOptions()), isa="scalar", threads=1)

    assert session.left == {"DIV y": "no kernel for quotients of integers"}


def test_large_pair_is_divided_between_threads():
    """The same result for one thread and two."""
    shape = (1, 60, 61, 33)
    operands = [tensor("a", shape, scale=0.05), tensor("b", (33,), scale=0.1)]

    assert_equals_reference(program_of("ADD", operands, tensor("y", shape, scale=0.1), AddOptions()), threads=(1, 2))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_sum_writes_into_the_border_of_a_convolution(rounding):
    """Its result lies with padding around it, its operands without or with."""
    shape = (2, 6, 7, 21)
    rng = np.random.default_rng(4)
    weights = rng.integers(-127, 128, (5, 3, 3, 21)).astype(np.int8)
    tensors = [
        tensor("a", shape, scale=0.05, zero_point=9),
        tensor("b", shape, scale=0.04, zero_point=-9),
        tensor("sum", shape, scale=0.06, zero_point=5),
        Tensor("w", weights.shape, "i8", QuantParams(0.01, 0, "i8"), weights),
        Tensor("bias", (5,), "i32", QuantParams(0.0006, 0, "i32"), np.arange(5, dtype=np.int32)),
        tensor("y", (2, 6, 7, 5), scale=0.5),
        tensor("again", shape, scale=0.1, zero_point=5),
    ]
    program = Program(
        {t.name: t for t in tensors},
        (
            Operator("ADD", ("a", "b"), ("sum",), AddOptions()),
            Operator("CONV_2D", ("sum", "w", "bias"), ("y",), Conv2DOptions(padding=Padding.SAME)),
            Operator("SUB", ("sum", "a"), ("again",), SubOptions()),
        ),
        (Port("a", "a"), Port("b", "b")),
        (Port("y", "y"), Port("again", "again")),
    )

    assert_equals_reference(program, roundings=(rounding,))
