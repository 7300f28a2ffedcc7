"""Operators that only move values: RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE; repetition, reversal, shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bitwright.lowering.raisings.builder import Held
from bitwright.lowering.raisings.order import BEFORE_FIRST, as_stored, placed
from bitwright.lowering.raisings.reshaping import reshape
from bitwright.lowering.raisings.step import Step
from bitwright.program.options import SqueezeOptions
from bitwright.program.tensor import DTYPES


def squeeze(step: Step) -> None:
    """SQUEEZE: Squeeze, or Reshape where the value lies otherwise."""
    shape = step.input(0).shape
    named = [axis % len(shape) for axis in step.options(SqueezeOptions).squeeze_dims]
    axes = named or [axis for axis, n in enumerate(shape) if n == 1]
    reshape(step, op="Squeeze", axes=axes)


def expand_dims(step: Step) -> None:
    """EXPAND_DIMS: Unsqueeze, or Reshape where the value lies otherwise."""
    axis = int(step.numbers(1).reshape(())) % len(step.output.shape)
    reshape(step, op="Unsqueeze", axes=(axis,))


def transpose(step: Step) -> None:
    """TRANSPOSE: the same value, in another order."""
    permutation = tuple(int(axis) for axis in step.numbers(1))
    name = step.input(0).name
    step.builder.value_of(name, step.order(0))
    step.builder.held[step.output.name] = step.builder.held[name].transposed(permutation)


def tile(step: Step) -> None:
    """TILE."""
    order = step.order(0)
    repeats = placed([int(n) for n in step.numbers(1)], order)
    step.give("Tile", [step.operand(0, order), step.integers(repeats, "repeats")], order=order)


def broadcast_to(step: Step) -> None:
    """BROADCAST_TO: Expand."""
    order = step.order(0)
    if len(order) != len(step.output.shape):
        order = as_stored(len(step.output.shape))
    value = step.builder.broadcastable(step.input(0).name, order)
    step.give("Expand", [value, step.integers(placed(step.output.shape, order), "shape")], order=order)


def reverse(step: Step) -> None:
    """REVERSE_V2: a slice that goes backwards."""
    order = step.order(0)
    axes = [order.index(int(axis) % len(order)) for axis in step.numbers(1).reshape(-1)]
    columns = ([-1] * len(axes), [BEFORE_FIRST] * len(axes), axes, [-1] * len(axes))
    bounds = [step.integers(c, name) for c, name in zip(columns, ("starts", "ends", "axes", "steps"), strict=True)]
    step.give("Slice", [step.operand(0, order), *bounds], order=order)


def shape(step: Step) -> None:
    """SHAPE: a constant, since shapes are known."""
    tensor = step.output
    data = np.array(step.input(0).shape, DTYPES[tensor.dtype])
    step.builder.held[tensor.name] = Held(tensor.shape, constant=replace(tensor, data=data))


def fill(step: Step) -> None:
    """FILL: operands are the shape and the number; Expand."""
    step.give("Expand", [step.operand(1), step.integers(step.output.shape, "shape")])


RAISINGS = {
    "RESHAPE": reshape,
    "SQUEEZE": squeeze,
    "EXPAND_DIMS": expand_dims,
    "TRANSPOSE": transpose,
    "TILE": tile,
    "BROADCAST_TO": broadcast_to,
    "REVERSE_V2": reverse,
    "SHAPE": shape,
    "FILL": fill,
}
