"""Operators that take a part of a tensor: SLICE, STRIDED_SLICE, GATHER, GATHER_ND.

Source: LiteRT tflite/kernels/slice.cc, strided_slice.cc, gather.cc, gather_nd.cc and
internal/reference/strided_slice.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError
from bitwright.program.definition import Call, Definition
from bitwright.program.operands import MOVABLE, axis_of, integers, type_reason
from bitwright.program.options import GatherOptions, StridedSliceOptions
from bitwright.program.tensor import Array, Shape


def slice_window(call: Call) -> tuple[slice, ...]:
    """What SLICE takes; a size of -1 is all that is left."""
    shape = call.input(0).shape
    begins = integers(call, 1, "the begin", length=len(shape))
    sizes = integers(call, 2, "the size", length=len(shape))
    for begin, size, whole in zip(begins, sizes, shape, strict=True):
        if not (0 <= begin <= whole and -1 <= size <= whole - begin):
            raise ModelError(f"begin {list(begins)} and size {list(sizes)} reach out of {list(shape)}")
    return tuple(
        slice(begin, whole if size == -1 else begin + size)
        for begin, size, whole in zip(begins, sizes, shape, strict=True)
    )


def _slice_shape(call: Call) -> tuple[Shape, ...]:
    return (tuple(window.stop - window.start for window in slice_window(call)),)


def _slice(call: Call) -> tuple[Array, ...]:
    return (np.asarray(call.array(0)[slice_window(call)], order="C"),)


def _refuse_slice(call: Call) -> str:
    first, second = call.input(1).dtype, call.input(2).dtype
    if first != second or first not in ("i32", "i64"):
        return f"begin and size are both i32 or both i64 (got {first} and {second})"
    return type_reason(call, *MOVABLE, "i4")


@dataclass(frozen=True)
class _Span:
    """What STRIDED_SLICE takes along one axis: from begin up to, not including, end."""

    begin: int
    end: int
    stride: int
    from_first: bool = False
    to_last: bool = False
    shrink: bool = False

    def within(self, size: int) -> slice | int:
        """The same of an axis of `size`: a slice whose bounds need no interpretation, or the one index.

        Raises:
            ModelError: the stride is 0, or the one index is outside.
        """
        if self.stride == 0:
            raise ModelError("a stride is not 0")
        low, high = (0, size) if self.stride > 0 else (-1, size - 1)

        def inside(index: int) -> int:
            return min(max(index + size if index < 0 else index, low), high)

        start = inside(self.begin)
        if self.from_first:
            start = 0 if self.stride > 0 else size - 1
        if self.shrink:
            if not 0 <= start < size or self.stride < 0:
                raise ModelError(f"index {self.begin} is outside an axis of {size}")
            return start
        stop = inside(self.end)
        if self.to_last:
            stop = size if self.stride > 0 else -1
        return slice(start, stop, self.stride)


def strided_parts(call: Call) -> tuple[slice | int | None, ...]:
    """What STRIDED_SLICE takes, as numpy writes it: a slice, an index (shrunk away) or None (a new axis) each.

    As in LiteRT an ellipsis stands for one dimension at least, begin_mask counts for an axis that is shrunk away, and
    where an ellipsis and a new axis meet the ellipsis holds.
    """
    options, shape = call.options(StridedSliceOptions), call.input(0).shape
    given = call.input(1).elements
    if given > 31:
        raise ModelError(f"begin holds {given} numbers, at most 31 are taken")
    begins, ends, strides = (
        integers(call, i, what, length=given) for i, what in ((1, "begin"), (2, "end"), (3, "strides"))
    )
    if options.offset:
        return _from_lengths(call, begins, ends, strides)
    if options.ellipsis_mask & (options.ellipsis_mask - 1):
        raise ModelError("there is more than one ellipsis")
    added = [i for i in range(given) if options.new_axis_mask >> i & ~options.ellipsis_mask >> i & 1]
    total = len(shape) + len(added)
    first = options.ellipsis_mask.bit_length() - 1 if options.ellipsis_mask else total
    stretched = max(first + 1, min(first + 1 + total - given, total)) - first - 1 if first < total else 0
    taken: list[slice | int | None] = []
    sizes = iter(shape)
    for i in range(total):
        spec = i if i < first else i - stretched
        if not first <= i <= first + stretched and options.new_axis_mask >> spec & 1 and spec < given:
            taken.append(None)
            continue
        size = next(sizes, None)
        if size is None:
            raise ModelError(f"masks name more dimensions than {list(shape)} has")
        if first <= i <= first + stretched or spec >= given:
            taken.append(slice(0, size, 1))
        else:
            masks = (options.begin_mask, options.end_mask, options.shrink_axis_mask)
            span = _Span(begins[spec], ends[spec], strides[spec], *(bool(mask >> spec & 1) for mask in masks))
            taken.append(span.within(size))
    return tuple(taken)


def _from_lengths(
    call: Call, begins: tuple[int, ...], lengths: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[slice, ...]:
    """What is taken with the option `offset`, where `end` is how far to go from `begin`; masks have no meaning then."""
    options, shape = call.options(StridedSliceOptions), call.input(0).shape
    others = options.begin_mask | options.end_mask | options.ellipsis_mask | options.new_axis_mask
    if others | options.shrink_axis_mask or len(begins) != len(shape):
        raise ModelError("with offset, begin, end and strides name every dimension and no mask is set")
    for size, begin, length, stride in zip(shape, begins, lengths, strides, strict=True):
        if stride < 1 or length < 0 or not 0 <= begin <= size - length:
            raise ModelError(f"{length} from {begin} on in steps of {stride} reach out of {list(shape)}")
    return tuple(slice(b, b + length, s) for b, length, s in zip(begins, lengths, strides, strict=True))


def _strided_slice_shape(call: Call) -> tuple[Shape, ...]:
    sizes = []
    for taken in strided_parts(call):
        if taken is None:
            sizes.append(1)
        elif isinstance(taken, slice):
            sizes.append(len(range(taken.start, taken.stop, taken.step)))
    return (tuple(sizes),)


def _as_numpy(taken: slice) -> slice:
    """The slice where a negative bound counts from the end: -1 is what lies before the first element, here."""
    if not range(taken.start, taken.stop, taken.step):
        return slice(0, 0)
    return slice(taken.start, None if taken.stop < 0 else taken.stop, taken.step)


def _strided_slice(call: Call) -> tuple[Array, ...]:
    index = tuple(_as_numpy(taken) if isinstance(taken, slice) else taken for taken in strided_parts(call))
    return (call.array(0)[index].reshape(call.output.shape),)


def _refuse_strided_slice(call: Call) -> str:
    others = [call.input(index).dtype for index in (1, 2, 3)]
    if others != ["i32"] * 3:
        return f"begin, end and strides are i32 (got {', '.join(others)})"
    return type_reason(call, *MOVABLE)


def gather_axes(call: Call) -> tuple[int, int]:
    """(axis, how many leading dimensions operand and indices share)."""
    options, shape, indices = call.options(GatherOptions), call.input(0).shape, call.input(1).shape
    axis = axis_of(options.axis, len(shape))
    batch = options.batch_dims + len(indices) if options.batch_dims < 0 else options.batch_dims
    if not (0 <= batch <= min(axis, len(indices)) and shape[:batch] == indices[:batch]):
        raise ModelError(f"{list(shape)} and indices {list(indices)} do not share {options.batch_dims} dimensions")
    return axis, batch


def _gather_shape(call: Call) -> tuple[Shape, ...]:
    axis, batch = gather_axes(call)
    shape, indices = call.input(0).shape, call.input(1).shape
    return ((*shape[:axis], *indices[batch:], *shape[axis + 1 :]),)


def _checked(indices: Array, bounds: NDArray[np.int64] | int) -> Array:
    """Indices that lie in [0, bounds).

    Raises:
        ModelError: one does not.
    """
    outside = (indices < 0) | (indices >= bounds)
    if outside.any():
        raise ModelError(
            f"index {int(indices[outside][0])} is outside the operand", next="negative indices are not counted back"
        )
    return indices


def _gather(call: Call) -> tuple[Array, ...]:
    axis, batch = gather_axes(call)
    x = call.array(0)
    indices = _checked(call.array(1), x.shape[axis])
    if batch == 0:
        return (np.take(x, indices, axis=axis),)
    # One row of indices for each of the shared leading positions.
    shared, between, inner = (math.prod(sizes) for sizes in (x.shape[:batch], x.shape[batch:axis], x.shape[axis + 1 :]))
    rows = indices.reshape(shared, math.prod(indices.shape[batch:]))
    parts = x.reshape(shared, between, x.shape[axis], inner)
    return (np.take_along_axis(parts, rows[:, None, :, None], axis=2).reshape(call.output.shape),)


def _refuse_gather(call: Call) -> str:
    if call.input(1).dtype not in ("i16", "i32", "i64"):
        return f"indices are i16, i32 or i64 (got {call.input(1).dtype})"
    return type_reason(call, "f32", "f16", "i8", "u8", "i16", "i32", "i64", "bool", "i4")


def _gather_nd_shape(call: Call) -> tuple[Shape, ...]:
    shape, indices = call.input(0).shape, call.input(1).shape
    if not indices or not 1 <= indices[-1] <= len(shape):
        raise ModelError(f"indices {list(indices)} do not point into {list(shape)}")
    return ((*indices[:-1], *shape[indices[-1] :]),)


def _gather_nd(call: Call) -> tuple[Array, ...]:
    x, indices = call.array(0), call.array(1)
    depth = indices.shape[-1]
    _checked(indices, np.asarray(x.shape[:depth], np.int64))
    return (x[tuple(np.moveaxis(indices, -1, 0))].reshape(call.output.shape),)


def _refuse_gather_nd(call: Call) -> str:
    if call.input(1).dtype not in ("i16", "i32", "i64"):
        return f"indices are i16, i32 or i64 (got {call.input(1).dtype})"
    return type_reason(call, "f32", "f16", "i8", "u8", "i16", "i32", "i64", "bool")


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        Definition("SLICE", _slice_shape, _slice, (3, 3), refuse=_refuse_slice),
        Definition(
            "STRIDED_SLICE", _strided_slice_shape, _strided_slice, (4, 4), StridedSliceOptions, _refuse_strided_slice
        ),
        Definition("GATHER", _gather_shape, _gather, (2, 2), GatherOptions, _refuse_gather),
        Definition("GATHER_ND", _gather_nd_shape, _gather_nd, (2, 2), refuse=_refuse_gather_nd),
    )
}
