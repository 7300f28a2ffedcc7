"""Operators that put elements around a tensor: PAD, PADV2, MIRROR_PAD.

Source: LiteRT tflite/kernels/pad.cc, mirror_pad.cc.
"""

from __future__ import annotations

import numpy as np

from bitwright.errors import ModelError
from bitwright.program.definition import Call, Definition
from bitwright.program.operands import MOVABLE, integers, parameters_reason, type_reason
from bitwright.program.operator import MirrorPadMode
from bitwright.program.options import MirrorPadOptions
from bitwright.program.tensor import Array, Shape


def paddings(call: Call) -> tuple[tuple[int, int], ...]:
    """(before, after) for each dimension."""
    rank = len(call.input(0).shape)
    if rank == 0:
        raise ModelError("a scalar has no border")
    values = integers(call, 1, "the paddings", length=2 * rank)
    if call.input(1).shape != (rank, 2):
        raise ModelError(f"paddings are [{rank}, 2] (got {list(call.input(1).shape)})")
    if any(value < 0 for value in values):
        raise ModelError(f"paddings are not negative (got {list(values)})")
    return tuple(zip(values[::2], values[1::2], strict=True))


def _pad_shape(call: Call) -> tuple[Shape, ...]:
    sides = zip(call.input(0).shape, paddings(call), strict=True)
    return (tuple(before + size + after for size, (before, after) in sides),)


def _pad(call: Call) -> tuple[Array, ...]:
    """With what stands for 0, or with the third operand."""
    x = call.array(0)
    value = call.array(2).reshape(()) if call.has(2) else np.asarray(call.output.zero_point, x.dtype)
    return (np.pad(x, paddings(call), constant_values=value),)


def _refuse_pad(call: Call) -> str:
    if len(call.input(0).shape) > 5:
        return "LiteRT pads 5 dimensions at most"
    reason = type_reason(call, "f32", "f16", "i8", "u8", "i16", "i32", "i64", "bool")
    if reason or not call.has(2):
        return reason
    value = call.input(2)
    if value.elements != 1 or value.dtype != call.input(0).dtype:
        return f"the padding value is one {call.input(0).dtype} (got {value.elements} of {value.dtype})"
    return parameters_reason(value, call.output)


def _mirror_shape(call: Call) -> tuple[Shape, ...]:
    short = 1 if call.options(MirrorPadOptions).mode is MirrorPadMode.REFLECT else 0
    for size, pads in zip(call.input(0).shape, paddings(call), strict=True):
        if max(pads) > max(size - short, 0):
            raise ModelError(f"padding {max(pads)} reaches beyond the mirror image of {size}")
    return _pad_shape(call)


def _mirror(call: Call) -> tuple[Array, ...]:
    reflect = call.options(MirrorPadOptions).mode is MirrorPadMode.REFLECT
    return (np.pad(call.array(0), paddings(call), mode="reflect" if reflect else "symmetric"),)


def _refuse_mirror(call: Call) -> str:
    return type_reason(call, *MOVABLE) or parameters_reason(call.input(0), call.output)


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        Definition("PAD", _pad_shape, _pad, (2, 2), refuse=_refuse_pad),
        Definition("PADV2", _pad_shape, _pad, (3, 3), refuse=_refuse_pad),
        Definition("MIRROR_PAD", _mirror_shape, _mirror, (2, 2), MirrorPadOptions, _refuse_mirror),
    )
}
