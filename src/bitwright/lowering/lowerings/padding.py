"""Pad: PAD, PADV2, MIRROR_PAD."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bitwright.lowering.element_layout import placed
from bitwright.lowering.lowerings.moves import moved_operand
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.numerics.quantize import quantize
from bitwright.program.options import MirrorPadOptions


def lower_pad(step: Step) -> None:
    data = step.value(0)
    shape, out_shape = step.shape(data), step.shape(step.output)
    rank = len(shape)
    pads, axes = step.array(1, "pads"), step.array(3, "axes")
    fill = step.array(2, "fill") if step.has(2) else None
    mode = step.text("mode", "constant")
    if pads is None:
        raise Refusal("its pads are not constant")
    if mode not in ("constant", "reflect"):
        raise Refusal(f"pads with mode {mode}, which no kernel has")
    dims = [int(a) % rank for a in axes] if axes is not None else list(range(rank))
    before, after = [0] * rank, [0] * rank
    for index, dim in enumerate(dims):
        before[dim], after[dim] = int(pads[index]), int(pads[index + len(dims)])
    kernel = step.kernel([data])
    q = kernel.q(data)
    tensor, perm = moved_operand(step, data, q)
    if min(before + after) < 0:
        tensor = _cut(step, tensor, [before[p] for p in perm], [after[p] for p in perm])
    dtype = step.build.tensors[tensor].dtype
    layout = placed(out_shape, perm)
    amounts = [(max(before[p], 0), max(after[p], 0)) for p in perm]
    if not any(map(any, amounts)):
        step.give(kernel, tensor, layout)
        return
    result = step.result(kernel, [out_shape[p] for p in perm], q, dtype=dtype)
    inputs = [tensor, step.build.integers(f"{step.name}_pads", amounts)]
    if mode == "reflect":
        step.build.emit("MIRROR_PAD", inputs, [result], MirrorPadOptions())
    elif fill is None or not fill.any():
        step.build.emit("PAD", inputs, [result])
    else:
        number = fill.reshape(1)
        if q is not None:
            number = quantize(number, q)
        elif dtype == "f32":  # -inf is the lowest number
            number = np.maximum(number, np.finfo(np.float32).min)
        inputs.append(step.build.constant(f"{step.name}_fill", number, dtype, q))
        step.build.emit("PADV2", inputs, [result])
    step.give(kernel, result, layout)


def _cut(step: Step, tensor: str, before: list[int], after: list[int]) -> str:
    """What negative pads take away."""
    build = step.build
    held = build.tensors[tensor]
    begin = [max(-n, 0) for n in before]
    size = [n - b - max(-a, 0) for n, b, a in zip(held.shape, begin, after, strict=True)]
    result = build.tensor(f"{step.name}_cut", size, held.dtype, held.qparams)
    inputs = [tensor, build.integers(f"{step.name}_begin", begin), build.integers(f"{step.name}_size", size)]
    build.emit("SLICE", inputs, [result])
    return result


LOWERINGS: dict[str, Callable[[Step], None]] = {"Pad": lower_pad}
