"""Calibration by its own names: the method, and the reader that scripts derive theirs from."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from bitwright.errors import UsageError


class CalibrationMethod(Enum):
    """How ranges of activations are chosen. Distribution is for float8 alone, and refused."""

    MinMax = 0
    Entropy = 1
    Percentile = 2
    Distribution = 3


class CalibrationDataReader(abc.ABC):
    """Samples one by one. Any object with `get_next` is one; deriving from this class is not needed."""

    @classmethod
    def __subclasshook__(cls, subclass: type) -> bool:
        return callable(getattr(subclass, "get_next", None)) or NotImplemented

    @abc.abstractmethod
    def get_next(self) -> dict[str, Any] | None:
        """The next sample, an array by input name; None at the end."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        sample = self.get_next()
        if sample is None:
            raise StopIteration
        return sample

    def __len__(self) -> int:
        raise NotImplementedError

    def set_range(self, start_index: int, end_index: int) -> None:
        """Read only the samples of this half-open range, for `CalibStridedMinMax`."""
        raise NotImplementedError


def samples_of(reader: Any, stride: int | None) -> Iterator[dict[str, Any]]:
    """All samples of a reader, part by part where a stride is given.

    Raises:
        UsageError: it is no reader, or its samples do not divide into such parts.
    """
    if not callable(getattr(reader, "get_next", None)):
        raise UsageError(
            f"samples cannot be read from {type(reader).__name__}",
            where="calibration_data_reader",
            next="give an object with get_next(), which returns an array by input name, and None at the end",
        )
    return _drawn(reader) if stride is None else _in_parts(reader, stride)


def _drawn(reader: Any) -> Iterator[dict[str, Any]]:
    while (sample := reader.get_next()) is not None and len(sample):
        yield sample


def _in_parts(reader: Any, stride: int) -> Iterator[dict[str, Any]]:
    with _reading_parts(reader):
        total = len(reader)
    if total % stride:
        raise UsageError(
            f"{total} samples do not divide into parts of {stride}",
            where="extra_options, CalibStridedMinMax",
            next="give a divisor of the number of samples, or leave the option out",
        )
    for start in range(0, total, stride):
        with _reading_parts(reader):
            reader.set_range(start_index=start, end_index=start + stride)
        yield from _drawn(reader)


@contextmanager
def _reading_parts(reader: Any) -> Iterator[None]:
    try:
        yield
    except (AttributeError, NotImplementedError, TypeError) as error:
        raise UsageError(
            f"{type(reader).__name__} does not read parts of its samples: it lacks __len__ or set_range",
            where="extra_options, CalibStridedMinMax",
            next="define both, or leave the option out: memory does not grow with samples here",
        ) from error
