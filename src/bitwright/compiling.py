"""Compiling: a model -> a session of the engine."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, get_args

from bitwright.errors import UnsupportedOpError, UsageError
from bitwright.lowering.layout import LAYOUT, PortLayouts, layouts_against, read_layouts
from bitwright.numerics.requantize import Rounding
from bitwright.program.program import Program
from bitwright.program.verify import verify
from bitwright.reading import is_tflite, read_model, read_program
from bitwright.runtime.session import Session

ROUNDINGS: tuple[str, ...] = get_args(Rounding)


def compile(
    model: Any, *, threads: int = 1, requantization: Rounding | None = "fp32_even", strict: bool = False
) -> Session:
    """A session that runs a model with integer kernels.

    Args:
        model: a path (.tflite, .onnx, ...), a Model, a Program, or what `load` takes.
        threads: that divide each layer, the caller's own counted.
        requantization: how sums become integers: "fp32_even" (float32, ties to even: what LiteRT's default kernels for
            x86 do, and fastest), "tflite_double" (LiteRT's reference kernels), "tflite_single" (kernels of
            microcontrollers); None: as the model says.
        strict: refuse a model that the engine does not run whole.

    Returns:
        A session: `run(None, {name: array})`, `session(array)`; `left` tells what the engine does not run itself.

    Raises:
        UsageError: threads below 1, an unknown requantization or instruction set.
        UnsupportedOpError: nodes that cannot be lowered; with strict, operators without a kernel: all of them.
        ModelError: the model cannot be read.
    """
    from bitwright import _engine

    if threads < 1:
        raise UsageError(f"threads is {threads}", next="1 or more")
    if requantization is not None and requantization not in ROUNDINGS:
        raise UsageError(f"unknown requantization {requantization!r}", next=f"one of {', '.join(ROUNDINGS)}")
    if not _engine.environment_cap_is_valid():
        raise UsageError(
            f"BITWRIGHT_ISA is {os.environ['BITWRIGHT_ISA']!r}", next="one of scalar, avx2, avx512vnni, amx; or unset"
        )
    program, layouts = _program_of(model)
    if requantization is not None:
        program = replace(program, rounding=requantization)
    session = Session(program, layouts=layouts, isa=_engine.usable_isa(), threads=threads)
    if strict and session.left:
        listed = "\n           ".join(f"{operator}: {reason}" for operator, reason in session.left.items())
        raise UnsupportedOpError(
            f"the engine does not run the whole model: {listed}", next="leave out strict, and they run on numpy"
        )
    return session


def _program_of(model: Any) -> tuple[Program, PortLayouts]:
    """The model in TFLite's vocabulary, and how its ports lie against the caller's arrays."""
    if isinstance(model, Program):
        verify(model)
        return model, PortLayouts()
    if is_tflite(model):
        return read_program(model), PortLayouts()
    loaded = read_model(model)
    program = loaded.to_program()
    if loaded.file_program is not None:
        return program, PortLayouts()
    return program, layouts_against(read_layouts(loaded.graph.metadata_props.get(LAYOUT)), program)
