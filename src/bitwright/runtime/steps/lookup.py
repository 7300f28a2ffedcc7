"""Steps of functions of one number: tables made by the numpy references, and what of reals is plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bitwright.errors import BitwrightError
from bitwright.program.definition import Call
from bitwright.program.families.elementwise import INTERPOLATED
from bitwright.program.lookup import table_16bit
from bitwright.program.options import LeakyReluOptions
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import DTYPES, Array
from bitwright.runtime.steps.step import MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import stored

#: Names of all operands and results of a step that goes over them row by row, and reads no byte past their ends.
EVERYWHERE = frozenset({"x", "a", "b", "y"})


def table_of(call: Call, index: int = 0) -> Array | str:
    """The result of an operator for every integer that one operand may hold, by its numpy reference.

    Args:
        call: the operand has 8 or 16 bits; all others are constants of one element.
        index: of the operand. Other places where the same tensor stands take the same integer.

    Returns:
        256 or 65536 results as they are stored, that of the lowest stored integer first; or why there is none.
    """
    tensor = call.input(index)
    bounds = np.iinfo(DTYPES[tensor.dtype])
    every = np.arange(int(bounds.min), int(bounds.max) + 1).astype(bounds.dtype)
    arrays: list[Array | None] = []
    for operand in call.inputs:
        if operand is None:
            arrays.append(None)
        elif operand.name == tensor.name:
            arrays.append(every)
        else:
            assert operand.data is not None
            arrays.append(operand.data.reshape(()))
    try:
        (made,) = DEFINITIONS[call.operator.kind].reference(replace(call, arrays=tuple(arrays)))
    except BitwrightError as error:
        return f"not every integer has a result: {error}"
    return stored(made)


def table_steps(call: Call, index: int = 0) -> Steps | str:
    """A lookup in `table_of`."""
    table = table_of(call, index)
    if isinstance(table, str):
        return table
    return _look_up(call, "lut" if table.size == 256 else "lut16", table, index)


def _look_up(call: Call, method: str, table: Array, index: int = 0) -> Steps:
    return (
        Step(
            method,
            {"x": call.input(index).name, "y": call.output.name},
            arguments={"table": np.ascontiguousarray(table)},
            strided=EVERYWHERE,
            exact=EVERYWHERE,
        ),
    )


def has_table(call: Call, index: int = 0) -> bool:
    """Whether an operand's integers, and those of the result, are as few as a table has entries."""
    types = call.input(index).dtype, call.output.dtype
    return all(dtype in ("i8", "u8") for dtype in types) or types == ("i16", "i16")


def _function(call: Call) -> Steps | str:
    x, kind = call.input(0), call.operator.kind
    if kind in INTERPOLATED and x.dtype == "i16":
        return _look_up(call, "lut16", table_16bit(x, call.output, INTERPOLATED[kind](call)))
    if has_table(call):
        return table_steps(call)
    if x.dtype != "f32" or kind not in _REALS:
        return f"no kernel for {kind} of {x.dtype}"
    operation, low, high = _REALS[kind]
    if kind == "LEAKY_RELU":
        low = call.options(LeakyReluOptions).alpha
    return (
        Step(
            "plain_unary",
            {"x": x.name, "y": call.output.name},
            arguments={"operation": operation, "low": low, "high": high},
            strided=EVERYWHERE,
            exact=EVERYWHERE,
        ),
    )


#: What float32 operations give as numpy does: the engine's name, and bounds.
_REALS: dict[str, tuple[str, float, float]] = {
    "ABS": ("absolute", 0.0, 0.0),
    "CEIL": ("ceiling", 0.0, 0.0),
    "FLOOR": ("floor", 0.0, 0.0),
    "HARD_SWISH": ("hard_swish", 0.0, 0.0),
    "LEAKY_RELU": ("leaky", 0.0, 0.0),
    "NEG": ("negative", 0.0, 0.0),
    "RELU": ("clamp", 0.0, math.inf),
    "RELU6": ("clamp", 0.0, 6.0),
    "RELU_0_TO_1": ("clamp", 0.0, 1.0),
    "RELU_N1_TO_1": ("clamp", -1.0, 1.0),
    "ROUND": ("nearest", 0.0, 0.0),
    "RSQRT": ("inverse_root", 0.0, 0.0),
    "SQRT": ("root", 0.0, 0.0),
    "SQUARE": ("square", 0.0, 0.0),
}

#: Those that are looked up alone.
_OF_INTEGERS = ("COS", "ELU", "EXP", "GELU", "LOG", "LOGISTIC", "SIN", "TANH")

STEPS: dict[str, MakeSteps] = dict.fromkeys((*_REALS, *_OF_INTEGERS), _function)
