"""Where tensors lie in an ONNX file: found in the bytes of the protobuf message, which stays as it is.

Source: onnx.proto (field numbers); protobuf encoding, wire types 0 (varint), 1 (64 bits), 2 (length-delimited),
5 (32 bits).
"""

from __future__ import annotations

from collections.abc import Iterator

from bitwright.errors import ModelError
from bitwright.formats.bwz.span import Span, apart, as_told

# Fields of ModelProto, FunctionProto, GraphProto, NodeProto, AttributeProto and TensorProto.
_MODEL_GRAPH, _MODEL_FUNCTION, _FUNCTION_NODE = 7, 25, 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_OUTPUT, _NODE_ATTRIBUTE = 2, 5
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = (5, 10), (6, 11)
_DIMS, _DATA_TYPE, _FLOAT_DATA, _NAME, _RAW_DATA, _DOUBLE_DATA = 1, 2, 4, 8, 9, 10

_FLOAT, _DOUBLE = 1, 11
#: As deep as protobuf itself reads messages.
_MOST_DEEP = 100

#: A field: its number, its value or the place of its contents, their length (0 for a number).
Field = tuple[int, int, int]


def onnx_spans(data: memoryview) -> list[Span]:
    """The contents of all tensors that are held as they are used: raw_data, float_data, double_data.

    Args:
        data: an ONNX file.

    Raises:
        ModelError: it is no protobuf message.
    """
    spans: list[Span] = []
    try:
        for number, start, length in _fields(data, 0, len(data)):
            if number == _MODEL_GRAPH:
                spans += _of_graph(data, start, length, 0)
            elif number == _MODEL_FUNCTION:
                spans += _of_nodes(data, start, length, _FUNCTION_NODE, 0)
    except IndexError as error:
        raise ModelError(
            f"the model is damaged: {str(error) or 'it ends too early'}", next="export or copy the model again"
        ) from error
    return apart(spans)


def _of_graph(data: memoryview, start: int, length: int, depth: int) -> Iterator[Span]:
    if depth > _MOST_DEEP:
        raise IndexError("graphs in graphs without end")
    for number, at, size in _fields(data, start, length):
        if number == _GRAPH_INITIALIZER:
            yield from _of_tensor(data, at, size, "")
    yield from _of_nodes(data, start, length, _GRAPH_NODE, depth)


def _of_nodes(data: memoryview, start: int, length: int, wanted: int, depth: int) -> Iterator[Span]:
    """Tensors in attributes of nodes; those without a name are called by their node's output."""
    for number, node, size in _fields(data, start, length):
        if number != wanted:
            continue
        output = ""
        attributes = []
        for inner, at, extent in _fields(data, node, size):
            if inner == _NODE_OUTPUT and not output:
                output = _text(data, at, extent)
            elif inner == _NODE_ATTRIBUTE:
                attributes.append((at, extent))
        for attribute in attributes:
            for inner, at, extent in _fields(data, *attribute):
                if inner in _ATTRIBUTE_TENSORS:
                    yield from _of_tensor(data, at, extent, output)
                elif inner in _ATTRIBUTE_GRAPHS:
                    yield from _of_graph(data, at, extent, depth + 1)


def _of_tensor(data: memoryview, start: int, length: int, called: str) -> Iterator[Span]:
    name, dtype, dims = called, 0, []
    contents: list[Field] = []
    for number, at, size in _fields(data, start, length):
        if number == _NAME and size:
            name = _text(data, at, size)
        elif number == _DATA_TYPE:
            dtype = at
        elif number == _DIMS and size:
            dims += _varints(data, at, size)
        elif number == _DIMS:
            dims.append(at)
        elif number in (_RAW_DATA, _FLOAT_DATA, _DOUBLE_DATA) and size:
            contents.append((number, at, size))
    for number, at, size in contents:
        held = {_FLOAT_DATA: _FLOAT, _DOUBLE_DATA: _DOUBLE}.get(number, dtype)
        yield as_told(name, held if held == dtype else 0, tuple(dims), at, size)


def _fields(data: memoryview, start: int, length: int) -> Iterator[Field]:
    at, end = start, start + length
    while at < end:
        key, at = _varint(data, at)
        kind, size = key & 7, 0
        value = at
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            value, at = at, at + size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise IndexError("it is no protobuf message")
        if at > end:
            raise IndexError("it ends too early")
        yield key >> 3, value, size


def _varints(data: memoryview, start: int, length: int) -> list[int]:
    out, at = [], start
    while at < start + length:
        value, at = _varint(data, at)
        out.append(value)
    return out


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise IndexError("it is no protobuf message")


def _text(data: memoryview, at: int, size: int) -> str:
    return str(data[at : at + size], "utf-8", "backslashreplace")
