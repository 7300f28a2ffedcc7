"""Writing an operator's options as a table of the file. `attributes` is the inverse."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import Any

import flatbuffers
import numpy as np
import tflite

from bitwright.formats.tflite.schema import CHOICES, TENSOR_TYPES, schema_name
from bitwright.program.operator import Options


def write_options(builder: flatbuffers.Builder, options: Options) -> int:
    """The offset of the table that holds them."""
    table = type(options).__name__
    values = [(schema_name(field.name), _number_of(getattr(options, field.name))) for field in fields(options)]
    placed = [(name, _vector(builder, value) if isinstance(value, tuple) else value) for name, value in values]
    getattr(tflite, f"{table}Start")(builder)
    for name, value in placed:
        getattr(tflite, f"{table}Add{name}")(builder, value)
    return int(getattr(tflite, f"{table}End")(builder))


def _number_of(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return CHOICES[type(value)][value.value]
    return TENSOR_TYPES[value] if isinstance(value, str) else value


def _vector(builder: flatbuffers.Builder, values: tuple[int, ...]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.int32)))
