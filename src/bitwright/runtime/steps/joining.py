"""Steps of operators that join tensors: CONCATENATION, PACK."""

from __future__ import annotations

import numpy as np

from bitwright.program.definition import Call
from bitwright.program.families.joining import rescaled
from bitwright.program.operands import axis_of
from bitwright.program.options import ConcatenationOptions, PackOptions
from bitwright.program.tensor import Tensor
from bitwright.runtime.steps.moving import View, move, part, storage_reason, whole
from bitwright.runtime.steps.step import MakeSteps, Step, Steps


def _operands(call: Call) -> tuple[Tensor, ...]:
    return tuple(call.input(index) for index in range(len(call.inputs)))


def _concatenation(call: Call) -> Steps | str:
    y = call.output
    if reason := storage_reason(y):
        return reason
    axis = axis_of(call.options(ConcatenationOptions).axis, len(y.shape))
    steps: list[Step] = []
    start = 0
    for index, x in enumerate(_operands(call)):
        source = x
        if y.dtype == "u8" and y.qparams is not None and (x.scale, x.zero_point) != (y.scale, y.zero_point):
            source = Tensor(f"{y.name} (operand {index})", x.shape, "u8", y.qparams)
            table = rescaled(np.arange(256, dtype=np.uint8), x, y)
            steps.append(Step("lut", {"x": x.name, "y": source.name}, arguments={"table": table}, made=(source,)))
        begin = part([start if i == axis else 0 for i in range(len(y.shape))])
        steps.append(move(source, y, x.shape, whole(x.shape), begin))
        start += x.shape[axis]
    return tuple(steps)


def _pack(call: Call) -> Steps | str:
    y = call.output
    if reason := storage_reason(y):
        return reason
    axis = axis_of(call.options(PackOptions).axis, len(y.shape))
    others = tuple((i, 1) for i in range(len(y.shape)) if i != axis)
    return tuple(
        move(x, y, x.shape, whole(x.shape), View(tuple(index if i == axis else 0 for i in range(len(y.shape))), others))
        for index, x in enumerate(_operands(call))
    )


STEPS: dict[str, MakeSteps] = {"CONCATENATION": _concatenation, "PACK": _pack}
