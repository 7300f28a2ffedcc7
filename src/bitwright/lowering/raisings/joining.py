"""Operators that put tensors together or take them apart along an axis."""

from __future__ import annotations

from bitwright.lowering.raisings.order import Order, as_stored, placed, with_new, without
from bitwright.lowering.raisings.step import Step
from bitwright.program.options import ConcatenationOptions, PackOptions, UnpackOptions


def _common_order(step: Step) -> Order:
    """The order of the first computed operand that does not lie as stored."""
    stored = as_stored(len(step.input(0).shape))
    moving = [i for i in range(len(step.inputs)) if step.input(i).data is None]
    return next((order for i in moving if (order := step.order(i)) != stored), stored)


def concatenation(step: Step) -> None:
    """CONCATENATION."""
    o, order = step.options(ConcatenationOptions), _common_order(step)
    step.give(
        "Concat",
        [step.operand(i, order) for i in range(len(step.inputs))],
        order=order,
        activation=o.fused_activation_function,
        axis=order.index(o.axis % len(order)),
    )


def pack(step: Step) -> None:
    """PACK: each operand gets the new dimension, then Concat."""
    rank = len(step.output.shape)
    axis, order = step.options(PackOptions).axis % rank, _common_order(step)
    whole = with_new(order, (axis,))
    at = whole.index(axis)
    parts = []
    for index, tensor in enumerate(step.inputs):
        assert tensor is not None
        shape = list(placed(tensor.shape, order))
        shape.insert(at, 1)
        parts.append(
            step.node("Unsqueeze", [step.operand(index, order), step.integers((at,), "axes")], tuple(shape), moves=True)
        )
    step.give("Concat", parts, order=whole, axis=at)


def _split(step: Step, index: int, axis: int, lengths: list[int], *, squeezed: bool = False) -> None:
    """Split an operand; with `squeezed`, take the dimension of length 1 out of every part."""
    order = step.order(index)
    at, held = order.index(axis), placed(step.input(index).shape, order)
    value = step.operand(index, order)
    shapes = [(*held[:at], length, *held[at + 1 :]) for length in lengths]
    parts = step.nodes_results("Split", [value, step.integers(lengths, "lengths")], shapes, axis=at)
    for number, (part, shape) in enumerate(zip(parts, shapes, strict=True)):
        if not squeezed:
            step.bind(part, order=order, index=number)
            continue
        if value in step.builder.qparams:
            step.builder.qparams[part] = step.builder.qparams[value]
        left = (*shape[:at], *shape[at + 1 :])
        alone = step.node("Squeeze", [part, step.integers((at,), "axes")], left)
        step.bind(alone, order=without(order, (axis,)), index=number)


def split(step: Step) -> None:
    """SPLIT: operands are the axis and the data; parts of the same length."""
    rank = len(step.input(1).shape)
    axis = int(step.numbers(0).reshape(())) % rank
    _split(step, 1, axis, [tensor.shape[axis] for tensor in step.outputs])


def split_v(step: Step) -> None:
    """SPLIT_V: operands are the data, the lengths and the axis."""
    rank = len(step.input(0).shape)
    axis = int(step.numbers(2).reshape(())) % rank
    _split(step, 0, axis, [tensor.shape[axis] for tensor in step.outputs])


def unpack(step: Step) -> None:
    """UNPACK: Split, then Squeeze."""
    rank = len(step.input(0).shape)
    axis = step.options(UnpackOptions).axis % rank
    _split(step, 0, axis, [1] * len(step.outputs), squeezed=True)


RAISINGS = {
    "CONCATENATION": concatenation,
    "PACK": pack,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "UNPACK": unpack,
}
