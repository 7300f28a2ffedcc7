"""Elementwise operators of one operand, in whatever layout it is there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bitwright.lowering.lowerings.composed import lower_elu_of_any_alpha
from bitwright.lowering.parameters import SIGNED_UNIT, UNIT
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step, clamps, is_wide
from bitwright.program.operator import Activation, Options
from bitwright.program.options import AddOptions, DivOptions, GeluOptions, LeakyReluOptions, MulOptions
from bitwright.quantization.activations import fixed_qparams
from bitwright.quantization.plan import Compute
from bitwright.quantization.rules import clamp_range

ALL = ("i8", "u8", "i16")


def unary(
    step: Step,
    kind: str,
    options: Options | None = None,
    *,
    integer: tuple[str, ...] = (),
    bounds: tuple[float, float] | None = None,
) -> None:
    """One operator of one operand.

    Args:
        kind, options: of the operator.
        integer: activation storage types that it has integer kernels for.
        bounds: the known range of its integer result, None when it is free.
    """
    data = step.value(0)
    kernel = step.kernel([data], integer=integer)
    if step.low.dtype(data) != "f32":
        raise Refusal(f"computes in {step.low.dtype(data)}")
    form = step.low.form(data, kernel.q(data))
    given = None
    if bounds is not None and kernel.integer and kernel.qparams is not None:
        given = fixed_qparams(bounds, kernel.qparams.storage)
    result = step.result(kernel, step.build.shape(form.tensor), given)
    step.build.emit(kind, [form.tensor], [result], options)
    step.give(kernel, result, form.layout)


def lower_relu(step: Step) -> None:
    unary(step, "RELU", integer=ALL)


def lower_clip(step: Step) -> None:
    bounds = clamp_range(step.node)
    if bounds is None:
        raise Refusal("its bounds are not constant")
    data = step.value(0)
    kinds = clamps(bounds, None)
    kernel = step.kernel([data], integer=ALL)
    q = kernel.qparams if kernel.integer else None
    alone = len(kinds) == 1 and kinds[0][0].startswith("RELU")
    if alone and not (kinds[0][0] == "RELU_N1_TO_1" and is_wide(q)):
        unary(step, kinds[0][0], integer=ALL)
        return
    form = step.low.form(data, q)  # requantized first: MINIMUM and MAXIMUM keep their operand's scale
    tensor = form.tensor
    found = clamps(bounds, q)
    for index, clamp in enumerate(found):
        tensor = step.clamped(tensor, clamp, f"{step.name}_{index}" if index + 1 < len(found) else step.name)
    step.give(kernel, tensor, form.layout)


def lower_gelu(step: Step) -> None:
    approximate = step.text("approximate", "none") == "tanh"
    unary(step, "GELU", GeluOptions(approximate=approximate), integer=("i8", "u8"))


def lower_elu(step: Step) -> None:
    if step.real("alpha", 1.0) != 1.0:
        lower_elu_of_any_alpha(step)
        return
    unary(step, "ELU", integer=("i8",))


def _number(step: Step, name: str, value: float) -> str:
    return step.build.constant(f"{step.name}_{name}", np.array([value], np.float32), "f32")


def lower_reciprocal(step: Step) -> None:
    """1 / x; the reciprocal of a Sqrt is RSQRT."""
    data = step.value(0)
    kernel = step.kernel([data], integer=())
    node = data.producer()
    root = node.inputs[0] if node is not None and node.op_type == "Sqrt" and node.domain == "" else None
    form = step.low.form(data if root is None else root, None)
    result = step.result(kernel, step.build.shape(form.tensor))
    if root is not None:
        step.build.emit("RSQRT", [form.tensor], [result])
    else:
        step.build.emit("DIV", [_number(step, "one", 1.0), form.tensor], [result], DivOptions())
    step.give(kernel, result, form.layout)


def lower_hard_sigmoid(step: Step) -> None:
    """max(0, min(1, alpha * x + beta)); with alpha 1/6 it is RELU6(x + 6 * beta) / 6."""
    alpha, beta = step.real("alpha", 0.2), step.real("beta", 0.5)
    data = step.value(0)
    kernel = step.kernel([data], integer=())
    form = step.low.form(data, None)
    shape, build = step.build.shape(form.tensor), step.build
    result = step.result(kernel, shape)
    first = build.tensor(f"{step.name}_line", shape)
    if np.float32(alpha) == np.float32(1 / 6):
        options = AddOptions(fused_activation_function=Activation.RELU6, pot_scale_int16=False)
        build.emit("ADD", [form.tensor, _number(step, "shift", 6 * beta)], [first], options)
        build.emit("MUL", [first, _number(step, "sixth", 1 / 6)], [result], MulOptions())
    else:
        scaled = build.tensor(f"{step.name}_scaled", shape)
        build.emit("MUL", [form.tensor, _number(step, "alpha", alpha)], [scaled], MulOptions())
        options = AddOptions(fused_activation_function=Activation.RELU, pot_scale_int16=False)
        build.emit("ADD", [scaled, _number(step, "beta", beta)], [first], options)
        build.emit("MINIMUM", [first, _number(step, "one", 1.0)], [result])
    step.give(kernel, result, form.layout)


def lower_identity(step: Step) -> None:
    """Identity and Dropout: the result is the operand; of one that reads integers, what they mean."""
    data = step.value(0)
    kernel = step.kernel([data])
    reads_integers = kernel.qparams is None and step.low.compute(step.node) is Compute.INTEGER
    form = step.low.form(data, step.low.planned(data) if reads_integers else kernel.q(data))
    if len([v for v in step.node.outputs if v.name and (v.uses() or v.is_graph_output())]) > 1:
        raise Refusal("its mask is wanted")
    tensor = form.tensor
    if reads_integers and form.qparams is not None:
        tensor = step.build.convert(tensor, None, f"{step.name}_dequantized")
    step.give(kernel, tensor, form.layout)


def _plain(kind: str, *integer: str, bounds: tuple[float, float] | None = None) -> Callable[[Step], None]:
    return lambda step: unary(step, kind, integer=integer, bounds=bounds)


LOWERINGS: dict[str, Callable[[Step], None]] = {
    "Relu": lower_relu,
    "Clip": lower_clip,
    "LeakyRelu": lambda step: unary(step, "LEAKY_RELU", LeakyReluOptions(alpha=step.real("alpha", 0.01)), integer=ALL),
    "HardSwish": _plain("HARD_SWISH", "i8", "u8"),
    "HardSigmoid": lower_hard_sigmoid,
    "Sigmoid": _plain("LOGISTIC", *ALL, bounds=UNIT),
    "Tanh": _plain("TANH", *ALL, bounds=SIGNED_UNIT),
    "Gelu": lower_gelu,
    "Exp": _plain("EXP", "i8", "i16"),
    "Log": _plain("LOG", "i8", "i16"),
    "Sqrt": _plain("SQRT"),
    "Abs": _plain("ABS", "i8", "i16"),
    "Neg": _plain("NEG"),
    "Floor": _plain("FLOOR"),
    "Ceil": _plain("CEIL"),
    "Round": _plain("ROUND"),
    "Sin": _plain("SIN"),
    "Cos": _plain("COS"),
    "Elu": lower_elu,
    "Reciprocal": lower_reciprocal,
    "Identity": lower_identity,
    "Dropout": lower_identity,
}
