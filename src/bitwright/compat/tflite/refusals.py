"""Refusals of the interpreter: bitwright's errors, which are the built-in ones that TFLite raises as well."""

from __future__ import annotations

from typing import Any, NoReturn

from bitwright.errors import SampleError, UsageError


class TensorError(SampleError, ValueError):
    """An index, a name, a type or a shape that the model's tensors do not have."""


class NotReadyError(UsageError, RuntimeError):
    """A call that comes before the one it needs."""


class ArgumentError(UsageError, ValueError):
    """An argument of a constructor that cannot be."""


def load_delegate(library: Any, options: Any = None) -> NoReturn:
    """TFLite's function of that name, refused: the engine has its own kernels.

    Raises:
        ArgumentError: always.
    """
    raise ArgumentError("delegates are not loaded: the engine has its own kernels", next="leave them out")
