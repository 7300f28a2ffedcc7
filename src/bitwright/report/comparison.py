"""Comparison: what comparing two models found, as a value, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bitwright.report.render import Section, bytes_text, cell, db_text, json_number, plain_text

if TYPE_CHECKING:
    from rich.console import RenderableType

#: How many layers the text form shows, the worst ones, unless it is asked for all.
LAYERS_SHOWN = 20


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one run at batch 1."""

    median_ms: float
    min_ms: float
    max_ms: float


@dataclass(frozen=True)
class Side:
    """One of the two models: bytes of its file, share of right answers (None without labels), latency, and on what."""

    name: str
    bytes: int
    accuracy: float | None
    latency: Latency
    runtime: str = "ONNX Runtime"

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "bytes": self.bytes,
            "accuracy": self.accuracy,
            "runtime": self.runtime,
            "latency_ms": {
                "median": self.latency.median_ms,
                "min": self.latency.min_ms,
                "max": self.latency.max_ms,
            },
        }


@dataclass(frozen=True)
class OutputSqnr:
    """SQNR of one output of b against that of a, over all samples."""

    name: str
    sqnr_db: float


@dataclass(frozen=True)
class LayerSqnr:
    """SQNR of one value inside the network: all the error that has come together up to there."""

    name: str
    op: str
    sqnr_db: float


@dataclass(frozen=True)
class Comparison:
    """Model b against model a.

    Args:
        a, b: the reference and the model that is compared with it.
        samples: how many samples were given; 0 when random inputs were used.
        agreement: share of samples where both put the same class first; None when no output holds scores.
        outputs: error of each output.
        layers: error of each value that both networks have, in graph order.
        runs, threads: how latency was measured.
    """

    a: Side
    b: Side
    samples: int
    agreement: float | None
    outputs: tuple[OutputSqnr, ...]
    layers: tuple[LayerSqnr, ...]
    runs: int
    threads: int

    @property
    def ratio(self) -> float:
        """Bytes of b over bytes of a."""
        return self.b.bytes / max(self.a.bytes, 1)

    @property
    def speedup(self) -> float:
        """Median latency of a over that of b."""
        return self.a.latency.median_ms / max(self.b.latency.median_ms, 1e-9)

    @property
    def accuracy_drop(self) -> float | None:
        """Accuracy of a less that of b, in points (hundredths); None without labels."""
        if self.a.accuracy is None or self.b.accuracy is None:
            return None
        return 100.0 * (self.a.accuracy - self.b.accuracy)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON; layers in graph order, all of them."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "bytes_ratio": self.ratio,
            "samples": self.samples,
            "accuracy_drop_points": self.accuracy_drop,
            "agreement": self.agreement,
            "outputs": [{"name": o.name, "sqnr_db": json_number(o.sqnr_db)} for o in self.outputs],
            "latency": {"speedup": self.speedup, "runs": self.runs, "threads": self.threads, "batch": 1},
            "layers": [{"name": v.name, "op": v.op, "sqnr_db": json_number(v.sqnr_db)} for v in self.layers],
        }

    def to_json(self) -> str:
        """The comparison as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def __str__(self) -> str:
        return plain_text(self.__rich__())

    def __rich__(self) -> RenderableType:
        return self.render()

    def render(self, *, full: bool = False) -> RenderableType:
        """As Rich tables; every layer when `full`."""
        from rich.console import Group
        from rich.text import Text

        on = f"{self.samples} samples" if self.samples else "random inputs"
        return Group(
            Text(f"{self.b.name} against {self.a.name}, on {on}", style="bold"),
            self._main_table(),
            self._layer_table(full=full),
        )

    def _main_table(self) -> RenderableType:
        names = [PurePath(side.name).name for side in (self.a, self.b)]
        if names[0] == names[1]:
            names = [self.a.name, self.b.name]
        shown = Section("", ["", *map(cell, names), "b to a"], right=["b to a"])
        shown.add_row("size", bytes_text(self.a.bytes), bytes_text(self.b.bytes), f"{self.ratio:.3f}x")
        if self.a.accuracy is not None and self.b.accuracy is not None:
            shown.add_row(
                "accuracy (top-1)",
                f"{100 * self.a.accuracy:.2f} %",
                f"{100 * self.b.accuracy:.2f} %",
                f"{100 * (self.b.accuracy - self.a.accuracy):+.2f} points",
            )
        if self.agreement is not None:
            shown.add_row("top-1 agreement", "", "", f"{100 * self.agreement:.2f} %")
        for output in self.outputs:
            shown.add_row(cell(f"output {output.name}"), "", "", db_text(output.sqnr_db))
        if self.a.runtime != self.b.runtime or self.a.runtime != "ONNX Runtime":
            shown.add_row("runs on", self.a.runtime, self.b.runtime, "")
        left, right = self.a.latency, self.b.latency
        shown.add_row(
            f"latency, {self.threads} thread{'s' if self.threads > 1 else ''}, batch 1",
            f"{left.median_ms:.3f} ms",
            f"{right.median_ms:.3f} ms",
            f"{self.speedup:.2f}x faster" if self.speedup >= 1 else f"{1 / self.speedup:.2f}x slower",
        )
        shown.add_row(
            f"  least .. most of {self.runs} runs in turns",
            f"{left.min_ms:.3f} .. {left.max_ms:.3f}",
            f"{right.min_ms:.3f} .. {right.max_ms:.3f}",
            "",
        )
        return shown

    def _layer_table(self, *, full: bool) -> RenderableType:
        kept = self.layers
        title = f"error layer by layer, {len(kept)} values in graph order"
        if not full and len(kept) > LAYERS_SHOWN:
            worst = {id(v) for v in sorted(kept, key=lambda v: v.sqnr_db)[:LAYERS_SHOWN]}
            title = f"error layer by layer, the {LAYERS_SHOWN} worst of {len(kept)} values in graph order"
            kept = tuple(v for v in kept if id(v) in worst)
        shown = Section(title, ["value", "operator", "SQNR"], right=["SQNR"])
        for layer in kept:
            shown.add_row(cell(layer.name), layer.op, db_text(layer.sqnr_db))
        return shown
