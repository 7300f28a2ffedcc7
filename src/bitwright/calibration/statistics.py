"""Statistics: what calibration saw, per tensor. Frozen, mergeable in any order to the same bytes, saved and reused."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.channel_mean import ChannelSums, merge_sums
from bitwright.calibration.container import Fields, pack, pack_json, unpack, unpack_json
from bitwright.calibration.ema import EmaRecord, make_record, merge_records
from bitwright.calibration.histogram import SIDE_BINS, Histogram, merge_histograms
from bitwright.calibration.tables.suffixes import TABLE_SUFFIXES
from bitwright.errors import StatisticsError, UsageError
from bitwright.graph.io import write_bytes

#: Range method -> the observer it needs beside minimum and maximum.
OBSERVER_OF: Mapping[str, str | None] = {
    "minmax": None,
    "ema": "ema",
    "percentile": "histogram",
    "entropy": "histogram",
    "mse": "histogram",
}
_FORMAT = "bitwright statistics"
_LIMBS = 10


def observer_of(method: str) -> str | None:
    """The observer that a range method needs beside minimum and maximum: "ema", "histogram" or None.

    Raises:
        UsageError: an unknown method.
    """
    if method not in OBSERVER_OF:
        raise UsageError(f"unknown calibration method {method!r}", next=f"one of {', '.join(OBSERVER_OF)}")
    return OBSERVER_OF[method]


@dataclass(frozen=True, eq=False)
class TensorStatistics:
    """What calibration saw of one tensor.

    Args:
        count: samples with at least one finite value of it.
        nonfinite: values that were NaN or infinite; no range includes them.
        minimum, maximum: over all finite values; 0 and 0 when count is 0.
        ema_record: each sample's range, when collected for "ema".
        histogram: when collected for "percentile", "entropy" or "mse".
        channel_sums: when a channel axis was asked.
    """

    count: int
    minimum: float
    maximum: float
    nonfinite: int = 0
    ema_record: EmaRecord | None = None
    histogram: Histogram | None = None
    channel_sums: ChannelSums | None = None

    def ema(self, momentum: float = 0.95) -> tuple[float, float]:
        """The moving average (low, high) of each sample's range.

        Raises:
            StatisticsError: the ranges of single samples were not collected.
        """
        if self.ema_record is None:
            raise StatisticsError(
                'method "ema" needs the range of each sample, which was not collected',
                next="calibrate with `--method ema`",
            )
        return self.ema_record.average(momentum)

    @property
    def channel_mean(self) -> NDArray[np.float64] | None:
        """f64[C]: the mean of each channel over samples, where it was asked and there is one."""
        sums = self.channel_sums
        return None if sums is None or not sums.count else sums.mean()

    def fields(self) -> Fields:
        """As named 1-D arrays."""
        result: Fields = {
            "count": _ints(self.count),
            "nonfinite": _ints(self.nonfinite),
            "minimum": np.array([self.minimum], dtype=np.float32),
            "maximum": np.array([self.maximum], dtype=np.float32),
        }
        if self.ema_record is not None:
            result["ema.index"] = self.ema_record.index
            result["ema.low"] = self.ema_record.low
            result["ema.high"] = self.ema_record.high
        if self.histogram is not None:
            result["histogram.exponent"] = _ints(self.histogram.exponent)
            result["histogram.first"] = _ints(self.histogram.first)
            result["histogram.counts"] = self.histogram.counts
        if self.channel_sums is not None:
            limbs = self.channel_sums.limbs
            used = np.flatnonzero(limbs.any(axis=1))
            first, stop = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
            result["mean.shape"] = _ints(self.channel_sums.axis, self.channel_sums.count, limbs.shape[1], first, stop)
            result["mean.limbs"] = limbs[first:stop].reshape(-1)
        return result

    @staticmethod
    def from_fields(fields: Mapping[str, NDArray[Any]]) -> TensorStatistics:
        """The inverse of `fields`.

        Raises:
            KeyError, ValueError, IndexError: fields are missing or do not fit each other.
        """
        record = histogram = sums = None
        if "ema.index" in fields:
            columns = fields["ema.low"].astype(np.float32), fields["ema.high"].astype(np.float32)
            index = fields["ema.index"].astype(np.int64)
            if any(column.shape != index.shape for column in columns):
                raise ValueError("the columns of the ema record differ in length")
            record = make_record(index, *columns)
        if "histogram.counts" in fields:
            counts = fields["histogram.counts"].astype(np.int64)
            first = int(fields["histogram.first"][0])
            if not -SIDE_BINS < first <= first + counts.size <= SIDE_BINS or (counts < 0).any():
                raise ValueError("a histogram has bins outside its range")
            histogram = Histogram(int(fields["histogram.exponent"][0]), first, counts)
        if "mean.shape" in fields:
            axis, count, channels, first, stop = (int(v) for v in fields["mean.shape"])
            limbs = np.zeros((_LIMBS, channels), dtype=np.int64)
            limbs[first:stop] = fields["mean.limbs"].astype(np.int64).reshape(stop - first, channels)
            sums = ChannelSums(axis, count, limbs)
        return TensorStatistics(
            count=int(fields["count"][0]),
            minimum=float(np.float32(fields["minimum"][0])),
            maximum=float(np.float32(fields["maximum"][0])),
            nonfinite=int(fields["nonfinite"][0]),
            ema_record=record,
            histogram=histogram,
            channel_sums=sums,
        )


@dataclass(frozen=True, eq=False)
class Statistics:
    """What calibration saw: one entry per tensor, and which samples.

    Args:
        tensors: by value name.
        sample_ranges: the sample indices seen, as ascending half-open ranges.
        observers: "ema" or "histogram" when collected; minimum and maximum always are.
        graph: digest of the graph that was watched; "" when it was not taken.
        partial: whether tensors that a plan asks for may be missing, as in a table of another tool; what has no
            range here stays float. Statistics that are not partial must have them all.
    """

    tensors: Mapping[str, TensorStatistics] = field(default_factory=dict)
    sample_ranges: tuple[tuple[int, int], ...] = ()
    observers: tuple[str, ...] = ()
    graph: str = ""
    partial: bool = False

    @property
    def samples(self) -> int:
        """How many samples were seen."""
        return sum(stop - start for start, stop in self.sample_ranges)

    def to_bytes(self) -> bytes:
        """A `.npz` file. Equal statistics give equal bytes."""
        return pack(self._metadata(), {name: tensor.fields() for name, tensor in self.tensors.items()})

    @staticmethod
    def from_bytes(data: bytes, *, where: str | None = None) -> Statistics:
        """The inverse of `to_bytes`; also reads the JSON form.

        Raises:
            StatisticsError: not statistics, or damaged.
        """
        try:
            json_form = data.lstrip()[:1] == b"{"
            metadata, tables = unpack_json(data.decode()) if json_form else unpack(data)
            if metadata["format"] != _FORMAT:
                raise ValueError("another format")
            return Statistics(
                {name: TensorStatistics.from_fields(fields) for name, fields in tables.items()},
                join_ranges((int(start), int(stop)) for start, stop in metadata["samples"]),
                tuple(str(name) for name in metadata["observers"]),
                str(metadata.get("graph", "")),
                bool(metadata.get("partial", False)),
            )
        except (
            KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError, MemoryError, NotImplementedError,
            RuntimeError, zipfile.BadZipFile,
        ) as error:  # fmt: skip
            raise StatisticsError(
                f"not calibration statistics, or a damaged file ({type(error).__name__}: {error})",
                where=where,
                next="write them with `bitwright calibrate MODEL --calibration DATA -o FILE.npz`",
            ) from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a `.npz` file, or to JSON for people when the name ends in `.json`; whole or not at all.

        Raises:
            OutputError: the file cannot be written.
            UsageError: the suffix is that of a calibration table.
        """
        if Path(path).suffix.lower() in TABLE_SUFFIXES:
            raise UsageError(
                "a calibration table is written for a model",
                where=str(path),
                next="bw.write_table(statistics, path, model); statistics themselves go to a .npz file",
            )
        if Path(path).suffix.lower() == ".json":
            tables = {name: tensor.fields() for name, tensor in self.tensors.items()}
            write_bytes(pack_json(self._metadata(), tables).encode(), path)
        else:
            write_bytes(self.to_bytes(), path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Statistics:
        """Read what `save` wrote, in either form.

        Raises:
            StatisticsError: the file cannot be read, or holds no statistics.
            UsageError: the suffix is that of a calibration table.
        """
        if Path(path).suffix.lower() in TABLE_SUFFIXES:
            raise UsageError(
                "a calibration table is read for a model", where=str(path), next="bw.read_table(path, model)"
            )
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise StatisticsError(
                f"the statistics cannot be read: {error.strerror or error}",
                where=str(path),
                next="write them with `bitwright calibrate MODEL --calibration DATA -o FILE.npz`",
            ) from error
        return Statistics.from_bytes(data, where=str(path))

    def merge(self, *others: Statistics) -> Statistics:
        """The statistics of all samples together. In whatever order and grouping, the result has the same bytes.

        Raises:
            StatisticsError: a sample is in two of the parts; parts with different tensors or methods.
        """
        parts = (self, *others)
        for other in others:
            if other.observers != self.observers:
                raise StatisticsError(
                    f"statistics of different methods do not merge: {_kinds(self)} and {_kinds(other)}",
                    next="calibrate all parts with the same --method",
                )
            if other.graph != self.graph:
                raise StatisticsError(
                    "the parts were taken on different models", next="calibrate all parts on the same model file"
                )
            if other.tensors.keys() != self.tensors.keys():
                odd = sorted(other.tensors.keys() ^ self.tensors.keys())
                raise StatisticsError(
                    f"the parts do not hold the same tensors: {listed(odd)} in one of them only",
                    next="calibrate all parts on the same model, mode and recipe",
                )
        ranges = join_ranges(r for part in parts for r in part.sample_ranges)
        tensors = {name: merge_tensors(name, [part.tensors[name] for part in parts]) for name in self.tensors}
        return replace(self, tensors=tensors, sample_ranges=ranges, partial=any(part.partial for part in parts))

    def keep(self, names: Iterable[str]) -> Statistics:
        """Only the named tensors; names that are not here are passed over."""
        wanted = set(names)
        kept = {name: tensor for name, tensor in self.tensors.items() if name in wanted}
        return replace(self, tensors=kept)

    def check(self, names: Iterable[str], *, where: str | None = None) -> None:
        """See that every named tensor is here.

        Raises:
            StatisticsError: some are not; names them.
        """
        missing = [name for name in dict.fromkeys(names) if name not in self.tensors]
        if missing:
            raise StatisticsError(
                f"the statistics have nothing on {listed(missing)}",
                where=where,
                next="calibrate again with this model, recipe and target: `bitwright calibrate --target ...`",
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Statistics) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash((self.sample_ranges, self.observers, len(self.tensors)))

    def __repr__(self) -> str:
        return f"Statistics({len(self.tensors)} tensors, {self.samples} samples, {_kinds(self)})"

    def _metadata(self) -> dict[str, Any]:
        ranges = [list(pair) for pair in self.sample_ranges]
        return {
            "format": _FORMAT,
            "version": 1,
            "observers": list(self.observers),
            "samples": ranges,
            "graph": self.graph,
            **({"partial": True} if self.partial else {}),
        }


def merge_tensors(name: str, parts: Sequence[TensorStatistics]) -> TensorStatistics:
    """What all parts saw of one tensor.

    Raises:
        StatisticsError: some parts hold an observer that others lack.
    """
    seen = [part for part in parts if part.count]
    for kind in ("ema_record", "histogram"):
        if len({getattr(part, kind) is None for part in parts}) > 1:
            raise StatisticsError(
                f"some parts hold what {kind.split('_')[0]} needs of {name!r} and others do not",
                next="calibrate all parts with the same --method",
            )
    records = [part.ema_record for part in parts if part.ema_record is not None]
    histograms = [part.histogram for part in parts if part.histogram is not None]
    sums = [part.channel_sums for part in parts if part.channel_sums is not None]
    return TensorStatistics(
        count=sum(part.count for part in parts),
        nonfinite=sum(part.nonfinite for part in parts),
        minimum=min((part.minimum for part in seen), default=0.0),
        maximum=max((part.maximum for part in seen), default=0.0),
        ema_record=merge_records(records) if records else None,
        histogram=merge_histograms(histograms) if histograms else None,
        channel_sums=merge_sums(sums) if sums else None,
    )


def join_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Half-open ranges in any order as ascending ones, neighbours joined.

    Raises:
        StatisticsError: an index is in two of them.

    >>> join_ranges([(4, 6), (0, 2), (2, 4), (9, 10)])
    ((0, 6), (9, 10))
    """
    joined: list[list[int]] = []
    for start, stop in sorted(ranges):
        if joined and start < joined[-1][1]:
            raise StatisticsError(
                f"sample {start} is counted twice",
                next="merge each shard once, and give shards different sample indices (--shard i/n)",
            )
        if joined and start == joined[-1][1]:
            joined[-1][1] = stop
        elif stop > start:
            joined.append([start, stop])
    return tuple((start, stop) for start, stop in joined)


def _ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _kinds(statistics: Statistics) -> str:
    return "+".join(("minmax", *statistics.observers))


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names for a message: the first few, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
