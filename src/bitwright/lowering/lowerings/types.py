"""Cast, and the nodes of a QDQ graph that stand alone."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from bitwright.lowering.constant import STORAGE
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.program.options import CastOptions

CASTS = ("f32", "i8", "u8", "i16", "i32", "i64", "bool")


def lower_cast(step: Step) -> None:
    data = step.value(0)
    source, wanted = step.low.dtype(data), STORAGE.get(ir.DataType(step.number("to", 1)))
    kernel = step.kernel([data], integer=())
    form = step.low.form(data, None)
    if wanted == source:
        step.give(kernel, form.tensor, form.layout)
        return
    if wanted not in CASTS or source not in CASTS:
        raise Refusal(f"casts {source} to {wanted or ir.DataType(step.number('to', 1)).name.lower()}")
    result = step.result(kernel, step.build.shape(form.tensor), dtype=wanted)
    step.build.emit("CAST", [form.tensor], [result], CastOptions(in_data_type=source, out_data_type=wanted))
    step.give(kernel, result, form.layout)


LOWERINGS: dict[str, Callable[[Step], None]] = {"Cast": lower_cast}
