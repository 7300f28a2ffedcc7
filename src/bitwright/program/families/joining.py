"""Operators that join tensors and part them: CONCATENATION, SPLIT, SPLIT_V, PACK, UNPACK.

Source: LiteRT tflite/kernels/concatenation.cc, split.cc, split_v.cc, pack.cc, unpack.cc and
internal/reference/concatenation.h.
"""

from __future__ import annotations

import numpy as np

from bitwright.errors import ModelError
from bitwright.numerics.rounding import round_half_away
from bitwright.program.definition import Call, Definition
from bitwright.program.operands import axis_of, axis_operand, integers, parameters_reason, type_reason
from bitwright.program.operator import Activation
from bitwright.program.options import ConcatenationOptions, PackOptions, SplitOptions, SplitVOptions, UnpackOptions
from bitwright.program.tensor import Array, Shape, Tensor


def _operands(call: Call) -> tuple[Tensor, ...]:
    return tuple(call.input(index) for index in range(len(call.inputs)))


def _arrays(call: Call) -> list[Array]:
    return [call.array(index) for index in range(len(call.arrays))]


def _mixed_types(call: Call) -> str:
    first = call.input(0)
    other = next((tensor for tensor in _operands(call) if tensor.dtype != first.dtype), None)
    return "" if other is None else f"{other.name!r} is {other.dtype}, {first.name!r} is {first.dtype}"


def _concatenation_shape(call: Call) -> tuple[Shape, ...]:
    shapes = [tensor.shape for tensor in _operands(call)]
    first, rank = shapes[0], len(shapes[0])
    axis = axis_of(call.options(ConcatenationOptions).axis, rank)
    for shape in shapes[1:]:
        if len(shape) != rank or any(i != axis and a != b for i, (a, b) in enumerate(zip(first, shape, strict=True))):
            raise ModelError(f"{list(first)} and {list(shape)} do not join along axis {axis}")
    return ((*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :]),)


def _refuse_concatenation(call: Call) -> str:
    activation = call.options(ConcatenationOptions).fused_activation_function
    if activation is not Activation.NONE:
        return f"LiteRT joins without a fused activation (got {activation})"
    reason = type_reason(call, "f32", "f16", "i8", "u8", "i16", "i32", "i64", "u32", "bool") or _mixed_types(call)
    if reason:
        return reason
    tensors = (*_operands(call), call.output)
    match call.input(0).dtype:
        case "i8":
            return next(filter(None, (parameters_reason(tensor, call.output) for tensor in tensors)), "")
        case "i16":
            return "i16 has zero_point 0" if any(tensor.zero_point for tensor in tensors) else ""
        case "u8" if any((tensor.qparams is None) != (call.output.qparams is None) for tensor in tensors):
            return "either all tensors have parameters or none"
    return ""


def _concatenation(call: Call) -> tuple[Array, ...]:
    arrays = _arrays(call)
    if call.output.dtype == "u8" and call.output.qparams is not None:
        arrays = [rescaled(array, tensor, call.output) for array, tensor in zip(arrays, _operands(call), strict=True)]
    return (np.concatenate(arrays, axis=call.options(ConcatenationOptions).axis),)


def rescaled(x: Array, source: Tensor, target: Tensor) -> Array:
    """round_half_away(q * scale - zero_point * scale) + zero_point of the result, in float32; u8 alone has this."""
    if (source.scale, source.zero_point) == (target.scale, target.zero_point):
        return x
    scale = np.float32(source.scale) * (np.float32(1) / np.float32(target.scale))
    bias = np.float32(-source.zero_point) * scale
    made: Array = np.clip(round_half_away(x * scale + bias) + target.zero_point, 0, 255).astype(np.uint8)
    return made


