"""Truth: EQUAL and the other comparisons, LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT, SELECT_V2."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bitwright.program.broadcasting import infer_broadcast
from bitwright.program.definition import Call, Definition
from bitwright.program.families.elementwise import infer_same
from bitwright.program.operands import parameters_reason, type_reason
from bitwright.program.pairs import is_quantized, scaled, scales_reason
from bitwright.program.tensor import Array

Compare = Callable[[Array, Array], Array]


def _comparison(kind: str, compare: Compare, *more: str) -> Definition:
    allowed = ("f32", "i8", "u8", "i32", "i64", *more)

    def reference(call: Call) -> tuple[Array, ...]:
        """Quantized (8-bit): both operands times 256 and their own scale, rounded twice, then compared: what is closer
        than 1/256 may count as equal.

        Source: TensorFlow Lite comparisons.cc, ComparisonQuantized.
        """
        if not is_quantized(call.input(0)):
            return (compare(call.array(0), call.array(1)),)
        first, second = (
            scaled(
                (call.array(index).astype(np.int64) - call.input(index).zero_point) << 8,
                call.input(index).scale,
                call.rounding,
            )
            for index in range(2)
        )
        return (compare(first, second),)

    def refuse(call: Call) -> str:
        first, second = call.input(0), call.input(1)
        if first.dtype not in allowed or second.dtype != first.dtype or call.output.dtype != "bool":
            types = f"{first.dtype} and {second.dtype} to {call.output.dtype}"
            return f"it compares two of one type, {', '.join(allowed)}, to bool (got {types})"
        if reason := scales_reason(first, second):
            return reason
        for tensor in (first, second):
            if is_quantized(tensor) and tensor.scale >= 1:
                return f"the scale of {tensor.name!r} is {tensor.scale:.6g}, LiteRT compares scales below 1"
        return ""

    return Definition(kind, infer_broadcast, reference, inputs=(2, 2), refuse=refuse)


def _logical(kind: str, function: Compare) -> Definition:
    def reference(call: Call) -> tuple[Array, ...]:
        return (function(call.array(0), call.array(1)),)

    def refuse(call: Call) -> str:
        return type_reason(call, "bool") or type_reason(call, "bool", index=1)

    return Definition(kind, infer_broadcast, reference, inputs=(2, 2), refuse=refuse)


def _not(call: Call) -> tuple[Array, ...]:
    return (np.logical_not(call.array(0)),)


def _not_refused(call: Call) -> str:
    return type_reason(call, "bool")


def _select(call: Call) -> tuple[Array, ...]:
    """The second operand where the first is true, the third where it is not; integers as they stand.

    Source: TensorFlow Lite select.cc.
    """
    return (np.where(call.array(0), call.array(1), call.array(2)),)


def _select_refused(call: Call) -> str:
    first, second = call.input(1), call.input(2)
    if call.input(0).dtype != "bool":
        return f"the condition {call.input(0).name!r} is {call.input(0).dtype}, not bool"
    for index in (1, 2):
        if reason := type_reason(call, "f32", "i8", "u8", "i16", "i32", "i64", "bool", index=index):
            return reason
    return parameters_reason(first, call.output) or parameters_reason(second, call.output)


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        _comparison("EQUAL", np.equal, "bool"),
        _comparison("NOT_EQUAL", np.not_equal, "bool"),
        _comparison("GREATER", np.greater),
        _comparison("GREATER_EQUAL", np.greater_equal),
        _comparison("LESS", np.less),
        _comparison("LESS_EQUAL", np.less_equal),
        _logical("LOGICAL_AND", np.logical_and),
        _logical("LOGICAL_OR", np.logical_or),
        Definition("LOGICAL_NOT", infer_same, _not, refuse=_not_refused),
        Definition("SELECT_V2", infer_broadcast, _select, inputs=(3, 3), refuse=_select_refused),
    )
}
