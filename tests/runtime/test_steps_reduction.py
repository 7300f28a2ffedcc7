"""MEAN, SUM, REDUCE_MAX and REDUCE_MIN in the engine: bit for bit the numpy references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise_programs import DRAWN, parameters, program_of, tensor
from engine_checks import ROUNDINGS, assert_equals_reference
from hypothesis import given
from hypothesis import strategies as st

from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Operator
from bitwright.program.options import Conv2DOptions, ReducerOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.runtime.session import Session

SUMS, EXTREMES = ("MEAN", "SUM"), ("REDUCE_MAX", "REDUCE_MIN")
CASES = [
    pytest.param(kind, dtype, id=f"{kind.lower()}-{dtype}")
    for kind in (*SUMS, *EXTREMES)
    for dtype in ("i8", "u8", "i16")
]


def reducer(kind, shape, axes, *, keep_dims=False, dtype="i8", source=None, target=None):
    """One reduction; source and target are scale and zero_point."""
    whole = {axis % len(shape) for axis in axes}
    result = tuple(1 if i in whole else n for i, n in enumerate(shape) if keep_dims or i not in whole)
    x = tensor("x", shape, dtype, **(source or {}))
    y = tensor("y", result, dtype, **(target or source or {}))
    axis = Tensor("axes", (len(axes),), "i32", None, np.array(axes, np.int32))
    return program_of(kind, [x, axis], y, ReducerOptions(keep_dims))


@pytest.mark.parametrize(("kind", "dtype"), CASES)
def test_reduction_equals_reference(kind, dtype):
    """Any rank, axes, scales and zero_points, kept dimensions or none."""

    @DRAWN
    @given(st.data())
    def check(data):
        shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=5)))
        shape = (*shape[:-1], data.draw(st.sampled_from([shape[-1], 16, 33, 64, 100])))
        axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), max_size=4))
        source = data.draw(parameters(dtype))
        target = data.draw(parameters(dtype)) if kind in SUMS else source
        if dtype == "i16":
            source, target = source | {"zero_point": 0}, target | {"zero_point": 0}
        program = reducer(
            kind, shape, axes, keep_dims=data.draw(st.booleans()), dtype=dtype, source=source, target=target
        )

        assert_equals_reference(program, all_in_engine=kind != "SUM" or dtype != "i16", threads=(1, 2))

    check()


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        pytest.param((1, 7, 7, 1024), (1, 2), id="7x7x1024"),
        pytest.param((2, 7, 7, 300), (1, 2), id="two-images"),
        pytest.param((1, 40, 30, 70), (1, 2), id="40x30"),
        pytest.param((1, 5, 5, 64), (2, 1), id="axes-in-any-order"),
        pytest.param((1, 31, 200), (2,), id="rows"),
        pytest.param((3, 9, 11, 3), (1, 2, 3), id="whole-images"),
        pytest.param((4, 5, 6, 7), (0, 2), id="every-second"),
    ],
)
@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.lower()) for kind in (*SUMS, *EXTREMES)])
def test_reduction_of_networks_equals_reference(kind, shape, axes):
    """Means of images and of rows, and other axes."""
    source, target = {"scale": 0.024, "zero_point": -11}, {"scale": 0.017, "zero_point": -128}

    assert_equals_reference(reducer(kind, shape, axes, source=source, target=target if kind in SUMS else source))


@pytest.mark.parametrize("value", [-128, 127, 5], ids=["lowest", "highest", "middle"])
@pytest.mark.parametrize("pixels", [255, 256, 257, 258, 514, 515, 66000])
def test_mean_of_any_number_of_equal_pixels_equals_reference(value, pixels):
    """Sums stay exact where 16 bits no longer hold them."""
    program = reducer("MEAN", (1, pixels, 3), (1,), source={"scale": 0.1, "zero_point": 4})

    assert_equals_reference(program, feeds={"x": np.full((1, pixels, 3), value, np.int8)})


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_mean_rounds_every_sum_as_the_reference(dtype):
    """Of two elements of all sums, whose halves are ties, on scales that are a power of two apart."""
    every = np.arange(256).astype(np.uint8).view(DTYPES[dtype])
    pairs = np.stack([np.repeat(every, 2), np.repeat(np.roll(every, -1), 2)])
    for scale in (0.5, 1.0, 2.0):
        source, target = {"scale": 1.0, "zero_point": 3}, {"scale": scale, "zero_point": 7}
        program = reducer("MEAN", pairs.shape, (0,), dtype=dtype, source=source, target=target)

        assert_equals_reference(program, feeds={"x": pairs})


def test_reduction_takes_a_border_in_memory_for_no_part_of_the_image():
    """A convolution beside it has the image padded with the zero_point."""
    shape, rng = (1, 6, 7, 16), np.random.default_rng(0)

    def weights(name, *size):
        data = rng.integers(-127, 128, size, np.int8)
        return Tensor(name, size, "i8", QuantParams(0.01, 0, "i8"), data)

    bias = Tensor("bias", (16,), "i32", None, np.zeros(16, np.int32))
    tensors = [tensor("x", shape), weights("point", 16, 1, 1, 16), weights("window", 16, 3, 3, 16), bias]
    axes = Tensor("axes", (2,), "i32", None, np.array([1, 2], np.int32))
    results = [tensor("image", shape, zero_point=90), tensor("convolved", shape)]
    reduced = [tensor(kind, (1, 16), zero_point=90) for kind in (*SUMS, *EXTREMES)]
    program = Program(
        {t.name: t for t in (*tensors, axes, *results, *reduced)},
        (
            Operator("CONV_2D", ("x", "point", "bias"), ("image",), Conv2DOptions()),
            Operator("CONV_2D", ("image", "window", "bias"), ("convolved",), Conv2DOptions()),
            *(Operator(y.name, ("image", "axes"), (y.name,), ReducerOptions()) for y in reduced),
        ),
        (Port("x", "x"),),
        tuple(Port(t.name, t.name) for t in (*results[1:], *reduced)),
    )

    assert_equals_reference(program)


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize("ratio", [1e-12, 1e-6, 50.0, 3000.0, 2.0**26])
def test_sum_of_far_scales_equals_reference(kind, ratio):
    """What the engine's 32 bits do not hold is left to the reference."""
    source, target = {"scale": 0.01 * ratio, "zero_point": 100}, {"scale": 0.01, "zero_point": -5}

    assert_equals_reference(reducer(kind, (3, 70, 8), (1,), source=source, target=target), all_in_engine=False)


