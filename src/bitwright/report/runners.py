"""Runners: a model on the runtime it is for: ONNX Runtime, LiteRT, or the numpy references where LiteRT is missing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.execution import EXTERNAL_BYTES, open_session
from bitwright.graph.io import write_model
from bitwright.lowering.layout import LAYOUT, Permutation, PortLayouts, layouts_against, layouts_of, read_layouts
from bitwright.program.program import Port as ProgramPort
from bitwright.program.program import Program
from bitwright.report.faces import Face, Port
from bitwright.runtime.litert import LiteRT, cannot_run, has_litert
from bitwright.runtime.ports import caller_shape, run_rows

if TYPE_CHECKING:
    from bitwright.program.reference import Reference

Arrays = dict[str, NDArray[Any]]


class RunnableModel(Protocol):
    """What running a model needs of it."""

    @property
    def is_lowered(self) -> bool:
        """Whether it is at home in .tflite."""

    @property
    def graph(self) -> ir.Model:
        """Its float meaning."""

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


class OnnxRunner:
    """The file's own graph on ONNX Runtime."""

    runtime = "ONNX Runtime"

    def __init__(self, graph: ir.Model, threads: int) -> None:
        inputs = [v for v in graph.graph.inputs if v.name not in graph.graph.initializers]
        known = read_layouts(graph.metadata_props.get(LAYOUT))
        self.face = Face(
            tuple(_port(value, known.inputs) for value in inputs),
            tuple(_port(value, known.outputs) for value in graph.graph.outputs),
        )
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
    """A lowered model on LiteRT, or on the numpy references; floats in and out, rows one by one."""

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
        session: LiteRT | Reference
        if has_litert():
            self.runtime, session = "LiteRT", LiteRT(model.to_tflite(), program, threads=threads)
        else:
            from bitwright.program.reference import Reference

            self.runtime, session = "numpy reference", Reference(program)
        self._session = session

    def _shown_shape(self, port: ProgramPort) -> tuple[int, ...]:
        return caller_shape(self.program, port, PortLayouts(self._layouts.outputs))

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """As Runner."""
        return run_rows(self.program, self._session.run, feeds, layouts=self._layouts, as_floats=True)


def _free_rows(shape: tuple[int, ...]) -> tuple[int | None, ...]:
    """A first dimension of 1 takes any number of rows."""
    return (None, *shape[1:]) if shape[:1] == (1,) else shape


def _port(value: ir.Value, known: Mapping[str, Permutation]) -> Port:
    shape = None if value.shape is None else tuple(d if isinstance(d, int) else None for d in value.shape)
    return Port(str(value.name), shape, known.get(str(value.name)))
