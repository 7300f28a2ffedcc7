"""Run the float graph over samples and watch values. Workers hold observers of their own, merged at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.calibration.channel_mean import ChannelMeanObserver
from bitwright.calibration.ema import EmaObserver
from bitwright.calibration.histogram import HistogramObserver, Scratch
from bitwright.calibration.minmax import MinMaxObserver, see
from bitwright.calibration.statistics import Statistics, TensorStatistics, join_ranges, merge_tensors, observer_of
from bitwright.errors import SampleError
from bitwright.graph.execution import Execution

Feeds = Mapping[str, NDArray[Any]]
#: Sample indices are joined into ranges whenever there are so many.
_RANGES_KEPT = 1024


@dataclass(frozen=True)
class Request:
    """One value of the main graph to watch.

    Args:
        name: the value's name.
        channel_axis: also keep the mean of each channel along this axis (for bias correction).
        ranges: False keeps minimum, maximum and the channel means alone, whatever the method.
    """

    name: str
    channel_axis: int | None = None
    ranges: bool = True


def collect(
    model: ir.Model,
    samples: Iterable[tuple[int, Feeds]],
    requests: Sequence[Request],
    *,
    method: str = "minmax",
    workers: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    first_index: int = 0,
) -> Statistics:
    """Watch values of a graph over samples.

    The result has the same bytes whatever the number of workers. Samples are pulled one by one, on the caller's
    thread; at most `workers` run at a time, so memory does not grow with their number. Values that are no float
    tensors are passed over.

    Args:
        model: the float graph; left as it is.
        samples: (index, feeds) pairs, such as a `Samples`.
        requests: what to watch; several requests for one name are joined.
        method: the range method to collect for: "minmax", "ema", "percentile", "entropy" or "mse".
        workers: threads, each running one sample at a time; 2 by default (1 on a single core).
        progress: called with (samples done, samples in all or None) after each.
        first_index: added to every sample's index.

    Raises:
        SampleError: there are no samples, or the graph fails on one.
        UsageError: an unknown method.
        ModelError: a name is not a value of the main graph.
    """
    observer = observer_of(method)
    wanted = _join(requests)
    if not wanted:
        return Statistics({}, (), () if observer is None else (observer,))
    inputs = {str(value.name) for value in model.graph.inputs}
    execution = Execution(model, [name for name in wanted if name not in inputs], threads=1, memory_pattern=False)
    total: int | None = getattr(samples, "length", None)
    count = workers if workers is not None else min(2, os.cpu_count() or 1)
    idle = [_Watcher(wanted, observer) for _ in range(max(1, count))]
    watchers = list(idle)

    def work(index: int, feeds: Feeds) -> int:
        watcher = idle.pop()
        try:
            watcher.watch(index, feeds, _run(execution, index, feeds))
        finally:
            idle.append(watcher)
        return index

    ranges: list[tuple[int, int]] = []
    numbered = ((index + first_index, feeds) for index, feeds in samples)
    for done, index in enumerate(_map(work, numbered, len(watchers)), start=1):
        ranges.append((index, index + 1))
        if len(ranges) >= _RANGES_KEPT:
            ranges = list(join_ranges(ranges))
        if progress is not None:
            progress(done, total)
    if not ranges:
        raise SampleError("there are no samples to calibrate with", next="give at least one; 128 to 512 are usual")
    parts = [watcher.result() for watcher in watchers]
    names = [name for name in wanted if any(name in part for part in parts)]
    tensors = {name: merge_tensors(name, [part[name] for part in parts if name in part]) for name in names}
    return Statistics(tensors, join_ranges(ranges), () if observer is None else (observer,))


class _TensorWatcher:
    """All observers of one tensor."""

    def __init__(self, request: Request, observer: str | None, scratch: Scratch) -> None:
        self.minmax = MinMaxObserver()
        self.ema = EmaObserver() if observer == "ema" and request.ranges else None
        self.histogram = HistogramObserver(scratch) if observer == "histogram" and request.ranges else None
        self.mean = None if request.channel_axis is None else ChannelMeanObserver(request.channel_axis)

    def observe(self, index: int, array: NDArray[Any]) -> None:
        seen = see(index, array)
        if seen is None:
            return
        for observer in (self.minmax, self.ema, self.histogram, self.mean):
            if observer is not None:
                observer.observe(seen)

    def result(self) -> TensorStatistics:
        return TensorStatistics(
            count=self.minmax.count,
            nonfinite=self.minmax.nonfinite,
            minimum=float(self.minmax.minimum),
            maximum=float(self.minmax.maximum),
            ema_record=None if self.ema is None else self.ema.result(),
            histogram=None if self.histogram is None else self.histogram.result(),
            channel_sums=None if self.mean is None else self.mean.result(),
        )


class _Watcher:
    """The observers of all tensors, used by one thread at a time."""

    def __init__(self, requests: Mapping[str, Request], observer: str | None) -> None:
        self._requests = requests
        self._observer = observer
        self._scratch = Scratch()
        self._tensors: dict[str, _TensorWatcher] = {}

    def watch(self, index: int, feeds: Feeds, outputs: dict[str, NDArray[Any]]) -> None:
        for name, request in self._requests.items():
            value = outputs.pop(name, None) if name not in feeds else feeds[name]  # pop: let go of it when done
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
                continue
            if name not in self._tensors:
                self._tensors[name] = _TensorWatcher(request, self._observer, self._scratch)
            self._tensors[name].observe(index, value)

    def result(self) -> dict[str, TensorStatistics]:
        return {name: tensor.result() for name, tensor in self._tensors.items()}


def _join(requests: Sequence[Request]) -> dict[str, Request]:
    joined: dict[str, Request] = {}
    for request in requests:
        held = joined.get(request.name, request)
        axis = held.channel_axis if held.channel_axis is not None else request.channel_axis
        joined[request.name] = Request(request.name, axis, held.ranges or request.ranges)
    return joined


def _run(execution: Execution, index: int, feeds: Feeds) -> dict[str, NDArray[Any]]:
    try:
        return execution.run(feeds)
    except Exception as error:  # ONNX Runtime raises bare RuntimeError subclasses of its own
        raise SampleError(
            f"the model fails on sample {index}: {str(error).strip().splitlines()[0][:300]}",
            where=f"sample {index}, " + ", ".join(f"{name} {list(x.shape)}" for name, x in feeds.items()),
            next="run the model on this sample in ONNX Runtime to see more",
        ) from error


def _map(work: Callable[[int, Feeds], int], samples: Iterable[tuple[int, Feeds]], workers: int) -> Iterator[int]:
    """The results of work over samples as they finish, at most `workers` at a time.

    On an error or an interrupt nothing new begins, and what runs is not waited for.
    """
    if workers == 1:
        for index, feeds in samples:
            yield work(index, feeds)
        return
    executor = ThreadPoolExecutor(workers, thread_name_prefix="calibration")
    pending: set[Future[int]] = set()
    try:
        for index, feeds in samples:
            while len(pending) >= workers:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
            pending.add(executor.submit(work, index, feeds))
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
