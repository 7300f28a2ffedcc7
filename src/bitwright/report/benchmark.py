"""Benchmark: how long a model takes on one runtime, and on the engine layer by layer; as text and as JSON."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.report.render import Section, bytes_text, cell, plain_text
from bitwright.runtime.face import Argument
from bitwright.runtime.layers import Layer

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Runs before the clock counts.
WARM_UP = 5

#: Runs that the times of layers are medians of, at most: a profiled run costs two looks at the clock a step.
PROFILED_RUNS = 50


@dataclass(frozen=True)
class Subject:
    """A loaded model.

    Args:
        runtime: that runs it.
        inputs: its inputs.
        run: one run on arrays by input name.
        load_ms: what loading and compiling took.
        arena_bytes: memory of the engine's values; None on other runtimes.
        left: what the engine does not run itself, and why.
        profile: one run step by step; None on other runtimes.
    """

    runtime: str
    inputs: Sequence[Argument]
    run: Callable[[dict[str, NDArray[Any]]], object]
    load_ms: float
    arena_bytes: int | None = None
    left: Mapping[str, str] | None = None
    profile: Callable[[dict[str, NDArray[Any]]], list[Layer]] | None = None


@dataclass(frozen=True)
class Benchmark:
    """What was measured.

    Args:
        model: its name.
        runtime, threads, runs: how.
        inputs: name, type and shape of each.
        load_ms: what loading and compiling took.
        median_us, quartiles_us, least_us: of one run.
        arena_bytes, left: see Subject.
        layers: medians of each step; none unless a profile was asked.
    """

    model: str
    runtime: str
    threads: int
    runs: int
    inputs: tuple[str, ...]
    load_ms: float
    median_us: float
    quartiles_us: tuple[float, float]
    least_us: float
    arena_bytes: int | None = None
    left: Mapping[str, str] | None = None
    layers: tuple[Layer, ...] = ()

    @property
    def operations(self) -> int:
        """Multiplications and additions of all layers."""
        return sum(layer.operations for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        total = sum(layer.microseconds for layer in self.layers)
        return {
            "model": self.model,
            "runtime": self.runtime,
            "threads": self.threads,
            "runs": self.runs,
            "inputs": list(self.inputs),
            "load_ms": self.load_ms,
            "latency_us": {"median": self.median_us, "quartiles": list(self.quartiles_us), "least": self.least_us},
            "arena_bytes": self.arena_bytes,
            "left": None if self.left is None else dict(self.left),
            "layers": [
                {
                    "operator": layer.operator,
                    "name": layer.name,
                    "kernel": layer.kernel,
                    "inputs": [list(shape) for shape in layer.inputs],
                    "outputs": [list(shape) for shape in layer.outputs],
                    "operations": layer.operations,
                    "us": layer.microseconds,
                    "gops": layer.gops,
                    "share": layer.microseconds / total if total else 0.0,
                }
                for layer in self.layers
            ],
        }

    def to_json(self) -> str:
        """The benchmark as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def __str__(self) -> str:
        return plain_text(self.__rich__())

    def __rich__(self) -> RenderableType:
        from rich.console import Group

        title = f"{PurePath(self.model).name} on {self.runtime}, {self.threads} thread{'s' if self.threads > 1 else ''}"
        parts: list[RenderableType] = [self._main_table(title)]
        if self.left:
            parts.append(self._left_table())
        if self.layers:
            parts.append(self._layer_table())
        return Group(*parts)

    def _main_table(self, title: str) -> RenderableType:
        shown = Section("", [cell(title), ""])
        shown.add_row("input", cell(", ".join(self.inputs)))
        shown.add_row(f"median of {self.runs} runs", f"{self.median_us:.1f} us")
        low, high = self.quartiles_us
        shown.add_row("quartiles, least", f"{low:.1f} .. {high:.1f}, {self.least_us:.1f} us")
        shown.add_row("load and compile", f"{self.load_ms:.1f} ms")
        if self.arena_bytes is not None:
            shown.add_row("arena", bytes_text(self.arena_bytes))
        if self.left is not None and not self.left:
            shown.add_row("left to others", "nothing")
        return shown

    def _left_table(self) -> RenderableType:
        assert self.left is not None
        shown = Section(f"left to others, {len(self.left)}", ["", "why"])
        for name, reason in self.left.items():
            shown.add_row(cell(name), cell(reason))
        return shown

    def _layer_table(self) -> RenderableType:
        total = sum(layer.microseconds for layer in self.layers)
        columns = ["operator", "result", "shapes", "kernel", "us", "GOP/s", "share"]
        shown = Section(f"{len(self.layers)} steps", columns, right=["us", "GOP/s", "share"])
        for layer in self.layers:
            shown.add_row(
                layer.operator.lower(),
                cell(layer.name),
                cell(f"{_shapes(layer.inputs)} > {_shapes(layer.outputs)}") if layer.outputs else "",
                cell(layer.kernel),
                f"{layer.microseconds:.1f}",
                f"{layer.gops:.1f}" if layer.operations else "",
                f"{layer.microseconds / total:.1%}" if total else "",
            )
        gops = f"{self.operations / total / 1e3:.1f}" if total and self.operations else ""
        shown.add_row("all", "", "", "", f"{total:.1f}", gops, "100.0%")
        return shown


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    """Shapes for people: dimensions with x between, tensors with a comma.

    >>> _shapes([(1, 8, 8, 3), (4,)])
    '1x8x8x3, 4'
    """
    return ", ".join("x".join(map(str, shape)) or "scalar" for shape in shapes)


