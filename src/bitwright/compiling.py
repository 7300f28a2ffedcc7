"""Compiling: a model -> a session of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from bitwright.errors import ModelError, UnsupportedOpError, UsageError
from bitwright.numerics.requantize import Rounding
from bitwright.program.program import Program
from bitwright.reading import is_tflite, read_model, read_program
from bitwright.runtime.machine import usable_isa

if TYPE_CHECKING:
    from bitwright.model import Model
    from bitwright.runtime.face import Runnable

ROUNDINGS: tuple[str, ...] = get_args(Rounding)


def compile(
    model: Any,
    *,
    threads: int = 1,
    requantization: Rounding | None = "fp32_even",
    strict: bool = False,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Runnable:
    """A session that runs a model with integer kernels.

    A graph that does not lower whole is cut: the parts that do run on the engine, the others in ONNX Runtime. A model
    with free dimensions is compiled for each of the input shapes that it is given, and a few of them are kept.

    Args:
        model: a path (.tflite, .onnx, ...), a Model, a Program, or what `load` takes. A .tflite file is mapped, not
            copied: while the session is there, the file may be replaced but not be written into.
        threads: that divide each layer, the caller's own counted.
        requantization: how sums become integers: "fp32_even" (float32, ties to even: what LiteRT's default kernels for
            x86 do, and fastest), "tflite_double" (LiteRT's reference kernels), "tflite_single" (kernels of
            microcontrollers); None: as the model says.
        strict: refuse a model that the engine does not run whole.
        input_shapes: of inputs with free dimensions, by name: what is compiled first; 1 for each such dimension
            otherwise.

    Returns:
        A session: `run(None, {name: array})`, `session(array)`; `left` tells what the engine does not run itself.

    Raises:
        UsageError: threads below 1, an unknown requantization or instruction set, a shape that does not fit.
        UnsupportedOpError: with strict, what the engine does not run: all of it.
        ModelError: the model cannot be read, it does not fit into memory, or ONNX Runtime refuses a part of it.
    """
    if threads < 1:
        raise UsageError(f"threads is {threads}", next="1 or more")
    if requantization is not None and requantization not in ROUNDINGS:
        raise UsageError(f"unknown requantization {requantization!r}", next=f"one of {', '.join(ROUNDINGS)}")
    try:
        session = _session(model, requantization, threads, input_shapes)
    except MemoryError as error:
        raise ModelError("the model does not fit into memory", next="compile it for smaller inputs") from error
    if strict and session.left:
        listed = "\n           ".join(f"{operator}: {reason}" for operator, reason in session.left.items())
        raise UnsupportedOpError(
            f"the engine does not run the whole model: {listed}", next="leave out strict, and other kernels run them"
        )
    return session


def _session(
    model: Any, requantization: Rounding | None, threads: int, input_shapes: Mapping[str, Sequence[int]] | None
) -> Runnable:
    from bitwright.runtime.session import Session

    isa = usable_isa()
    if isinstance(model, Program) or is_tflite(model):
        if input_shapes:
            raise UsageError("the shapes of a .tflite are its own", next="leave input_shapes out")
        return Session(_program_of(model, requantization), isa=isa, threads=threads)
    loaded = read_model(model)
    if loaded.file_program is not None:
        return Session(_rounded(loaded.file_program, requantization), isa=isa, threads=threads)
    return _graph_session(loaded, requantization or "tflite_double", isa, threads, input_shapes)


def _graph_session(
    loaded: Model, rounding: Rounding, isa: str, threads: int, input_shapes: Mapping[str, Sequence[int]] | None
) -> Runnable:
    from bitwright.runtime.graphs import graph_session

    return graph_session(
        loaded.graph,
        loaded.plan,
        input_type=loaded.input_type,
        output_type=loaded.output_type,
        rounding=rounding,
        isa=isa,
        threads=threads,
        input_shapes=input_shapes,
    )


def _program_of(model: Any, rounding: Rounding | None) -> Program:
    """A Program, or that of a .tflite file, in a rounding where the model does not say one."""
    if isinstance(model, Program):
        from bitwright.program.verify import verify

        verify(model)
        return _rounded(model, rounding)
    return read_program(model, mapped=True, rounding=rounding or "tflite_double")


def _rounded(program: Program, rounding: Rounding | None) -> Program:
    return program if rounding in (None, program.rounding) else replace(program, rounding=rounding)
