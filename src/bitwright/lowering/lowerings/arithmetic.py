"""Elementwise operators of two and more operands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from bitwright.lowering.broadcast import bring_together
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Kernel, Step
from bitwright.program.operator import Activation, Options
from bitwright.program.options import AddOptions, DivOptions, MulOptions, SubOptions
from bitwright.quantization.plan import Compute


def _options(kind: str, activation: Activation) -> Options:
    if kind == "ADD":
        return AddOptions(fused_activation_function=activation, pot_scale_int16=False)
    if kind == "SUB":
        return SubOptions(fused_activation_function=activation, pot_scale_int16=False)
    return {"MUL": MulOptions, "DIV": DivOptions}[kind](fused_activation_function=activation)


def binary(
    step: Step,
    kind: str,
    left: ir.Value,
    right: ir.Value,
    *,
    integer: tuple[str, ...] = ("i8", "u8", "i16"),
    fuses: bool = True,
) -> None:
    """One operator of two operands that gives the node's result."""
    kernel = step.kernel([left, right], integer=integer, fuses=fuses)
    if kind in ("ADD", "SUB") and not _is_in_reach(kernel):
        kernel = step.kernel([left, right], integer=(), fuses=fuses)
    refuse_types(step, [left, right])
    together = bring_together(step, kernel, [left, right], step.shape(kernel.value))
    result = step.result(kernel, together.shape, dtype=step.low.dtype(left))
    options = _options(kind, kernel.activation) if fuses else Options()
    step.build.emit(kind, together.tensors, [result], options)
    step.give(kernel, result, together.layout)


def _is_in_reach(kernel: Kernel) -> bool:
    """Whether integers of the operands' scales can be added into the result's; LiteRT gives up on the others.

    2 * largest scale of an operand < 2**left_shift * scale of the result, with a left_shift of 20, or 15 at 16 bits

    Source: TensorFlow Lite add.cc: the real multiplier of the result is smaller than one.
    """
    given = kernel.qparams
    if not kernel.integer or given is None:
        return True
    left_shift = 15 if given.storage == "i16" else 20
    largest = max(float(q.scale.max()) for q in kernel.reads.values() if q is not None)
    return 2 * largest < (1 << left_shift) * float(given.scale.max())


def refuse_types(step: Step, values: list[ir.Value]) -> None:
    kinds = {step.low.dtype(value) for value in values}
    if len(kinds) > 1 or not kinds <= {"f32", "i32", "i64"}:
        raise Refusal(f"computes in {', '.join(sorted(kinds))}")


def lower_mul(step: Step) -> None:
    left, right = step.value(0), step.value(1)
    if left is right and (pair := _difference(step, left)) is not None:
        binary(step, "SQUARED_DIFFERENCE", *pair, integer=(), fuses=False)
    elif (data := _hard_swish(step, left, right)) is not None:
        kernel = step.kernel([data], integer=())
        form = step.low.form(data, None)
        result = step.result(kernel, step.build.shape(form.tensor))
        step.build.emit("HARD_SWISH", [form.tensor], [result])
        step.give(kernel, result, form.layout)
    else:
        binary(step, "MUL", left, right)


def _difference(step: Step, value: ir.Value) -> tuple[ir.Value, ir.Value] | None:
    """The operands of the float Sub that gives a value."""
    node = value.producer()
    if node is None or node.op_type != "Sub" or node.domain != "":
        return None
    if Compute.INTEGER in (step.low.compute(node), step.low.compute(step.node)) or step.low.dtype(value) != "f32":
        return None
    left, right = node.inputs
    return None if left is None or right is None else (left, right)


def _hard_swish(step: Step, left: ir.Value, right: ir.Value) -> ir.Value | None:
    """X of x * HardSigmoid(x, 1/6, 1/2)."""
    for data, gate in ((left, right), (right, left)):
        node = gate.producer()
        if node is None or node.op_type != "HardSigmoid" or node.inputs[0] is not data:
            continue
        inner = Step(step.low, node)
        exact = np.float32(inner.real("alpha", 0.2)) == np.float32(1 / 6) and inner.real("beta", 0.5) == 0.5
        if exact and Compute.INTEGER not in (step.low.compute(node), step.low.compute(step.node)):
            return data
    return None


def lower_div(step: Step) -> None:
    left, right = step.value(0), step.value(1)
    root = _rooted(step, left, right)
    if root is None:
        binary(step, "DIV", left, right, integer=("u8",))
        return
    kernel = step.kernel([right], integer=())
    form = step.low.form(root, None)
    result = step.result(kernel, step.build.shape(form.tensor))
    step.build.emit("RSQRT", [form.tensor], [result])
    step.give(kernel, result, form.layout)


