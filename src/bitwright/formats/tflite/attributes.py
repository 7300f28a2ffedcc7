"""Attributes: an operator's options as a table of the file, and back, field by field of the dataclass."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from functools import cache
from typing import Any

import flatbuffers
import numpy as np
import tflite

from bitwright.errors import ModelError
from bitwright.formats.tflite.schema import (
    CHOICES,
    STORAGE_TYPES,
    TENSOR_TYPES,
    UNION_MEMBERS,
    UNION_NAMES,
    schema_name,
)
from bitwright.formats.tflite.source import Source
from bitwright.program.operator import Options

#: A table without fields, and where in it the table lies: what is left out has the schema's defaults.
_EMPTY_TABLE = (bytes([4, 0, 4, 0, 4, 0, 0, 0]), 4)


def union_member(options: type[Options]) -> int:
    """The schema's number of an options class; 0 (none) for options without fields."""
    return 0 if options is Options else UNION_MEMBERS[options.__name__]


def write_options(builder: flatbuffers.Builder, options: Options) -> int:
    """The offset of the table that holds them."""
    table = type(options).__name__
    values = [(schema_name(field.name), _number_of(getattr(options, field.name))) for field in fields(options)]
    placed = [(name, _vector(builder, value) if isinstance(value, tuple) else value) for name, value in values]
    getattr(tflite, f"{table}Start")(builder)
    for name, value in placed:
        getattr(tflite, f"{table}Add{name}")(builder, value)
    return int(getattr(tflite, f"{table}End")(builder))


def read_options(source: Source, operator: Any, kind: type[Options]) -> Options:
    """The options of an operator's table.

    Args:
        source: the file.
        operator: the operator's table.
        kind: the class that its row names.

    Raises:
        ModelError: they are another operator's, or have a field or a value that is not held.
    """
    member, union = int(operator.BuiltinOptionsType()), operator.BuiltinOptions()
    if kind is Options:
        return kind()
    if member and member != union_member(kind):
        raise ModelError(
            f"has {UNION_NAMES.get(member, f'options number {member}')} where {kind.__name__} belong",
            next="write the model again from its source",
        )
    table = getattr(tflite, kind.__name__)()
    table.Init(*(_EMPTY_TABLE if union is None else (union.Bytes, union.Pos)))
    for name in _other_fields(kind):
        if value := getattr(table, name)():
            raise ModelError(
                f"has {name} {value} in its {kind.__name__}, which is not read", next="convert the model without it"
            )
    return kind(**{field.name: _value(source, table, field.name, field.default) for field in fields(kind)})


def _number_of(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return CHOICES[type(value)][value.value]
    return TENSOR_TYPES[value] if isinstance(value, str) else value


def _vector(builder: flatbuffers.Builder, values: tuple[int, ...]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.int32)))


def _value(source: Source, table: Any, field: str, default: Any) -> Any:
    name = schema_name(field)
    if isinstance(default, tuple):
        return tuple(source.numbers(table, name).tolist())
    number = getattr(table, name)()
    if isinstance(default, StrEnum):
        kind = type(default)
        held: dict[int, Any] = {CHOICES[kind][member.value]: member for member in kind}
    elif isinstance(default, str):
        held = STORAGE_TYPES
    else:
        return type(default)(number)
    if number not in held:
        raise ModelError(f"has {name} {number}, which is not read", next="convert the model without it")
    return held[number]


def _other_fields(kind: type[Options]) -> list[str]:
    """Fields that the schema has and the dataclass does not: each must have its default, which is zero."""
    read = {schema_name(field.name) for field in fields(kind)}
    return [name for name in _schema_fields(kind.__name__) if name not in read]


@cache
def _schema_fields(table: str) -> tuple[str, ...]:
    """The fields of a table of the schema, as the published classes call them."""
    return tuple(
        name
        for name, method in vars(getattr(tflite, table)).items()
        if name[0].isupper() and callable(method) and not name.endswith(("Length", "AsNumpy", "IsNone", "Init"))
    )
