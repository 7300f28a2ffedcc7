"""Functions of one number that mathematics has names for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def _of_one(function: Callable[[Any], Any]) -> Callable[..., Any]:
    """PyTorch's function as an operator without attributes."""

    def operator(x: torch.Tensor) -> torch.Tensor:
        return function(x)

    return operator


def is_inf(x: torch.Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> torch.Tensor:
    """Whether each element is infinite, on the sides asked for."""
    found = torch.zeros_like(x, dtype=torch.bool)
    if detect_negative:
        found = found | torch.isneginf(x)
    if detect_positive:
        found = found | torch.isposinf(x)
    return found


OPERATORS: dict[str, Callable[..., Any]] = {
    "Abs": _of_one(torch.abs),
    "Acos": _of_one(torch.acos),
    "Acosh": _of_one(torch.acosh),
    "Asin": _of_one(torch.asin),
    "Asinh": _of_one(torch.asinh),
    "Atan": _of_one(torch.atan),
    "Atanh": _of_one(torch.atanh),
    "Ceil": _of_one(torch.ceil),
    "Cos": _of_one(torch.cos),
    "Cosh": _of_one(torch.cosh),
    "Erf": _of_one(torch.erf),
    "Exp": _of_one(torch.exp),
    "Floor": _of_one(torch.floor),
    "IsInf": is_inf,
    "IsNaN": _of_one(torch.isnan),
    "Log": _of_one(torch.log),
    "Neg": _of_one(torch.neg),
    "Reciprocal": _of_one(torch.reciprocal),
    "Round": _of_one(torch.round),
    "Sign": _of_one(torch.sign),
    "Sin": _of_one(torch.sin),
    "Sinh": _of_one(torch.sinh),
    "Sqrt": _of_one(torch.sqrt),
    "Tan": _of_one(torch.tan),
    "Tanh": _of_one(torch.tanh),
}
