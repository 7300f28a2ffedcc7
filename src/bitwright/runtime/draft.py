"""Draft: the steps and values of one segment on their way to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bitwright.program.program import Program
from bitwright.program.tensor import Tensor
from bitwright.runtime.steps.step import Alias, Border, Step, Steps


@dataclass
class Draft:
    """Steps in order, with what their operands are.

    Args:
        program: whose operators they are of.
        steps: the operator's index, -1 for copies at the border, and the step.
        tensors: those that the Program does not have.
        roots: alias -> what it is another name of.
        borders: of images that have one in memory, by root.
    """

    program: Program
    steps: list[tuple[int, Step]] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)
    borders: dict[str, Border] = field(default_factory=dict)
    _values: dict[str, str | None] = field(default_factory=dict)  # what `uses` found: roots, None for constants

    @classmethod
    def of(cls, program: Program, operators: Sequence[tuple[int, Steps]]) -> Draft:
        """The steps of operators, which are given with their indices."""
        draft = cls(program)
        for index, steps in operators:
            for step in steps:
                if isinstance(step, Alias):
                    draft.roots[step.name] = step.of
                else:
                    draft.tensors |= {tensor.name: tensor for tensor in step.made}
                    draft.steps.append((index, step))
        return draft

    def tensor(self, name: str) -> Tensor:
        return self.tensors[name] if name in self.tensors else self.program.tensors[name]

    def root(self, name: str) -> str:
        while name in self.roots:
            name = self.roots[name]
        return name

    def aliased(self) -> set[str]:
        """The values that have more than one name."""
        return {self.root(alias) for alias in self.roots}

    def is_constant(self, name: str) -> bool:
        tensor = self.tensor(name)
        return tensor.data is not None and not tensor.variable

    def uses(self) -> Mapping[str, list[tuple[int, Step, str]]]:
        """Where each value that is no constant is read or written, by root: (index of the step, step, argument)."""
        found: dict[str, list[tuple[int, Step, str]]] = {}
        values = self._values
        for index, (_, step) in enumerate(self.steps):
            for argument, name in step.tensors.items():
                if name not in values:
                    values[name] = None if self.is_constant(name) else self.root(name)
                root = values[name]
                if root is not None:
                    found.setdefault(root, []).append((index, step, argument))
        return found
