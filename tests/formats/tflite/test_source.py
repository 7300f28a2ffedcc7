"""Fields of tables, one by one and in columns: what the published classes read, and nothing outside the file."""

from __future__ import annotations

import runpy
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from bitwright.formats.tflite.columns import Columns, contents_of
from bitwright.formats.tflite.source import INT8, UINT32, DamagedError, Source

_RAW = runpy.run_path(str(Path(__file__).with_name("raw_file.py")))
build, model, table = (_RAW[name] for name in ("build", "model", "table"))

NAMES = ["first", "", "naïve", "x" * 300]
SHAPES = [[1, 2, 3], [], [7], [1] * 9]


def some_tensors() -> bytes:
    """A file of tensors that leave out different fields."""
    tensors = [
        table("Tensor", Name=NAMES[0], Shape=SHAPES[0], Type=9, Buffer=1),
        table("Tensor", Name=NAMES[1]),
        table("Tensor", Name=NAMES[2], Shape=SHAPES[2], IsVariable=True),
        table("Tensor", Name=NAMES[3], Shape=SHAPES[3], Type=2, Buffer=3, HasRank=True),
    ]
    graph = table("SubGraph", Tensors=tensors, Inputs=[0], Outputs=[1], Operators=[])
    outside = table("Buffer", Offset=16, Size=5)
    return bytes(build(model(graph, Buffers=[np.arange(3, dtype=np.uint8), outside, np.zeros(0, np.uint8)])))


def opened(data: bytes) -> tuple[Source, Any, Any]:
    """The file, the places of its tensors and of its buffers."""
    source = Source(memoryview(data))
    root = source.root()
    _, _, graphs, _, buffers = source.fields_of(root, 5)
    (graph,) = source.tables(root, graphs).tolist()
    return source, source.tables(graph, source.fields_of(graph, 1)[0]), source.tables(root, buffers)


def test_columns_hold_what_tables_hold_one_by_one() -> None:
    """Numbers, texts and vectors, there or left out."""
    source, tables, _ = opened(some_tensors())
    columns = Columns(source, tables, 8)
    fields = [source.fields_of(place, 8) for place in tables.tolist()]
    places = list(zip(tables.tolist(), fields, strict=True))

    assert columns.texts(3) == [source.text(t, f[3]) for t, f in places] == NAMES
    assert columns.integers(0) == [source.integers(t, f[0]) for t, f in places] == [tuple(s) for s in SHAPES]
    assert columns.numbers(1, "<i1") == [source.number(t, f[1], INT8) for t, f in places] == [9, 0, 0, 2]
    assert columns.numbers(2, "<u4") == [source.number(t, f[2], UINT32) for t, f in places] == [1, 0, 0, 3]
    assert columns.numbers(5, "?") == [False, False, True, False]
    assert columns.has(0).tolist() == [True, False, True, True]
    assert columns.integers(7) == [()] * 4


def test_contents_lie_inside_or_behind_the_flatbuffer() -> None:
    """A buffer with an offset lies there; one without data is empty."""
    data = some_tensors()
    source, _, buffers = opened(data)

    parts = [data[start : start + size] for start, size in contents_of(source, buffers)]

    assert parts == [b"", b"\0\1\2", data[16:21], b""]


def test_columns_of_no_table_are_empty() -> None:
    """As a model without metadata has them."""
    source, *_ = opened(some_tensors())
    columns = Columns(source, np.zeros(0, np.int64), 3)

    assert (columns.texts(0), columns.integers(1), columns.numbers(2, "<u4")) == ([], [], [])


def damaged(offset: int, value: int) -> bytes:
    """The file with 32 bits of its first tensor overwritten: 0 is the distance to its vtable."""
    data = bytearray(some_tensors())
    graph = tflite.Model.GetRootAs(data).Subgraphs(0)
    place = graph._tab.Indirect(graph._tab.Vector(graph._tab.Offset(4)))
    struct.pack_into("<I", data, place + offset, value % (1 << 32))
    return bytes(data)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param((1 << 31) - 1, id="before-the-file"),
        pytest.param(-(1 << 31), id="behind-the-file"),
    ],
)
def test_vtable_outside_the_file_is_refused(value: int) -> None:
    """Read one by one or in columns; a negative place is not counted from the end."""
    source, tables, _ = opened(damaged(0, value))

    with pytest.raises(DamagedError, match="lead nowhere"):
        Columns(source, tables, 8)
    with pytest.raises((DamagedError, struct.error)):
        source.fields_of(int(tables[0]), 8)


@pytest.mark.parametrize("distance", [1 << 20, (1 << 32) - 1])
@pytest.mark.parametrize("field", [0, 3], ids=["integers", "text"])
def test_vector_outside_the_file_is_refused(field: int, distance: int) -> None:
    """Wherever its distance leads."""
    whole, tables, _ = opened(some_tensors())
    source, tables, _ = opened(damaged(whole.fields_of(int(tables[0]), 8)[field], distance))
    columns, place = Columns(source, tables, 8), int(tables[0])

    with pytest.raises(DamagedError):
        columns.integers(field) if field == 0 else columns.texts(field)
    with pytest.raises((DamagedError, struct.error)):
        source.vector(place, source.fields_of(place, 8)[field], 4)


def test_account_is_spent_by_what_is_copied() -> None:
    """The same vector again and again is longer than the file; contents are views and cost nothing."""
    source, tables, buffers = opened(some_tensors())
    columns = Columns(source, tables, 8)
    for _ in range(2000):
        contents_of(source, buffers)

    with pytest.raises(DamagedError, match="longer than the file"):
        for _ in range(2000):
            columns.texts(3)
