"""Attributes: an operator's options from a table of the file, field by field of the dataclass.

A dataclass has the fields of its table in the schema's order, so a field's number is its own, but for those that
`_UNREAD` puts between. `write_attributes` is the inverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from itertools import count
from typing import Any, NamedTuple

from bitwright.errors import ModelError
from bitwright.formats.tflite.schema import CHOICES, STORAGE_TYPES, UNION_MEMBERS, UNION_NAMES, schema_name
from bitwright.formats.tflite.source import BOOL, FLOAT32, INT8, INT32, Read, Source
from bitwright.program.operator import Options

#: Fields that a table has and its dataclass has not: number -> name. They must be 0, but for those without a name,
#: which the schema has given up.
_UNREAD: dict[str, dict[int, str]] = {
    "FullyConnectedOptions": {1: "weights_format"},
    "ResizeBilinearOptions": {0: "", 1: ""},
}
#: What a field that is left out stands for, where that is not 0.
_DEFAULTS: dict[str, int] = {"dilation_w_factor": 1, "dilation_h_factor": 1, "pot_scale_int16": True}
_READS: dict[str, Read] = {"?": BOOL, "b": INT8, "i": INT32, "f": FLOAT32}
_CODES: dict[type, str] = {bool: "?", int: "i", float: "f"}


class Field(NamedTuple):
    """A field of a table.

    Args:
        number: in the schema.
        name: in the dataclass.
        code: of the number's type, as `struct` has it; None for a vector of int32.
        default: the number that it stands for when it is left out.
        held: what each number stands for; None where it stands for itself.
    """

    number: int
    name: str
    code: str | None
    default: Any
    held: Mapping[int, Any] | None


def union_member(options: type[Options]) -> int:
    """The schema's number of an options class; 0 (none) for options without fields."""
    return 0 if options is Options else UNION_MEMBERS[options.__name__]


class OptionsReader:
    """Reads the options of a file's operators.

    Args:
        source: the file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._places: dict[tuple[type[Options], int], tuple[int, ...]] = {}
        self._made: dict[tuple[type[Options], int, bytes], Options] = {}

    def read(self, kind: type[Options], member: int, table: int) -> Options:
        """The options that one table holds.

        Args:
            kind: the class that the operator's row names.
            member: the schema's number of the options that the operator says it has.
            table: their place; 0 where there are none.

        Raises:
            ModelError: they are another operator's, or have a field or a value that is not held.
        """
        if kind is Options:
            return kind()
        if member and member != union_member(kind):
            raise ModelError(
                f"has {UNION_NAMES.get(member, f'options number {member}')} where {kind.__name__} belong",
                next="write the model again from its source",
            )
        known = fields_of(kind)
        most = known[-1].number + 1
        if not table:
            return self._make(kind, known, 0, (0,) * most)
        vtable = self._source.vtable(table)
        places = self._places.get((kind, vtable))
        if places is None:
            places = self._places[kind, vtable] = self._source.fields(vtable, most)
        if known[0].code is None:  # a vector, which lies outside the table, is the only field where there is one
            return self._make(kind, known, table, places)
        # Tables of one vtable and of the same bytes hold the same.
        size = max(places)
        self._source.spend(size)
        key = kind, vtable, bytes(self._source.data[table + 4 : table + 4 + size])
        if key not in self._made:
            self._made[key] = self._make(kind, known, table, places)
        return self._made[key]

    def _make(self, kind: type[Options], known: tuple[Field, ...], table: int, places: tuple[int, ...]) -> Options:
        source, values = self._source, {}
        for number, name, code, default, held in known:
            place = places[number]
            if code is None:
                values[name] = source.integers(table, place)
                continue
            value = source.number(table, place, _READS[code]) if place else default
            if held is not None and value not in held:
                raise ModelError(
                    f"has {schema_name(name)} {value}, which is not read", next="convert the model without it"
                )
            values[name] = value if held is None else held[value]
        for number, name in _UNREAD.get(kind.__name__, {}).items():
            if name and (value := source.number(table, places[number], INT8)):
                raise ModelError(
                    f"has {schema_name(name)} {value} in its {kind.__name__}, which is not read",
                    next="convert the model without it",
                )
        return kind(**values)


def fields_of(kind: type[Options]) -> tuple[Field, ...]:
    """The fields of a table that are read."""
    if kind not in _FIELDS:
        unread = _UNREAD.get(kind.__name__, {})
        numbers = (number for number in count() if number not in unread)
        _FIELDS[kind] = tuple(_field(next(numbers), field.name, field.default) for field in fields(kind))
    return _FIELDS[kind]


_FIELDS: dict[type[Options], tuple[Field, ...]] = {}


def _field(number: int, name: str, default: Any) -> Field:
    if isinstance(default, tuple):
        return Field(number, name, None, 0, None)
    if isinstance(default, StrEnum):
        choice = type(default)
        return Field(number, name, "b", 0, {CHOICES[choice][member.value]: member for member in choice})
    if isinstance(default, str):
        return Field(number, name, "b", 0, STORAGE_TYPES)
    kind = type(default)
    return Field(number, name, _CODES[kind], kind(_DEFAULTS.get(name, 0)), None)
