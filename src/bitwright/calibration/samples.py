"""Samples: every form in which people hold them, as one stream of (index, feeds)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bitwright.calibration.drawing import draw
from bitwright.calibration.feeds import LABEL_NAMES, Feeds, InputSpec, input_specs, is_array, match, to_array
from bitwright.errors import SampleError, UsageError

__all__ = ["LABEL_NAMES", "Feeds", "InputSpec", "Samples", "input_specs", "open_samples"]


class Samples:
    """Samples for a model, read one by one: iterating gives (index, feeds by input name), checked.

    A sample is what is fed at once: a batch that the user made counts as one. Made by `open_samples` and `open_path`.

    Args:
        inputs: what the model takes.
        get: the raw sample at a position; None for a stream.
        positions: the positions to take, in order, when they can be addressed.
        stream: begins a stream of raw samples anew, when they cannot.
        length: how many samples there are; None when only the end will tell.
        labels: the label of each sample of `positions`.
        first_index: the index of the first sample.
    """

    def __init__(
        self,
        inputs: Sequence[InputSpec],
        *,
        get: Callable[[int], Any] | None = None,
        positions: Sequence[int] = (),
        stream: Callable[[], Iterable[Any]] | None = None,
        length: int | None = None,
        labels: Sequence[Any] | None = None,
        first_index: int = 0,
        limit: int | None = None,
        every: int = 1,
    ) -> None:
        self.inputs = tuple(inputs)
        self._get = get
        self._positions = list(positions)
        self._stream = stream
        self._first_index = first_index
        self._limit = limit
        self._every = every
        self.length: int | None = length if get is None else len(self._positions)
        #: Labels by sample, in the order of iteration; those that come with the samples fill in while iterating.
        self.labels: list[Any] | None = None if labels is None else list(labels)
        self._labels_given = labels is not None

    def __iter__(self) -> Iterator[tuple[int, Feeds]]:
        if not self._labels_given:
            self.labels = None
        count = 0
        for index, raw in self._numbered():
            feeds, label = match(raw, self.inputs, index)
            if label is not None and not self._labels_given:
                self.labels = [] if self.labels is None else self.labels
                self.labels.append(_label(label))
            count += 1
            yield index, feeds
        if not count:
            raise empty()

    def shard(self, part: int, parts: int) -> Samples:
        """One of several parts that together are all; indices stay those of the whole.

        A contiguous part where positions are known, every n-th sample of a stream.

        Raises:
            UsageError: not 0 <= part < parts.
            SampleError: the part would be empty.
        """
        if not 0 <= part < parts:
            raise UsageError(f"no shard {part} of {parts}", next=f"shards are numbered 0 to {parts - 1}")
        if parts == 1:
            return self
        if self._get is None:
            length = None if self.length is None else len(range(part, self.length, parts))
            return Samples(
                self.inputs,
                stream=self._stream,
                length=length,
                first_index=self._first_index + part * self._every,
                limit=self._limit,
                every=self._every * parts,
            )
        start, stop = (i * len(self._positions) // parts for i in (part, part + 1))
        if start == stop:
            raise SampleError(f"shard {part} of {parts} has no samples", next="use fewer shards, or more samples")
        return Samples(
            self.inputs,
            get=self._get,
            positions=self._positions[start:stop],
            labels=self.labels[start:stop] if self._labels_given and self.labels is not None else None,
            first_index=self._first_index + start,
        )

    def mapped(self, change: Callable[[Any], Any]) -> Samples:
        """The same samples, each raw one changed by a function before it is checked. Positions must be known."""
        get = self._get
        if get is None:
            raise UsageError(
                "a stream of samples is changed where it is made", next="scale the values before giving them"
            )
        return Samples(
            self.inputs,
            get=lambda position: change(get(position)),
            positions=self._positions,
            labels=self.labels,
            first_index=self._first_index,
        )

    def _numbered(self) -> Iterator[tuple[int, Any]]:
        if self._get is not None:
            for offset, position in enumerate(self._positions):
                yield self._first_index + offset, self._get(position)
        elif self._stream is not None:
            numbered = enumerate(self._stream())
            yield from itertools.islice(numbered, self._first_index, self._limit, self._every)

    def __repr__(self) -> str:
        count = "?" if self.length is None else self.length
        return f"Samples({count}, {', '.join(map(str, self.inputs))})"


def open_samples(source: Any, inputs: Sequence[InputSpec], *, samples: int | None = None, seed: int = 0) -> Samples:
    """Samples from what people have.

    Args:
        source: one of
            an array or tensor: the first axis counts samples (batches, when the model's batch is fixed above 1);
            a dict of such arrays by input name;
            a list or tuple of samples; a pair (array, labels);
            a generator or any iterable of samples (a torch DataLoader);
            a callable that returns one (TFLite's representative_dataset);
            an object with get_next() (ONNX Runtime's CalibrationDataReader), None ends it.
            A sample is an array, a dict by input name, or a list or tuple of arrays in the order of the inputs; one
            entry more is its label.
        inputs: what the model takes, of `input_specs`.
        samples: take only so many: drawn evenly where positions are known, the first ones of a stream.
        seed: of the draw.

    Raises:
        SampleError: there is nothing in it, or it is none of these.
        UsageError: samples is below 1.
    """
    if samples is not None and samples < 1:
        raise UsageError(f"at least one sample is needed (got {samples})", next="128 to 512 are usual")
    if isinstance(source, Samples):
        return source
    if isinstance(source, (str, bytes)) or hasattr(source, "__fspath__") or source is None:
        raise SampleError(
            f"{source!r} is no samples", next="give arrays, a list, a generator, a callable; paths go to open_path"
        )
    if isinstance(source, Mapping):
        return _from_table(source, inputs, samples, seed)
    if hasattr(source, "get_next"):
        return _from_stream(_reader(source), inputs, None, samples)
    if _is_labelled_pair(source, inputs):
        return _from_table({inputs[0].name: source[0], LABEL_NAMES[0]: source[1]}, inputs, samples, seed)
    if isinstance(source, (list, tuple)) and source and isinstance(source[0], (int, float, np.number)):
        source = np.asarray(source)
    if is_array(source):
        if len(inputs) != 1:
            raise SampleError(
                f"one array for a model with {len(inputs)} inputs",
                next="give a dict of arrays: " + ", ".join(map(str, inputs)),
            )
        return _from_table({inputs[0].name: source}, inputs, samples, seed)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):  # lists, torch map-style datasets
        count = len(source)
        if not count:
            raise empty()
        return Samples(inputs, get=source.__getitem__, positions=draw(count, samples, seed=seed))
    if callable(source):
        return _from_stream(_called(source), inputs, None, samples)
    if hasattr(source, "__iter__"):
        return _from_stream(
            _once(source) if iter(source) is source else lambda: source, inputs, _length(source), samples
        )
    raise SampleError(
        f"samples cannot be read from {type(source).__name__}",
        next="give arrays, a list, a generator, a callable that returns one, or an object with get_next()",
    )


def empty() -> SampleError:
    """The error for a calibration without samples."""
    return SampleError("there are no samples", next="give at least one; 128 to 512 are usual for calibration")


def _from_table(table: Mapping[Any, Any], inputs: Sequence[InputSpec], samples: int | None, seed: int) -> Samples:
    """Arrays by input name, their first axes counting samples."""
    specs = {spec.name: spec for spec in inputs}
    arrays = {str(name): to_array(value) for name, value in table.items()}
    labels = next((arrays.pop(name) for name in LABEL_NAMES if name in arrays and name not in specs), None)
    gets: dict[str, Callable[[int], Any]] = {}
    counts: dict[str, int] = {}
    batch = 1
    for name, array in arrays.items():
        if name in specs:
            counts[name], gets[name], batch = _split(array, specs[name])
        else:  # matching the first sample will name it
            counts[name], gets[name] = 1, partial(_whole, array)
    if len(set(counts.values())) > 1 and set(arrays) <= set(specs):
        raise SampleError(
            "the inputs hold different numbers of samples: " + ", ".join(f"{n!r} {c}" for n, c in counts.items()),
            next="give every input the same first axis",
        )
    count = max(counts.values(), default=0)
    if not count:
        raise empty()
    if labels is not None and labels.shape[:1] != (count * batch,):
        labels = labels[: count * batch] if labels.ndim and labels.shape[0] > count * batch else None
    grouped = labels is not None and labels.ndim == 1 and labels.dtype.kind in "iuUS" and batch == 1
    few = samples is not None and samples < count
    positions = draw(
        count, samples, seed=seed, groups=labels.tolist() if few and grouped and labels is not None else None
    )
    chosen = None
    if labels is not None:
        chosen = [_label(labels[p] if batch == 1 else labels[p * batch : (p + 1) * batch]) for p in positions]
    return Samples(
        inputs, get=lambda i: {name: get(i) for name, get in gets.items()}, positions=positions, labels=chosen
    )


def _split(array: Any, spec: InputSpec) -> tuple[int, Callable[[int], Any], int]:
    """How many samples an array holds for an input, how to take one, and how many rows one is.

    Of the input's own rank: rows, taken one by one or in the model's fixed batch (a last part is left out). One more:
    whole batches. Anything else is a single sample.
    """
    if spec.rank is None or (array.ndim == spec.rank and spec.rank > 0):
        fixed = spec.shape[0] if spec.shape else 1
        batch = fixed if isinstance(fixed, int) and fixed > 0 else 1
        if 0 < array.shape[0] < batch:
            return 1, lambda i: array, 1  # the check of its shape will say so
        return array.shape[0] // batch, lambda i: array[i * batch : (i + 1) * batch], batch
    if array.ndim == spec.rank + 1:
        return array.shape[0], lambda i: array[i], 1
    return 1, lambda i: array, 1


def _whole(array: Any, _: int) -> Any:
    return array


def _from_stream(
    stream: Callable[[], Iterable[Any]], inputs: Sequence[InputSpec], length: int | None, samples: int | None
) -> Samples:
    if length is not None and samples is not None:
        length = min(length, samples)
    return Samples(inputs, stream=stream, length=length, limit=samples)


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except TypeError:  # also of a length that is not known (IterableDataset, tf.data)
        return None


def _is_labelled_pair(source: Any, inputs: Sequence[InputSpec]) -> bool:
    """(x, y): x an array of many samples, y one integer for each."""
    if not (isinstance(source, (tuple, list)) and len(source) == 2 and len(inputs) == 1 and all(map(is_array, source))):
        return False
    x, y = source
    return len(y.shape) == 1 and len(x.shape) > 1 and x.shape[0] == y.shape[0] and "int" in str(y.dtype)


def _reader(source: Any) -> Callable[[], Iterator[Any]]:
    begun = False

    def stream() -> Iterator[Any]:
        nonlocal begun
        if begun:
            if not hasattr(source, "rewind"):
                raise _used_up("the data reader")
            source.rewind()
        begun = True
        while (sample := source.get_next()) is not None:
            yield sample

    return stream


def _once(source: Iterator[Any]) -> Callable[[], Iterator[Any]]:
    begun = False

    def stream() -> Iterator[Any]:
        nonlocal begun
        if begun:
            raise _used_up("the generator")
        begun = True
        return source

    return stream


def _called(source: Callable[[], Any]) -> Callable[[], Iterable[Any]]:
    def stream() -> Iterable[Any]:
        made = source()
        if hasattr(made, "get_next"):
            return _reader(made)()
        if isinstance(made, Mapping) or not hasattr(made, "__iter__"):
            raise SampleError(
                f"the function that gives samples returned {type(made).__name__}",
                next="return a generator or a list of samples, or yield them",
            )
        return made  # type: ignore[no-any-return]

    return stream


def _used_up(what: str) -> SampleError:
    return SampleError(
        f"{what} was read to its end before, and the samples are needed once more",
        next="give a list, or a callable that returns a new generator",
    )


def _label(label: Any) -> Any:
    array = to_array(label)
    return array.item() if array.size == 1 else array
