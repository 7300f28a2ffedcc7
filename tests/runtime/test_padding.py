"""PAD before convolutions: a border that they read, and no step."""

from __future__ import annotations

import engine_checks
import numpy as np
import pytest

from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Operator, Padding
from bitwright.program.options import Conv2DOptions, DepthwiseConv2DOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor
from bitwright.runtime.session import Session

X = QuantParams(0.1, 3)


def padded_network(pads: list[list[int]], *, scale: float = 0.1, also_out: bool = False) -> Program:
    """A convolution and a depthwise one, stride 2, that read the same padded image."""
    rng = np.random.default_rng(1)
    (top, bottom), (left, right) = pads[1], pads[2]
    h, w = 7 + top + bottom, 9 + left + right
    out = (1, (h - 3) // 2 + 1, (w - 3) // 2 + 1)
    channels = 8 + pads[3][0] + pads[3][1]
    tensors = [
        Tensor("x", (1, 7, 9, 8), "i8", X),
        Tensor("pads", (4, 2), "i32", None, np.asarray(pads, np.int32)),
        Tensor("padded", (1, h, w, channels), "i8", QuantParams(scale, 3)),
    ]
    for name, shape, axis in (("dense", (16, 3, 3, channels), 0), ("deep", (1, 3, 3, channels), 3)):
        count = shape[axis]
        weights = rng.integers(-127, 128, shape).astype(np.int8)
        bias = rng.integers(-1000, 1000, count).astype(np.int32)
        tensors += [
            Tensor(f"{name}.w", shape, "i8", QuantParams(0.02, 0), weights),
            Tensor(f"{name}.b", (count,), "i32", QuantParams(scale * 0.02, 0, storage="i32"), bias),
            Tensor(f"{name}.y", (*out, count), "i8", QuantParams(1.5, -5)),
        ]
    strides = {"padding": Padding.VALID, "stride_w": 2, "stride_h": 2}
    operators = (
        Operator("PAD", ("x", "pads"), ("padded",)),
        Operator("CONV_2D", ("padded", "dense.w", "dense.b"), ("dense.y",), Conv2DOptions(**strides)),
        Operator(
            "DEPTHWISE_CONV_2D",
            ("padded", "deep.w", "deep.b"),
            ("deep.y",),
            DepthwiseConv2DOptions(**strides, depth_multiplier=1),
        ),
    )
    outputs = ["dense.y", "deep.y", *(["padded"] if also_out else [])]
    return Program(
        {tensor.name: tensor for tensor in tensors},
        operators,
        (Port("x", "x"),),
        tuple(Port(name, name) for name in outputs),
    )


def kernels_of(program: Program) -> str:
    """The names of a session's steps."""
    plan = Session(program, isa="scalar", threads=1)._executable.plan
    assert plan is not None
    return " ".join(plan.step_names)


@pytest.mark.parametrize("pads", [[[0, 0], [1, 1], [1, 1], [0, 0]], [[0, 0], [0, 1], [2, 0], [0, 0]]], ids=["1", "odd"])
def test_pad_of_zero_points_becomes_a_border(pads: list[list[int]]) -> None:
    """Nothing is copied for it, and the results are the reference's."""
    program = padded_network(pads)

    engine_checks.assert_equals_reference(program)
    assert "move" not in kernels_of(program)


@pytest.mark.parametrize(
    "program",
    [
        padded_network([[0, 0], [1, 1], [1, 1], [0, 0]], also_out=True),
        padded_network([[0, 0], [1, 1], [1, 1], [0, 1]]),
    ],
    ids=["an-output-too", "of-channels"],
)
def test_pad_that_is_no_border_stays(program: Program) -> None:
    """A padded image that is an output, and one with more channels, are made."""
    engine_checks.assert_equals_reference(program)
    assert "move" in kernels_of(program)
