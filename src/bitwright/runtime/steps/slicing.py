"""Steps of operators that take a part of a tensor: SLICE, STRIDED_SLICE, GATHER, SPLIT, SPLIT_V, UNPACK."""

from __future__ import annotations

from collections.abc import Sequence

from bitwright.program.definition import Call
from bitwright.program.families.joining import split_sizes
from bitwright.program.families.slicing import gather_axes, slice_window, strided_parts
from bitwright.program.operands import axis_of, axis_operand
from bitwright.program.options import UnpackOptions
from bitwright.program.tensor import Tensor
from bitwright.runtime.steps.moving import View, computed_reason, move, part, positions, storage_reason, take, whole
from bitwright.runtime.steps.step import MakeSteps, Step, Steps


def _slice(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    return (move(x, y, y.shape, part([window.start for window in slice_window(call)]), whole(y.shape)),)


def _strided_slice(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    begin: list[int] = []
    dims, of_x, of_y = [], [], []
    axis_of_y = 0
    for taken in strided_parts(call):
        if isinstance(taken, slice):
            dims.append(len(range(taken.start, taken.stop, taken.step)))
            of_x.append((len(begin), taken.step))
            of_y.append((axis_of_y, 1))
        if taken is not None:
            begin.append(taken.start if isinstance(taken, slice) else taken)
        axis_of_y += not isinstance(taken, int)
    view = View((0,) * len(y.shape), tuple(of_y))
    return (move(x, y, tuple(dims), View(tuple(begin), tuple(of_x)), view),)


def _gather(call: Call) -> Steps | str:
    x, y, indices = call.input(0), call.output, call.input(1)
    if reason := storage_reason(x) or computed_reason(indices):
        return reason
    axis, batch = gather_axes(call)
    if batch:
        return f"indices are its own for each of {batch} leading dimensions"
    assert indices.data is not None
    if ((indices.data < 0) | (indices.data >= x.shape[axis])).any():
        return "an index is outside the operand"
    return (take(x, y, [indices.data if i == axis else positions(size) for i, size in enumerate(x.shape)]),)


def _parts(x: Tensor, results: Sequence[Tensor], axis: int) -> Steps:
    """Results one behind the other along an axis."""
    steps: list[Step] = []
    start = 0
    for y in results:
        begin = part([start if i == axis else 0 for i in range(len(x.shape))])
        steps.append(move(x, y, y.shape, begin, whole(y.shape)))
        start += y.shape[axis]
    return tuple(steps)


def _split(call: Call) -> Steps | str:
    x = call.input(1)
    return storage_reason(x) or _parts(x, call.outputs, axis_operand(call, 0, len(x.shape)))


def _split_v(call: Call) -> Steps | str:
    x = call.input(0)
    if reason := storage_reason(x):
        return reason
    axis = axis_operand(call, 2, len(x.shape))
    assert split_sizes(call, axis) == tuple(y.shape[axis] for y in call.outputs)
    return _parts(x, call.outputs, axis)


def _unpack(call: Call) -> Steps | str:
    x = call.input(0)
    if reason := storage_reason(x):
        return reason
    axis = axis_of(call.options(UnpackOptions).axis, len(x.shape))
    kept = tuple((i, 1) for i in range(len(x.shape)) if i != axis)
    return tuple(
        move(x, y, y.shape, View(tuple(index if i == axis else 0 for i in range(len(x.shape))), kept), whole(y.shape))
        for index, y in enumerate(call.outputs)
    )


STEPS: dict[str, MakeSteps] = {
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "UNPACK": _unpack,
}
