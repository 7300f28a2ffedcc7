"""Runs a Program on the numpy references: slow, and normative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, SampleError
from bitwright.program.definition import Call
from bitwright.program.program import Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import DTYPES, Array


class Reference:
    """A session over a verified Program. State (`variable` tensors) is kept from run to run.

    Args:
        program: what to run; see `verify`.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.state: dict[str, Array] = {}
        self.reset()

    def reset(self) -> None:
        """State as it was before the first run: zero, or what the file gives."""
        self.state = {
            name: np.zeros(t.shape, DTYPES[t.dtype]) if t.data is None else t.data.copy()
            for name, t in self.program.tensors.items()
            if t.variable
        }

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """The outputs by name.

        Args:
            feeds: inputs by port name, of the shape and storage type the Program declares.
            outputs: names of tensors to give back instead, inner ones as well.

        Raises:
            SampleError: an input is missing, or has another shape or type.
        """
        program = self.program
        values: dict[str, Array] = {name: t.data for name, t in program.tensors.items() if t.data is not None}
        values |= self.state
        for port in program.inputs:
            values[port.tensor] = self._checked(port.name, port.tensor, feeds)
        wanted = [port.tensor for port in program.outputs] if outputs is None else list(outputs)
        left = {name: len(readers) for name, readers in program.readers.items()}
        kept = {*wanted, *(port.tensor for port in program.inputs)}
        for index, operator in enumerate(program.operators):
            arrays = tuple(None if name is None else values[name] for name in operator.inputs)
            call = Call(
                operator, program.operands(operator), program.results(operator), arrays, program.rounding, self.state
            )
            try:
                made = DEFINITIONS[operator.kind].reference(call)
            except BitwrightError as error:
                error.where = error.where or f"operator {index}, {operator.kind} {operator.outputs[0]}"
                raise
            values |= zip(operator.outputs, made, strict=True)
            values |= self.state
            for name in {name for name in operator.inputs if name is not None}:
                left[name] -= 1
                if not left[name] and name not in kept and program.tensors[name].data is None:
                    del values[name]
        if outputs is None:
            return {port.name: values[port.tensor] for port in program.outputs}
        return {name: values[name] for name in wanted}

    def _checked(self, name: str, tensor_name: str, feeds: Mapping[str, NDArray[Any]]) -> Array:
        tensor = self.program.tensors[tensor_name]
        if name not in feeds:
            raise SampleError(
                f"input {name!r} is missing",
                next=f"give {', '.join(port.name for port in self.program.inputs)}",
            )
        array = np.asarray(feeds[name])
        if array.shape != tensor.shape or array.dtype != DTYPES[tensor.dtype]:
            raise SampleError(
                f"input {name!r} is {array.dtype}{list(array.shape)}, the model takes {tensor.dtype}"
                f"{list(tensor.shape)}",
                next="`bitwright inspect` lists inputs with their types",
            )
        return array
