"""Subjects: a model loaded on a runtime, for a benchmark."""

from __future__ import annotations

import time
from typing import Any

from bitwright.compiling import compile
from bitwright.errors import UsageError
from bitwright.program.program import Program
from bitwright.program.tensor import DTYPES
from bitwright.reading import is_tflite, read_model, read_program, tflite_bytes
from bitwright.report.benchmark import Subject
from bitwright.report.runners import OnnxRunner
from bitwright.runtime.face import Argument
from bitwright.runtime.litert import LiteRT

RUNTIMES = ("engine", "onnxruntime", "litert")


def load_subject(model: Any, runtime: str, threads: int) -> Subject:
    """A model on a runtime.

    Args:
        model: a Model, a Program, or what `load` takes.
        runtime: engine, onnxruntime or litert.
        threads: inside one run.

    Raises:
        UsageError: an unknown runtime, threads below 1.
        ModelError, UnsupportedOpError, MissingDependencyError: the model cannot be run there.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"unknown runtime {runtime!r}", next=f"one of {', '.join(RUNTIMES)}")
    if threads < 1:
        raise UsageError(f"threads is {threads}", next="1 or more")
    started = time.perf_counter()
    if runtime == "engine":
        session = compile(model, threads=threads)
        return Subject(
            runtime="the engine",
            inputs=session.get_inputs(),
            run=lambda feeds: session.run(None, feeds),
            load_ms=_since(started),
            arena_bytes=session.arena_bytes,
            left=session.left,
            profile=session.profile,
        )
    if runtime == "onnxruntime":
        runner = OnnxRunner(read_model(model).to_ir(), threads)
        return Subject(runner.runtime, runner.inputs, runner.run, _since(started))
    program = _program_of(model)
    session_of_litert = LiteRT(_bytes_of(model, program), program, threads=threads)
    tensors = ((port.name, program.tensors[port.tensor]) for port in program.inputs)
    ports = [Argument(name, tensor.shape, DTYPES[tensor.dtype]) for name, tensor in tensors]
    return Subject("LiteRT", ports, session_of_litert.run, _since(started))


def _since(started: float) -> float:
    return 1e3 * (time.perf_counter() - started)


def _program_of(model: Any) -> Program:
    if isinstance(model, Program):
        return model
    return read_program(model) if is_tflite(model) else read_model(model).to_program()


def _bytes_of(model: Any, program: Program) -> bytes:
    """The file itself where there is one."""
    from bitwright.formats.tflite.write import write_tflite

    if is_tflite(model):
        return bytes(tflite_bytes(model))
    return write_tflite(program, compact=True)
