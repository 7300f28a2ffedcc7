"""Schema: the schema's numbers for the Program's names, and which of its names a field of the options has."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Any

import tflite

from bitwright.program.operator import Activation, MirrorPadMode, Padding

#: The version of the schema that is read and written.
VERSION = 3
#: What stands at byte 4 of a file.
IDENTIFIER = b"TFL3"
#: Where constants lie in a file.
ALIGNMENT = 16
#: Metadata that is written anew for each file.
RUNTIME_ENTRY = "min_runtime_version"
#: The most bytes that the offsets of a FlatBuffer reach.
MOST_BYTES = 2**31 - 1


def _numbers(table: Any) -> dict[str, int]:
    return {name: number for name, number in vars(table).items() if not name.startswith("_")}


#: BuiltinOperator, both ways.
BUILTINS: dict[str, int] = _numbers(tflite.BuiltinOperator)
BUILTIN_NAMES: dict[int, str] = {number: name for name, number in BUILTINS.items()}
#: BuiltinOptions: the number of a union member by the name of its table.
UNION_MEMBERS: dict[str, int] = _numbers(tflite.BuiltinOptions)
UNION_NAMES: dict[int, str] = {number: name for name, number in UNION_MEMBERS.items()}

#: TensorType by storage type. INT2 and UINT4 are newer than the published classes.
TENSOR_TYPES: dict[str, int] = {
    "f32": 0,
    "f16": 1,
    "i32": 2,
    "u8": 3,
    "i64": 4,
    "bool": 6,
    "i16": 7,
    "i8": 9,
    "f64": 10,
    "u64": 12,
    "u32": 15,
    "u16": 16,
    "i4": 17,
    "i2": 19,
    "u4": 20,
}
STORAGE_TYPES: dict[int, str] = {number: dtype for dtype, number in TENSOR_TYPES.items()}
TENSOR_TYPE_NAMES: dict[int, str] = {number: name for name, number in _numbers(tflite.TensorType).items()}

#: The schema's numbers of each choice.
CHOICES: dict[type[StrEnum], dict[str, int]] = {
    Padding: _numbers(tflite.Padding),
    Activation: _numbers(tflite.ActivationFunctionType),
    MirrorPadMode: _numbers(tflite.MirrorPadMode),
}


@cache
def schema_name(field: str) -> str:
    """What the generated classes call a field.

    >>> schema_name("dilation_w_factor")
    'DilationWFactor'
    """
    return "".join(part[:1].upper() + part[1:] for part in field.split("_"))
