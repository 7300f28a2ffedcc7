"""Step: one call of a kernel, by name, before memory is planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bitwright.program.definition import Call
from bitwright.program.tensor import Tensor


class Border(NamedTuple):
    """Padding that lies around an image in memory, in pixels; it holds the image's zero_point."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def union(self, other: Border) -> Border:
        """The smallest border that holds both.

        >>> Border(1, 0, 1, 0).union(Border(0, 1, 1, 1))
        Border(top=1, bottom=1, left=1, right=1)
        """
        return Border(*(max(a, b) for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Step:
    """A call of a method of `_engine.Plan`.

    Args:
        method: its name.
        tensors: argument -> name of a tensor of the Program, or of `made`.
        writes: which of these arguments are results.
        arguments: all other arguments, as the method takes them.
        borders: the border that an operand must have in memory, by argument.
        strided: the arguments whose images may have any border; all others lie without gaps.
        exact: the operands of which no byte past the end is read, so that they may be arrays of the caller's.
        anywhere: the operands or results that may have any strides, that of C too, and are exact.
        made: tensors that the Program does not have, between steps of one operator.
    """

    method: str
    tensors: Mapping[str, str]
    writes: tuple[str, ...] = ("y",)
    arguments: Mapping[str, object] = field(default_factory=dict)
    borders: Mapping[str, Border] = field(default_factory=dict)
    strided: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    anywhere: frozenset[str] = frozenset()
    made: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Alias:
    """The result is the operand under another shape: no step at all.

    Args:
        of: the operand's name.
        name: the result's.
    """

    of: str
    name: str


Steps = tuple[Step | Alias, ...]
#: The steps of one operator; or the reason for which the engine has none.
MakeSteps = Callable[[Call], Steps | str]
