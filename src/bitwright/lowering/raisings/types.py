"""CAST, QUANTIZE and DEQUANTIZE: types of the numbers, and where integers begin and end to stand for reals.

Between floats and integers that stand for reals there is nothing to compute in a graph of float meaning: QUANTIZE and
DEQUANTIZE become parameters in the plan. What has a meaning of its own stays as an Identity node that computes in
integers:

| between | Identity |
|---|---|
| integers of two parameters | operand and result have a plan each: one set of integers becomes the other |
| floats and an output of the file that holds integers | the result alone has a plan |
| floats that an integer stands for elsewhere, and floats | the operand alone has a plan: its rounding is not lost |
"""

from __future__ import annotations

from dataclasses import replace

from bitwright.lowering.raisings.builder import Held, stands_for_reals, type_of
from bitwright.lowering.raisings.step import Step
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import quantize as quantized
from bitwright.quantization.plan import Compute


def cast(step: Step) -> None:
    """CAST."""
    order = step.order(0)
    step.give("Cast", [step.operand(0, order)], order=order, to=int(type_of(step.output)))


def quantize(step: Step) -> None:
    """QUANTIZE: parameters of the value, or an Identity; see above."""
    data, result, builder = step.input(0), step.output, step.builder
    held, wanted = builder.held.get(data.name), result.qparams
    assert wanted is not None
    if held is not None and held.constant is not None and data.dtype == "f32":
        integers = quantized(step.numbers(0), wanted)
        builder.held[result.name] = Held(result.shape, constant=replace(result, data=integers))
        return
    order = step.order(0)
    value = step.operand(0, order)
    if stands_for_reals(data):
        if not _is_other_port_type(step):
            step.give("Identity", [value], order=order)
            return
        if _is_input(step, data.name):
            builder.qparams[value] = wanted
        builder.held[result.name] = builder.held[data.name]
        return
    known = builder.qparams.get(value)
    if builder.gives_integers(value) or (known is not None and known != wanted):
        assert value.shape is not None
        value = step.node("Identity", [value], tuple(value.shape.numpy()), compute=Compute.FLOAT)
    if _is_output(step, result.name):
        step.give("Identity", [value], order=order)
        return
    builder.qparams[value] = wanted
    builder.floats.add(value)
    builder.held[result.name] = Held(result.shape, {order: value})


def dequantize(step: Step) -> None:
    """DEQUANTIZE: the same value, whose meaning is float; or an Identity, see above."""
    data, name, builder = step.input(0), step.output.name, step.builder
    held = builder.held.get(data.name)
    if held is not None and held.constant is not None:
        halves = held.constant.dtype == "f16"
        builder.held[name] = Held(held.shape, constant=held.constant, halves=True) if halves else held
        return
    order = step.order(0)
    value = step.operand(0, order)
    if not stands_for_reals(data):
        step.give("Cast", [value], order=order, to=int(type_of(step.output)))
    elif builder.gives_integers(value) or _is_input(step, data.name):
        builder.held[name] = builder.held[data.name]
    else:
        step.give("Identity", [value], order=order)


def _is_other_port_type(step: Step) -> bool:
    """Whether it only gives a port of the file another type: uint8 for int8, the reals being the same."""
    data, result = step.input(0), step.output
    assert result.qparams is not None
    if not same_reals(data.qparams, result.qparams):
        return False
    readers = step.builder.program.readers
    if _is_input(step, data.name):
        return len(readers[data.name]) == 1 and not _is_output(step, data.name) and not _is_output(step, result.name)
    return _is_output(step, result.name) and result.name not in readers


def same_reals(one: QuantParams | None, other: QuantParams) -> bool:
    """Whether integers of both stand for the same reals: the same, or int8 and uint8 that lie 128 apart.

    >>> same_reals(QuantParams(0.5, 131, "u8"), QuantParams(0.5, 3, "i8"))
    True
    """
    if one is None or one.granularity != "per-tensor" or other.granularity != "per-tensor":
        return False
    if one.scale[0] != other.scale[0] or one.kind.bits != other.kind.bits:
        return False
    return bool(one.zero_point[0] - one.kind.qmin == other.zero_point[0] - other.kind.qmin)


def _is_output(step: Step, name: str) -> bool:
    return any(port.tensor == name for port in step.builder.program.outputs)


def _is_input(step: Step, name: str) -> bool:
    return any(port.tensor == name for port in step.builder.program.inputs)


RAISINGS = {"CAST": cast, "QUANTIZE": quantize, "DEQUANTIZE": dequantize}
