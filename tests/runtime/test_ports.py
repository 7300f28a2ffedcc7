"""The face of a Program: floats, rows, layouts."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.errors import SampleError
from bitwright.lowering.layout import PortLayouts
from bitwright.numerics.qparams import QuantParams
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor
from bitwright.runtime.ports import run_rows


def program(dtype: str = "f32", shape: tuple[int, ...] = (1, 2, 3), qparams: QuantParams | None = None) -> Program:
    """One input that is the output: what goes through is what the ports do to it."""
    return Program({"x": Tensor("x", shape, dtype, qparams)}, (), (Port("x", "x"),), (Port("x", "x"),))


def same(feeds):
    return feeds


def test_rows_go_one_by_one_and_come_back_together():
    """Five rows through a batch of 1 are five runs."""
    x, seen = np.arange(30, dtype=np.float32).reshape(5, 2, 3), []

    def run(feeds):
        seen.append(feeds["x"].shape)
        return feeds

    assert np.array_equal(x, run_rows(program(), run, {"x": x})["x"])
    assert seen == [(1, 2, 3)] * 5


def test_floats_to_a_quantized_port_come_back_as_floats():
    """The input is quantized, the output dequantized."""
    qparams = QuantParams(0.5, 3, "i8")

    x = np.float32([[1.1, -1.0]])

    made = run_rows(program("i8", (1, 2), qparams), same, {"x": x}, as_floats=True)["x"]

    assert made.dtype == np.float32
    assert made.tolist() == [[1.0, -1.0]]


def test_integers_to_a_quantized_port_stay_integers():
    """What the port holds goes through as it is."""
    made = run_rows(program("i8", (1, 2), QuantParams(0.5, 3, "i8")), same, {"x": np.int8([[5, -9]])})["x"]

    assert (made.dtype, made.tolist()) == (np.int8, [[5, -9]])


def test_a_layout_is_undone_on_the_way_back():
    """The caller sees NCHW, the run sees NHWC."""
    layouts = PortLayouts({"x": (0, 2, 3, 1)}, {"x": (0, 2, 3, 1)})
    x, seen = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4), []

    def run(feeds):
        seen.append(feeds["x"].shape)
        return feeds

    assert np.array_equal(x, run_rows(program(shape=(1, 3, 4, 2)), run, {"x": x}, layouts=layouts)["x"])
    assert seen == [(1, 3, 4, 2)]


@pytest.mark.parametrize(
    ("x", "told"),
    [
        pytest.param(np.zeros((1, 3, 3), np.float32), r"\[1, 3, 3\], the model takes \[1, 2, 3\]", id="shape"),
        pytest.param(np.zeros((1, 2, 3), np.int64), "int64, the model takes float32", id="type"),
        pytest.param(np.zeros((0, 2, 3), np.float32), r"takes \[1, 2, 3\]", id="no-rows"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(x, told):
    """With what came and what is taken."""
    with pytest.raises(SampleError, match=told):
        run_rows(program(), same, {"x": x})


def test_a_missing_input_is_named():
    """And those that are wanted."""
    with pytest.raises(SampleError, match="'x' is missing"):
        run_rows(program(), same, {})
