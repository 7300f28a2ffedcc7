"""Comparisons, logic, bits and the choice between two tensors, broadcast as numpy does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bitwright.training.operators.devices import on_one_device


def _of_two(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """PyTorch's function of two tensors as an operator."""

    def operator(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return function(*on_one_device(a, b))

    return operator


def logical_not(x: torch.Tensor) -> torch.Tensor:
    """Whether each element is false."""
    return torch.logical_not(x)


def bitwise_not(x: torch.Tensor) -> torch.Tensor:
    """Every bit turned over."""
    return torch.bitwise_not(x)


def bit_shift(x: torch.Tensor, bits: torch.Tensor, *, direction: str) -> torch.Tensor:
    """`x` with its bits moved to the LEFT or to the RIGHT."""
    x, bits = on_one_device(x, bits)
    return torch.bitwise_left_shift(x, bits) if direction == "LEFT" else torch.bitwise_right_shift(x, bits)


def where(condition: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`a` where the condition holds, else `b`."""
    return torch.where(*on_one_device(condition, a, b))


OPERATORS: dict[str, Callable[..., Any]] = {
    "And": _of_two(torch.logical_and),
    "BitShift": bit_shift,
    "BitwiseAnd": _of_two(torch.bitwise_and),
    "BitwiseNot": bitwise_not,
    "BitwiseOr": _of_two(torch.bitwise_or),
    "BitwiseXor": _of_two(torch.bitwise_xor),
    "Equal": _of_two(torch.eq),
    "Greater": _of_two(torch.gt),
    "GreaterOrEqual": _of_two(torch.ge),
    "Less": _of_two(torch.lt),
    "LessOrEqual": _of_two(torch.le),
    "Not": logical_not,
    "Or": _of_two(torch.logical_or),
    "Where": where,
    "Xor": _of_two(torch.logical_xor),
}
