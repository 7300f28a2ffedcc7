"""Erf, where it is part of a Gelu: x / sqrt(2) -> Erf -> + 1 -> times x and one half, in any order of the products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.program.options import GeluOptions
from bitwright.quantization.plan import Compute

ALONE = "no operator does this, but for one that is part of a Gelu"


def lower_erf(step: Step) -> None:
    data = _scaled(step, step.value(0), 1 / np.sqrt(2))
    added = _only_reader(step, step.node, "Add")
    if data is None or added is None or _number(step, _other(added, step.output)) != 1.0:
        raise Refusal(ALONE)
    last = _product(step, added, data)
    if last is None:
        raise Refusal(ALONE)
    kernel = step.kernel([data], integer=(), last=last[-1])
    form = step.low.form(data, None)
    result = step.result(kernel, step.build.shape(form.tensor))
    step.build.emit("GELU", [form.tensor], [result], GeluOptions())
    step.give(kernel, result, form.layout)
    step.low.done.update((added, *last))


def _product(step: Step, added: ir.Node, data: ir.Value) -> list[ir.Node] | None:
    """The products behind the sum that make it x / 2 * sum: the last gives the result."""
    first = _only_reader(step, added, "Mul")
    if first is None:
        return None
    other = _other(first, added.outputs[0])
    if _scaled(step, other, 0.5) is data:
        return [first]
    second = _only_reader(step, first, "Mul")
    if second is None:
        return None
    factors = (other, _other(second, first.outputs[0]))
    for one, half in (factors, reversed(factors)):
        if one is data and _number(step, half) == 0.5:
            return [first, second]
    return None


def _scaled(step: Step, value: ir.Value | None, factor: float) -> ir.Value | None:
    """The x of x * factor or x / (1 / factor)."""
    node = value.producer() if value is not None else None
    if node is None or node.domain != "" or node.op_type not in ("Mul", "Div"):
        return None
    for index, other in ((0, 1), (1, 0)) if node.op_type == "Mul" else ((0, 1),):
        number = _number(step, node.inputs[other])
        if number is not None and np.isclose(number if node.op_type == "Mul" else 1 / number, factor, rtol=1e-4):
            return node.inputs[index]
    return None


def _number(step: Step, value: ir.Value | None) -> float | None:
    array = step.low.concrete.array(value)
    return None if array is None or array.size != 1 else float(array.reshape(()))


def _other(node: ir.Node, value: ir.Value) -> ir.Value | None:
    return node.inputs[1] if node.inputs[0] is value else node.inputs[0]


def _only_reader(step: Step, node: ir.Node, op: str) -> ir.Node | None:
    """The float node that alone reads another's result."""
    value = node.outputs[0]
    users = [use.node for use in value.uses()]
    if value.is_graph_output() or len(users) != 1 or users[0].op_type != op or users[0].domain != "":
        return None
    integer = Compute.INTEGER in (step.low.compute(users[0]), step.low.compute(node))
    return None if integer else users[0]


LOWERINGS: dict[str, Callable[[Step], None]] = {"Erf": lower_erf}
