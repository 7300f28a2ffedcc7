"""QUANTIZE, DEQUANTIZE and CAST in the engine: bit for bit the numpy references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise_programs import DRAWN, SPECIAL, every_integer, parameters, program_of, reals, tensor
from engine_checks import ROUNDINGS, USABLE_ISAS, assert_equals_reference
from hypothesis import given
from hypothesis import strategies as st

from bitwright.lowering.layout import PortLayouts
from bitwright.numerics.qparams import QuantParams
from bitwright.program.options import CastOptions
from bitwright.program.reference import Reference
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.runtime.session import Session

BYTES = ("i8", "u8")
CASTABLE = ("f32", "i8", "u8", "i16", "i32", "i64", "bool")


@pytest.mark.parametrize("dtype", ["i8", "u8", "i16"])
def test_quantize_of_reals_equals_reference(dtype):
    """Ties, their neighbours, NaN, infinities and what leaves int32, for all scales and zero points."""

    @DRAWN
    @given(st.data())
    def check(data):
        given = data.draw(parameters(dtype))
        if dtype == "i16":
            given["zero_point"] = data.draw(st.sampled_from([0, -5, 32767]))
        shape = data.draw(st.sampled_from([(), (1,), (17,), (300,), (3, 5, 7), (2, 9, 4, 3)]))
        feeds = {"x": reals(shape, given["scale"], data.draw(st.integers(0, 99)))}

        assert_equals_reference(
            program_of("QUANTIZE", [tensor("x", shape, "f32")], tensor("y", shape, dtype, **given)), feeds=feeds
        )

    check()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 16, 21])
@pytest.mark.parametrize("dtype", ["i8", "u8", "i16"])
def test_quantize_reads_channels_first(dtype, channels):
    """An array of the caller's with its channels apart is read where it lies: no copy."""
    shape = (2, 9, 23, channels)
    target = tensor("y", shape, dtype, 0.03, 0 if dtype == "i16" else 5)
    program = program_of("QUANTIZE", [tensor("x", shape, "f32")], target)
    caller = reals((2, channels, 9, 23), 0.03, channels)
    for rounding in ROUNDINGS:
        rounded = replace(program, rounding=rounding)
        (expected,) = Reference(rounded).run({"x": caller.transpose(0, 2, 3, 1)}).values()
        for isa in USABLE_ISAS:
            session = Session(rounded, layouts=PortLayouts(inputs={"x": (0, 2, 3, 1)}), isa=isa, threads=1)

            np.testing.assert_array_equal(session.run(None, {"x": caller})[0], expected)
            assert not [t for t in session.profile({"x": caller})[:-1] if t.kernel.startswith("copy")]


def test_quantize_along_an_axis_is_left_with_a_reason():
    """Results with a scale a channel are the numpy reference's."""
    target = Tensor("y", (4, 2), "i8", QuantParams((0.1, 0.2), (0, 0), "i8", 1))
    session = Session(program_of("QUANTIZE", [tensor("x", (4, 2), "f32")], target), isa="scalar", threads=1)

    assert session.left == {"QUANTIZE y": "'y' has more than one scale"}


@pytest.mark.parametrize("source", BYTES)
@pytest.mark.parametrize("target", BYTES)
def test_rescaling_of_bytes_equals_reference(source, target):
    """All 256 integers, for all scales and zero points."""

    @DRAWN
    @given(parameters(source), parameters(target))
    def check(before, after):
        program = program_of("QUANTIZE", [tensor("x", (256,), source, **before)], tensor("y", (256,), target, **after))

        assert_equals_reference(program, feeds={"x": every_integer(source)})

    check()


@pytest.mark.parametrize("target", ["i8", "i16", "i32"])
@pytest.mark.parametrize("scale", [0.001, 0.02, 0.9], ids=["fine", "middle", "coarse"])
def test_rescaling_of_int16_equals_reference(target, scale):
    """All 65536 integers."""
    result = Tensor("y", (65536,), target, QuantParams(scale, 7 if target == "i8" else 0, target))
    program = program_of("QUANTIZE", [tensor("x", (65536,), "i16", 0.001)], result)

    assert_equals_reference(program, feeds={"x": every_integer("i16")})


@pytest.mark.parametrize("target", ["i8", "i16"])
def test_rescaling_of_int32_equals_reference(target):
    """Random integers of the whole range."""
    source = Tensor("x", (4, 333), "i32", QuantParams(2.0**-24, 0, "i32"))
    program = program_of("QUANTIZE", [source], tensor("y", (4, 333), target, 0.5, 3 if target == "i8" else 0))

    assert_equals_reference(program)


@pytest.mark.parametrize("dtype", ["i8", "u8", "i16"])
def test_dequantize_equals_reference(dtype):
    """All integers, for all scales and zero points; other sizes than whole vectors."""

    @DRAWN
    @given(parameters(dtype), st.integers(0, 20))
    def check(given, short):
        values = every_integer(dtype)[short:]
        program = program_of(
            "DEQUANTIZE", [tensor("x", values.shape, dtype, **given)], tensor("y", values.shape, "f32")
        )

        assert_equals_reference(program, feeds={"x": values}, roundings=("tflite_double",))

    check()


@pytest.mark.parametrize("dtype", ["u8", "i16"])
def test_dequantize_between_layouts_equals_reference(dtype):
    """Operands and results whose channels the caller has apart."""
    shape = (2, 9, 23, 5)
    program = program_of("DEQUANTIZE", [tensor("x", shape, dtype, 0.1, 0)], tensor("y", shape, "f32"))
    rng = np.random.default_rng(0)
    bounds = np.iinfo(DTYPES[dtype])
    caller = rng.integers(bounds.min, bounds.max, (2, 5, 9, 23), DTYPES[dtype])
    (expected,) = Reference(program).run({"x": caller.transpose(0, 2, 3, 1)}).values()
    for isa in USABLE_ISAS:
        for last in (True, False):
            given = PortLayouts(inputs={"x": (0, 2, 3, 1)}, outputs={"y": (0, 2, 3, 1)} if last else {})
            (made,) = Session(program, layouts=given, isa=isa, threads=1).run(None, {"x": caller})

            np.testing.assert_array_equal(made.transpose(0, 2, 3, 1) if last else made, expected)


@pytest.mark.parametrize("source", CASTABLE)
@pytest.mark.parametrize("target", CASTABLE)
def test_cast_equals_reference(source, target):
    """Bits are kept, reals are cut toward zero and bounded, NaN is the highest integer."""
    operand, result = Tensor("x", (3, 51), source), Tensor("y", (3, 51), target)
    with np.errstate(all="ignore"):
        feeds = {"x": np.resize(SPECIAL, (3, 51)) * np.float32(1.3)} if source == "f32" else None
        program = program_of("CAST", [operand], result, CastOptions())

        assert_equals_reference(program, feeds=feeds, roundings=("tflite_double",))
