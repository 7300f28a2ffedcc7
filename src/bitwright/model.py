"""Model: a graph, its plan when it is quantized, and what was reported about it. The value users hold."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from bitwright.errors import UsageError
from bitwright.exporters.onnx.write import to_onnx
from bitwright.formats.suffixes import BWZ, MODEL_SUFFIXES, ONNX
from bitwright.graph.io import save_model, write_bytes
from bitwright.quantization.plan import Plan

if TYPE_CHECKING:
    import onnx

    from bitwright.program.program import Program
    from bitwright.report.quantize_report import QuantizeReport


@dataclass(frozen=True)
class Model:
    """A float model, or Graph + Plan: a quantized one.

    Args:
        graph: the model in ONNX vocabulary, in float meaning; quantized constants are held as their integers.
        plan: what was decided; None for a float model.
        source: the file it was read from.
        report: what quantizing it cost.
        input_type, output_type: what the ports of a .tflite file hold: float32, int8, uint8 or int16; None leaves
            them float32.
        file_program: the Program that a .tflite file spelled; None for a model that did not come from one.
    """

    graph: ir.Model
    plan: Plan | None = None
    source: str | None = None
    report: QuantizeReport | None = None
    input_type: str | None = None
    output_type: str | None = None
    file_program: Program | None = None

    @property
    def is_lowered(self) -> bool:
        """Whether it is at home in .tflite: read from such a file, or planned here for what runs one."""
        if self.file_program is not None or self.plan is None or self.plan.target != "litert":
            return self.file_program is not None
        return self.report is not None or self.source is None or not self.source.lower().endswith((ONNX, BWZ))

    def to_ir(self) -> ir.Model:
        """The graph as an ONNX file spells it: QDQ pairs and integer constants when quantized."""
        return self.graph if self.plan is None else to_onnx(self.graph, self.plan)

    def to_proto(self) -> onnx.ModelProto:
        """The same as an onnx.ModelProto."""
        return ir.to_proto(self.to_ir())

    def to_program(self) -> Program:
        """The model in TFLite's vocabulary: as its file spelled it, or lowered.

        Raises:
            UnsupportedOpError: nodes that have no form there: all of them, each with its reason.
        """
        return self._program

    @cached_property
    def _program(self) -> Program:
        if self.file_program is not None:
            return self.file_program
        from bitwright.lowering.lower import lower
        from bitwright.transforms.pipeline import prepare

        graph = self.graph if self.plan is not None else prepare(self.graph)
        return lower(graph, self.plan, input_type=self.input_type, output_type=self.output_type)

    def to_tflite(self) -> bytes:
        """The bytes of a .tflite file: one that was read is spelled as it was, one that is lowered as small as can be.

        Raises:
            UnsupportedOpError: as `to_program`.
        """
        return self._tflite

    @cached_property
    def _tflite(self) -> bytes:
        from bitwright.formats.tflite.write import write_tflite

        return write_tflite(self.to_program(), compact=self.file_program is None)

    def with_report(self, report: QuantizeReport) -> Model:
        """The same model with a report; what was lowered and written is not lowered and written again."""
        told = replace(self, report=report)
        told.__dict__.update({name: made for name, made in self.__dict__.items() if name in ("_program", "_tflite")})
        return told

    def with_ports(self, input_type: str | None, output_type: str | None) -> Model:
        """The same model with other types of ports in its .tflite file: those that are not given stay as they are.

        Raises:
            UsageError: a model that is not quantized has float ports.
        """
        if input_type is None and output_type is None:
            return self
        if self.plan is None and {input_type, output_type} - {None, "float32"}:
            raise UsageError(
                "a float model has no integer ports", where=self.source, next="quantize it: `bitwright quantize`"
            )
        return replace(
            self,
            input_type=input_type or self.input_type,
            output_type=output_type or self.output_type,
            file_program=None,
        )

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write the model, whole or not at all; the suffix chooses the format: .onnx or .tflite.

        Returns:
            The files written.

        Raises:
            UsageError: a suffix that is not written.
            UnsupportedOpError: nodes that have no form in the format.
            OutputError: the folder is not writable, the disk is full.
        """
        if check_suffix(path) == ONNX:
            return save_model(self.to_ir(), path)
        write_bytes(self.to_tflite(), path)
        return [Path(path)]


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of an output, in small letters.

    Raises:
        UsageError: a suffix that names no format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in MODEL_SUFFIXES:
        raise UsageError(
            f"{suffix or 'a file without a suffix'} is not written",
            where=str(path),
            next=f"name it {' or '.join(MODEL_SUFFIXES)}",
        )
    return suffix
