"""Layers: what the steps of one run took, and what they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bitwright.program.operations import operations
from bitwright.program.operator import Operator
from bitwright.program.program import Program
from bitwright.program.tensor import Shape

if TYPE_CHECKING:
    from bitwright.runtime.executable import Timed

#: The operator of a step that copies from or to the caller's arrays.
COPY = "copy"

#: Between the kernels of a step that does the work of two operators, and between these.
_JOINT = " + "


@dataclass(frozen=True)
class Layer:
    """A step of one run.

    Args:
        operator: its kind, "copy" at the border, or the runtime that took it; "CONV_2D + ADD" where one step did both.
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

    An operator may take several steps: what its weights multiply is done in one of them. A step may do the work of two
    operators: then it tells of both.
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
        operators = _operators(program, time)
        inner = {name for operator in operators[:-1] for name in operator.outputs}
        read = [program.tensors[name] for operator in operators for name in operator.inputs if name is not None]
        results = operators[-1].outputs
        layers.append(
            Layer(
                _JOINT.join(operator.kind for operator in operators),
                results[0] if results else "",
                time.kernel,
                tuple(tensor.shape for tensor in read if tensor.data is None and tensor.name not in inner),
                tuple(tensor.shape for tensor in program.results(operators[-1])),
                sum(operations(program, operator) for operator in operators) if longest[time.operator] == index else 0,
                time.microseconds,
            )
        )
    return layers


def _operators(program: Program, time: Timed) -> tuple[Operator, ...]:
    """The operator of a step; and the only reader of its result, where the step did that one's work too."""
    operator = program.operators[time.operator]
    if _JOINT not in time.kernel:
        return (operator,)
    (reader,) = program.readers[operator.outputs[0]]
    return (operator, program.operators[reader])
