"""Chains of operators that move, reshape and broadcast: orders of dimensions that networks bring about, and others."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bitwright.graph.execution import Execution
from bitwright.lowering.raise_program import raise_program
from bitwright.program.definition import Call
from bitwright.program.operator import Operator, Options
from bitwright.program.options import (
    ConcatenationOptions,
    Conv2DOptions,
    PackOptions,
    ReducerOptions,
    ReshapeOptions,
    SoftmaxOptions,
    SqueezeOptions,
    StridedSliceOptions,
    UnpackOptions,
)
from bitwright.program.program import Port, Program
from bitwright.program.reference import Reference
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import Array, Tensor
from bitwright.program.verify import verify

KINDS = (
    *("CONV_2D", "CONV_2D", "TRANSPOSE", "RESHAPE", "RESHAPE", "EXPAND_DIMS", "SQUEEZE", "PACK", "UNPACK"),
    *("ADD", "PRELU", "CONCATENATION", "MEAN", "SOFTMAX", "SLICE", "STRIDED_SLICE", "PAD"),
)


class Chain:
    """A Program that grows by one operator on its last value at a time."""

    def __init__(self, draw: st.DataObject) -> None:
        self.draw, self.rng = draw, np.random.default_rng(0)
        shape = tuple(draw.draw(st.lists(st.integers(1, 4), min_size=4, max_size=4), label="shape"))
        self.tensors = {"x": Tensor("x", shape)}
        self.operators: list[Operator] = []
        self.last = "x"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensors[self.last].shape

    def constant(self, array: Array) -> str:
        kind = {"float32": "f32", "int32": "i32"}[str(array.dtype)]
        tensor = Tensor(f"c{len(self.tensors)}", array.shape, kind, data=array)
        self.tensors[tensor.name] = tensor
        return tensor.name

    def numbers(self, *values: object) -> str:
        return self.constant(np.array(values[0] if len(values) == 1 else values, np.int32))

    def reals(self, *shape: int) -> str:
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def push(self, kind: str, inputs: list[str], options: Options | None = None, results: int = 1) -> None:
        made = options if options is not None else DEFINITIONS[kind].options()
        names = tuple(f"y{len(self.operators)}_{i}" for i in range(results))
        operator = Operator(kind, tuple(inputs), names, made)
        drafts = tuple(Tensor(name, ()) for name in names)
        shapes = DEFINITIONS[kind].infer(Call(operator, tuple(self.tensors[n] for n in inputs), drafts))
        self.tensors |= {name: Tensor(name, shape) for name, shape in zip(names, shapes, strict=True)}
        self.operators.append(operator)
        self.last = names[-1]

    def axis(self) -> int:
        return self.draw.draw(st.integers(0, len(self.shape) - 1), label="axis")

    def grow(self, kind: str) -> None:
        """Add the operator where it takes the last value's shape."""
        shape, rank = self.shape, len(self.shape)
        if kind == "CONV_2D" and rank == 4:
            outputs = self.draw.draw(st.integers(1, 3), label="outputs")
            self.push(kind, [self.last, self.reals(outputs, 1, 2, shape[3]), self.reals(outputs)], Conv2DOptions())
        elif kind == "TRANSPOSE":
            self.push(kind, [self.last, self.numbers(self.draw.draw(st.permutations(range(rank)), label="order"))])
        elif kind == "RESHAPE":
            target = self.reshaped(shape)
            self.push(kind, [self.last, self.numbers(target)], ReshapeOptions(target))
        elif kind == "EXPAND_DIMS" and rank < 5:
            self.push(kind, [self.last, self.numbers(self.draw.draw(st.integers(0, rank), label="place"))])
        elif kind == "SQUEEZE" and 1 in shape and rank > 1:
            self.push(kind, [self.last], SqueezeOptions((shape.index(1),)))
        elif kind == "PACK" and rank < 5:
            place = self.draw.draw(st.integers(0, rank), label="place")
            self.push(kind, [self.last, self.last], PackOptions(2, place))
        elif kind == "UNPACK" and rank > 1:
            axis = self.axis()
            self.push(kind, [self.last], UnpackOptions(shape[axis], axis), shape[axis])
        elif kind in ("ADD", "PRELU") and rank > 1:
            kept = self.draw.draw(st.integers(1, rank - (kind == "PRELU")), label="kept")
            self.push(kind, [self.last, self.reals(*(n if self.rng.integers(2) else 1 for n in shape[rank - kept :]))])
        elif kind == "CONCATENATION" and math.prod(shape) < 2000:
            self.push(kind, [self.last, self.reals(*shape), self.last], ConcatenationOptions(self.axis()))
        elif kind == "MEAN" and rank > 1:
            self.push(kind, [self.last, self.numbers([self.axis()])], ReducerOptions(bool(self.rng.integers(2))))
        elif kind == "SOFTMAX":
            self.push(kind, [self.last], SoftmaxOptions(1.0))
        elif kind == "SLICE":
            begin = [int(self.rng.integers(n)) for n in shape]
            self.push(kind, [self.last, self.numbers(begin), self.numbers([-1] * rank)])
        elif kind == "STRIDED_SLICE" and rank > 1:
            self.sliced(shape)
        elif kind == "PAD" and math.prod(shape) < 500:
            self.push(kind, [self.last, self.numbers([[int(n) for n in self.rng.integers(0, 2, 2)] for _ in shape])])

    def sliced(self, shape: tuple[int, ...]) -> None:
        rank = len(shape)
        begin, strides = [int(self.rng.integers(n)) for n in shape], [1] * rank
        masks = StridedSliceOptions(
            begin_mask=int(self.rng.integers(1 << rank)),
            end_mask=(1 << rank) - 1,
            shrink_axis_mask=int(self.rng.choice([0, 1 << self.axis()])),
        )
        self.push("STRIDED_SLICE", [self.last, *(self.numbers(v) for v in (begin, shape, strides))], masks)

    def reshaped(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape of as many elements: two neighbours joined, or one dimension cut."""
        axis = self.axis()
        if self.draw.draw(st.booleans(), label="joins") and axis + 1 < len(shape):
            return (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
        part = self.draw.draw(st.sampled_from([d for d in (1, 2, 3) if shape[axis] % d == 0]), label="part")
        return (*shape[:axis], part, shape[axis] // part, *shape[axis + 1 :]) if len(shape) < 5 else shape

    def program(self) -> Program:
        program = Program(self.tensors, tuple(self.operators), (Port("x", "x"),), (Port(self.last, self.last),))
        verify(program)
        return program


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data(), st.lists(st.sampled_from(KINDS), min_size=2, max_size=8))
def test_raise_chain_computes_what_the_reference_does(data, kinds):
    """Whatever order the values lie in between, the graph's output is the Program's."""
    chain = Chain(data)
    for kind in kinds:
        chain.grow(kind)
    assume(chain.operators)
    program = chain.program()
    x = np.random.default_rng(1).standard_normal(program.tensors["x"].shape).astype(np.float32)

    model, _ = raise_program(program)

    expected, got = (
        Reference(program).run({"x": x})[program.outputs[0].name],
        Execution(model).run({"x": x})[program.outputs[0].name],
    )
    assert expected.shape == got.shape
    np.testing.assert_allclose(expected, got, rtol=1e-4, atol=1e-5)
