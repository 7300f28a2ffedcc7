"""QuantizeReport: what quantizing did, what stayed float and why, and which tensors lost most."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.constants import array_of
from bitwright.graph.execution import Execution
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import fake_quantize
from bitwright.quantization.plan import Plan, Role, TensorPlan
from bitwright.report.intermediates import groups
from bitwright.report.render import Section, bytes_text, cell, db_text, json_number, plain_text
from bitwright.report.sizes import Sizes, sizes_of
from bitwright.report.sqnr import SqnrSum

if TYPE_CHECKING:
    from rich.console import RenderableType

#: How many tensors are listed as the worst.
WORST = 10

#: Above this share of values outside the quantized range a tensor is said to be saturated.
SATURATED = 0.01

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class FloatNode:
    """A node that stayed float, and why."""

    name: str
    op: str
    reason: str


@dataclass(frozen=True)
class TensorSqnr:
    """What one tensor lost: SQNR of its quantized form against its float form, in dB."""

    name: str
    role: str
    qparams: str
    sqnr_db: float


@dataclass(frozen=True)
class QuantizeReport:
    """What quantizing a model did and what it cost.

    Args:
        source: where the model came from, None for one in memory.
        mode, target, method: as asked; method is None when nothing was calibrated.
        samples: how many samples calibration saw.
        before, after: bytes by kind.
        counts: nodes by how they compute.
        float_nodes: every node that computes in float, with its reason.
        worst_tensors: the ten lowest SQNR.
        warnings: sentences, each with a tensor's or node's name.
        seconds: wall time of the whole call.
    """

    source: str | None
    mode: str
    target: str
    method: str | None
    samples: int
    before: Sizes
    after: Sizes
    counts: Mapping[str, int]
    float_nodes: tuple[FloatNode, ...]
    worst_tensors: tuple[TensorSqnr, ...]
    warnings: tuple[str, ...]
    seconds: float

    @property
    def ratio(self) -> float:
        """Bytes after over bytes before."""
        return self.after.total / max(self.before.total, 1)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return {
            "source": self.source,
            "mode": self.mode,
            "target": self.target,
            "method": self.method,
            "samples": self.samples,
            "bytes": {"before": self.before.to_dict(), "after": self.after.to_dict(), "ratio": round(self.ratio, 4)},
            "nodes": dict(self.counts),
            "float_nodes": [{"name": n.name, "op": n.op, "reason": n.reason} for n in self.float_nodes],
            "worst_tensors": [
                {"name": t.name, "role": t.role, "qparams": t.qparams, "sqnr_db": json_number(t.sqnr_db)}
                for t in self.worst_tensors
            ],
            "warnings": list(self.warnings),
            "seconds": round(self.seconds, 3),
        }

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def __str__(self) -> str:
        return plain_text(self.__rich__())

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        how = f", calibrated by {self.method} on {self.samples} samples" if self.method and self.samples else ""
        parts: list[RenderableType] = [
            Text(f"{self.source or 'model'}: {self.mode} for {self.target}{how}", style="bold"),
            Text(
                f"{bytes_text(self.before.total)} -> {bytes_text(self.after.total)} "
                f"({self.ratio:.3f}x), {self.seconds:.1f} s"
            ),
            _sizes_table(self.before, self.after),
            counts_table(self.counts),
        ]
        if self.float_nodes:
            parts.append(float_table(self.float_nodes))
        if self.worst_tensors:
            parts.append(_worst_table(self.worst_tensors))
        parts.extend(Text(f"warning: {line}", style="yellow") for line in self.warnings)
        return Group(*parts)


def make_quantize_report(
    before: ir.Model,
    after: ir.Model,
    plan: Plan,
    *,
    after_sizes: Sizes,
    source: str | None = None,
    source_bytes: int | None = None,
    method: str | None = None,
    samples: int = 0,
    feeds: Feeds | Sequence[Feeds] | None = None,
    warnings: Iterable[str] = (),
    seconds: float = 0.0,
) -> QuantizeReport:
    """Measure what a plan did to a graph.

    Args:
        before: the prepared float graph.
        after: the same graph after apply_plan: its initializers are QuantizedTensor.
        plan: what was decided.
        after_sizes: bytes of the file that the plan makes, by kind.
        source: as in QuantizeReport.
        source_bytes: bytes of the file that was read; the prepared graph is serialized to find out when None.
        method: as in QuantizeReport.
        samples: how many samples calibration saw.
        feeds: one or a few samples; without them activations are not measured.
        warnings: sentences that other rooms have to say, put first.
        seconds: wall time of the whole call.

    Raises:
        ModelError: ONNX Runtime cannot run the float graph on the feeds.
    """
    runs: list[Feeds] = [] if feeds is None else [feeds] if isinstance(feeds, Mapping) else list(feeds)
    found = list(dict.fromkeys(warnings))
    errors = [*_weight_errors(before, after, plan), *_activation_errors(before, plan, runs, found)]
    errors = sorted((e for e in errors if not math.isnan(e.sqnr_db)), key=lambda e: e.sqnr_db)
    return QuantizeReport(
        source=source,
        mode=plan.mode,
        target=plan.target,
        method=method,
        samples=samples,
        before=sizes_of(before, total=source_bytes),
        after=after_sizes,
        counts=plan.counts(),
        float_nodes=tuple(FloatNode(n.name, n.op, n.reason) for n in plan.float_nodes()),
        worst_tensors=tuple(errors[:WORST]),
        warnings=tuple(found),
        seconds=seconds,
    )


def qparams_text(qparams: QuantParams | None) -> str:
    """The parameters in short: "i8 per-channel", "float16"."""
    return "float16" if qparams is None else f"{qparams.storage} {qparams.granularity}"


def _weight_errors(before: ir.Model, after: ir.Model, plan: Plan) -> Iterable[TensorSqnr]:
    old, new = _values(before), _values(after)
    for tensor in plan.tensors.values():
        if tensor.role is not Role.WEIGHT:
            continue
        reference, test = array_of(old.get(tensor.name)), array_of(new.get(tensor.name))
        if reference is None or test is None or reference.shape != test.shape:
            continue
        yield _error(tensor, SqnrSum(), reference, test)


def _activation_errors(
    before: ir.Model, plan: Plan, runs: Sequence[Feeds], warnings: list[str]
) -> Iterable[TensorSqnr]:
    """SQNR of each planned activation over the samples; appends what is odd about it to `warnings`."""
    known = _values(before)
    planned = {
        t.name: t
        for t in plan.tensors.values()
        if t.role is Role.ACTIVATION and t.qparams is not None and t.name in known and array_of(known[t.name]) is None
    }
    if not runs or not planned:
        return
    execution = Execution(before, list(planned))
    batch = max((a.shape[0] for a in runs[0].values() if a.ndim), default=1)
    for names in groups(before, planned, batch=batch):
        watched = {name: _Watched(planned[name]) for name in names}
        for feeds in runs:
            arrays = execution.run(feeds, names)
            for name in names:
                watched[name].add(arrays.pop(name))
        for one in watched.values():
            warnings.extend(one.warnings())
            yield TensorSqnr(one.tensor.name, str(one.tensor.role), qparams_text(one.qparams), one.sum.db)


class _Watched:
    """One activation: its error, its range, and how many values its quantized range cuts off."""

    def __init__(self, tensor: TensorPlan) -> None:
        assert tensor.qparams is not None
        self.tensor, self.qparams, self.sum = tensor, tensor.qparams, SqnrSum()
        q = self.qparams
        # Half a step beyond the last integer still rounds to it.
        self.low = (q.qmin - q.zero_point - 0.5) * q.scale.astype(np.float64)
        self.high = (q.qmax - q.zero_point + 0.5) * q.scale.astype(np.float64)
        self.minimum, self.maximum, self.cut, self.size, self.nonfinite = math.inf, -math.inf, 0, 0, 0

    def add(self, array: NDArray[Any]) -> None:
        if not array.size or not np.issubdtype(array.dtype, np.floating):
            return
        finite = np.isfinite(array)
        if not finite.all():
            self.nonfinite += int(array.size - np.count_nonzero(finite))
            array = array[finite] if self.qparams.granularity == "per-tensor" else np.where(finite, array, 0)
            if not array.size:
                return
        self.sum.add(array, fake_quantize(array, self.qparams))
        self.size += array.size
        self.minimum = min(self.minimum, float(array.min()))
        self.maximum = max(self.maximum, float(array.max()))
        if self.qparams.granularity == "per-tensor":
            self.cut += int(np.count_nonzero((array < self.low[0]) | (array > self.high[0])))

    def warnings(self) -> Iterable[str]:
        name = self.tensor.name
        if self.nonfinite:
            yield f"activation {name!r} holds {self.nonfinite} values that are NaN or Inf on the samples measured"
        if self.size > 1 and self.minimum == self.maximum:
            yield f"activation {name!r} is constant ({self.minimum:.6g}) on the samples that were measured"
        elif self.cut > SATURATED * self.size:
            yield (
                f"activation {name!r} is saturated: {100 * self.cut / self.size:.1f} % of its values lie outside "
                f"the quantized range [{self.low[0]:.4g}, {self.high[0]:.4g}]"
            )


def _error(tensor: TensorPlan, total: SqnrSum, reference: NDArray[Any], test: NDArray[Any]) -> TensorSqnr:
    total.add(reference, test)
    return TensorSqnr(tensor.name, str(tensor.role), qparams_text(tensor.qparams), total.db)


def _values(model: ir.Model) -> dict[str, ir.Value]:
    """Values of the main graph by name."""
    found = {str(value.name): value for value in model.graph.inputs}
    found |= {str(name): value for name, value in model.graph.initializers.items()}
    found |= {str(value.name): value for node in model.graph for value in node.outputs if value.name}
    return found


def _sizes_table(before: Sizes, after: Sizes) -> RenderableType:
    shown = Section("bytes by kind", ["kind", "before", "after"], right=["before", "after"])
    for kind in dict.fromkeys([*before.by_kind, *after.by_kind]):
        left, right = before.by_kind.get(kind, 0), after.by_kind.get(kind, 0)
        if left or right:
            shown.add_row(kind, bytes_text(left) if left else "", bytes_text(right) if right else "")
    return shown


def counts_table(counts: Mapping[str, int]) -> RenderableType:
    """Nodes by how they compute."""
    shown = Section("nodes by how they compute", ["computes", "nodes"], right=["nodes"])
    for kind, count in counts.items():
        shown.add_row(kind, str(count))
    return shown


def float_table(nodes: Sequence[FloatNode], title: str = "stayed float") -> RenderableType:
    """Float nodes, those with the same reason on one line."""
    shown = Section(title, ["nodes", "operators", "why", "names"], right=["nodes"])
    by_reason: dict[str, list[FloatNode]] = {}
    for node in nodes:
        by_reason.setdefault(node.reason, []).append(node)
    for reason, group in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        operators = ", ".join(dict.fromkeys(node.op for node in group))
        names = ", ".join(node.name for node in group[:3]) + (f" and {len(group) - 3} more" if len(group) > 3 else "")
        shown.add_row(str(len(group)), operators, cell(reason or "no reason given"), cell(names))
    return shown


def _worst_table(errors: Sequence[TensorSqnr]) -> RenderableType:
    shown = Section("worst tensors", ["tensor", "role", "stored", "SQNR"], right=["SQNR"])
    for error in errors:
        shown.add_row(cell(error.name), error.role, error.qparams, db_text(error.sqnr_db))
    return shown