def _rooted(step: Step, left: ir.Value, right: ir.Value) -> ir.Value | None:
    """The x of the float 1 / Sqrt(x)."""
    one, node = step.low.concrete.array(left), right.producer()
    if one is None or one.size != 1 or float(one.reshape(())) != 1.0 or step.low.dtype(left) != "f32":
        return None
    if node is None or node.op_type != "Sqrt" or node.domain != "" or step.shape(right) != step.shape(step.output):
        return None
    return node.inputs[0] if step.low.compute(step.node) is not Compute.INTEGER else None


def lower_pow(step: Step) -> None:
    exponent = step.low.concrete.array(step.value(1))
    number = None if exponent is None or exponent.size != 1 else float(exponent.reshape(()))
    data = step.value(0)
    if number == 2.0:
        if (pair := _difference(step, data)) is not None:
            binary(step, "SQUARED_DIFFERENCE", *pair, integer=(), fuses=False)
        else:
            binary(step, "MUL", data, data)
    elif number in (0.5, -0.5):
        kernel = step.kernel([data], integer=())
        form = step.low.form(data, None)
        result = step.result(kernel, step.build.shape(form.tensor))
        step.build.emit("SQRT" if number == 0.5 else "RSQRT", [form.tensor], [result])
        step.give(kernel, result, form.layout)
    elif number == 1.0:
        form = step.low.form(data, None)
        step.give_views(step.output, [form])
    else:
        raise Refusal("raises to a power other than 2, 1, 0.5 and -0.5")


def _many(kind: str, fuses: bool) -> Callable[[Step], None]:
    """An operator of any number of operands by one of two: Sum, Max, Min."""

    def lower(step: Step) -> None:
        values = [value for value in step.node.inputs if value is not None]
        shape = step.shape(step.output)
        kernel = step.kernel(values, fuses=fuses)
        if kind == "ADD" and not _is_in_reach(kernel):
            kernel = step.kernel(values, integer=(), fuses=fuses)
        same = kind in ("MAXIMUM", "MINIMUM")  # which demand one scale of all their operands
        if kernel.integer and same:
            kernel.reads.update(dict.fromkeys(values, kernel.qparams))
        together = bring_together(step, kernel, values, shape)
        tensor = together.tensors[0]
        if len(values) == 1:
            step.give(kernel, tensor, together.layout)
            return
        for index, other in enumerate(together.tensors[1:], start=2):
            last = index == len(values)
            if last:
                result = step.result(kernel, together.shape)
            else:
                shapes = step.build.shape(tensor), step.build.shape(other)
                q = kernel.qparams if kernel.integer else None
                result = step.build.tensor(
                    f"{step.name}_{index - 1}", np.broadcast_shapes(*shapes), q.storage if q is not None else "f32", q
                )
            activation = kernel.activation if last else Activation.NONE
            step.build.emit(kind, [tensor, other], [result], _options(kind, activation) if fuses else Options())
            tensor = result
        step.give(kernel, tensor, together.layout)

    return lower


def lower_mean(step: Step) -> None:
    """Mean of operands: their sum times 1/n, in float."""
    values = [value for value in step.node.inputs if value is not None]
    kernel = step.kernel(values, integer=())
    together = bring_together(step, kernel, values, step.shape(step.output))
    tensor = together.tensors[0]
    for index, other in enumerate(together.tensors[1:]):
        shape = np.broadcast_shapes(step.build.shape(tensor), step.build.shape(other))
        added = step.build.tensor(f"{step.name}_sum_{index}", shape)
        step.build.emit("ADD", [tensor, other], [added], _options("ADD", Activation.NONE))
        tensor = added
    factor = step.build.constant(f"{step.name}_share", np.array([1 / len(values)], np.float32), "f32")
    result = step.result(kernel, together.shape)
    step.build.emit("MUL", [tensor, factor], [result], _options("MUL", Activation.NONE))
    step.give(kernel, result, together.layout)


def lower_prelu(step: Step) -> None:
    data, slope = step.value(0), step.value(1)
    kernel = step.kernel([data, slope], integer=("i8", "u8"))
    shape = step.shape(kernel.value)
    together = bring_together(step, kernel, [data, slope], shape)
    result = step.result(kernel, together.shape)
    step.build.emit("PRELU", together.tensors, [result])
    step.give(kernel, result, together.layout)


LOWERINGS: dict[str, Callable[[Step], None]] = {
    "Add": lambda step: binary(step, "ADD", step.value(0), step.value(1)),
    "Sub": lambda step: binary(step, "SUB", step.value(0), step.value(1)),
    "Mul": lower_mul,
    "Div": lower_div,
    "Pow": lower_pow,
    "Sum": _many("ADD", True),
    "Max": _many("MAXIMUM", False),
    "Min": _many("MINIMUM", False),
    "Mean": lower_mean,
    "PRelu": lower_prelu,
}
