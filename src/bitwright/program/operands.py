"""What shape rules read from operands: constant integers, axes; and the reasons for which types have no kernel."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bitwright.errors import ModelError
from bitwright.program.definition import Call
from bitwright.program.tensor import Shape, Tensor

#: Storage types whose integers stand for reals; without parameters they are plain integers.
QUANTIZED = ("i8", "u8", "i16")

#: What kernels that copy elements of whole bytes take.
MOVABLE = ("f32", "f16", "f64", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "bool")


def integers(call: Call, index: int, what: str, *, length: int | None = None) -> tuple[int, ...]:
    """The values of an operand that shapes depend on.

    Args:
        call: any.
        index: of the operand.
        what: what errors call it ("the axis").
        length: how many there must be; None for any number.

    Raises:
        ModelError: it is computed by the model, holds no integers, or not `length` of them.
    """
    tensor = call.input(index)
    if tensor.dtype not in ("i64", "i32", "i16", "i8", "bool"):
        raise ModelError(f"{what} holds {tensor.dtype}, not integers")
    if length is not None and tensor.elements != length:
        raise ModelError(f"{what} holds {tensor.elements} numbers, {length} are needed")
    if tensor.data is None:
        raise ModelError(
            f"{what} {tensor.name!r} is computed while the model runs, shapes are not known before",
            next="write the model with fixed shapes",
        )
    return tuple(int(value) for value in tensor.data.ravel())


def axis_of(axis: int, rank: int, what: str = "axis") -> int:
    """An axis counted from the front.

    Raises:
        ModelError: it is outside the rank.

    >>> axis_of(-1, 4)
    3
    """
    if not -rank <= axis < rank:
        raise ModelError(f"{what} {axis} is outside a tensor of {rank} dimensions")
    return axis % rank


def axis_operand(call: Call, index: int, rank: int) -> int:
    """The axis that an operand of one number holds, counted from the front.

    Raises:
        ModelError: it holds no such thing.
    """
    return axis_of(integers(call, index, "the axis", length=1)[0], rank)


def need_rank(tensor: Tensor, *ranks: int) -> Shape:
    """The shape of an operand that has one of the ranks.

    Raises:
        ModelError: it has another.
    """
    if len(tensor.shape) not in ranks:
        raise ModelError(
            f"{tensor.name!r} has {len(tensor.shape)} dimensions, not {' or '.join(str(rank) for rank in ranks)}"
        )
    return tensor.shape


def need_elements(shape: Iterable[int], tensor: Tensor) -> Shape:
    """A shape that has as many elements as the tensor.

    Raises:
        ModelError: it has not.
    """
    wanted = tuple(shape)
    if any(size < 0 for size in wanted) or math.prod(wanted) != tensor.elements:
        raise ModelError(f"{tensor.name!r} of {list(tensor.shape)} does not fit into {list(wanted)}")
    return wanted


def type_reason(call: Call, *allowed: str, index: int = 0) -> str:
    """Why an operand's storage type has no kernel, or its result another type than it; "" when all is well."""
    tensor = call.input(index)
    if tensor.dtype not in allowed:
        return f"LiteRT has no kernel for {tensor.dtype}, it takes {', '.join(allowed)}"
    others = [output for output in call.outputs if output.dtype != tensor.dtype]
    if others:
        return f"{others[0].name!r} is {others[0].dtype}, {tensor.name!r} is {tensor.dtype}"
    return ""


def parameters_reason(first: Tensor, second: Tensor) -> str:
    """Why two tensors that a kernel moves integers between stand for different reals; "" when they do not.

    Tensors without parameters are plain numbers, which any kernel moves.
    """
    if first.dtype not in QUANTIZED or (first.qparams is None and second.qparams is None):
        return ""
    if first.qparams is None or second.qparams is None:
        return f"of {first.name!r} and {second.name!r} only one has parameters"
    if (first.scale, first.zero_point) != (second.scale, second.zero_point):
        return (
            f"{first.name!r} (scale {first.scale:.6g}, zero_point {first.zero_point}) and {second.name!r} "
            f"(scale {second.scale:.6g}, zero_point {second.zero_point}) must have the same parameters"
        )
    return ""
