"""Operators that give elements another shape or order: RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE, TILE and their kin.

Source: LiteRT tflite/kernels/reshape.cc, squeeze.cc, expand_dims.cc, transpose.cc, tile.cc, broadcast_to.cc,
reverse.cc, shape.cc, fill.cc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bitwright.errors import ModelError
from bitwright.program.definition import Call, Definition
from bitwright.program.operands import (
    MOVABLE,
    axis_of,
    integers,
    need_elements,
    parameters_reason,
    type_reason,
)
from bitwright.program.options import (
    ReshapeOptions,
    ShapeOptions,
    SqueezeOptions,
)
from bitwright.program.tensor import DTYPES, Array, Shape


def _declared(call: Call) -> Shape:
    """The shape the file gives a result that depends on computed numbers."""
    if not call.outputs:
        raise ModelError("it has no result")
    return call.output.shape


def _whole(wanted: Sequence[int], elements: int) -> Shape:
    """A shape of `elements` elements; one size may be -1.

    Raises:
        ModelError: there is none.
    """
    known = math.prod(size for size in wanted if size != -1)
    rest = elements // known if known > 0 else -1
    shape = tuple(rest if size == -1 else size for size in wanted)
    if list(wanted).count(-1) > 1 or any(size < 0 for size in shape) or math.prod(shape) != elements:
        raise ModelError(f"{elements} elements do not fit into {list(wanted)}")
    return shape


def _reshape_shape(call: Call) -> tuple[Shape, ...]:
    tensor = call.input(0)
    if not call.has(1):
        wanted = call.options(ReshapeOptions).new_shape
        # What files from before 2018 wrote for a scalar.
        return (_whole(() if wanted == (0,) and tensor.elements == 1 else wanted, tensor.elements),)
    if call.input(1).data is None:
        return (need_elements(_declared(call), tensor),)
    return (_whole(integers(call, 1, "the shape"), tensor.elements),)


def _reshape(call: Call) -> tuple[Array, ...]:
    if call.has(1) and call.input(1).data is None:
        asked = _whole([int(size) for size in call.array(1).ravel()], call.input(0).elements)
        _need_declared(call, asked)
    return (call.array(0).reshape(call.output.shape),)


def _need_declared(call: Call, asked: Shape) -> None:
    if asked != call.output.shape:
        raise ModelError(
            f"the model asks for {list(asked)} while it runs, the file declares {list(call.output.shape)}",
            next="write the model with fixed shapes",
        )


def _squeeze_shape(call: Call) -> tuple[Shape, ...]:
    shape, dims = call.input(0).shape, call.options(SqueezeOptions).squeeze_dims
    axes = {axis_of(axis, len(shape)) for axis in set(dims)} if dims else {i for i, n in enumerate(shape) if n == 1}
    if any(shape[axis] != 1 for axis in axes):
        raise ModelError(f"axes {sorted(axes)} of {list(shape)} are not all 1")
    return (tuple(size for i, size in enumerate(shape) if i not in axes),)


def _expand_shape(call: Call) -> tuple[Shape, ...]:
    shape = call.input(0).shape
    axis = axis_of(integers(call, 1, "the axis", length=1)[0], len(shape) + 1)
    return ((*shape[:axis], 1, *shape[axis:]),)


def _refuse_expand(call: Call) -> str:
    return type_reason(call, *MOVABLE, "i4") or parameters_reason(call.input(0), call.output)


def _as_declared(call: Call) -> tuple[Array, ...]:
    return (call.array(0).reshape(call.output.shape),)


def permutation(call: Call) -> tuple[int, ...]:
    rank = len(call.input(0).shape)
    axes = tuple(axis_of(axis, rank) for axis in integers(call, 1, "the permutation", length=rank))
    if len(set(axes)) != rank:
        raise ModelError(f"{list(axes)} is no permutation")
    return axes


def _transpose_shape(call: Call) -> tuple[Shape, ...]:
    return (tuple(call.input(0).shape[axis] for axis in permutation(call)),)


def _transpose(call: Call) -> tuple[Array, ...]:
    return (np.asarray(call.array(0).transpose(permutation(call)), order="C"),)


def _tile_shape(call: Call) -> tuple[Shape, ...]:
    shape = call.input(0).shape
    times = integers(call, 1, "the multiples", length=len(shape))
    if any(time < 0 for time in times):
        raise ModelError(f"multiples are not negative (got {list(times)})")
    return (tuple(size * time for size, time in zip(shape, times, strict=True)),)


def _tile(call: Call) -> tuple[Array, ...]:
    return (np.tile(call.array(0), integers(call, 1, "the multiples")),)


def _broadcast_to_shape(call: Call) -> tuple[Shape, ...]:
    shape = call.input(0).shape
    wanted = _declared(call) if call.input(1).data is None else integers(call, 1, "the shape")
    aligned = wanted[len(wanted) - len(shape) :]
    if (
        len(shape) > len(wanted)
        or any(size < 0 for size in wanted)
        or any(a not in (1, b) for a, b in zip(shape, aligned, strict=True))
    ):
        raise ModelError(f"{list(shape)} does not broadcast to {list(wanted)}")
    return (tuple(wanted),)


def _broadcast_to(call: Call) -> tuple[Array, ...]:
    _need_declared(call, tuple(int(size) for size in call.array(1).ravel()))
    return (np.broadcast_to(call.array(0), call.output.shape).copy(),)


def reversed_axes(call: Call) -> tuple[int, ...]:
    rank = len(call.input(0).shape)
    return tuple(axis_of(axis, rank) for axis in integers(call, 1, "the axes"))


def _reverse_shape(call: Call) -> tuple[Shape, ...]:
    if len(set(reversed_axes(call))) != call.input(1).elements:
        raise ModelError("an axis is reversed twice")
    return (call.input(0).shape,)


def _reverse(call: Call) -> tuple[Array, ...]:
    return (np.flip(call.array(0), reversed_axes(call)),)


def _shape_shape(call: Call) -> tuple[Shape, ...]:
    return ((len(call.input(0).shape),),)


def _refuse_shape(call: Call) -> str:
    wanted = call.options(ShapeOptions).out_type
    if wanted not in ("i32", "i64") or call.output.dtype != wanted:
        return f"the result is {call.output.dtype}, out_type is {wanted}; both must be i32 or i64"
    return ""


def _shape(call: Call) -> tuple[Array, ...]:
    return (np.asarray(call.input(0).shape, DTYPES[call.output.dtype]),)


def _fill_shape(call: Call) -> tuple[Shape, ...]:
    if call.input(0).data is None:
        return (_declared(call),)
    sizes = integers(call, 0, "the shape")
    if any(size < 0 for size in sizes):
        raise ModelError(f"{list(sizes)} is no shape")
    return (sizes,)


def _refuse_fill(call: Call) -> str:
    if call.input(1).shape != ():
        return f"the value is a scalar (got {list(call.input(1).shape)})"
    return type_reason(call, *MOVABLE, index=1) or parameters_reason(call.input(1), call.output)


def _fill(call: Call) -> tuple[Array, ...]:
    _need_declared(call, tuple(int(size) for size in call.array(0).ravel()))
    return (np.full(call.output.shape, call.array(1)),)


def _refuse_same(call: Call) -> str:
    return type_reason(call, *MOVABLE, "i4")


def _refuse_transpose(call: Call) -> str:
    return _rank_reason(call) or type_reason(call, *MOVABLE, "i4")


def _rank_reason(call: Call) -> str:
    rank = len(call.input(0).shape)
    return f"LiteRT takes 8 dimensions at most (got {rank})" if rank > 8 else ""


def _refuse_reverse(call: Call) -> str:
    axes = sorted(reversed_axes(call))
    if axes and axes[-1] - axes[0] != len(axes) - 1:
        return f"LiteRT reverses neighbouring axes only (got {axes})"
    return _rank_reason(call) or type_reason(call, "f32", "f16", "i8", "u8", "i16", "i32", "i64", "bool")


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        Definition("RESHAPE", _reshape_shape, _reshape, (1, 2), ReshapeOptions, _refuse_same),
        Definition("SQUEEZE", _squeeze_shape, _as_declared, (1, 1), SqueezeOptions, _refuse_same),
        Definition("EXPAND_DIMS", _expand_shape, _as_declared, (2, 2), refuse=_refuse_expand),
        Definition("TRANSPOSE", _transpose_shape, _transpose, (2, 2), refuse=_refuse_transpose),
        Definition("TILE", _tile_shape, _tile, (2, 2), refuse=_refuse_same),
        Definition("BROADCAST_TO", _broadcast_to_shape, _broadcast_to, (2, 2), refuse=_refuse_same),
        Definition("REVERSE_V2", _reverse_shape, _reverse, (2, 2), refuse=_refuse_reverse),
        Definition("SHAPE", _shape_shape, _shape, (1, 1), ShapeOptions, _refuse_shape),
        Definition("FILL", _fill_shape, _fill, (2, 2), refuse=_refuse_fill),
    )
}
