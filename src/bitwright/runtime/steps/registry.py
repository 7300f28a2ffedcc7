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


def steps_of(program: Program) -> tuple[Steps | str, ...]:
    """The steps of each operator, or the reason for which the engine has none."""
    found: list[Steps | str] = []
    for operator in program.operators:
        make = STEPS.get(operator.kind)
        call = Call(operator, program.operands(operator), program.results(operator), rounding=program.rounding)
        found.append(f"the engine has no kernel for {operator.kind}" if make is None else make(call))
    return absorb_pads(program, found)
