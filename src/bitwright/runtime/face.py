"""The face of every session: that of an ONNX Runtime session, and what the engine has to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import SampleError, UsageError
from bitwright.runtime.layers import Layer

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Argument:
    """An input or output.

    Args:
        name: as the model calls it.
        shape: as the caller gives or gets it; None where any number does.
        dtype: of numpy.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    @property
    def type(self) -> str:
        """As ONNX Runtime names it, such as "tensor(int8)"."""
        return f"tensor({_TYPE_NAMES.get(self.dtype.name, self.dtype.name)})"


_TYPE_NAMES = {"float32": "float", "float64": "double"}


class Runnable(Protocol):
    """A compiled model. Any number of threads may call it at the same time."""

    def get_inputs(self) -> list[Argument]:
        """Inputs in order."""

    def get_outputs(self) -> list[Argument]:
        """Outputs in order."""

    @property
    def arena_bytes(self) -> int:
        """Memory that the engine's values of one run take, weights not counted."""

    @property
    def left(self) -> dict[str, str]:
        """What the engine does not run itself, and why."""

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[NDArray[Any]]:
        """Outputs in order, or those that are named; arrays by input name.

        Raises:
            SampleError: an input is missing or unknown, or does not fit.
            UsageError: there is no output of that name.
        """

    def __call__(self, *arrays: Any) -> Any:
        """The output for arrays in the order of the inputs; a list when there are several outputs."""

    def profile(self, feeds: Mapping[str, Any]) -> list[Layer]:
        """One run, step by step."""


def by_order(arguments: Sequence[Argument], arrays: Sequence[Any]) -> dict[str, Any]:
    """Arrays by the names of the inputs.

    Raises:
        SampleError: there are too few or too many.
    """
    names = [argument.name for argument in arguments]
    if len(arrays) != len(names):
        raise SampleError(f"{len(arrays)} arrays for {len(names)} inputs", next=f"give {', '.join(names)}")
    return dict(zip(names, arrays, strict=True))


def refuse_unknown(arguments: Sequence[Argument], feeds: Mapping[str, Any]) -> None:
    """Refuse arrays for inputs that are not there.

    Raises:
        SampleError: all their names.
    """
    names = [argument.name for argument in arguments]
    if unknown := sorted(set(feeds) - set(names)):
        raise SampleError(f"no input is named {', '.join(unknown)}", next=f"the model has {', '.join(names)}")


def chosen(arguments: Sequence[Argument], wanted: Sequence[str] | None, made: Arrays) -> list[NDArray[Any]]:
    """Outputs in order, or those that are named.

    Raises:
        UsageError: there is no output of that name.
    """
    names = [argument.name for argument in arguments]
    asked = names if wanted is None else wanted
    if unknown := [name for name in asked if name not in made]:
        raise UsageError(f"no output is named {unknown[0]!r}", next=f"the model has {', '.join(names)}")
    return [made[name] for name in asked]
