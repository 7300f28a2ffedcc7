"""Runners: a quantized model on the engine where it runs it whole; else a model on the runtime that it is for.

That is ONNX Runtime, or LiteRT, or the numpy references where LiteRT is missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.execution import EXTERNAL_BYTES, open_session
from bitwright.graph.io import write_model
from bitwright.lowering.layout import LAYOUT, Permutation, PortLayouts, layouts_against, layouts_of, read_layouts
from bitwright.program.program import Port as ProgramPort
from bitwright.program.program import Program
from bitwright.quantization.plan import Compute, Plan
from bitwright.report.faces import Face, Port
from bitwright.runtime.face import Argument, Runnable
from bitwright.runtime.litert import LiteRT, cannot_run, has_litert
from bitwright.runtime.machine import usable_isa
from bitwright.runtime.ports import Run, caller_shape, run_rows

Arrays = dict[str, NDArray[Any]]

#: How the engine is called in reports, and how it rounds there: as LiteRT's default kernels for x86 do.
ENGINE = "engine"
ROUNDING: Final = "fp32_even"


class RunnableModel(Protocol):
    """What running a model needs of it."""

    @property
    def is_lowered(self) -> bool:
        """Whether it is at home in .tflite."""

    @property
    def graph(self) -> ir.Model:
        """Its float meaning."""

    @property
    def plan(self) -> Plan | None:
        """What was decided; None for a float model."""

    @property
    def file_program(self) -> Program | None:
        """The Program its file spelled."""

    def to_program(self) -> Program:
        """The model in TFLite's vocabulary."""

    def to_tflite(self) -> bytes:
        """The bytes of its .tflite file."""


class Runner(Protocol):
    """A session over a model."""

    runtime: str
    face: Face

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Outputs by name, for inputs by name.

        Raises:
            SampleError: the runtime refuses the inputs.
        """


def face_of(graph: ir.Model) -> Face:
    """The ports of a graph."""
    inputs = [v for v in graph.graph.inputs if v.name not in graph.graph.initializers]
    known = read_layouts(graph.metadata_props.get(LAYOUT))
    return Face(
        tuple(_port(value, known.inputs) for value in inputs),
        tuple(_port(value, known.outputs) for value in graph.graph.outputs),
    )


class EngineRunner:
    """A quantized graph on the engine, with ONNX Runtime for what does not lower."""

    def __init__(self, session: Runnable, face: Face) -> None:
        self._session, self.face = session, face
        self.runtime = f"{ENGINE}, ONNX Runtime" if session.left else ENGINE
        self._names = [argument.name for argument in session.get_outputs()]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """As Runner."""
        return dict(zip(self._names, self._session.run(None, feeds), strict=True))


def graph_runner(model: RunnableModel, graph: ir.Model, threads: int) -> EngineRunner | OnnxRunner:
    """The engine for a quantized graph that it runs, whole or in part; ONNX Runtime for all others.

    Args:
        model: what is run.
        graph: its file's own.
        threads: inside one run.
    """
    if model.plan is not None and Compute.INTEGER in (node.compute for node in model.plan.nodes.values()):
        from bitwright.runtime.graphs import graph_session

        session = graph_session(model.graph, model.plan, rounding=ROUNDING, isa=usable_isa(), threads=threads)
        if not session.left or session.arena_bytes:
            return EngineRunner(session, face_of(graph))
    return OnnxRunner(graph, threads)


class OnnxRunner:
    """The file's own graph on ONNX Runtime."""

    runtime = "ONNX Runtime"

    def __init__(self, graph: ir.Model, threads: int) -> None:
        self.face = face_of(graph)
        kinds = {value.name: (value.dtype or ir.DataType.FLOAT).numpy() for value in graph.graph.inputs}
        self.inputs = [Argument(p.name, p.shape or (), np.dtype(kinds[p.name])) for p in self.face.inputs]
        self._names = [port.name for port in self.face.outputs]
        with tempfile.TemporaryDirectory(prefix="bitwright-") as folder:
            path = Path(folder, "model.onnx")
            write_model(graph, path, external_threshold=EXTERNAL_BYTES)
            self._session = open_session(path, threads=threads)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """As Runner."""
        try:
            return dict(zip(self._names, self._session.run(self._names, dict(feeds)), strict=True))
        except Exception as error:  # ONNX Runtime raises bare RuntimeError subclasses of its own
            raise cannot_run("ONNX Runtime", error) from error


class ProgramRunner:
    """A lowered model on the engine, on LiteRT, or on the numpy references; floats in and out, rows one by one."""

    def __init__(self, model: RunnableModel, threads: int) -> None:
        program = model.to_program()
        self.program = program
        told = layouts_of(program)
        # A model that was not read from a .tflite shows the graph's face, such a file its own.
        known = told if model.file_program is not None else read_layouts(model.graph.metadata_props.get(LAYOUT))
        self._layouts = layouts_against(known, program)
        self.face = Face(
            tuple(
                Port(p.name, _free_rows(caller_shape(program, p, self._layouts)), known.inputs.get(p.name))
                for p in program.inputs
            ),
            tuple(Port(p.name, _free_rows(self._shown_shape(p)), known.outputs.get(p.name)) for p in program.outputs),
            by_place=True,
        )
        self.runtime, self._run = _program_run(model, program, threads)

    def _shown_shape(self, port: ProgramPort) -> tuple[int, ...]:
        return caller_shape(self.program, port, PortLayouts(self._layouts.outputs))

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """As Runner."""
        return run_rows(self.program, self._run, feeds, layouts=self._layouts, as_floats=True)


def _program_run(model: RunnableModel, program: Program, threads: int) -> tuple[str, Run]:
    """What runs a Program, and its name."""
    if program.is_quantized:
        from bitwright.runtime.session import Session

        session = Session(replace(program, rounding=ROUNDING), isa=usable_isa(), threads=threads)
        if not session.left:
            return ENGINE, session.run_ports
    if has_litert():
        return "LiteRT", LiteRT(model.to_tflite(), program, threads=threads).run
    from bitwright.program.reference import Reference

    return "numpy reference", Reference(program).run


def _free_rows(shape: tuple[int, ...]) -> tuple[int | None, ...]:
    """A first dimension of 1 takes any number of rows."""
    return (None, *shape[1:]) if shape[:1] == (1,) else shape


def _port(value: ir.Value, known: Mapping[str, Permutation]) -> Port:
    shape = None if value.shape is None else tuple(d if isinstance(d, int) else None for d in value.shape)
    return Port(str(value.name), shape, known.get(str(value.name)))
