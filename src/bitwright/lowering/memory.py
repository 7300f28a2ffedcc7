"""Memory: where LiteRT would write a result over a tensor that is read later, the operand is copied first.

LiteRT lets a result lie in its operand's memory when nobody else reads the operand. It counts readers of the first
tensor of a chain that shares memory, and forgets those of the tensors behind it: in ADD -> t -> RESHAPE -> ADD the last
one writes over t, though t is read again afterwards.

Source: tflite/arena_planner.cc, IdentifyInPlaceTensors; seen on LiteRT 2.3, all kernels but XNNPACK's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from bitwright.program.operator import Operator
from bitwright.program.program import Program
from bitwright.program.tensor import Tensor

#: Operators whose result lies in the memory of an operand: unchanged, and written over.
_VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_IN_PLACE = {"ADD": 2, "SUB": 2, "MUL": 2, "DIV": 2, "SOFTMAX": 1}

#: A tensor of so few bytes is not shared.
_SMALLEST_SHARED = 4


def with_copies(program: Program) -> Program:
    """The same Program with a copy before every operator that LiteRT would let write over what is read later."""
    plan = _Plan(program)
    operators: list[Operator] = []
    tensors: dict[str, Tensor] = dict(program.tensors)
    for index, operator in enumerate(program.operators):
        operand = plan.spoils(index, operator)
        if operand is not None:
            held = tensors[operand]
            copy = replace(held, name=_free(f"{operand}_copy", tensors))
            begin = _integers(f"{copy.name}_begin", [0] * len(held.shape), tensors)
            size = _integers(f"{copy.name}_size", list(held.shape), tensors)
            tensors[copy.name] = copy
            operators.append(Operator("SLICE", (operand, begin, size), (copy.name,)))
            operator = replace(operator, inputs=tuple(copy.name if n == operand else n for n in operator.inputs))
        operators.append(operator)
    if len(operators) == len(program.operators):
        return program
    return replace(program, operators=tuple(operators), tensors=tensors)


def _free(wanted: str, tensors: dict[str, Tensor]) -> str:
    name, count = wanted, 1
    while name in tensors:
        count += 1
        name = f"{wanted}_{count}"
    return name


def _integers(name: str, values: list[int], tensors: dict[str, Tensor]) -> str:
    name = _free(name, tensors)
    tensors[name] = Tensor(name, (len(values),), "i32", data=np.array(values, np.int32))
    return name


class _Plan:
    """Which tensors share memory, as LiteRT decides it operator by operator."""

    def __init__(self, program: Program) -> None:
        self.tensors = program.tensors
        self.inputs = {port.tensor for port in program.inputs}
        self.outputs = {port.tensor for port in program.outputs}
        self.readers = Counter(name for op in program.operators for name in op.inputs if name is not None)
        self.readers.update(self.inputs | self.outputs)
        self.last_read = {name: i for i, op in enumerate(program.operators) for name in op.inputs if name is not None}
        self.first: dict[str, str] = {}  # of every tensor that shares memory, the first one there
        self.sharing: dict[str, list[str]] = {}

    def spoils(self, index: int, operator: Operator) -> str | None:
        """The operand whose memory this operator writes over too early; notes what it shares otherwise."""
        changes = operator.kind in _IN_PLACE
        count = _IN_PLACE.get(operator.kind, 1)
        if (not changes and operator.kind not in _VIEWS) or operator.outputs[0] in self.outputs:
            return None
        result = operator.outputs[0]
        operand = next((n for n in operator.inputs[:count] if n is not None and self._shares(n, result, changes)), None)
        if operand is None:
            return None
        first = self.first.get(operand, operand)
        if changes and self.readers[first] > 1:
            return None
        if changes and any(self.last_read.get(name, -1) > index for name in (first, *self.sharing.get(first, ()))):
            return operand
        self.first[result] = first
        self.sharing.setdefault(first, []).append(result)
        return None

    def _shares(self, operand: str, result: str, changes: bool) -> bool:
        held = self.tensors[operand]
        if held.data is not None or held.variable or operand in self.inputs:
            return False
        if not changes:
            return True
        same_size = held.nbytes == self.tensors[result].nbytes and held.nbytes > _SMALLEST_SHARED
        return same_size and self.readers[operand] == 1
