"""Pads that become borders: a PAD before convolutions is no step, where they read its operand with a border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bitwright.program.definition import Call
from bitwright.program.families.padding import paddings
from bitwright.program.program import Program
from bitwright.runtime.steps.step import Border, Step, Steps

#: Methods whose step takes x with a border, and `padding`: how much of it lies above and left of their window.
_WINDOWED = ("conv", "conv16", "depthwise")


def absorb_pads(program: Program, made: Sequence[Steps | str]) -> tuple[Steps | str, ...]:
    """The steps with those of absorbed pads left out."""
    steps = list(made)
    outputs = {port.tensor for port in program.outputs}
    for index, call in enumerate(program.calls):
        operator = call.operator
        if operator.kind not in ("PAD", "PADV2") or isinstance(steps[index], str) or operator.outputs[0] in outputs:
            continue
        border = _border(call)
        if border is None:
            continue
        readers = program.readers.get(operator.outputs[0], ())
        absorbed = {reader: _over(steps[reader], call, border) for reader in readers}
        if all(step is not None for step in absorbed.values()):
            steps[index] = ()
            for reader, step in absorbed.items():
                assert step is not None
                steps[reader] = (step,)
    return tuple(steps)


def _border(call: Call) -> Border | None:
    """The border that a PAD stands for; None where it is none: other dimensions, or other values than zero_points."""
    x, y = call.input(0), call.output
    is_image = len(x.shape) == 4 and x.data is None and x.dtype in ("i8", "u8", "i16")
    if not is_image or x.qparams is None or y.qparams is None:
        return None
    if (x.scale, x.zero_point) != (y.scale, y.zero_point):
        return None
    if call.has(2):
        value = call.input(2).data
        if value is None or int(value.item()) != x.zero_point:
            return None
    (images, rows, columns, channels) = paddings(call)
    if any(images) or any(channels) or min(*rows, *columns) < 0:
        return None
    return Border(rows[0], rows[1], columns[0], columns[1])


def _over(steps: Steps | str, call: Call, border: Border) -> Step | None:
    """The only step of a reader, reading what was padded with a larger border."""
    if isinstance(steps, str) or len(steps) != 1 or not isinstance(steps[0], Step):
        return None
    step = steps[0]
    padding = step.arguments.get("padding")
    if step.method not in _WINDOWED or step.tensors["x"] != call.output.name or not isinstance(padding, tuple):
        return None
    own = step.borders["x"]
    whole = Border(*(a + b for a, b in zip(own, border, strict=True)))
    return replace(
        step,
        tensors={**step.tensors, "x": call.input(0).name},
        arguments={**step.arguments, "padding": (padding[0] + border.top, padding[1] + border.left)},
        borders={"x": whole},
    )
