"""Parameters: the tables of how a file's tensors are quantized -> scales and zero_points, checked all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError
from bitwright.formats.tflite.columns import Columns, Ints
from bitwright.formats.tflite.source import Source
from bitwright.numerics.qparams import STORAGES, scale_error
from bitwright.program.tensor import Array, Shape

#: The fields of the schema's table QuantizationParameters.
_MIN, _MAX, _SCALE, _ZERO_POINT, _DETAILS_TYPE, _DETAILS, _DIMENSION = range(7)
#: What QuantizationDetails may be.
_KINDS = {1: "custom", 2: "blockwise"}
#: What zero_points of each type may be: no more than QuantParams holds.
_BOUNDS = {name: (max(kind.qmin, -(1 << 31)), min(kind.qmax, (1 << 31) - 1)) for name, kind in STORAGES.items()}
_WRITE_AGAIN = "write the model again from its source"


#: Of one table, checked, in arrays that nobody writes to: scales, zero_points, axis, whether every zero_point is 0.
Parameters = tuple[NDArray[np.float32], NDArray[np.int32], int | None, bool]
#: Parameters, if there are any, and the range beside them, where the file has both ends of it.
Found = tuple[Parameters | None, tuple[Array, Array] | None]


def read_parameters(source: Source, tables: Ints, dtypes: Sequence[str], shapes: Sequence[Shape]) -> Iterator[Found]:
    """What each of the tables says, in their order.

    Args:
        source: the file.
        tables: the places of the QuantizationParameters of some tensors.
        dtypes, shapes: those tensors'.

    Raises:
        ModelError: details that are not held, numbers of scales and zero_points that do not fit, a zero_point out of
            range.
        QuantParamsError: a scale that is not positive and finite.
    """
    columns = Columns(source, tables, 7)
    (starts, sizes), (point_starts, point_sizes) = columns.vectors(_SCALE, 4), columns.vectors(_ZERO_POINT, 8)
    # Converters leave empty tables at plain tensors.
    counts = (sizes >> 2) * np.array([dtype in STORAGES for dtype in dtypes], bool)
    given = np.flatnonzero(counts)
    points = columns.parts(point_starts[given], point_sizes[given])
    checked = _checked(columns.parts(starts[given], sizes[given]), points, counts[given])
    for recorded, details, count, given_points, dimension, dtype, shape in zip(
        _recorded(columns, len(tables)),
        columns.numbers(_DETAILS_TYPE, "<u1"),
        counts.tolist(),
        (point_sizes >> 3).tolist(),
        columns.numbers(_DIMENSION, "<i4"),
        dtypes,
        shapes,
        strict=True,
    ):
        if details:
            raise ModelError(
                f"has {_KINDS.get(details, f'number {details}')} quantization, which is not read",
                next="convert the model with parameters per tensor or per channel",
            )
        if not count:
            yield None, recorded
            continue
        if given_points not in (0, count):
            raise ModelError(f"has {count} scales and {given_points} zero_points", next=_WRITE_AGAIN)
        axis = _axis(dimension, count, shape) if dimension or count > 1 else None
        scale, zero_point, is_positive, lowest, highest = next(checked)
        low, high = _BOUNDS[dtype]
        if not low <= lowest <= highest <= high:
            raise ModelError(f"has a zero_point outside [{low}, {high}]", next=_WRITE_AGAIN)
        if not is_positive:
            raise scale_error()
        yield (scale, zero_point, axis, lowest == highest == 0), recorded


def _recorded(columns: Columns, count: int) -> list[tuple[Array, Array] | None]:
    """The range beside the parameters, where both ends of it have as many numbers."""
    if not (columns.has(_MIN) | columns.has(_MAX)).any():
        return [None] * count
    lows, highs = (columns.parts(*columns.vectors(field, 4)) for field in (_MIN, _MAX))
    return [
        (np.frombuffer(low, "<f4"), np.frombuffer(high, "<f4")) if low and len(low) == len(high) else None
        for low, high in zip(lows, highs, strict=True)
    ]


def _checked(
    scales: Sequence[memoryview], points: Sequence[memoryview], counts: Ints
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int32], bool, int, int]]:
    """Of each table that has scales: these, its zero_points (0 where none are given), whether the scales are positive
    and finite, the least and the greatest zero_point.
    """
    if not scales:
        return iter(())
    scale = np.frombuffer(b"".join(scales), "<f4").astype(np.float32, copy=False)
    wide = np.frombuffer(
        b"".join([p if len(p) == 2 * len(s) else bytes(2 * len(s)) for s, p in zip(scales, points, strict=True)]), "<i8"
    )
    zero_point = wide.astype(np.int32)
    zero_point.setflags(write=False)
    ends = counts.cumsum()
    starts = ends - counts
    spans = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    is_positive = (np.minimum.reduceat(scale, starts) > 0) & (np.maximum.reduceat(scale, starts) < np.inf)
    extremes = [extreme.reduceat(wide, starts).tolist() for extreme in (np.minimum, np.maximum)]
    return zip(
        [scale[span] for span in spans],
        [zero_point[span] for span in spans],
        is_positive.tolist(),
        *extremes,
        strict=True,
    )


def _axis(dimension: int, scales: int, shape: Shape) -> int | None:
    """The quantization axis. One scale is per tensor, unless the file names an axis of one element (other than the
    first, which is also what it names when it means none).
    """
    fits = 0 <= dimension < len(shape) and shape[dimension] == scales
    if scales == 1:
        return dimension if fits and dimension else None
    if not fits:
        raise ModelError(f"{list(shape)} has {scales} scales along axis {dimension}", next=_WRITE_AGAIN)
    return dimension
