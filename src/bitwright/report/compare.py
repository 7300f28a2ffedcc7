"""Compare two models: size, accuracy or agreement, latency on ONNX Runtime, and error layer by layer."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import ModelError, SampleError, UsageError
from bitwright.graph.execution import EXTERNAL_BYTES, Execution, open_session, random_feeds
from bitwright.graph.io import write_model
from bitwright.report.comparison import Comparison, Latency, LayerSqnr, OutputSqnr, Side
from bitwright.report.intermediates import float_values, groups
from bitwright.report.sizes import serialized_bytes
from bitwright.report.sqnr import SqnrSum

Feeds = dict[str, NDArray[Any]]

#: Samples that are run together where the batch dimension is free.
BATCH = 100

#: Samples that the error layer by layer is measured on.
LAYER_SAMPLES = 4

#: Runs before latency is measured.
WARM_UP = 3


class ComparedModel(Protocol):
    """What compare needs of a model: its graph as ONNX Runtime runs it."""

    @property
    def source(self) -> str | None:
        """Where it came from."""

    def to_ir(self) -> ir.Model:
        """The file's own graph."""


class LabelledSamples(Protocol):
    """Samples by index, with a label each where there are any."""

    @property
    def labels(self) -> Sequence[int] | None:
        """One label a sample."""

    def __iter__(self) -> Iterator[tuple[int, Feeds]]: ...


def compare(
    a: ComparedModel,
    b: ComparedModel,
    samples: LabelledSamples | None = None,
    *,
    seed: int = 0,
    runs: int = 30,
    threads: int = 1,
    evaluation_threads: int = 2,
    names: tuple[str, str] | None = None,
    file_bytes: tuple[int | None, int | None] = (None, None),
) -> Comparison:
    """Measure model `b` against model `a` (the reference).

    Args:
        a: the reference.
        b: a model with the same inputs and outputs, by name.
        samples: what accuracy, agreement and error are measured on; random inputs when None.
        seed: of the random inputs.
        runs: how often each model is timed, in turns.
        threads: threads of ONNX Runtime while latency is measured.
        evaluation_threads: threads of ONNX Runtime while outputs are compared.
        names: how the two are called in the report; their sources by default.
        file_bytes: bytes of the files they came from; serialized to find out when None.

    Raises:
        UsageError: the models' inputs or outputs have different names, or `runs` or `threads` is not positive.
        ModelError: ONNX Runtime refuses a model.
        SampleError: a sample does not fit the models.
    """
    if runs < 1 or threads < 1:
        raise UsageError(f"runs and threads must be positive (got {runs} and {threads})", next="give 1 or more")
    shown = names or (a.source or "a", b.source or "b")
    graphs = (a.to_ir(), b.to_ir())
    _check_same_face(graphs, shown)
    tally, first = _evaluate(graphs, shown, samples, seed, evaluation_threads)
    latency = _latency(graphs, _one_row(first[0], graphs[0]), runs, threads)
    sides = [
        Side(shown[i], file_bytes[i] or serialized_bytes(graphs[i]), tally.accuracy(i), latency[i]) for i in (0, 1)
    ]
    return Comparison(
        a=sides[0],
        b=sides[1],
        samples=tally.rows if samples is not None else 0,
        agreement=tally.agreement,
        outputs=tuple(OutputSqnr(name, total.db) for name, total in tally.sums.items()),
        layers=tuple(_layers(graphs, first, evaluation_threads)),
        runs=runs,
        threads=threads,
    )


def _check_same_face(graphs: tuple[ir.Model, ir.Model], shown: tuple[str, str]) -> None:
    for what, side in (("inputs", _input_names), ("outputs", _output_names)):
        left, right = side(graphs[0]), side(graphs[1])
        if set(left) != set(right):
            raise UsageError(
                f"the two models have different {what}: {', '.join(left)} against {', '.join(right)}",
                where=f"{shown[0]} and {shown[1]}",
                next="compare models of the same network; `bitwright inspect` lists inputs and outputs",
            )


def _input_names(model: ir.Model) -> list[str]:
    return [str(value.name) for value in model.graph.inputs if value.name not in model.graph.initializers]


def _output_names(model: ir.Model) -> list[str]:
    return [str(value.name) for value in model.graph.outputs]


class _Tally:
    """Outputs of both models, added up batch by batch."""

    def __init__(self, labels: Sequence[int] | None) -> None:
        self.labels = labels
        self.rows = self.scored = self.agreed = self.ranked = 0
        self.correct = [0, 0]
        self.sums: dict[str, SqnrSum] = {}

    def add(self, indices: Sequence[int], outputs: tuple[dict[str, Any], dict[str, Any]]) -> None:
        for name, reference in outputs[0].items():
            test = outputs[1][name]
            if not isinstance(reference, np.ndarray) or not np.issubdtype(reference.dtype, np.floating):
                continue
            if reference.shape != test.shape:
                raise ModelError(
                    f"output {name!r} has shape {reference.shape} in one model and {test.shape} in the other",
                    next="compare models of the same network",
                )
            self.sums.setdefault(name, SqnrSum()).add(reference, test)
        self.rows += len(indices)
        scores = next((n for n, v in outputs[0].items() if n in self.sums and v.ndim == 2 and v.shape[1] > 1), None)
        if scores is None:
            return
        best = [outputs[i][scores].argmax(axis=1) for i in (0, 1)]
        self.ranked += best[0].size
        self.agreed += int((best[0] == best[1]).sum())
        if self.labels is not None and best[0].size == len(indices):
            wanted = np.asarray([self.labels[i] for i in indices])
            self.scored += wanted.size
            for i in (0, 1):
                self.correct[i] += int((best[i] == wanted).sum())

    def accuracy(self, side: int) -> float | None:
        return self.correct[side] / self.scored if self.scored else None

    @property
    def agreement(self) -> float | None:
        return self.agreed / self.ranked if self.ranked else None


