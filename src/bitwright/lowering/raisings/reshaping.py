"""Reshaping a value that does not lie as its tensor does: which orders let the transpose be left out."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from bitwright.lowering.raisings.order import Order, as_stored, placed
from bitwright.lowering.raisings.step import Step
from bitwright.program.tensor import Shape


def reshaped_order(shape: Shape, result: Shape, order: Order) -> Order | None:
    """The order in which a reshaped tensor lies when its value is reshaped as it is; None when numbers would mix.

    Both shapes fall into groups of dimensions that hold the same elements. A value can be reshaped where it lies when
    each group is together in it and in the stored order; dimensions of length 1 count nowhere.

    >>> reshaped_order((1, 1, 1, 64), (1, 64), (0, 3, 1, 2))
    (0, 1)
    >>> reshaped_order((2, 4, 5, 3), (2, 20, 3), (0, 3, 1, 2))
    (0, 2, 1)
    >>> reshaped_order((2, 4, 5, 3), (2, 60), (0, 3, 1, 2))
    """
    if order == as_stored(len(shape)):
        return as_stored(len(result))
    if 0 in shape:
        return None
    groups = _groups(shape, result)
    left = [i for i in order if shape[i] != 1]
    found: list[int] = []
    while left:
        group = next((g for g in groups if g[0] and g[0][0] == left[0]), None)
        if group is None or left[: len(group[0])] != group[0]:
            return None
        left = left[len(group[0]) :]
        found += group[1]
    if found == sorted(found):
        return as_stored(len(result))
    for i, n in enumerate(result):  # dimensions of length 1 stay behind the one they follow
        if n == 1:
            found.insert(found.index(i - 1) + 1 if i else 0, i)
    return tuple(found)


def _groups(shape: Shape, result: Shape) -> list[tuple[list[int], list[int]]]:
    """Dimensions longer than 1 on both sides, in the smallest groups that hold the same elements."""
    sides = [[i for i, n in enumerate(dims) if n != 1] for dims in (shape, result)]
    groups: list[tuple[list[int], list[int]]] = []
    while sides[0]:
        group: tuple[list[int], list[int]] = ([sides[0].pop(0)], [sides[1].pop(0)])
        counts = [shape[group[0][0]], result[group[1][0]]]
        while counts[0] != counts[1]:
            less = 0 if counts[0] < counts[1] else 1
            taken = sides[less].pop(0)
            group[less].append(taken)
            counts[less] *= (shape, result)[less][taken]
        groups.append(group)
    return groups


def reshape_operand(step: Step, index: int, shape: Sequence[int]) -> ir.Value:
    """An operand as stored, in another shape."""
    wanted, tensor = tuple(shape), step.input(index)
    if tensor.shape == wanted:
        return step.operand(index)
    order = step.order(index)
    if reshaped_order(tensor.shape, wanted, order) == as_stored(len(wanted)):
        return step.reshaped(step.operand(index, order), wanted)
    return step.reshaped(step.operand(index), wanted)


def reshape(step: Step, *, op: str = "", axes: Sequence[int] = ()) -> None:
    """Give the first operand in the result's shape: moved as little as its order allows."""
    data, result = step.input(0), step.output
    order = step.order(0)
    found = reshaped_order(data.shape, result.shape, order)
    value = step.operand(0, order if found is not None else None)
    order = found if found is not None else as_stored(len(result.shape))
    shape = placed(result.shape, order)
    if value.shape is not None and tuple(value.shape.numpy()) == shape:
        step.bind(value, order=order)
    elif op and order == as_stored(len(shape)) and step.order(0) == as_stored(len(data.shape)):
        step.give(op, [value, step.integers(axes, "axes")], order=order)
    else:
        step.give("Reshape", [value, step.integers(shape, "shape")], order=order)
