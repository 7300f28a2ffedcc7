"""Cleaning: duplicates go, steps that undo each other go, what means something stays."""

from __future__ import annotations

import numpy as np

from bitwright.lowering.cleaning import cleaned
from bitwright.lowering.memory import with_copies
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Operator, Options
from bitwright.program.options import AddOptions, ReshapeOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor

HALVES, QUARTERS = QuantParams(0.5), QuantParams(0.25)


class Steps:
    """A Program on x [2, 3] that grows by one operator at a time."""

    def __init__(self) -> None:
        self.tensors = {"x": Tensor("x", (2, 3))}
        self.operators: list[Operator] = []

    def constant(self, name: str, values: list[int]) -> str:
        self.tensors[name] = Tensor(name, (len(values),), "i32", data=np.int32(values))
        return name

    def do(self, kind: str, name: str, *inputs: str, shape=(2, 3), qparams=None, options: Options | None = None) -> str:
        self.tensors[name] = Tensor(name, shape, "f32" if qparams is None else qparams.storage, qparams)
        self.operators.append(Operator(kind, inputs, (name,), options or Options()))
        return name

    def reshape(self, name: str, source: str, shape: tuple[int, ...]) -> str:
        target = self.constant(f"{name}_shape", list(shape))
        return self.do("RESHAPE", name, source, target, shape=shape, options=ReshapeOptions(new_shape=shape))

    def add(self, name: str, left: str, right: str, shape: tuple[int, ...] = (2, 3)) -> str:
        return self.do("ADD", name, left, right, shape=shape, options=AddOptions())

    def program(self, *outputs: str) -> Program:
        ports = tuple(Port(name, name) for name in outputs)
        return Program(self.tensors, tuple(self.operators), (Port("x", "x"),), ports)


def kinds(program: Program) -> list[str]:
    return [operator.kind for operator in program.operators]


def test_cleaning_drops_what_nobody_reads():
    """An operator, and the constant that only it read; an input stays."""
    steps = Steps()
    steps.reshape("unread", "x", (6,))
    steps.do("RELU", "y", "x")

    program = cleaned(steps.program("y"))

    assert kinds(program) == ["RELU"]
    assert set(program.tensors) == {"x", "y"}


def test_cleaning_takes_a_round_trip_of_the_same_parameters_away():
    """DEQUANTIZE then QUANTIZE gives the same integers."""
    steps = Steps()
    steps.do("QUANTIZE", "q", "x", qparams=HALVES)
    steps.do("DEQUANTIZE", "r", "q")
    steps.do("QUANTIZE", "s", "r", qparams=HALVES)
    steps.do("RELU", "t", "s", qparams=HALVES)
    steps.do("DEQUANTIZE", "y", "t")

    program = cleaned(steps.program("y"))

    assert kinds(program) == ["QUANTIZE", "RELU", "DEQUANTIZE"]
    assert program.operators[1].inputs == ("q",)


def test_cleaning_leaves_a_round_trip_that_rounds():
    """Floats made integers and floats again are others; so are integers of another scale."""
    steps = Steps()
    steps.do("QUANTIZE", "q", "x", qparams=HALVES)
    steps.do("DEQUANTIZE", "r", "q")
    steps.do("QUANTIZE", "s", "r", qparams=QUARTERS)
    steps.do("DEQUANTIZE", "y", "s")

    assert kinds(cleaned(steps.program("y"))) == ["QUANTIZE", "DEQUANTIZE", "QUANTIZE", "DEQUANTIZE"]


def test_cleaning_joins_reshapes():
    """Of two RESHAPEs the last is left; of one there and back, none."""
    steps = Steps()
    steps.reshape("flat", "x", (6,))
    steps.reshape("tall", "flat", (3, 2))
    steps.reshape("back", "tall", (2, 3))
    steps.do("RELU", "y", "tall", shape=(3, 2))
    steps.do("NEG", "z", "back")

    program = cleaned(steps.program("y", "z"))

    assert kinds(program) == ["RESHAPE", "RELU", "NEG"]
    assert program.operators[2].inputs == ("x",)


def test_cleaning_cancels_transposes_that_undo_each_other():
    """There and back is nothing; twice the same of three dimensions is something."""
    steps = Steps()
    steps.constant("swap", [1, 0])
    steps.do("TRANSPOSE", "t", "x", "swap", shape=(3, 2))
    steps.do("TRANSPOSE", "u", "t", "swap")
    steps.do("RELU", "y", "u")

    assert kinds(cleaned(steps.program("y"))) == ["RELU"]


def test_cleaning_does_the_same_work_once():
    """Equal operators on equal operands, whose constants are merged first."""
    steps = Steps()
    steps.reshape("a", "x", (6,))
    steps.reshape("b", "x", (6,))
    steps.do("MAXIMUM", "y", "a", "b", shape=(6,))

    program = cleaned(steps.program("y"))

    assert kinds(program) == ["RESHAPE", "MAXIMUM"]
    assert program.operators[1].inputs == ("a", "a")


def test_cleaning_keeps_both_outputs_of_the_same_work():
    """Two ports are two tensors."""
    steps = Steps()
    steps.do("RELU", "y", "x")
    steps.do("RELU", "z", "x")

    assert kinds(cleaned(steps.program("y", "z"))) == ["RELU", "RELU"]


def shared(last: str) -> Program:
    """An ADD whose result t is seen flat, written over in place, and read again by `last`."""
    steps = Steps()
    steps.do("RELU", "r", "x")
    steps.add("t", "x", "r")
    steps.reshape("flat", "t", (6,))
    steps.tensors["one"] = Tensor("one", (1,), data=np.ones(1, np.float32))
    steps.add("over", "flat", "one", (6,))
    steps.do("NEG", "y", "over", shape=(6,))
    steps.do(last, "z", "t" if last == "NEG" else "x")
    return steps.program("y", "z")


def test_copies_keep_a_tensor_that_litert_would_write_over(on_litert):
    """LiteRT forgets the readers of a tensor in the middle of a chain that shares memory."""
    program = shared("NEG")
    feeds = {"x": np.float32([[1, 2, 3], [4, 5, 6]])}

    safe = with_copies(program)

    assert [kind for kind in kinds(safe) if kind not in kinds(program)] == ["SLICE"]
    for resolver in ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        made = on_litert(safe, feeds, resolver)
        assert made["z"].tolist() == (-2 * feeds["x"]).tolist()


def test_copies_are_made_for_nothing_else():
    """A tensor that nobody reads again may be written over."""
    program = shared("ABS")

    assert with_copies(program) is program
