"""Any .tflite file, whole or odd, from nested values: what the writer never writes."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import tflite

Table = tuple[str, dict[str, Any]]


def table(kind: str, **fields: Any) -> Table:
    """A table of the schema, by the names of the generated classes: `table("Tensor", Name="x", Shape=[1, 2])`.

    A list of numbers is a vector of 32-bit integers, an array one of its own type, a list of tables a vector of them.
    """
    return kind, fields


def build(model: Table, *, identifier: bytes = b"TFL3") -> bytes:
    """The file whose root it is."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(_place(builder, model), identifier)
    return bytes(builder.Output())


def model(*subgraphs: Table, **fields: Any) -> Table:
    """A model with empty buffer 0; `Buffers` adds contents from number 1 on, `OperatorCodes` names kinds."""
    codes = [code if isinstance(code, tuple) else _code(code) for code in fields.pop("OperatorCodes", [])]
    buffers = [
        table("Buffer"),
        *(b if isinstance(b, tuple) else table("Buffer", Data=b) for b in fields.pop("Buffers", [])),
    ]
    return table(
        "Model", **{"Version": 3, "OperatorCodes": codes, "Subgraphs": list(subgraphs), "Buffers": buffers} | fields
    )


def one_relu(**tensor: Any) -> Table:
    """A subgraph: y = the first operator code of x, both f32[2] and buffer 0, unless `tensor` says otherwise of x."""
    x = table("Tensor", **{"Name": "x", "Shape": [2]} | tensor)
    y = table("Tensor", Name="y", Shape=[2])
    operator = table("Operator", Inputs=[0], Outputs=[1])
    return table("SubGraph", Tensors=[x, y], Inputs=[0], Outputs=[1], Operators=[operator], Name="main")


def _code(kind: str) -> Table:
    number = getattr(tflite.BuiltinOperator, kind)
    return table("OperatorCode", BuiltinCode=number, DeprecatedBuiltinCode=min(number, 127), Version=1)


def _place(builder: flatbuffers.Builder, value: Any) -> Any:
    if isinstance(value, tuple):
        kind, fields = value
        placed = {name: _place(builder, field) for name, field in fields.items()}
        getattr(tflite, f"{kind}Start")(builder)
        for name, field in placed.items():
            getattr(tflite, f"{kind}Add{name}")(builder, field)
        return getattr(tflite, f"{kind}End")(builder)
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        offsets = [_place(builder, item) for item in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    if isinstance(value, list):
        return builder.CreateNumpyVector(np.asarray(value, np.int32))
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, str | bytes):
        return builder.CreateString(value)
    return value
