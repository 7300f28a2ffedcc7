"""Writing: the bytes of a model file -> those of a .bwz file."""

from __future__ import annotations

import zlib

import numpy as np

from bitwright.errors import ModelError
from bitwright.formats.bwz.blob import blob_of
from bitwright.formats.bwz.dtypes import DTYPES
from bitwright.formats.bwz.layout import (
    HEADER_BYTES,
    MOST_MODEL_BYTES,
    Entry,
    Header,
    compressed,
    index_bytes,
    padding_for,
)
from bitwright.formats.bwz.onnx_spans import onnx_spans
from bitwright.formats.bwz.sniff import FORMATS
from bitwright.formats.bwz.span import Span
from bitwright.formats.bwz.tflite_spans import tflite_spans
from bitwright.formats.suffixes import ONNX

#: Tensors that stay in the skeleton: small ones, and larger ones that deflate as well, with which LZMA does better yet.
_SMALL, _PLAIN = 256, 2048
#: What a blob takes in the index.
_ENTRY_BYTES = 8
_MOST_RANK = 32


def write_bwz(model: bytes, suffix: str) -> bytes:
    """A .bwz file that gives back every byte of the model file.

    Args:
        model: an .onnx file with its constants inside, or a .tflite file.
        suffix: which of them.

    Raises:
        ModelError: more than 2 GiB, or not whole.
    """
    if len(model) > MOST_MODEL_BYTES:
        raise ModelError(
            f"the model has {len(model):,} bytes, and a .bwz file holds 2 GiB at most",
            next="quantize it first: `bitwright quantize MODEL -o SMALL`",
        )
    view = memoryview(model)
    spans = onnx_spans(view) if suffix == ONNX else tflite_spans(view)
    entries, blobs, skeleton = [], [], []
    end = 0
    for span in spans:
        blob = _blob(span, view)
        entries.append(Entry(span, len(blob), zlib.crc32(blob)))
        if blob:
            skeleton.append(view[end : span.start])
            end = span.start + span.nbytes
            blobs.append(blob)
    skeleton.append(view[end:])
    body, rest = b"".join(blobs), b"".join(skeleton)
    padding = padding_for(HEADER_BYTES + len(body), len(model))
    head = index_bytes(entries, padding) + rest
    compression, stored = compressed(head, suffix)
    number = next(number for number, name in FORMATS.items() if name == suffix)
    sizes = (len(model), zlib.crc32(model), len(head), len(stored), zlib.crc32(stored))
    return b"".join((Header(number, compression, *sizes).to_bytes(), stored, body, bytes(padding)))


def _blob(span: Span, model: memoryview) -> bytes:
    """A tensor's blob; nothing for one that stays in the skeleton."""
    if span.nbytes < _SMALL or len(span.shape) > _MOST_RANK:
        return b""
    data = np.frombuffer(model[span.start : span.start + span.nbytes], np.uint8)
    kind = DTYPES[span.dtype]
    blob = blob_of(data, kind.width, span.coded_shape, is_float=kind.is_float)
    if span.nbytes >= _PLAIN:
        return blob
    deflated = min(span.nbytes, len(zlib.compress(data.tobytes(), 9)))
    return blob if len(blob) + _ENTRY_BYTES < deflated else b""
