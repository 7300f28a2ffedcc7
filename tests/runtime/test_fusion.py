"""Residuals: a convolution and the ADD after it are one step, and the same integers."""

from __future__ import annotations

from collections.abc import Sequence

import engine_checks
import numpy as np
import pytest

from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.program.operator import Activation, Operator, Options, Padding
from bitwright.program.options import AddOptions, Conv2DOptions, FullyConnectedOptions, MulOptions, SubOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor
from bitwright.runtime.session import Session

SHAPE = (1, 9, 10, 32)
OPTIONS: dict[str, type[AddOptions] | type[SubOptions] | type[MulOptions]] = {
    "ADD": AddOptions,
    "SUB": SubOptions,
    "MUL": MulOptions,
}


class Network:
    """Operators one after another, of images with as many channels as x has.

    Args:
        shape: of all images.
        dtype: of all images.
    """

    def __init__(self, shape: tuple[int, int, int, int] = SHAPE, dtype: str = "i8") -> None:
        self.shape, self.dtype, self.rng = shape, dtype, np.random.default_rng(0)
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.image("x")

    def image(self, name: str) -> str:
        """A tensor of the network's shape, with a scale and zero_point of its own."""
        middle = 128 if self.dtype == "u8" else 0
        scale = 0.02 + 0.01 * (len(self.tensors) % 5)
        point = middle + 7 * (len(self.tensors) % 9) - 30
        self.tensors.append(Tensor(name, self.shape, self.dtype, QuantParams(scale, point, self.dtype)))
        return name

    def conv(self, x: str, y: str, size: int = 3, activation: Activation = Activation.NONE) -> str:
        """A CONV_2D of x."""
        channels = self.shape[3]
        bounds = STORAGES[self.dtype]
        held = self.rng.integers(bounds.qmin, bounds.qmax, (channels, size, size, channels), endpoint=True)
        weights = held.astype(bounds.dtype)
        scale = next(tensor for tensor in self.tensors if tensor.name == x).scale
        bias = self.rng.integers(-1000, 1000, channels).astype(np.int32)
        self.tensors += [
            Tensor(
                f"{y}.w",
                weights.shape,
                self.dtype,
                QuantParams(0.001, 120 if self.dtype == "u8" else 0, self.dtype),
                weights,
            ),
            Tensor(f"{y}.b", bias.shape, "i32", QuantParams(scale * np.float32(0.001), 0, storage="i32"), bias),
        ]
        options = Conv2DOptions(padding=Padding.SAME, stride_w=1, stride_h=1, fused_activation_function=activation)
        self.operators.append(Operator("CONV_2D", (x, f"{y}.w", f"{y}.b"), (self.image(y),), options))
        return y

    def pair(self, a: str, b: str, y: str, kind: str = "ADD", activation: Activation = Activation.NONE) -> str:
        """A pair of two images."""
        options: Options = OPTIONS[kind](fused_activation_function=activation)
        self.operators.append(Operator(kind, (a, b), (self.image(y),), options))
        return y

    def program(self, *outputs: str, inputs: Sequence[str] = ("x",)) -> Program:
        """The whole."""
        tensors = {tensor.name: tensor for tensor in self.tensors}
        ports = [tuple(Port(name, name) for name in names) for names in (inputs, outputs)]
        return Program(tensors, tuple(self.operators), *ports)


def steps_of(program: Program) -> list[str]:
    """The kernels of a session's steps but copies and fills of borders."""
    plan = Session(program, isa="scalar", threads=1)._executable.plan
    assert plan is not None
    return [name for name in plan.step_names if name.split(".")[0] in ("conv", "pair")]


FUSED = "conv.scalar + pair.scalar"


@pytest.mark.parametrize("dtype", ["i8", "u8"])
@pytest.mark.parametrize("is_first", [True, False], ids=["result-first", "result-second"])
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_residual_is_one_step_with_its_convolution(kind: str, is_first: bool, dtype: str) -> None:
    """Whichever operand of the pair the convolution gives, in every rounding, on every instruction set."""
    network = Network(dtype=dtype)
    network.conv("x", "c", activation=Activation.RELU6)
    operands = ("c", "x") if is_first else ("x", "c")
    program = network.program(network.pair(*operands, "y", kind, Activation.RELU))

    engine_checks.assert_equals_reference(program, threads=(1, 2))
    assert steps_of(program) == [FUSED]


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        pytest.param((1, 28, 28, 64), 1, id="pointwise"),
        pytest.param((1, 14, 14, 64), 3, id="three-by-three"),
        pytest.param((1, 7, 7, 160), 1, id="few-pixels"),
        pytest.param((2, 15, 13, 24), 3, id="odd-sizes"),
        pytest.param((1, 40, 40, 3), 1, id="few-channels"),
    ],
)
def test_residual_blocks_equal_the_reference(shape: tuple[int, int, int, int], size: int) -> None:
    """Two blocks, one after the other: images that the next convolution reads with a border, and the last."""
    network = Network(shape)
    first = network.pair(network.conv("x", "c", size), "x", "y", activation=Activation.RELU)
    second = network.pair(first, network.conv(network.conv(first, "d", 3), "e", size), "z")
    program = network.program(second)

    engine_checks.assert_equals_reference(program, threads=(1, 2))
    assert steps_of(program) == [FUSED, "conv.scalar", FUSED]


