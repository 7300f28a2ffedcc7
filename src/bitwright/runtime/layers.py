"""Layers: what the steps of one run took, and what they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bitwright.program.operations import operations
from bitwright.program.program import Program
from bitwright.program.tensor import Shape

if TYPE_CHECKING:
    from bitwright.runtime.executable import Timed

#: The operator of a step that copies from or to the caller's arrays.
COPY = "copy"


@dataclass(frozen=True)
class Layer:
    """A step of one run.

    Args:
        operator: its kind, "copy" at the border, or the runtime that took it.
        name: of its first result.
        kernel: that ran it.
        inputs, outputs: shapes of what it read and gave, constants left out.
        operations: multiplications and additions of its products; 0 where it has none.
        microseconds: that it took.
    """

    operator: str
    name: str
    kernel: str
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    operations: int
    microseconds: float

    @property
    def gops(self) -> float:
        """10**9 operations a second."""
        return self.operations / self.microseconds / 1e3 if self.microseconds else 0.0


def layers_of(program: Program, times: Sequence[Timed]) -> list[Layer]:
    """The steps of one run of a Program. Operations are those of the operator's longest step.

    An operator may take several steps: what its weights multiply is done in one of them.
    """
    longest: dict[int, int] = {}
    for index, time in enumerate(times):
        held = longest.setdefault(time.operator, index)
        if time.microseconds > times[held].microseconds:
            longest[time.operator] = index
    layers = []
    for index, time in enumerate(times):
        if time.operator < 0:
            layers.append(Layer(COPY, "", time.kernel, (), (), 0, time.microseconds))
            continue
        operator = program.operators[time.operator]
        read = [program.tensors[name] for name in operator.inputs if name is not None]
        layers.append(
            Layer(
                operator.kind,
                operator.outputs[0] if operator.outputs else "",
                time.kernel,
                tuple(tensor.shape for tensor in read if tensor.data is None),
                tuple(tensor.shape for tensor in program.results(operator)),
                operations(program, operator) if longest[time.operator] == index else 0,
                time.microseconds,
            )
        )
    return layers