def _split_shapes(call: Call) -> tuple[Shape, ...]:
    shape, parts = call.input(1).shape, len(call.outputs)
    axis = axis_operand(call, 0, len(shape))
    if call.options(SplitOptions).num_splits != parts:
        raise ModelError(f"num_splits is {call.options(SplitOptions).num_splits}, there are {parts} results")
    if parts == 0 or shape[axis] % parts:
        raise ModelError(f"{shape[axis]} along axis {axis} do not split into {parts} equal parts")
    return ((*shape[:axis], shape[axis] // parts, *shape[axis + 1 :]),) * parts


def _split(call: Call) -> tuple[Array, ...]:
    axis = axis_operand(call, 0, len(call.input(1).shape))
    return tuple(np.split(call.array(1), len(call.outputs), axis=axis))


def _refuse_split(call: Call) -> str:
    if call.input(0).dtype != "i32":
        return f"the axis is i32 (got {call.input(0).dtype})"
    return type_reason(call, "f32", "i8", "u8", "i16", "i32", "i64", index=1)


def split_sizes(call: Call, axis: int) -> tuple[int, ...]:
    """How much of the axis each result takes; one size may be -1, which is what the others leave."""
    total = call.input(0).shape[axis]
    sizes = integers(call, 1, "the sizes", length=len(call.outputs))
    if call.options(SplitVOptions).num_splits != len(sizes):
        raise ModelError(f"num_splits is {call.options(SplitVOptions).num_splits}, there are {len(sizes)} results")
    rest = total - sum(size for size in sizes if size != -1)
    whole = tuple(rest if size == -1 else size for size in sizes)
    if sizes.count(-1) > 1 or any(size < 0 for size in whole) or sum(whole) != total:
        raise ModelError(f"sizes {list(sizes)} do not make up the {total} along axis {axis}")
    return whole


def _split_v_shapes(call: Call) -> tuple[Shape, ...]:
    shape = call.input(0).shape
    axis = axis_operand(call, 2, len(shape))
    return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in split_sizes(call, axis))


def _split_v(call: Call) -> tuple[Array, ...]:
    axis = axis_operand(call, 2, len(call.input(0).shape))
    return tuple(np.split(call.array(0), np.cumsum(split_sizes(call, axis))[:-1], axis=axis))


def _refuse_split_v(call: Call) -> str:
    if call.input(2).dtype != "i32":
        return f"the axis is i32 (got {call.input(2).dtype})"
    return type_reason(call, "f32", "i8", "u8", "i16", "i32", "i64")


def _pack_shape(call: Call) -> tuple[Shape, ...]:
    options, shapes = call.options(PackOptions), [tensor.shape for tensor in _operands(call)]
    if options.values_count != len(shapes):
        raise ModelError(f"values_count is {options.values_count}, there are {len(shapes)} operands")
    other = next((shape for shape in shapes if shape != shapes[0]), None)
    if other is not None:
        raise ModelError(f"{list(shapes[0])} and {list(other)} do not stack")
    axis = axis_of(options.axis, len(shapes[0]) + 1)
    return ((*shapes[0][:axis], len(shapes), *shapes[0][axis:]),)


def _refuse_pack(call: Call) -> str:
    reason = type_reason(call, "f32", "i8", "u8", "i16", "i32", "i64", "u32") or _mixed_types(call)
    return reason or next(filter(None, (parameters_reason(tensor, call.output) for tensor in _operands(call))), "")


def _pack(call: Call) -> tuple[Array, ...]:
    return (np.stack(_arrays(call), axis=call.options(PackOptions).axis),)


def _unpack_shapes(call: Call) -> tuple[Shape, ...]:
    options, shape = call.options(UnpackOptions), call.input(0).shape
    axis = axis_of(options.axis, len(shape))
    if not options.num == len(call.outputs) == shape[axis]:
        raise ModelError(
            f"num is {options.num}, there are {len(call.outputs)} results and {shape[axis]} along axis {axis}"
        )
    return ((*shape[:axis], *shape[axis + 1 :]),) * options.num


def _refuse_unpack(call: Call) -> str:
    reason = type_reason(call, "f32", "f16", "i8", "u8", "i16", "i32", "bool")
    return reason or next(filter(None, (parameters_reason(call.input(0), result) for result in call.outputs)), "")


def _unpack(call: Call) -> tuple[Array, ...]:
    return tuple(np.moveaxis(call.array(0), call.options(UnpackOptions).axis, 0))


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        Definition(
            "CONCATENATION",
            _concatenation_shape,
            _concatenation,
            (1, None),
            ConcatenationOptions,
            _refuse_concatenation,
        ),
        Definition("SPLIT", _split_shapes, _split, (2, 2), SplitOptions, _refuse_split),
        Definition("SPLIT_V", _split_v_shapes, _split_v, (3, 3), SplitVOptions, _refuse_split_v),
        Definition("PACK", _pack_shape, _pack, (1, None), PackOptions, _refuse_pack),
        Definition("UNPACK", _unpack_shapes, _unpack, (1, 1), UnpackOptions, _refuse_unpack),
    )
}