def _evaluate(
    graphs: tuple[ir.Model, ir.Model],
    shown: tuple[str, str],
    samples: LabelledSamples | None,
    seed: int,
    threads: int,
) -> tuple[_Tally, list[Feeds]]:
    """Outputs of both models over all samples, and the first few samples."""
    first: list[Feeds] = []
    numbered: Iterator[tuple[int, Feeds]]
    if samples is None:
        tally = _Tally(None)
        numbered = ((i, random_feeds(graphs[0], seed + i)) for i in range(LAYER_SAMPLES))
    else:
        tally = _Tally(samples.labels)
        # Labels go by place: a drawn sample keeps the index it has in the whole data.
        numbered = ((place, dict(feeds)) for place, (_, feeds) in enumerate(samples))
    sessions = [_session(graph, threads) for graph in graphs]
    names = _output_names(graphs[0])
    for batch in _batches(numbered, BATCH if _free_batch(graphs) else 1):
        if len(first) < LAYER_SAMPLES:
            first.extend(feeds for _, feeds in batch[: LAYER_SAMPLES - len(first)])
        feeds = _stack([feeds for _, feeds in batch])
        made = []
        for session, name in zip(sessions, shown, strict=True):
            try:
                made.append(dict(zip(names, session.run(names, feeds), strict=True)))
            except Exception as error:  # ONNX Runtime raises bare RuntimeError subclasses of its own
                raise SampleError(
                    f"ONNX Runtime cannot run the model on this data: {str(error).strip().splitlines()[0][:300]}",
                    where=f"{name}, samples {batch[0][0]} to {batch[-1][0]}",
                    next="look at the shapes with `bitwright inspect`",
                ) from error
        tally.add([place for place, _ in batch], (made[0], made[1]))
    if not first:
        raise SampleError("there is no sample to compare on", next="give data with at least one sample")
    return tally, first


def _batches(numbered: Iterator[tuple[int, Feeds]], size: int) -> Iterator[list[tuple[int, Feeds]]]:
    """Up to `size` samples of the same shapes together."""
    for _, alike in itertools.groupby(numbered, key=lambda item: {name: a.shape for name, a in item[1].items()}):
        while batch := list(itertools.islice(alike, size)):
            yield batch


def _stack(rows: Sequence[Feeds]) -> Feeds:
    if len(rows) == 1:
        return rows[0]
    return {name: np.concatenate([feeds[name] for feeds in rows]) for name in rows[0]}


def _free_batch(graphs: Sequence[ir.Model]) -> bool:
    """True when every input and output of both models starts with a dimension that is not fixed."""
    values = [v for g in graphs for v in (*g.graph.inputs, *g.graph.outputs) if v.name not in g.graph.initializers]
    return all(v.shape is not None and len(v.shape) > 0 and not isinstance(v.shape[0], int) for v in values)


def _one_row(feeds: Feeds, model: ir.Model) -> Feeds:
    """The first sample at batch 1, where the batch is free."""
    if not _free_batch([model]):
        return feeds
    return {name: array[:1] for name, array in feeds.items()}


def _session(model: ir.Model, threads: int) -> Any:
    with tempfile.TemporaryDirectory(prefix="bitwright-") as folder:
        path = Path(folder, "model.onnx")
        write_model(model, path, external_threshold=EXTERNAL_BYTES)
        return open_session(path, threads=threads)


def _latency(graphs: tuple[ir.Model, ir.Model], feeds: Feeds, runs: int, threads: int) -> list[Latency]:
    """Milliseconds of each model; the two are run in turns, so that both see the same machine."""
    sessions = [_session(graph, threads) for graph in graphs]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(WARM_UP):
        for session in sessions:
            session.run(None, feeds)
    for _ in range(runs):
        for session, taken in zip(sessions, times, strict=True):
            start = time.perf_counter_ns()
            session.run(None, feeds)
            taken.append((time.perf_counter_ns() - start) / 1e6)
    return [Latency(statistics.median(taken), min(taken), max(taken)) for taken in times]


def _layers(graphs: tuple[ir.Model, ir.Model], samples: Sequence[Feeds], threads: int) -> Iterator[LayerSqnr]:
    """Error of every float value that both graphs have, in graph order."""
    left, right = float_values(graphs[0]), float_values(graphs[1])
    shared = [name for name in left if name in right]
    if not shared:
        return
    executions = [Execution(graph, shared, threads=threads) for graph in graphs]
    batch = max((a.shape[0] for a in samples[0].values() if a.ndim), default=1)
    for names in groups(graphs[0], shared, batch=batch):
        sums = {name: SqnrSum() for name in names}
        for feeds in samples:
            made = [execution.run(feeds, names) for execution in executions]
            for name, total in sums.items():
                if made[0][name].shape == made[1][name].shape:
                    total.add(made[0].pop(name), made[1].pop(name))
        for name, total in sums.items():
            if total.elements:
                yield LayerSqnr(name, left[name], total.db)
