"""Compare two models: size, accuracy or agreement, latency on the runtime each is for, and error layer by layer."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, ModelError, SampleError, UsageError
from bitwright.graph.execution import Execution, random_feeds
from bitwright.report.comparison import Comparison, Latency, LayerSqnr, OutputSqnr, Side
from bitwright.report.faces import Alignment, align
from bitwright.report.intermediates import float_values, groups
from bitwright.report.runners import ProgramRunner, RunnableModel, Runner, graph_runner
from bitwright.report.sizes import serialized_bytes
from bitwright.report.sqnr import SqnrSum

Feeds = dict[str, NDArray[Any]]

#: Samples that are run together where the batch dimension is free.
BATCH = 100

#: Samples that the error layer by layer is measured on.
LAYER_SAMPLES = 4

#: Runs before latency is measured.
WARM_UP = 3


class ComparedModel(RunnableModel, Protocol):
    """What compare needs of a model."""

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
        threads: threads of the runtimes while latency is measured.
        evaluation_threads: threads of the runtimes while outputs are compared.
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
    runners = (_runner(a, graphs[0], evaluation_threads), _runner(b, graphs[1], evaluation_threads))
    alignment = align(runners[0].face, runners[1].face, shown)
    tally, first = _evaluate(graphs[0], runners, alignment, shown, samples, seed)
    if threads != evaluation_threads:
        runners = (_runner(a, graphs[0], threads), _runner(b, graphs[1], threads))
    latency = _latency(runners, alignment, _one_row(first[0], runners[0]), runs)
    sides = [
        Side(
            shown[i],
            file_bytes[i] or _bytes_of(model, graphs[i]),
            tally.accuracy(i),
            latency[i],
            runners[i].runtime,
        )
        for i, model in enumerate((a, b))
    ]
    return Comparison(
        a=sides[0],
        b=sides[1],
        samples=tally.rows if samples is not None else 0,
        agreement=tally.agreement,
        outputs=tuple(OutputSqnr(name, total.db) for name, total in tally.sums.items()),
        layers=tuple(_layers(graphs, alignment, first, evaluation_threads)),
        runs=runs,
        threads=threads,
    )


def _runner(model: ComparedModel, graph: ir.Model, threads: int) -> Runner:
    return ProgramRunner(model, threads) if model.is_lowered else graph_runner(model, graph, threads)


def _bytes_of(model: ComparedModel, graph: ir.Model) -> int:
    return len(model.to_tflite()) if model.is_lowered else serialized_bytes(graph)


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
    graph: ir.Model,
    runners: tuple[Runner, Runner],
    alignment: Alignment,
    shown: tuple[str, str],
    samples: LabelledSamples | None,
    seed: int,
) -> tuple[_Tally, list[Feeds]]:
    """Outputs of both models over all samples, and the first few samples."""
    first: list[Feeds] = []
    numbered: Iterator[tuple[int, Feeds]]
    if samples is None:
        tally = _Tally(None)
        numbered = ((i, random_feeds(graph, seed + i)) for i in range(LAYER_SAMPLES))
    else:
        tally = _Tally(samples.labels)
        # Labels go by place: a drawn sample keeps the index it has in the whole data.
        numbered = ((place, dict(feeds)) for place, (_, feeds) in enumerate(samples))
    for batch in _batches(numbered, BATCH if all(map(_free_batch, runners)) else 1):
        if len(first) < LAYER_SAMPLES:
            first.extend(feeds for _, feeds in batch[: LAYER_SAMPLES - len(first)])
        stacked = _stack([feeds for _, feeds in batch])
        made = []
        for runner, feeds, name in zip(runners, (stacked, alignment.feeds(stacked)), shown, strict=True):
            try:
                made.append(runner.run(feeds))
            except BitwrightError as error:
                error.where = error.where or f"{name}, samples {batch[0][0]} to {batch[-1][0]}"
                raise
        tally.add([place for place, _ in batch], (made[0], alignment.results(made[1])))
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


def _free_batch(runner: Runner) -> bool:
    """True when every input and output starts with a dimension that is not fixed."""
    ports = (*runner.face.inputs, *runner.face.outputs)
    return all(port.shape is not None and port.shape[:1] == (None,) for port in ports)


def _one_row(feeds: Feeds, runner: Runner) -> Feeds:
    """The first sample at batch 1, where the batch is free."""
    return {name: array[:1] for name, array in feeds.items()} if _free_batch(runner) else feeds


def _latency(runners: tuple[Runner, Runner], alignment: Alignment, feeds: Feeds, runs: int) -> list[Latency]:
    """Milliseconds of each model; the two are run in turns, so that both see the same machine."""
    given = (feeds, {name: np.asarray(array, order="C") for name, array in alignment.feeds(feeds).items()})
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(WARM_UP):
        for runner, own in zip(runners, given, strict=True):
            runner.run(own)
    for _ in range(runs):
        for runner, own, taken in zip(runners, given, times, strict=True):
            start = time.perf_counter_ns()
            runner.run(own)
            taken.append((time.perf_counter_ns() - start) / 1e6)
    return [Latency(statistics.median(taken), min(taken), max(taken)) for taken in times]


def _layers(
    graphs: tuple[ir.Model, ir.Model], alignment: Alignment, samples: Sequence[Feeds], threads: int
) -> Iterator[LayerSqnr]:
    """Error of every float value that both graphs have, in graph order, as ONNX Runtime runs them."""
    left, right = float_values(graphs[0]), float_values(graphs[1])
    shared = [name for name in left if name in right]
    if not shared:
        return
    executions = [Execution(graph, shared, threads=threads) for graph in graphs]
    batch = max((a.shape[0] for a in samples[0].values() if a.ndim), default=1)
    for names in groups(graphs[0], shared, batch=batch):
        sums = {name: SqnrSum() for name in names}
        for feeds in samples:
            given = (feeds, alignment.feeds(feeds))
            made = [execution.run(own, names) for execution, own in zip(executions, given, strict=True)]
            for name, total in sums.items():
                if made[0][name].shape == made[1][name].shape:
                    total.add(made[0].pop(name), made[1].pop(name))
        for name, total in sums.items():
            if total.elements:
                yield LayerSqnr(name, left[name], total.db)
