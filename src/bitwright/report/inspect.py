"""Inspect a model: its face, its weights, its operators, and what is or could be quantized."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import onnx_ir as ir

from bitwright.graph.io import OPSETS_READ
from bitwright.graph.text import to_text
from bitwright.program.program import Program
from bitwright.program.text import tensor_text
from bitwright.program.text import to_text as program_text
from bitwright.quantization.plan import Plan, Role
from bitwright.report.program_sizes import sizes_of_program
from bitwright.report.quantize_report import FloatNode, counts_table, float_table
from bitwright.report.render import Section, bytes_text, cell, plain_text
from bitwright.report.sizes import Sizes, parameter_count, sizes_of

if TYPE_CHECKING:
    from rich.console import RenderableType


class InspectedModel(Protocol):
    """What inspect needs of a model."""

    @property
    def source(self) -> str | None:
        """Where it came from."""

    @property
    def graph(self) -> ir.Model:
        """Its float meaning."""

    @property
    def plan(self) -> Plan | None:
        """What was decided for it; None for a float model."""

    def to_ir(self) -> ir.Model:
        """The file's own graph."""


@dataclass(frozen=True)
class Port:
    """An input or output: its name, type and shape ("float32[N, 3, 32, 32]")."""

    name: str
    type: str


@dataclass(frozen=True)
class Inspection:
    """What a model is.

    Args:
        source: where it came from.
        inputs, outputs: the graph's face.
        format: "onnx" or "tflite".
        opsets: version by domain; "" is ONNX's own. Empty for .tflite.
        parameters: how many weights it has.
        sizes: bytes by kind.
        operators: nodes by operator, most frequent first.
        quantized: the plan the file carries; None for a float model.
        target: the runtime that `preview` is for.
        preview: what int8 would do to a float model on `target`; None for a quantized one.
        graph_text: the graph in ONNX's textual syntax; a .tflite's Program as text.
    """

    source: str | None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opsets: Mapping[str, int]
    parameters: int
    sizes: Sizes
    operators: Mapping[str, int]
    quantized: Plan | None
    target: str
    preview: Plan | None
    graph_text: str
    format: str = "onnx"

    @property
    def float_nodes(self) -> tuple[FloatNode, ...]:
        """Nodes that compute in float, or would after int8, each with its reason."""
        plan = self.quantized or self.preview
        return tuple(FloatNode(n.name, n.op, n.reason) for n in (plan.float_nodes() if plan is not None else ()))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        plan = self.quantized or self.preview
        return {
            "source": self.source,
            "inputs": [{"name": p.name, "type": p.type} for p in self.inputs],
            "outputs": [{"name": p.name, "type": p.type} for p in self.outputs],
            "format": self.format,
            "opsets": dict(self.opsets),
            "parameters": self.parameters,
            "bytes": self.sizes.to_dict(),
            "operators": dict(self.operators),
            "quantized": self.quantized is not None,
            "target": self.target,
            "nodes": None if plan is None else plan.counts(),
            "storages": None if self.quantized is None else storages(self.quantized),
            "float_nodes": [{"name": n.name, "op": n.op, "reason": n.reason} for n in self.float_nodes],
        }

    def to_json(self) -> str:
        """The inspection as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def __str__(self) -> str:
        return plain_text(self.__rich__())

    def __rich__(self) -> RenderableType:
        return self.render()

    def render(self, *, full: bool = False) -> RenderableType:
        """As Rich tables; with the graph's and the plan's text when `full`."""
        from rich.console import Group
        from rich.text import Text

        opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in self.opsets.items())
        spelled = f"opset {opsets}" if self.format == "onnx" else ".tflite"
        parts: list[RenderableType] = [
            Text(f"{self.source or 'model'}", style="bold"),
            Text(f"{self.parameters:,} parameters, {bytes_text(self.sizes.total)}, {spelled}"),
            self._face_table(),
            self._bytes_table(),
            self._operators_table(),
        ]
        parts.extend(self._quantization())
        if full:
            parts.append(Text(self.graph_text))
            plan = self.quantized or self.preview
            if plan is not None:
                parts.append(Text(plan.to_text()))
        return Group(*parts)

    def _face_table(self) -> RenderableType:
        shown = Section("inputs and outputs", ["", "name", "type"])
        for kind, ports in (("input", self.inputs), ("output", self.outputs)):
            for port in ports:
                shown.add_row(kind, cell(port.name), cell(port.type))
        return shown

    def _bytes_table(self) -> RenderableType:
        shown = Section("bytes by kind", ["kind", "bytes"], right=["bytes"])
        for kind, count in self.sizes.by_kind.items():
            if count:
                shown.add_row(kind, bytes_text(count))
        return shown

    def _operators_table(self) -> RenderableType:
        shown = Section("operators", ["operator", "nodes"], right=["nodes"])
        for op, count in self.operators.items():
            shown.add_row(cell(op), str(count))
        return shown

    def _quantization(self) -> list[RenderableType]:
        from rich.text import Text

        plan = self.quantized or self.preview
        if plan is None:
            return [Text("float: nothing is quantized")]
        if self.quantized is not None:
            held = ", ".join(f"{count} {kind}" for kind, count in storages(plan).items())
            title = f"quantized: {plan.mode} for {plan.target}; {held}"
        else:
            title = f"float; what int8 would do for {self.target}:"
        parts: list[RenderableType] = [Text(title, style="bold"), counts_table(plan.counts())]
        if self.float_nodes:
            parts.append(float_table(self.float_nodes, "stay float" if self.quantized else "would stay float"))
        return parts


def inspect(model: InspectedModel, *, target: str = "onnxruntime", file_bytes: int | None = None) -> Inspection:
    """What a model holds.

    Args:
        model: float or quantized.
        target: for a float model, the runtime to say for what int8 would leave float.
        file_bytes: bytes of the file it came from; serialized to find out when None.

    Raises:
        UsageError: the target is unknown.
    """
    graph = model.to_ir()
    operators = Counter(_operator(node) for part in graph.graphs() for node in part)
    return Inspection(
        source=model.source,
        inputs=tuple(_port(v) for v in graph.graph.inputs if v.name not in graph.graph.initializers),
        outputs=tuple(_port(v) for v in graph.graph.outputs),
        opsets=dict(sorted(graph.meta.get(OPSETS_READ, graph.opset_imports).items())),
        parameters=parameter_count(graph),
        sizes=sizes_of(graph, total=file_bytes),
        operators=dict(operators.most_common()),
        quantized=model.plan,
        target=target,
        preview=None if model.plan is not None else _preview(model.graph, target),
        graph_text=to_text(graph),
    )


def inspect_program(
    program: Program,
    *,
    source: str | None = None,
    file_bytes: int,
    graph: ir.Model | None = None,
    plan: Plan | None = None,
    target: str = "litert",
) -> Inspection:
    """What a Program holds.

    Args:
        program: of a .tflite file, or lowered.
        source: the file.
        file_bytes: its bytes.
        graph, plan: what it was raised to; without a graph nothing is said of how nodes compute.
        target: for a float model, the runtime to say for what int8 would leave float.
    """
    operators = Counter(operator.kind for operator in program.operators)
    constants = [t for t in program.tensors.values() if t.data is not None and t.dtype not in ("i64", "bool")]
    return Inspection(
        source=source,
        inputs=tuple(Port(p.name, tensor_text(program.tensors[p.tensor])) for p in program.inputs),
        outputs=tuple(Port(p.name, tensor_text(program.tensors[p.tensor])) for p in program.outputs),
        opsets={},
        parameters=sum(tensor.elements for tensor in constants if tensor.dtype != "i32" or tensor.qparams is not None),
        sizes=sizes_of_program(program, file_bytes),
        operators=dict(operators.most_common()),
        quantized=plan,
        target=target,
        preview=None if plan is not None or graph is None else _preview(graph, target),
        graph_text=program_text(program),
        format="tflite",
    )


def storages(plan: Plan) -> dict[str, int]:
    """Quantized tensors by role and storage: {"weights i8": 20, "activations u8": 31}.

    >>> from bitwright.quantization.plan import TensorPlan
    >>> storages(Plan("float16", "onnxruntime", {"w": TensorPlan("w", Role.WEIGHT, None)}))
    {'weights f16': 1}
    """
    plural = {Role.WEIGHT: "weights", Role.ACTIVATION: "activations", Role.BIAS: "biases"}
    found = Counter(f"{plural[t.role]} {t.qparams.storage if t.qparams else 'f16'}" for t in plan.tensors.values())
    return dict(found.most_common())


def _preview(graph: ir.Model, target: str) -> Plan:
    from bitwright.quantization.planner import preview
    from bitwright.transforms.pipeline import prepare

    return preview(prepare(graph), target=target)


def _operator(node: ir.Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def _port(value: ir.Value) -> Port:
    kind = "?" if value.dtype is None else value.dtype.name.lower()
    if value.shape is None:
        return Port(str(value.name), f"{kind}[?]")
    dims = (str(d) if isinstance(d, int) else str(d.value or "?") for d in value.shape)
    return Port(str(value.name), f"{kind}[{', '.join(dims)}]")
