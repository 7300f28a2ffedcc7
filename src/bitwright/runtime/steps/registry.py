"""Every operator that the engine has steps for, by kind."""

from __future__ import annotations

from importlib import import_module

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
MOST_DIMENSIONS = 6


def steps_of(program: Program) -> tuple[Steps | str, ...]:
    """The steps of each operator, or the reason for which the engine has none."""
    found: list[Steps | str] = []
    for call in program.calls:
        make = STEPS.get(call.operator.kind)
        if make is None:
            found.append(f"the engine has no kernel for {call.operator.kind}")
        elif any(len(tensor.shape) > MOST_DIMENSIONS for tensor in (*call.inputs, *call.outputs) if tensor is not None):
            found.append(f"a tensor of more than {MOST_DIMENSIONS} dimensions")
        else:
            found.append(make(call))
    return absorb_pads(program, found)