def measure(
    subject: Subject, model: str, *, threads: int, runs: int = 100, profile: bool = False, seed: int = 0
) -> Benchmark:
    """Run a model on random inputs and take the time.

    Args:
        subject: what is run.
        model: its name.
        threads: that it was loaded for.
        runs: how often it is timed.
        profile: whether layers are timed as well, in runs of their own.
        seed: of the inputs.

    Raises:
        UsageError: `runs` is not positive, or this runtime tells nothing of its layers.
        SampleError: the runtime refuses the inputs.
    """
    if runs < 1:
        raise UsageError(f"runs must be positive (got {runs})", next="give 1 or more")
    if profile and subject.profile is None:
        raise UsageError(f"{subject.runtime} tells nothing of its layers", next="profile on the engine")
    feeds = random_inputs(subject.inputs, seed)
    for _ in range(WARM_UP):
        subject.run(feeds)
    spent = []
    for _ in range(runs):
        started = time.perf_counter_ns()
        subject.run(feeds)
        spent.append((time.perf_counter_ns() - started) / 1e3)
    quartiles = statistics.quantiles(spent, n=4) if len(spent) > 1 else spent * 3
    layers = _layers(subject.profile, feeds, min(runs, PROFILED_RUNS)) if profile and subject.profile else ()
    return Benchmark(
        model=model,
        runtime=subject.runtime,
        threads=threads,
        runs=runs,
        inputs=tuple(f"{a.name} {a.dtype}{list(feeds[a.name].shape)}" for a in subject.inputs),
        load_ms=subject.load_ms,
        median_us=statistics.median(spent),
        quartiles_us=(quartiles[0], quartiles[2]),
        least_us=min(spent),
        arena_bytes=subject.arena_bytes,
        left=subject.left,
        layers=layers,
    )


def random_inputs(arguments: Sequence[Argument], seed: int) -> dict[str, NDArray[Any]]:
    """Standard-normal floats, 8-bit integers of all values, zeros for other types; a free dimension is 1."""
    rng = np.random.default_rng(seed)
    feeds: dict[str, NDArray[Any]] = {}
    for argument in arguments:
        shape, dtype = [1 if size is None else size for size in argument.shape], argument.dtype
        if dtype.kind == "f":
            feeds[argument.name] = rng.standard_normal(shape).astype(dtype)
        elif dtype in (np.int8, np.uint8):
            bounds = np.iinfo(dtype)
            feeds[argument.name] = rng.integers(bounds.min, bounds.max, shape, dtype, endpoint=True)
        else:
            feeds[argument.name] = np.zeros(shape, dtype)
    return feeds


def _layers(
    profile: Callable[[dict[str, NDArray[Any]]], list[Layer]], feeds: dict[str, NDArray[Any]], runs: int
) -> tuple[Layer, ...]:
    """Each step with the median of its times."""
    found = [profile(feeds) for _ in range(runs)]
    return tuple(
        replace(steps[0], microseconds=statistics.median(step.microseconds for step in steps))
        for steps in zip(*found, strict=True)
    )
