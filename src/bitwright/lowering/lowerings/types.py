"""Cast, and the nodes of a QDQ graph that stand alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import onnx_ir as ir

from bitwright.lowering.constant import STORAGE
from bitwright.lowering.context import Form
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.numerics.qparams import QuantParams
from bitwright.program.options import CastOptions
from bitwright.quantization.quantize_nodes import parameters_of, storage_of

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


def lower_quantize(step: Step) -> None:
    """QuantizeLinear whose integers go out of the graph as what they are."""
    data, storage = step.value(0), storage_of(step.node)
    qparams = _kernel_parameters(step, storage)
    form = step.low.form(data, qparams)
    step.low.forms[step.output] = [Form(form.tensor, form.layout, None)]


def lower_dequantize(step: Step) -> None:
    """DequantizeLinear of integers that come into the graph: from here on they stand for reals."""
    data = step.value(0)
    if any(use.node.op_type != "DequantizeLinear" for use in data.uses()) or data.is_graph_output():
        raise Refusal("its integers are read as what they are as well")
    form = step.low.form(data, None)
    held = step.build.tensors[form.tensor]
    qparams = _kernel_parameters(step, held.dtype)
    if held.qparams not in (None, qparams):
        raise Refusal("its integers stand for other reals elsewhere")
    step.build.tensors[form.tensor] = replace(held, qparams=qparams)
    step.low.forms[step.output] = [Form(form.tensor, form.layout, qparams)]


def _kernel_parameters(step: Step, storage: str) -> QuantParams:
    qparams = parameters_of(step.node, storage) if storage in ("i8", "u8", "i16") else None
    if qparams is None or qparams.granularity != "per-tensor":
        raise Refusal("its scale or zero_point is no constant of one element, or its integers have no kernels")
    return qparams


LOWERINGS: dict[str, Callable[[Step], None]] = {
    "Cast": lower_cast,
    "QuantizeLinear": lower_quantize,
    "DequantizeLinear": lower_dequantize,
}