@pytest.mark.parametrize(
    ("program", "rounding", "reason"),
    [
        pytest.param(reducer("MEAN", (4,), [0], dtype="f32"), "fp32_even", "no kernel for f32", id="reals"),
        pytest.param(reducer("SUM", (4,), [0], dtype="i16"), "fp32_even", "no kernel for sums of i16", id="sum-i16"),
        pytest.param(reducer("MEAN", (1 << 24,), [0]), "tflite_double", "overflow 32 bits", id="too-many"),
        pytest.param(
            reducer("SUM", (70,), [0], source={"scale": 2.0**28}, target={"scale": 1.0}),
            "tflite_double",
            r"times 2\*\*29 overflow 32 bits",
            id="too-large-a-ratio",
        ),
        pytest.param(
            reducer("SUM", (2,), [0], source={"scale": 1e38}, target={"scale": 1e-38}),
            "fp32_even",
            "ratio of 1e\\+76 have no multiplier",
            id="infinite-ratio",
        ),
    ],
)
def test_reduction_is_left_with_a_reason(program, rounding, reason):
    """What the engine has no kernel for runs on the numpy reference."""
    left = Session(replace(program, rounding=rounding), isa="scalar", threads=1).left

    assert len(left) == 1
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(*left.values())


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_mean_of_half_integers_goes_where_its_rounding_says(rounding):
    """2.5 goes up in fixed point, to even in float32."""
    program = replace(reducer("MEAN", (1, 2), [1], source={"scale": 0.1}), rounding=rounding)

    expected = 2 if rounding == "fp32_even" else 3

    session = Session(program, isa="scalar", threads=1)
    assert expected == session.run(None, {"x": np.int8([[2, 3]])})[0].item()
