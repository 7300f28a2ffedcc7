"""Steps of ADD, SUB, MUL, DIV, MINIMUM, MAXIMUM, SQUARED_DIFFERENCE and PRELU, whose two operands broadcast."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bitwright.program.broadcasting import broadcast_shape
from bitwright.program.definition import Call
from bitwright.program.families.arithmetic import CommonScale, WeightedSum, squared_difference_rule, sum_rule
from bitwright.program.families.multiplication import product_requantization
from bitwright.program.families.rectifiers import slope_rescalings
from bitwright.program.fixed_point import Requantization, activation_bounds
from bitwright.program.options import AddOptions, DivOptions, MulOptions, SubOptions
from bitwright.program.pairs import is_quantized, plain_bounds
from bitwright.program.tensor import Tensor
from bitwright.runtime.steps.lookup import EVERYWHERE, has_table, table_steps
from bitwright.runtime.steps.requant import engine_requant
from bitwright.runtime.steps.step import MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import TYPES, stored_zero_point

#: The engine's name of each operator on reals and plain integers.
_PLAIN = {
    "ADD": "add",
    "DIV": "divide",
    "MAXIMUM": "larger",
    "MINIMUM": "smaller",
    "MUL": "multiply",
    "PRELU": "sloped",
    "SQUARED_DIFFERENCE": "squared_difference",
    "SUB": "subtract",
}
_OF_REALS = ("DIV", "PRELU")

#: A constant of short rows is written out, so that rows have at least so many elements, within so many altogether.
_LONG_ROW, _MOST_WRITTEN_OUT = 256, 1 << 16


def _pair(call: Call) -> Steps | str:
    kind, target = call.operator.kind, call.output
    if any(tensor is None or tensor.dtype not in TYPES for tensor in (*call.inputs, target)):
        return f"no kernel for {call.input(0).dtype}"
    index = _only_operand(call)
    if index is not None:
        return table_steps(call, index)
    if kind in ("MINIMUM", "MAXIMUM") or not is_quantized(target):
        return _plain(call)
    if kind == "PRELU":
        return _sloped(call)
    if kind == "MUL":
        return _product(call)
    if kind == "DIV":
        return "no kernel for quotients of integers"
    return _sum(call)


def _only_operand(call: Call) -> int | None:
    """The operand that the result is a function of alone, if a table holds it: the other is a constant, or the same."""
    first, second = call.input(0), call.input(1)
    for index, other in ((0, second), (1, first)):
        alone = other.name == call.input(index).name or (other.data is not None and other.elements == 1)
        if alone and call.input(index).shape == call.output.shape and has_table(call, index):
            return index if call.input(index).dtype != "i16" else None
    return None


def _plain(call: Call) -> Steps | str:
    kind, target = call.operator.kind, call.output
    if target.dtype != "f32" and kind in _OF_REALS:
        return f"no kernel for {kind} of {target.dtype}"
    options = call.operator.options
    low, high = None, None
    if isinstance(options, AddOptions | SubOptions | MulOptions | DivOptions):
        low, high = plain_bounds(options.fused_activation_function, call)
    arguments = {
        "operation": _PLAIN[kind],
        "low": -math.inf if low is None else float(low),
        "high": math.inf if high is None else float(high),
    }
    return _step(call, "plain_pair", arguments)


def _product(call: Call) -> Steps | str:
    how = product_requantization(call)
    values = 15 if call.output.dtype == "i16" else 8
    if not np.isfinite(how.real_multiplier).all() or (
        how.arithmetic != "fp32_even" and not _holds(how, 2 ** (2 * values))
    ):
        return "32 bits do not hold every product"
    return _quantized(call, "product", how)


def _sloped(call: Call) -> Steps | str:
    if call.output.dtype == "i16" or call.input(1).dtype != call.output.dtype:
        return f"no kernel for slopes of {call.output.dtype}"
    above, below = slope_rescalings(call)
    if not (_holds(above, 2**8) and _holds(below, 2**16)):
        return "32 bits do not hold every product"
    return _quantized(call, "slope", above, below=below)


def _sum(call: Call) -> Steps | str:
    kind = call.operator.kind
    if kind == "SQUARED_DIFFERENCE":
        return _rescaled(call, "squared_difference", squared_difference_rule(call))
    rule = sum_rule(call)
    if isinstance(rule, CommonScale):
        return _rescaled(call, "sum" if kind == "ADD" else "difference", rule)
    return _weighted(call, rule, -1 if kind == "SUB" else 1)


def _rescaled(call: Call, operation: str, rule: CommonScale) -> Steps | str:
    if not _holds(rule.result, 2**30):
        return "32 bits do not hold every sum"
    (first, first_shift), (second, second_shift) = rule.factors
    return _quantized(
        call,
        operation,
        rule.result,
        multipliers=(first, second),
        shifts=(first_shift, second_shift),
        left_shift=rule.left_shift,
    )


def _weighted(call: Call, rule: WeightedSum, sign: int) -> Steps:
    options, target = call.operator.options, call.output
    assert isinstance(options, AddOptions | SubOptions)
    low, high = activation_bounds(options.fused_activation_function, target)
    only_bounds = Requantization("fp32_even", np.ones(1), target.zero_point, low, high, target.dtype)
    first, second = rule.multipliers
    return _quantized(call, "weighted_sum", only_bounds, multipliers=(first, sign * second), weight_shift=rule.shift)


def _holds(how: Requantization, largest: int) -> bool:
    """Whether every step of a requantization of numbers up to `largest` stays within 32 bits."""
    multiplier = float(how.real_multiplier)
    return multiplier == 0 or (multiplier >= 2.0**-30 and largest * multiplier < 2**31 - 2**17)


def _quantized(
    call: Call,
    operation: str,
    how: Requantization,
    *,
    below: Requantization | None = None,
    multipliers: tuple[int, int] = (0, 0),
    shifts: tuple[int, int] = (0, 0),
    left_shift: int = 0,
    weight_shift: int = 0,
) -> Steps:
    requant = engine_requant(how, 1)
    arguments = {
        "operation": operation,
        "zero_points": (stored_zero_point(call.input(0)), stored_zero_point(call.input(1))),
        "multipliers": multipliers,
        "shifts": shifts,
        "left_shift": left_shift,
        "weight_shift": weight_shift,
        "requant": requant,
        "below": requant if below is None else engine_requant(below, 1),
    }
    return _step(call, "pair", arguments)


def _step(call: Call, method: str, arguments: dict[str, object]) -> Steps:
    a, b = (_written_out(call.input(index), call.output.shape) for index in range(2))
    return (
        Step(
            method,
            {"a": a.name, "b": b.name, "y": call.output.name},
            arguments=arguments,
            strided=EVERYWHERE,
            exact=EVERYWHERE,
            made=tuple(operand for operand in (a, b) if operand not in call.inputs),
        ),
    )


def _written_out(operand: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A constant that is repeated over short rows, as one of longer rows; any other operand as it is."""
    if operand.data is None or operand.elements == 1 or operand.shape == shape:
        return operand
    leading = next(axis for axis, size in enumerate(operand.shape) if size != 1)
    own = target = operand.shape[leading:]
    for rank in range(len(own), len(shape) + 1):
        row = shape[len(shape) - rank :]
        wider = broadcast_shape(own, row)
        if math.prod(wider) > _MOST_WRITTEN_OUT:
            break
        target = wider
        if math.prod(row) >= _LONG_ROW:
            break
    if target == own:
        return operand
    data = np.ascontiguousarray(np.broadcast_to(operand.data.reshape(own), target))
    return replace(operand, name=f"{operand.name} (written out as {list(target)})", shape=target, data=data)


STEPS: dict[str, MakeSteps] = dict.fromkeys(_PLAIN, _pair)
