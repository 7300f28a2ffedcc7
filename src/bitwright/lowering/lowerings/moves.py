"""Concat, Split, Slice, ReverseSequence, Gather, GatherND, Expand, Tile: values are moved, however they lie."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from bitwright.lowering.element_layout import placed, row_major
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Kernel, Step
from bitwright.numerics.qparams import QuantParams
from bitwright.program.options import (
    ConcatenationOptions,
    GatherOptions,
    SplitOptions,
    SplitVOptions,
    StridedSliceOptions,
)


def moved_operand(step: Step, value: ir.Value, q: QuantParams | None) -> tuple[str, tuple[int, ...]]:
    """A value in the order of dimensions that it is there in."""
    perm = step.low.perm(value, q)
    return step.low.placed(value, perm, q), perm


def lower_concat(step: Step) -> None:
    values = [value for value in step.node.inputs if value is not None]
    shape = step.shape(step.output)
    axis = step.axis("axis", 0, len(shape))
    kernel = step.kernel(values)
    reads = dict.fromkeys(values, kernel.qparams if kernel.integer else None)  # one scale for all
    computed = [value for value in values if step.low.constant(value) is None]
    votes: Counter[tuple[int, ...]] = Counter()
    for value in computed:
        votes[step.low.perm(value, kernel.q(value))] += math.prod(step.shape(value))
    perm = max(votes, key=lambda p: votes[p]) if votes else tuple(range(len(shape)))
    tensors = [step.low.placed(value, perm, reads[value]) for value in values]
    dtype = step.low.dtype(values[0])
    if len(tensors) == 1:
        step.give(kernel, tensors[0], placed(shape, perm))
        return
    result = step.result(kernel, [shape[p] for p in perm], dtype=dtype)
    step.build.emit("CONCATENATION", tensors, [result], ConcatenationOptions(axis=perm.index(axis)))
    step.give(kernel, result, placed(shape, perm))


def lower_split(step: Step) -> None:
    data = step.value(0)
    shape = step.shape(data)
    axis = step.axis("axis", 0, len(shape))
    outputs = list(step.node.outputs)
    kernels = [step.kernel([data], output=index) for index in range(len(outputs))]
    integer = all(kernel.integer for kernel in kernels)
    kernels = [replace(kernel, integer=integer) for kernel in kernels]
    q = kernels[0].q(data)
    tensor, perm = moved_operand(step, data, q)
    where = perm.index(axis)
    lengths = [step.shape(value)[axis] for value in outputs]
    if len(outputs) == 1:
        step.give(kernels[0], tensor, placed(shape, perm))
        return
    results = []
    for kernel, length in zip(kernels, lengths, strict=True):
        own = [length if p == axis else shape[p] for p in perm]
        results.append(step.result(kernel, own, q, dtype=step.low.dtype(data)))
    along = step.build.constant(f"{step.name}_axis", np.array(where, np.int32), "i32")
    if len(set(lengths)) == 1:
        step.build.emit("SPLIT", [along, tensor], results, SplitOptions(num_splits=len(results)))
    else:
        sizes = step.build.integers(f"{step.name}_lengths", lengths)
        step.build.emit("SPLIT_V", [tensor, sizes, along], results, SplitVOptions(num_splits=len(results)))
    for kernel, value, result in zip(kernels, outputs, results, strict=True):
        step.give(kernel, result, placed(step.shape(value), perm))


def lower_slice(step: Step) -> None:
    data = step.value(0)
    shape, out_shape = step.shape(data), step.shape(step.output)
    rank = len(shape)
    starts, ends = step.array(1, "starts"), step.array(2, "ends")
    axes, steps = step.array(3, "axes"), step.array(4, "steps")
    if starts is None or ends is None:
        raise Refusal("its starts and ends are not constant")
    begin, size, stride = [0] * rank, list(shape), [1] * rank
    for index, start in enumerate(starts.tolist()):
        axis = index if axes is None else int(axes[index]) % rank
        stride[axis] = 1 if steps is None else int(steps[index])
        first, _, _ = slice(int(start), int(ends[index]), stride[axis]).indices(shape[axis])
        begin[axis], size[axis] = first, out_shape[axis]
    kernel = step.kernel([data])
    q = kernel.q(data)
    tensor, perm = moved_operand(step, data, q)
    if all(s == 1 for s in stride) and size == list(shape):
        step.give(kernel, tensor, placed(out_shape, perm))
        return
    result = step.result(kernel, [out_shape[p] for p in perm], q, dtype=step.low.dtype(data))
    _emit_slice(step, tensor, result, *([values[p] for p in perm] for values in (begin, size, stride)))
    step.give(kernel, result, placed(out_shape, perm))


def _emit_slice(step: Step, tensor: str, result: str, begin: list[int], size: list[int], stride: list[int]) -> None:
    """SLICE, or STRIDED_SLICE where steps are taken. One that goes back to the first element ends beyond it: masked."""
    build = step.build
    first = build.integers(f"{step.name}_begin", begin)
    if all(s == 1 for s in stride):
        build.emit("SLICE", [tensor, first, build.integers(f"{step.name}_size", size)], [result])
        return
    ends, mask = [], 0
    for index, (start, count, s) in enumerate(zip(begin, size, stride, strict=True)):
        last = start + (count - 1) * s
        end = last + (1 if s > 0 else -1)
        if end < 0:
            mask |= 1 << index
            end = 0
        ends.append(end)
    inputs = [tensor, first, build.integers(f"{step.name}_end", ends), build.integers(f"{step.name}_strides", stride)]
    build.emit("STRIDED_SLICE", inputs, [result], StridedSliceOptions(end_mask=mask))


def lower_reverse_sequence(step: Step) -> None:
    """REVERSE_V2, for sequences that are reversed in their whole length."""
    data, lengths = step.value(0), step.array(1, "lengths")
    shape = step.shape(data)
    axis = step.axis("time_axis", 0, len(shape))
    if lengths is None or (lengths != shape[axis]).any():
        raise Refusal("it reverses a part of its sequences")
    kernel = step.kernel([data], integer=())
    tensor, perm = moved_operand(step, data, None)
    result = step.result(kernel, [shape[p] for p in perm], dtype=step.low.dtype(data))
    where = step.build.constant(f"{step.name}_axis", np.array([perm.index(axis)], np.int32), "i32")
    step.build.emit("REVERSE_V2", [tensor, where], [result])
    step.give(kernel, result, placed(shape, perm))


def lower_gather(step: Step) -> None:
    data, indices = step.value(0), step.value(1)
    shape, index_shape = step.shape(data), step.low.shape(indices)
    axis = step.axis("axis", 0, len(shape))
    out_shape = step.shape(step.output)
    kernel = step.kernel([data], integer=("i8", "u8", "i16"))
    table = step.low.constant(data)
    q = kernel.q(data)
    constant = step.low.concrete.array(indices)
    if constant is not None:
        wrapped = np.where(constant < 0, constant + shape[axis], constant).astype(np.int32)
        where = step.build.constant(f"{step.name}_indices", wrapped, "i32")
    else:
        where = step.low.laid(indices, row_major(index_shape), index_shape, None)
    if table is not None and table.qparams is not None and not kernel.integer and axis == 0:
        _gather_rows(step, kernel, table.qparams, where, index_shape)
        return
    tensor, perm = moved_operand(step, data, q)
    result_shape: list[int] = []
    for p in perm:
        result_shape += list(index_shape) if p == axis else [shape[p]]
    count = len(index_shape)
    order: list[int] = []
    for p in perm:
        if p == axis:
            order += range(axis, axis + count)
        else:
            order.append(p if p < axis else p + count - 1)
    result = step.result(kernel, result_shape, q, dtype=step.low.dtype(data))
    step.build.emit("GATHER", [tensor, where], [result], GatherOptions(axis=perm.index(axis)))
    step.give(kernel, result, placed(out_shape, order))


def _gather_rows(step: Step, kernel: Kernel, qparams: QuantParams, where: str, index_shape: tuple[int, ...]) -> None:
    """Rows of a table of integers are dequantized after they were looked up; rows with scales of their own before."""
    table, out_shape = step.low.constant(step.value(0)), step.shape(step.output)
    assert table is not None
    result = step.result(kernel, out_shape)
    if qparams.axis == 0 or table.dtype not in ("i8", "u8", "i16"):
        step.build.emit("GATHER", [step.low.real(table), where], [result], GatherOptions(axis=0))
    else:
        axis = None if qparams.axis is None else qparams.axis + len(index_shape) - 1
        kept = QuantParams(qparams.scale, qparams.zero_point, qparams.storage, axis)
        found = step.build.tensor(f"{step.name}_integers", out_shape, table.dtype, kept)
        step.build.emit("GATHER", [step.low.store(table), where], [found], GatherOptions(axis=0))
        step.build.emit("DEQUANTIZE", [found], [result])
    step.give(kernel, result, row_major(out_shape))


def lower_gather_nd(step: Step) -> None:
    """GATHER_ND: elements or slices that rows of indices point at."""
    data, indices = step.value(0), step.value(1)
    if step.number("batch_dims", 0):
        raise Refusal("gathers behind batch dimensions")
    shape, index_shape, out_shape = step.shape(data), step.shape(indices), step.shape(step.output)
    kernel = step.kernel([data], integer=())
    constant = step.low.concrete.array(indices)
    if constant is not None:
        bounds = np.asarray(shape[: index_shape[-1]])
        wrapped = np.where(constant < 0, constant + bounds, constant).astype(np.int32)
        where = step.build.constant(f"{step.name}_indices", wrapped, "i32")
    else:
        where = step.low.laid(indices, row_major(index_shape), index_shape, None)
    result = step.result(kernel, out_shape, dtype=step.low.dtype(data))
    step.build.emit("GATHER_ND", [step.low.laid(data, row_major(shape), shape, None), where], [result])
    step.give(kernel, result, row_major(out_shape))


def lower_expand(step: Step) -> None:
    data, shape = step.value(0), step.shape(step.output)
    own = step.shape(data)
    aligned = (1,) * (len(shape) - len(own)) + own
    kernel = step.kernel([data])
    q = kernel.q(data)
    if aligned == tuple(shape):
        form = step.low.form(data, q)
        step.give(kernel, form.tensor, form.layout)
        return
    perm = step.low.perm(data, q) if len(own) == len(shape) else tuple(range(len(shape)))
    tensor = step.low.laid(data, placed(aligned, perm), [aligned[p] for p in perm], q)
    wide = [shape[p] for p in perm]
    result = step.result(kernel, wide, q, dtype=step.low.dtype(data))
    step.build.emit("BROADCAST_TO", [tensor, step.build.integers(f"{step.name}_shape", wide)], [result])
    step.give(kernel, result, placed(shape, perm))


def lower_tile(step: Step) -> None:
    data, shape = step.value(0), step.shape(step.output)
    repeats = step.array(1, "repeats")
    kernel = step.kernel([data])
    q = kernel.q(data)
    tensor, perm = moved_operand(step, data, q)
    if repeats is None or not any(int(n) != 1 for n in repeats):
        step.give(kernel, tensor, placed(shape, perm))
        return
    result = step.result(kernel, [shape[p] for p in perm], q, dtype=step.low.dtype(data))
    times = step.build.integers(f"{step.name}_repeats", [int(repeats[p]) for p in perm])
    step.build.emit("TILE", [tensor, times], [result])
    step.give(kernel, result, placed(shape, perm))


LOWERINGS: dict[str, Callable[[Step], None]] = {
    "Concat": lower_concat,
    "Split": lower_split,
    "Slice": lower_slice,
    "ReverseSequence": lower_reverse_sequence,
    "Gather": lower_gather,
    "GatherND": lower_gather_nd,
    "Expand": lower_expand,
    "Tile": lower_tile,
}
