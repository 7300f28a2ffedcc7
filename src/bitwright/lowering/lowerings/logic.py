"""Comparisons, And, Or and Not of truths, and Where: SELECT_V2."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from bitwright.lowering.broadcast import bring_together
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step

NUMBERS = ("f32", "i32", "i64")

#: Operators of the same meaning, and the types that their kernels compare.
_SAME: dict[str, tuple[str, tuple[str, ...]]] = {
    "Equal": ("EQUAL", (*NUMBERS, "bool")),
    "Greater": ("GREATER", NUMBERS),
    "GreaterOrEqual": ("GREATER_EQUAL", NUMBERS),
    "Less": ("LESS", NUMBERS),
    "LessOrEqual": ("LESS_EQUAL", NUMBERS),
    "And": ("LOGICAL_AND", ("bool",)),
    "Or": ("LOGICAL_OR", ("bool",)),
    "Not": ("LOGICAL_NOT", ("bool",)),
}


def _emit(step: Step, kind: str, values: Sequence[ir.Value], dtype: str) -> None:
    """One operator on operands that broadcast, in float or on plain numbers."""
    kernel = step.kernel(values, integer=())
    together = bring_together(step, kernel, values, step.shape(kernel.value))
    result = step.result(kernel, together.shape, dtype=dtype)
    step.build.emit(kind, together.tensors, [result])
    step.give(kernel, result, together.layout)


def _truth(kind: str, types: tuple[str, ...]) -> Callable[[Step], None]:
    def lower(step: Step) -> None:
        values = [value for value in step.node.inputs if value is not None]
        if len(kinds := {step.low.dtype(value) for value in values}) > 1 or not kinds <= {*types}:
            raise Refusal(f"compares {', '.join(sorted(kinds))}, the kernel {', '.join(types)}")
        _emit(step, kind, values, "bool")

    return lower


def lower_where(step: Step) -> None:
    dtype = step.low.dtype(step.value(1))
    if dtype not in (*NUMBERS, "bool"):
        raise Refusal(f"chooses among {dtype}")
    _emit(step, "SELECT_V2", [step.value(0), step.value(1), step.value(2)], dtype)


LOWERINGS: dict[str, Callable[[Step], None]] = {op: _truth(*row) for op, row in _SAME.items()} | {"Where": lower_where}
