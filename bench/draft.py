"""A Program that is being drawn: tensors, operators, and which values the next operator may read."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from bitwright.errors import BitwrightError
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.requantize import Rounding
from bitwright.program.definition import Call
from bitwright.program.operator import Operator, Options
from bitwright.program.program import Port, Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import DTYPES, Array, Shape, Tensor

#: Elements that a value has at most.
MOST_ELEMENTS = 6000
QUANTIZED = ("i8", "u8", "i16")
ROUNDINGS: tuple[Rounding, ...] = ("tflite_double", "tflite_single", "fp32_even")
#: Reals at which conversions and comparisons have their own rules.
SPECIAL = np.float32([np.nan, np.inf, -np.inf, -0.0, 0.5, -2.5, 3e9, -(2.0**31), 3e38, 1e-40])


class Declined(Exception):
    """An operator that was drawn does not fit what is there."""


class Draft:
    """Args:
    seed: of everything.
    """

    def __init__(self, seed: int) -> None:
        self.random, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []
        self.inputs: list[str] = []
        self.values: list[str] = []  # what an operator may read as data
        types, weights = zip(*{"i8": 9, "u8": 5, "i16": 3, "f32": 4, "i32": 1, "bool": 0.3}.items(), strict=True)
        self.main = self.random.choices(types, weights)[0]
        self._shared = {dtype: self._drawn_parameters(dtype) for dtype in QUANTIZED}

    # What tensors are made of

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def one_of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def size(self, most: int = 20) -> int:
        """1..most, small more often."""
        return self.random.randint(1, self.random.choice([3, 8, most]) if most > 3 else most)

    def shape(self, rank: int | None = None) -> Shape:
        """Batch 1..3 first, images more often than not."""
        rank = self.random.choices(range(7), [1, 4, 6, 4, 24, 3, 1])[0] if rank is None else rank
        while True:
            shape = tuple(self.size(3) if not axis else self.size() for axis in range(rank))
            if math.prod(shape) <= MOST_ELEMENTS:
                return shape

    def dtype(self) -> str:
        return self.main if self.chance(0.9) else str(self.one_of("i8", "u8", "i16", "f32", "i32", "i64", "bool"))

    def scale(self) -> float:
        kind = self.random.random()
        if kind < 0.8:
            return float(2.0 ** self.random.uniform(-8, 1))
        if kind < 0.92:
            return float(2.0 ** self.random.randint(-15, 2))
        reach = 20 if kind < 0.98 else 100
        return float(2.0 ** self.random.uniform(-reach, reach))

    def parameters(self, dtype: str) -> QuantParams | None:
        """Those that many values share, or others; None for plain numbers."""
        if dtype not in QUANTIZED:
            return None
        return self._shared[dtype] if self.chance(0.6) else self._drawn_parameters(dtype)

    def _drawn_parameters(self, dtype: str) -> QuantParams:
        bounds = np.iinfo(DTYPES[dtype])
        low, high = int(bounds.min), int(bounds.max)
        point = 0 if dtype == "i16" else self.one_of(low, high, (low + high + 1) // 2, self.random.randint(low, high))
        return QuantParams(self.scale(), point, dtype)

    def array(self, shape: Shape, dtype: str) -> Array:
        """Integers of the whole range or near its ends, moderate reals and now and then special ones."""
        kind = DTYPES[dtype]
        if kind.kind == "f":
            made = (self.numbers.standard_normal(shape) * 2.0 ** self.random.randint(-3, 4)).astype(kind)
            if self.chance(0.15):
                made = np.where(self.numbers.random(shape) < 0.2, self.numbers.choice(SPECIAL, shape), made)
            return np.asarray(made, kind)
        if kind.kind == "b":
            return self.numbers.integers(0, 2, shape).astype(kind)
        bounds = np.iinfo(kind)
        if self.chance(0.1):
            ends = np.array([bounds.min, bounds.max, 0], kind)
            return np.asarray(self.numbers.choice(ends, shape), kind)
        return self.numbers.integers(bounds.min, bounds.max, shape, dtype=kind, endpoint=True)

    # Tensors

    def name(self, stem: str) -> str:
        return f"{stem}{len(self.tensors)}"

    def add(self, tensor: Tensor) -> Tensor:
        self.tensors[tensor.name] = tensor
        return tensor

    def constant(self, data: Any, dtype: str = "i32", qparams: QuantParams | None = None) -> Tensor:
        array = np.asarray(data, DTYPES[dtype])
        return self.add(Tensor(self.name("c"), array.shape, dtype, qparams, array))

    def new(self, shape: Shape, dtype: str, qparams: QuantParams | None, *, constant: float = 0.1) -> Tensor:
        """An input, or with some probability a constant."""
        if self.chance(constant):
            made = self.constant(self.array(shape, dtype), dtype, qparams)
        else:
            made = self.add(Tensor(self.name("x"), shape, dtype, qparams))
            self.inputs.append(made.name)
        self.values.append(made.name)
        return made

    def value(self, *ranks: int, dtypes: Sequence[str] | None = None, constant: float = 0.1) -> Tensor:
        """What an operator reads: a value that is there, a late one more often, or a new one."""
        found = [
            name
            for name in self.values
            if (not ranks or len(self.tensors[name].shape) in ranks)
            and (dtypes is None or self.tensors[name].dtype in dtypes)
        ]
        if found and self.chance(0.85):
            return self.tensors[found[-1 - min(int(self.random.expovariate(0.6)), len(found) - 1)]]
        dtype = self.dtype()
        if dtypes is not None and dtype not in dtypes:
            dtype = str(self.random.choice(dtypes))
        shape = self.shape(self.random.choice(ranks) if ranks else None)
        return self.new(shape, dtype, self.parameters(dtype), constant=constant)

    def like(self, x: Tensor, shape: Shape | None = None, *, constant: float = 0.3) -> Tensor:
        """Another operand of x's type and mostly its parameters: one that is there, or new."""
        shape = x.shape if shape is None else shape
        found = [n for n in self.values if self.tensors[n].dtype == x.dtype and self.tensors[n].shape == shape]
        if found and self.chance(0.6):
            return self.tensors[self.random.choice(found)]
        qparams = x.qparams if self.chance(0.6) or x.qparams is None else self.parameters(x.dtype)
        return self.new(shape, x.dtype, qparams, constant=constant)

    # Operators

    def apply(
        self,
        kind: str,
        operands: Sequence[Tensor | None],
        options: Options | None = None,
        *,
        like: Tensor | None = None,
        dtype: str | None = None,
        qparams: QuantParams | None = None,
        results: int = 1,
    ) -> tuple[Tensor, ...]:
        """Append an operator.

        Args:
            kind: of the operator.
            operands: its tensors.
            options: None for the class's defaults.
            like: whose type and parameters the results have; None: `dtype` and `qparams`.
            dtype, qparams: of the results.
            results: how many.

        Raises:
            Declined: it has no shape, or no kernel, or a result that is too large.
        """
        definition = DEFINITIONS[kind]
        if like is not None:
            dtype, qparams = like.dtype, like.qparams
        assert dtype is not None
        if qparams is not None and qparams.axis is not None:
            raise Declined("scales of weights")
        names = tuple(f"y{len(self.tensors)}_{index}" for index in range(results))
        inputs = tuple(None if tensor is None else tensor.name for tensor in operands)
        operator = Operator(kind, inputs, names, definition.options() if options is None else options)
        drafts = tuple(Tensor(name, (), dtype, qparams) for name in names)
        try:
            shapes = definition.infer(Call(operator, tuple(operands), drafts))
            made = tuple(Tensor(n, s, dtype, qparams) for n, s in zip(names, shapes, strict=True))
            refused = definition.refuse is not None and definition.refuse(Call(operator, tuple(operands), made))
        except BitwrightError as error:
            raise Declined(error.what) from error
        if refused:
            raise Declined(refused)
        if sum(tensor.elements for tensor in made) > 2 * MOST_ELEMENTS:
            raise Declined("too large")
        if any(not tensor.elements for tensor in made) and self.chance(0.8):
            raise Declined("empty")
        self.tensors |= {tensor.name: tensor for tensor in made}
        self.operators.append(operator)
        self.values += names
        return made

    def mark(self) -> tuple[int, int, int, int]:
        """Where `back_to` returns."""
        return len(self.tensors), len(self.operators), len(self.inputs), len(self.values)

    def back_to(self, mark: tuple[int, int, int, int]) -> None:
        """Forget what was added since."""
        tensors, operators, inputs, values = mark
        for name in list(self.tensors)[tensors:]:
            del self.tensors[name]
        del self.operators[operators:], self.inputs[inputs:], self.values[values:]

    def program(self) -> Program:
        """What was drawn: values that nobody reads are outputs, and a few others."""
        read = {name for operator in self.operators for name in operator.inputs}
        made = [name for operator in self.operators for name in operator.outputs]
        outputs = [name for name in made if self.chance(0.15 if name in read else 0.95)]
        outputs += [name for name in self.inputs if self.chance(0.03)]
        outputs += [name for name in self.tensors if name.startswith("c") and self.chance(0.003)]
        outputs += [name for name in outputs if self.chance(0.02)]
        self.random.shuffle(outputs)
        return Program(
            self.tensors,
            tuple(self.operators),
            tuple(Port(name, name) for name in self.inputs),
            tuple(Port(f"{name} {index}", name) for index, name in enumerate(outputs or made[-1:])),
            rounding=self.random.choice(ROUNDINGS),
        )
