"""Program: the lowered model: a flat list of operators over named tensors, concrete shapes and types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bitwright.numerics.requantize import Rounding
from bitwright.program.definition import Call
from bitwright.program.operator import Operator
from bitwright.program.tensor import Tensor


@dataclass(frozen=True)
class Port:
    """One input or output: the name that callers use (a signature's), and the tensor behind it."""

    name: str
    tensor: str


@dataclass(frozen=True, eq=False)
class Program:
    """A model in TFLite's vocabulary (its names, NHWC, its quantized-tensor model).

    Args:
        tensors: every tensor by name: inputs, constants, results, state.
        operators: in order of execution.
        inputs, outputs: the face, in order.
        name: of the model ("main" in most files).
        rounding: how accumulators are requantized: tflite_double is what LiteRT's own kernels do, fp32_even what
            XNNPACK does, tflite_single what kernels built with TFLITE_SINGLE_ROUNDING do.
        signature: the key of the file's signature; None when it has none.
        metadata: named texts that travel with the file.
        description: the file's own.
    """

    tensors: Mapping[str, Tensor]
    operators: tuple[Operator, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    name: str = "main"
    rounding: Rounding = "tflite_double"
    signature: str | None = None
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    description: str = ""

    def operands(self, operator: Operator) -> tuple[Tensor | None, ...]:
        """The tensors an operator reads; None where an optional one is left out."""
        return tuple([None if name is None else self.tensors[name] for name in operator.inputs])

    def results(self, operator: Operator) -> tuple[Tensor, ...]:
        """The tensors an operator gives."""
        return tuple([self.tensors[name] for name in operator.outputs])

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Every operator met in this Program, without values: what shape rules and makers of steps work on."""
        return tuple([Call(o, self.operands(o), self.results(o), rounding=self.rounding) for o in self.operators])

    @property
    def is_quantized(self) -> bool:
        """Whether it computes on integers that stand for reals, and keeps no state: what the engine is for."""
        computed = (self.tensors[name] for operator in self.operators for name in operator.outputs)
        stateful = any(tensor.variable for tensor in self.tensors.values())
        return not stateful and any(tensor.qparams is not None for tensor in computed)

    @cached_property
    def readers(self) -> Mapping[str, tuple[int, ...]]:
        """Indices of the operators that read each tensor; a name that nobody reads is not in it."""
        found: dict[str, list[int]] = {}
        for index, operator in enumerate(self.operators):
            for name in dict.fromkeys(operator.inputs):
                if name is not None:
                    found.setdefault(name, []).append(index)
        return {name: tuple(indices) for name, indices in found.items()}
