"""Where tensors lie in a .tflite file: its buffers, named by the tensors that hold them."""

from __future__ import annotations

import struct

from bitwright.formats.bwz.dtypes import NUMBERS, OPAQUE
from bitwright.formats.bwz.span import Span, apart, as_told
from bitwright.formats.tflite.schema import STORAGE_TYPES
from bitwright.formats.tflite.source import INT8, UINT32, DamagedError, Source

#: Fields that are read: of Model up to its buffers, of SubGraph its tensors, of Tensor up to its name, of Buffer its
#: data.
_MODEL, _BUFFERS, _GRAPHS = 5, 4, 2
_TENSOR = 4


def tflite_spans(data: memoryview) -> list[Span]:
    """The contents of all buffers that lie among the file's tables.

    Args:
        data: a .tflite file.

    Raises:
        ModelError: it is not whole.
    """
    try:
        return _spans(Source(data))
    except struct.error as error:
        raise DamagedError("offsets that lead nowhere") from error


def _spans(source: Source) -> list[Span]:
    model = source.root()
    fields = source.fields_of(model, _MODEL)
    tensors = _tensors(source, source.tables(model, fields[_GRAPHS]).tolist())
    spans = []
    for index, table in enumerate(source.tables(model, fields[_BUFFERS]).tolist()):
        start, nbytes = source.vector(table, source.fields_of(table, 1)[0], 1)
        if nbytes:
            name, dtype, shape = tensors.get(index, (f"buffer {index}", OPAQUE, (nbytes,)))
            spans.append(as_told(name, dtype, shape, start, nbytes))
    return apart(spans)


def _tensors(source: Source, graphs: list[int]) -> dict[int, tuple[str, int, tuple[int, ...]]]:
    """Name, type and shape of the first tensor of each buffer."""
    found: dict[int, tuple[str, int, tuple[int, ...]]] = {}
    for graph in graphs:
        for table in source.tables(graph, source.fields_of(graph, 1)[0]).tolist():
            shape, kind, buffer, name = source.fields_of(table, _TENSOR)
            dtype = NUMBERS.get(STORAGE_TYPES.get(source.number(table, kind, INT8), ""), 0)
            told = (source.text(table, name), dtype, source.integers(table, shape))
            found.setdefault(source.number(table, buffer, UINT32), told)
    return found
