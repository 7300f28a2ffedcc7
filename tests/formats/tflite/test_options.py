"""Options of every operator survive a file, each field away from its default."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import Any

import flatbuffers
import pytest
import tflite

from bitwright.formats.tflite.attributes import OptionsReader, union_member
from bitwright.formats.tflite.operators import ROWS
from bitwright.formats.tflite.schema import BUILTINS, STORAGE_TYPES, TENSOR_TYPE_NAMES, TENSOR_TYPES
from bitwright.formats.tflite.source import INT8, UINT32, Source
from bitwright.formats.tflite.write_attributes import write_options
from bitwright.program.operator import Options
from bitwright.program.registry import DEFINITIONS

KINDS = sorted({row.options for row in ROWS.values()} - {Options}, key=lambda kind: kind.__name__)

#: An operator without any field.
NO_OPTIONS = bytes([8, 0, 0, 0, 4, 0, 4, 0, 4, 0, 0, 0])


def another(default: Any) -> Any:
    """A value of the field's type that is not its default."""
    if isinstance(default, bool):
        return not default
    if isinstance(default, StrEnum):
        return next(member for member in reversed(type(default)) if member != default)
    if isinstance(default, str):
        return "i8"
    if isinstance(default, tuple):
        return (3, -1, 2)
    return type(default)(default + 2)


def read_back(options: Options) -> Options:
    """Through the table of one operator."""
    builder = flatbuffers.Builder(64)
    offset = write_options(builder, options)
    tflite.OperatorStart(builder)
    tflite.OperatorAddBuiltinOptionsType(builder, union_member(type(options)))
    tflite.OperatorAddBuiltinOptions(builder, offset)
    builder.Finish(tflite.OperatorEnd(builder))
    data = bytes(builder.Output())
    return read(data, type(options))


def read(data: bytes, kind: type[Options]) -> Options:
    """The options of the operator at the root of these bytes."""
    source = Source(memoryview(data))
    operator = source.root()
    member, table = source.fields_of(operator, 5)[3:]
    place = operator + table + source.number(operator, table, UINT32)
    return OptionsReader(source).read(kind, source.number(operator, member, INT8), place if table else 0)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_options_away_from_their_defaults_survive(kind: type[Options]) -> None:
    """Every field, under the schema's name for it."""
    options = kind(**{field.name: another(field.default) for field in fields(kind)})

    assert read_back(options) == options


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_one_option_away_from_its_default_survives_alone(kind: type[Options]) -> None:
    """No field is written in another's place."""
    for field in fields(kind):
        options = kind(**{field.name: another(field.default)})
        assert read_back(options) == options


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_options_have_the_defaults_of_the_schema(kind: type[Options]) -> None:
    """A table without fields reads as the dataclass without arguments; but where the schema's 0 means nothing (strides,
    windows, the type of indices), the dataclass has what does.
    """
    other: dict[str, Any] = dict.fromkeys(
        ("stride_w", "stride_h", "filter_width", "filter_height", "depth_multiplier"), 0
    )
    other |= {"output_type": "f32", "out_type": "f32"}
    builder = flatbuffers.Builder(64)
    getattr(tflite, f"{kind.__name__}Start")(builder)
    offset = getattr(tflite, f"{kind.__name__}End")(builder)
    tflite.OperatorStart(builder)
    tflite.OperatorAddBuiltinOptionsType(builder, union_member(kind))
    tflite.OperatorAddBuiltinOptions(builder, offset)
    builder.Finish(tflite.OperatorEnd(builder))
    data = bytes(builder.Output())
    empty, absent = read(data, kind), read(NO_OPTIONS, kind)

    for field in fields(kind):
        expected = other.get(field.name, field.default)
        assert (field.name, getattr(empty, field.name)) == (field.name, expected)
        assert (field.name, getattr(absent, field.name)) == (field.name, expected)


@pytest.mark.parametrize("kind", sorted(DEFINITIONS))
def test_operator_of_the_vocabulary_has_a_row(kind: str) -> None:
    """Its name is the schema's, its options are its definition's."""
    assert ROWS[kind].options is DEFINITIONS[kind].options
    assert kind in BUILTINS


def test_no_row_is_of_an_operator_outside_the_vocabulary() -> None:
    """A row alone reads nothing."""
    assert set(ROWS) == set(DEFINITIONS)


def test_releases_grow_with_versions() -> None:
    """A newer version of an operator never came with an older release."""
    for row in ROWS.values():
        releases = [row.runtime(version) for version in range(1, len(row.runtimes.split()) + 1)]
        assert releases == sorted(releases), row.kind


def test_storage_types_have_the_numbers_of_the_schema() -> None:
    """As the published classes name them; INT2 and UINT4 are newer."""
    long = {"f": "FLOAT", "i": "INT", "u": "UINT"}
    named = {
        dtype: "BOOL" if dtype == "bool" else long[dtype[0]] + dtype[1:]
        for dtype in TENSOR_TYPES
        if dtype not in ("i2", "u4")
    }

    assert {dtype: TENSOR_TYPE_NAMES[TENSOR_TYPES[dtype]] for dtype in named} == named
    assert (STORAGE_TYPES[19], STORAGE_TYPES[20]) == ("i2", "u4")
