"""Reductions, and ArgMax."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from bitwright.lowering.element_layout import placed
from bitwright.lowering.lowerings.moves import moved_operand
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Kernel, Step
from bitwright.numerics.qparams import QuantParams
from bitwright.program.options import ArgMaxOptions, ArgMinOptions, MulOptions, ReducerOptions

ALL = ("i8", "u8", "i16")


def axes_of(step: Step, rank: int) -> list[int]:
    """The reduced axes, from an operand or the attribute of older opsets; all when none are named."""
    given = step.array(1, "axes") if step.has(1) else None
    axes = list(step.numbers("axes")) if given is None else [int(a) for a in given.reshape(-1)]
    if not axes:
        return [] if step.number("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in axes)


def reduced(
    step: Step, kernel: Kernel, kind: str, tensor: str, perm: Sequence[int], axes: Sequence[int], result: str
) -> None:
    """One reduction over axes of the ONNX value; the result tensor's rank says whether they are kept."""
    build = step.build
    keep = len(build.shape(result)) == len(build.shape(tensor))
    stored = build.integers(f"{step.name}_axes", sorted(perm.index(axis) for axis in axes))
    build.emit(kind, [tensor, stored], [result], ReducerOptions(keep_dims=keep))


def _shapes(step: Step, data: ir.Value, perm: Sequence[int], axes: Sequence[int], keep: bool) -> list[int]:
    shape = step.shape(data)
    return [1 if p in axes else shape[p] for p in perm if keep or p not in axes]


def reduction(step: Step, kind: str, *, integer: tuple[str, ...] = ALL, same_scale: bool = False) -> None:
    data = step.value(0)
    shape = step.shape(data)
    axes = axes_of(step, len(shape))
    kernel = step.kernel([data], integer=integer)
    q = kernel.q(data)
    if not axes:
        form = step.low.form(data, q)
        step.give(kernel, form.tensor, form.layout)
        return
    tensor, perm = moved_operand(step, data, q)
    kept = tuple(1 if d in axes else n for d, n in enumerate(shape))
    own = _shapes(step, data, perm, axes, bool(step.number("keepdims", 1)))
    result = step.result(kernel, own, q if same_scale else None, dtype=step.low.dtype(data))
    reduced(step, kernel, kind, tensor, perm, axes, result)
    step.give(kernel, result, placed(kept, perm))


def _around(step: Step, before: str, after: str) -> None:
    """A SUM in float with an operator before and one after it ("" for none): norms."""
    data = step.value(0)
    shape = step.shape(data)
    axes = axes_of(step, len(shape))
    if not axes:
        raise Refusal("reduces over no axis")
    kernel = step.kernel([data], integer=())
    tensor, perm = moved_operand(step, data, None)
    build = step.build
    own = _shapes(step, data, perm, axes, bool(step.number("keepdims", 1)))
    if before:
        changed = build.tensor(f"{step.name}_{before.lower()}", build.shape(tensor))
        square = before == "MUL"
        build.emit(before, [tensor, tensor] if square else [tensor], [changed], MulOptions() if square else None)
        tensor = changed
    total = build.tensor(f"{step.name}_sum", own) if after else step.result(kernel, own)
    reduced(step, kernel, "SUM", tensor, perm, axes, total)
    result = total
    if after:
        result = step.result(kernel, own)
        build.emit(after, [total], [result])
    step.give(kernel, result, placed(tuple(1 if d in axes else n for d, n in enumerate(shape)), perm))


def _arg(kind: str) -> Callable[[Step], None]:
    def lower(step: Step) -> None:
        if step.number("select_last_index", 0):
            raise Refusal("picks the last of equal elements, the kernel the first")
        data = step.value(0)
        shape = step.shape(data)
        axis = step.axis("axis", 0, len(shape))
        q = _quantized(step, data)
        perm = step.low.perm(data, q)
        tensor = step.low.placed(data, perm, q)
        kernel = step.kernel([data], integer=())
        own = [shape[p] for p in perm if p != axis]
        result = step.result(kernel, own, dtype="i64")
        where = step.build.integers(f"{step.name}_axis", [perm.index(axis)])
        options = ArgMaxOptions(output_type="i64") if kind == "ARG_MAX" else ArgMinOptions(output_type="i64")
        step.build.emit(kind, [tensor, where], [result], options)
        kept = tuple(1 if d == axis else n for d, n in enumerate(shape))
        step.give(kernel, result, placed(kept, perm))

    return lower


def _quantized(step: Step, data: ir.Value) -> QuantParams | None:
    """The 8-bit parameters that the data is there in when it is in no other form."""
    forms = step.low.forms.get(data, [])
    if not forms or any(form.qparams is None for form in forms):
        return None
    return next((form.qparams for form in forms if form.qparams is not None and form.qparams.storage != "i16"), None)


def lower_reduce_sum(step: Step) -> None:
    """SUM; on integers n times MEAN, exactly: LiteRT's reference SUM takes signed integers for unsigned ones.

    The mean's integers are the sum's, of a scale n times smaller, and are multiplied by the integer 1 of scale n.
    """
    data = step.value(0)
    shape = step.shape(data)
    axes = axes_of(step, len(shape))
    kernel = step.kernel([data])
    q, given = kernel.q(data), kernel.qparams
    if not kernel.integer or given is None or not axes:
        reduction(step, "SUM", integer=())
        return
    count = math.prod(shape[axis] for axis in axes)
    tensor, perm = moved_operand(step, data, q)
    own = _shapes(step, data, perm, axes, bool(step.number("keepdims", 1)))
    small = QuantParams(given.scale / np.float32(count), given.zero_point, given.storage)
    mean = step.build.tensor(f"{step.name}_mean", own, given.storage, small)
    reduced(step, kernel, "MEAN", tensor, perm, axes, mean)
    ones = np.ones((1,), small.kind.dtype)
    factor = step.build.constant(f"{step.name}_count", ones, given.storage, QuantParams((count,), 0, given.storage))
    result = step.result(kernel, own)
    step.build.emit("MUL", [mean, factor], [result], MulOptions())
    step.give(kernel, result, placed(tuple(1 if d in axes else n for d, n in enumerate(shape)), perm))


LOWERINGS: dict[str, Callable[[Step], None]] = {
    "ReduceMean": lambda step: reduction(step, "MEAN"),
    "ReduceSum": lower_reduce_sum,
    "ReduceMax": lambda step: reduction(step, "REDUCE_MAX", same_scale=True),
    "ReduceMin": lambda step: reduction(step, "REDUCE_MIN", same_scale=True),
    "ReduceProd": lambda step: reduction(step, "REDUCE_PROD", integer=()),
    "ReduceL1": lambda step: _around(step, "ABS", ""),
    "ReduceL2": lambda step: _around(step, "MUL", "SQRT"),
    "ReduceSumSquare": lambda step: _around(step, "MUL", ""),
    "ArgMax": _arg("ARG_MAX"),
    "ArgMin": _arg("ARG_MIN"),
}
