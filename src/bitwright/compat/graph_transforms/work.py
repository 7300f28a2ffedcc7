"""What the steps of a list of transforms work on, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import onnx_ir as ir

from bitwright.exporters.onnx.read import from_onnx
from bitwright.graph.constants import held_as_floats
from bitwright.model import Model
from bitwright.quantization.plan import Compute, Role


@dataclass
class Work:
    """The model as the last step left it, and what steps tell later ones.

    Args:
        model: float, or quantized with its plan.
        inputs, outputs: the values that matter.
        target: the runtime that the model is for; None is that of the file it came from.
        calibration: samples that `quantize_nodes` takes ranges from.
        preprocess: of samples that are files.
        ranges: (lowest, highest) by name of a value, of `freeze_requantization_ranges`.
    """

    model: Model
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    target: str | None = None
    calibration: Any = None
    preprocess: str | None = None
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def runtime(self) -> str:
        """The target's name."""
        return self.target or ("litert" if self.model.file_program is not None else "onnxruntime")

    @property
    def is_integer(self) -> bool:
        """Whether any activation has parameters."""
        plan = self.model.plan
        return plan is not None and any(tensor.role is Role.ACTIVATION for tensor in plan.tensors.values())

    @property
    def is_dynamic(self) -> bool:
        """Whether any node quantizes its activations as they arrive."""
        plan = self.model.plan
        return plan is not None and any(node.compute is Compute.DYNAMIC for node in plan.nodes.values())

    def floats(self) -> Model:
        """The model with the floats that its integers stand for: parameters are chosen anew, the same ones."""
        return replace(self.model, graph=held_as_floats(self.model.graph), plan=None, report=None)

    def take(self, graph: ir.Model) -> None:
        """Go on with a graph as a file spells it."""
        plan = self.model.plan
        if plan is not None or any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in graph.graph):
            graph, plan = from_onnx(ir.from_proto(ir.to_proto(graph)))  # as in a file, constants have their types
        self.model = replace(self.model, graph=graph, plan=plan, report=None, file_program=None)


def counted(work: Work) -> tuple[str, Sequence[str]]:
    """How the nodes compute, in words, and why some stay float."""
    plan = work.model.plan
    if plan is None:
        return "nothing quantized", ()
    done = ", ".join(f"{count} {kind}" for kind, count in plan.counts().items())
    return f"nodes: {done}", [f"{node.op}: {node.reason}" for node in plan.float_nodes() if node.reason]
