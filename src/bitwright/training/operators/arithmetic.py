"""Arithmetic on two or more tensors, broadcast as numpy does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from bitwright.training.operators.devices import on_one_device


def add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`y` = a + b."""
    a, b = on_one_device(a, b)
    return a + b


def sub(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`y` = a - b."""
    a, b = on_one_device(a, b)
    return a - b


def mul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`y` = a * b."""
    a, b = on_one_device(a, b)
    return a * b


def div(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`y` = a / b; of integers, rounded towards 0."""
    a, b = on_one_device(a, b)
    integer = not (a.is_floating_point() or b.is_floating_point())
    return torch.div(a, b, rounding_mode="trunc" if integer else None)


def power(base: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """`y` = base ** exponent in the type of the base."""
    base, exponent = on_one_device(base, exponent)
    return torch.pow(base, exponent).to(base.dtype)


def mod(a: torch.Tensor, b: torch.Tensor, *, fmod: int = 0) -> torch.Tensor:
    """What a / b leaves: with the sign of b, or of a where `fmod` is set."""
    a, b = on_one_device(a, b)
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


def sum_of(*operands: torch.Tensor) -> torch.Tensor:
    """`y` = a + b + ..."""
    return functools.reduce(torch.add, on_one_device(*operands))


def mean_of(*operands: torch.Tensor) -> torch.Tensor:
    """`y` = (a + b + ...) / how many there are."""
    return sum_of(*operands) / len(operands)


def max_of(*operands: torch.Tensor) -> torch.Tensor:
    """The largest, element by element; equal ones share the gradient."""
    return functools.reduce(torch.maximum, on_one_device(*operands))


def min_of(*operands: torch.Tensor) -> torch.Tensor:
    """The smallest, element by element; equal ones share the gradient."""
    return functools.reduce(torch.minimum, on_one_device(*operands))


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": add,
    "Div": div,
    "Max": max_of,
    "Mean": mean_of,
    "Min": min_of,
    "Mod": mod,
    "Mul": mul,
    "Pow": power,
    "Sub": sub,
    "Sum": sum_of,
}
