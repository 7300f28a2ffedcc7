"""Definition: what one operator of the vocabulary is: options, operands, shape rule, numpy reference."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TypeVar

from bitwright.numerics.requantize import Rounding
from bitwright.program.operator import Operator, Options
from bitwright.program.tensor import Array, Shape, Tensor

SomeOptions = TypeVar("SomeOptions", bound=Options)


@dataclass(frozen=True)
class Call:
    """One operator met in its Program: what its shape rule and its reference work on.

    Args:
        operator: the step.
        inputs: its operands' tensors; None where an optional one is left out. A shape rule may read `.data`.
        outputs: its results' tensors, as the Program declares them.
        arrays: the operands' values, of each tensor's dtype and shape; empty for a shape rule.
        rounding: how accumulators are requantized.
        state: values of `variable` tensors by name; a reference that has state replaces them.
    """

    operator: Operator
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    arrays: tuple[Array | None, ...] = ()
    rounding: Rounding = "tflite_double"
    state: MutableMapping[str, Array] = field(default_factory=dict)

    def options(self, kind: type[SomeOptions]) -> SomeOptions:
        """The operator's options, typed."""
        assert isinstance(self.operator.options, kind)
        return self.operator.options

    def input(self, index: int) -> Tensor:
        """The tensor of an operand that must be there."""
        tensor = self.inputs[index]
        assert tensor is not None
        return tensor

    def has(self, index: int) -> bool:
        """Whether an optional operand is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def array(self, index: int) -> Array:
        """The value of an operand that must be there."""
        array = self.arrays[index]
        assert array is not None
        return array

    @property
    def output(self) -> Tensor:
        """The first (mostly the only) result's tensor."""
        return self.outputs[0]


@dataclass(frozen=True)
class Definition:
    """One operator of the vocabulary.

    Args:
        kind: TFLite's name of it.
        infer: the shapes of its results from the shapes, options and constants of a call. Raises ModelError when
            operands do not fit each other, with what and next; the caller adds where.
        reference: its results' values: for floats in float32, for integers bit for bit as LiteRT's reference kernels.
        inputs: fewest and most operands (the most may be None: any number).
        options: the class of its options.
        refuse: why storage types or parameters of a call have no kernel ("" when they have one); None: any that the
            reference takes.
    """

    kind: str
    infer: Callable[[Call], tuple[Shape, ...]]
    reference: Callable[[Call], tuple[Array, ...]]
    inputs: tuple[int, int | None] = (1, 1)
    options: type[Options] = Options
    refuse: Callable[[Call], str] | None = None