def test_of_two_convolutions_the_later_takes_the_pair() -> None:
    """Its other operand is there then."""
    network = Network()
    program = network.program(network.pair(network.conv("x", "c"), network.conv("x", "d", 1), "y"))

    engine_checks.assert_equals_reference(program)
    assert steps_of(program) == ["conv.scalar", FUSED]


def test_convolution_waits_for_the_other_operand() -> None:
    """One whose other operand is computed after it runs in the place of the pair; what it reads is kept until then."""
    network = Network()
    network.conv(network.conv("x", "in", 1), "c")
    network.conv("x", "d")
    network.pair("d", "x", "e", "MUL")
    network.conv("e", "f", 1)
    program = network.program(network.pair("c", "e", "y"), "f")

    engine_checks.assert_equals_reference(program, threads=(1, 2))
    assert steps_of(program) == ["conv.scalar", FUSED, "conv.scalar", FUSED]


def test_result_that_is_an_output_is_not_fused() -> None:
    """It has to exist."""
    network = Network()
    network.pair(network.conv("x", "c"), "x", "y")
    program = network.program("y", "c")

    engine_checks.assert_equals_reference(program)
    assert steps_of(program) == ["conv.scalar", "pair.scalar"]


def test_result_that_is_read_twice_is_not_fused() -> None:
    """So does one that another operator reads."""
    network = Network()
    network.pair(network.conv("x", "c"), "x", "y")
    program = network.program("y", network.conv("c", "z"))

    engine_checks.assert_equals_reference(program)
    assert steps_of(program) == ["conv.scalar", "pair.scalar", "conv.scalar"]


def test_pair_that_broadcasts_is_not_fused() -> None:
    """A constant for each channel."""
    network = Network()
    constant = network.rng.integers(-128, 128, (1, 1, 1, SHAPE[3])).astype(np.int8)
    network.tensors.append(Tensor("k", constant.shape, "i8", QuantParams(0.05, 3), constant))
    program = network.program(network.pair(network.conv("x", "c"), "k", "y", "MUL"))

    engine_checks.assert_equals_reference(program)
    assert steps_of(program) == ["conv.scalar", "pair.scalar"]


def test_constant_of_the_same_shape_is_fused() -> None:
    """As a position's embedding is."""
    network = Network()
    constant = network.rng.integers(-128, 128, SHAPE).astype(np.int8)
    network.tensors.append(Tensor("k", SHAPE, "i8", QuantParams(0.05, 3), constant))
    program = network.program(network.pair("k", network.conv("x", "c"), "y"))

    engine_checks.assert_equals_reference(program)
    assert steps_of(program) == [FUSED]


def test_fully_connected_takes_the_pair_after_it() -> None:
    """Rows by weights, and the rows of another tensor."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (40, 40)).astype(np.int8)
    tensors = [
        Tensor("x", (5, 40), "i8", QuantParams(0.05, 3)),
        Tensor("w", (40, 40), "i8", QuantParams(0.01, 0), weights),
        Tensor("c", (5, 40), "i8", QuantParams(0.2, -4)),
        Tensor("y", (5, 40), "i8", QuantParams(0.2, 9)),
    ]
    operators = (
        Operator("FULLY_CONNECTED", ("x", "w"), ("c",), FullyConnectedOptions()),
        Operator("ADD", ("c", "x"), ("y",), AddOptions()),
    )
    program = Program({t.name: t for t in tensors}, operators, (Port("x", "x"),), (Port("y", "y"),))

    engine_checks.assert_equals_reference(program)
    assert steps_of(program) == [FUSED]


def test_profile_names_both_operators_of_a_step() -> None:
    """The pair's result, what either reads from before, and the convolution's operations."""
    network = Network()
    program = network.program(network.pair(network.conv("x", "c", 1), "x", "y"))
    session = Session(program, isa="scalar", threads=1)

    (layer,) = [found for found in session.profile({"x": np.zeros(SHAPE, np.int8)}) if found.operator != "copy"]

    assert (layer.operator, layer.name, layer.kernel) == ("CONV_2D + ADD", "y", FUSED)
    assert (layer.inputs, layer.outputs) == ((SHAPE, SHAPE), (SHAPE,))
    assert layer.operations == 2 * 9 * 10 * 32 * 32
