"""AVERAGE_POOL_2D and MAX_POOL_2D in the engine: bit for bit the numpy references."""

from __future__ import annotations

import numpy as np
import pytest
from elementwise_programs import DRAWN, program_of, tensor
from engine_checks import assert_equals_reference
from hypothesis import given
from hypothesis import strategies as st

from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation, Operator, Padding
from bitwright.program.options import Conv2DOptions, Pool2DOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.program.window import output_size
from bitwright.runtime.session import Session
from bitwright.runtime.steps.registry import steps_of

KINDS = [pytest.param(kind, id=kind.lower()) for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D")]
ACTIVATIONS = [Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]


def pool(kind, shape, window, stride=(1, 1), padding=Padding.VALID, dtype="i8", **parameters):
    """One pooling operator; parameters are those of `tensor`, and `activation`."""
    activation = parameters.pop("activation", Activation.NONE)
    options = Pool2DOptions(padding, stride[1], stride[0], window[1], window[0], activation)
    sizes = (output_size(shape[a + 1], window[a], stride[a], 1, padding) for a in range(2))
    result = (shape[0], *sizes, shape[3])
    x, y = tensor("x", shape, dtype, **parameters), tensor("y", result, dtype, **parameters)
    return program_of(kind, [x], y, options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["i8", "u8", "i16"])
def test_pool_equals_reference(kind, dtype):
    """Any window, stride, padding, activation and zero_point; windows that reach over the edge see the image alone."""

    @DRAWN
    @given(st.data())
    def check(data):
        padding = data.draw(st.sampled_from(list(Padding)))
        shape = (data.draw(st.integers(1, 2)), *(data.draw(st.integers(1, 13)) for _ in range(2)))
        channels = data.draw(st.sampled_from([1, 3, 8, 31, 64, 65, 130]))
        reach = shape[1:] if padding is Padding.VALID else (7, 7)
        window = tuple(data.draw(st.integers(1, side)) for side in reach)
        stride = (data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4)))
        bounds = np.iinfo(DTYPES[dtype])
        zero_point = 0 if dtype == "i16" else data.draw(st.integers(int(bounds.min), int(bounds.max)))
        program = pool(
            kind,
            (*shape, channels),
            window,
            stride,
            padding,
            dtype,
            scale=data.draw(st.sampled_from([0.003, 0.05, 0.31])),
            zero_point=zero_point,
            activation=data.draw(st.sampled_from(ACTIVATIONS)),
        )

        assert_equals_reference(program, threads=(1, 2))

    check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "window", "stride"),
    [
        pytest.param((1, 7, 7, 1024), (7, 7), (1, 1), id="global-7x7"),
        pytest.param((1, 16, 16, 80), (16, 16), (1, 1), id="global-16x16"),
        pytest.param((1, 130, 130, 5), (130, 130), (1, 1), id="global-130x130"),
        pytest.param((1, 25, 5, 64), (25, 5), (25, 5), id="25x5"),
        pytest.param((1, 57, 57, 64), (3, 3), (2, 2), id="3x3-stride-2"),
        pytest.param((2, 28, 28, 32), (2, 2), (2, 2), id="2x2-stride-2"),
    ],
)
@pytest.mark.parametrize("padding", [pytest.param(p, id=p.name.lower()) for p in Padding])
def test_pool_of_networks_equals_reference(kind, shape, window, stride, padding):
    """The shapes that networks end and begin with."""
    assert_equals_reference(pool(kind, shape, window, stride, padding, zero_point=-3), roundings=("fp32_even",))


def test_average_pool_rounds_ties_away_from_zero_not_from_its_byte():
    """-1.5 becomes -2 and 1.5 becomes 2 in i8, though both are stored as bytes from 0 to 255."""
    program = pool("AVERAGE_POOL_2D", (1, 1, 2, 2), (1, 2))
    expected = [[[[-2, 2]]]]
    feeds = {"x": np.int8([[[[-1, 1], [-2, 2]]]])}

    assert expected == Session(program, isa="scalar", threads=1).run(None, feeds)[0].tolist()
    assert_equals_reference(program, feeds=feeds)


@pytest.mark.parametrize("kind", KINDS)
def test_pool_takes_a_border_in_memory_for_no_part_of_the_image(kind):
    """A convolution beside it has the image padded with the zero_point, here the largest integer."""
    shape, parameters = (1, 6, 7, 16), {"scale": 0.05, "zero_point": 127}
    rng = np.random.default_rng(0)

    def weights(name, *size):
        data = rng.integers(-127, 128, size, np.int8)
        return Tensor(name, size, "i8", QuantParams(0.01, 0, "i8"), data)

    bias = Tensor("bias", (16,), "i32", None, np.zeros(16, np.int32))
    tensors = [tensor("x", shape), weights("point", 16, 1, 1, 16), weights("window", 16, 3, 3, 16), bias]
    results = [tensor(name, shape, **parameters) for name in ("image", "convolved", "pooled")]
    same = Pool2DOptions(Padding.SAME, filter_width=3, filter_height=3)
    program = Program(
        {t.name: t for t in (*tensors, *results)},
        (
            Operator("CONV_2D", ("x", "point", "bias"), ("image",), Conv2DOptions()),
            Operator("CONV_2D", ("image", "window", "bias"), ("convolved",), Conv2DOptions()),
            Operator(kind, ("image",), ("pooled",), same),
        ),
        (Port("x", "x"),),
        (Port("convolved", "convolved"), Port("pooled", "pooled")),
    )

    assert_equals_reference(program)


def test_max_pool_of_a_large_window_is_two_passes():
    """Along H, then along W: 13 x 13 costs 26 looks, not 169."""
    program = pool("MAX_POOL_2D", (1, 13, 13, 70), (13, 13), padding=Padding.SAME, activation=Activation.RELU6)

    assert len(steps_of(program)[0]) == 2
    assert len(steps_of(pool("MAX_POOL_2D", (1, 13, 13, 70), (3, 3)))[0]) == 1
    assert_equals_reference(program)


@pytest.mark.parametrize("kind", KINDS)
def test_pool_takes_a_window_far_larger_than_the_image(kind):
    """A window of 2**31 - 1 looks at the image and no further."""
    assert_equals_reference(pool(kind, (1, 3, 5, 2), (2**31 - 1, 2**31 - 1), padding=Padding.SAME))


def test_pool_of_reals_is_left_with_a_reason():
    """Float pooling runs on the numpy reference."""
    program = pool("MAX_POOL_2D", (1, 4, 4, 1), (2, 2), dtype="f32")

    assert Session(program, isa="scalar", threads=1).left == {"MAX_POOL_2D y": "no kernel for f32"}
    assert_equals_reference(program, all_in_engine=False)
