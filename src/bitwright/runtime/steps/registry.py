"""Every operator that the engine has steps for, by kind."""

from __future__ import annotations

from importlib import import_module

from bitwright.program.definition import Call
from bitwright.program.program import Program
from bitwright.runtime.steps.padding import absorb_pads
from bitwright.runtime.steps.step import MakeSteps, Steps

_FAMILIES = (
    "convolution",
    "depthwise",
    "joining",
    "lookup",
    "movement",
    "pairs",
    "pooling",
    "reduction",
    "resize",
    "slicing",
    "softmax",
    "transpose_convolution",
    "types",
)

STEPS: dict[str, MakeSteps] = {
    kind: make for family in _FAMILIES for kind, make in import_module(f"{__package__}.{family}").STEPS.items()
}

#: Of a tensor of the engine.
MOST_DIMENSIONS, MOST_ELEMENTS = 6, 2**31 - 1


def steps_of(program: Program) -> tuple[Steps | str, ...]:
    """The steps of each operator, or the reason for which the engine has none."""
    found: list[Steps | str] = []
    for call in program.calls:
        make = STEPS.get(call.operator.kind)
        if make is None:
            found.append(f"the engine has no kernel for {call.operator.kind}")
        else:
            found.append(_tensor_reason(call) or make(call))
    return absorb_pads(program, found)


def _tensor_reason(call: Call) -> str:
    """Why the engine does not take the tensors of a call, whatever it computes."""
    for tensor in (*call.inputs, *call.outputs):
        if tensor is None:
            continue
        if len(tensor.shape) > MOST_DIMENSIONS:
            return f"a tensor of more than {MOST_DIMENSIONS} dimensions"
        if tensor.elements > MOST_ELEMENTS:
            return f"a tensor of more than {MOST_ELEMENTS} elements"
        if tensor.variable:
            return "the engine keeps no state"
    return ""
