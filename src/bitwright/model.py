"""Model: a graph, its plan when it is quantized, and what was reported about it. The value users hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from bitwright.errors import UsageError
from bitwright.exporters.onnx.write import to_onnx
from bitwright.graph.io import save_model
from bitwright.quantization.plan import Plan

if TYPE_CHECKING:
    import onnx

    from bitwright.report.quantize_report import QuantizeReport


@dataclass(frozen=True)
class Model:
    """A float model, or Graph + Plan: a quantized one.

    Args:
        graph: the model in ONNX vocabulary, in float meaning; quantized constants are held as their integers.
        plan: what was decided; None for a float model.
        source: the file it was read from.
        report: what quantizing it cost.
    """

    graph: ir.Model
    plan: Plan | None = None
    source: str | None = None
    report: QuantizeReport | None = None

    def to_ir(self) -> ir.Model:
        """The graph as a file spells it: QDQ pairs and integer constants when quantized."""
        return self.graph if self.plan is None else to_onnx(self.graph, self.plan)

    def to_proto(self) -> onnx.ModelProto:
        """The same as an onnx.ModelProto."""
        return ir.to_proto(self.to_ir())

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write the model, whole or not at all; the suffix chooses the format.

        Returns:
            The files written.

        Raises:
            UsageError: a suffix that is not written.
            OutputError: the folder is not writable, the disk is full.
        """
        check_suffix(path)
        return save_model(self.to_ir(), path)


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Refuse an output whose suffix names no format.

    Raises:
        UsageError: a suffix that is not written.
    """
    suffix = Path(path).suffix.lower()
    if suffix != ".onnx":
        raise UsageError(f"{suffix or 'a file without a suffix'} is not written", where=str(path), next="name it .onnx")
