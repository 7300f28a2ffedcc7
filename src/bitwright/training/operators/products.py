"""Products of matrices: MatMul, Gemm, Einsum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bitwright.training.operators.devices import on_one_device


def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`y` = a b, as numpy.matmul does."""
    return torch.matmul(a, b)


def gemm(
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> torch.Tensor:
    """`y` = alpha * a b + beta * c, a and b transposed where asked; c is broadcast to [M, N]."""
    y = torch.matmul(a.t() if transA else a, b.t() if transB else b)
    y = y if alpha == 1 else alpha * y
    if c is None:
        return y
    return y + (c if beta == 1 else beta * c).to(y.dtype)


def einsum(*operands: torch.Tensor, equation: str) -> torch.Tensor:
    """Products summed over the letters that the result lacks."""
    return torch.einsum(equation, *on_one_device(*operands))


OPERATORS: dict[str, Callable[..., Any]] = {"Einsum": einsum, "Gemm": gemm, "MatMul": matmul}
