"""Hostile .bwz files, with checksums that fit: each is read or refused by an error of bitwright's, in little memory."""

from __future__ import annotations

import lzma
import random
import struct
import zlib

import numpy as np
import onnx
import onnx.helper as helper
import onnx.numpy_helper as numpy_helper
import pytest

from bitwright.errors import BitwrightError, ModelError
from bitwright.formats.bwz.layout import HEADER_BYTES, Compression, Header, head_of, read_header
from bitwright.formats.bwz.numbers import number
from bitwright.formats.bwz.read import Packed
from bitwright.formats.bwz.write import write_bwz

RNG = np.random.default_rng(0)
WEIGHTS = {
    "shared": RNG.choice(np.float32([-0.5, 0, 0.25, 1.0]), (40, 30)),
    "sparse": np.pad(RNG.choice(np.float32([1, 2, 3]), 2000), (2000, 3000)),
    "dense": RNG.standard_normal((16, 40)).astype(np.float32),
    "integers": np.clip(np.rint(RNG.standard_normal((80, 40)) * 20), -127, 127).astype(np.int8),
    "bias": np.float32([1, 2, 3]),
}


def small_model() -> bytes:
    """An ONNX file with a tensor of each method."""
    held = [numpy_helper.from_array(array, name) for name, array in WEIGHTS.items()]
    port = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", port[:1], port[1:], held)
    return bytes(helper.make_model(graph).SerializeToString())


MODEL = small_model()
PACKED = write_bwz(MODEL, ".onnx")


def test_each_method_is_there():
    """What is damaged below is whole before, and of every kind."""
    packed = Packed(PACKED)

    assert packed.contents() == MODEL
    assert {"CODED", "SPARSE", "PLANES", None} == {getattr(packed.method(name), "name", None) for name in WEIGHTS}


def forged(packed, *, head=None, **changes):
    """A file with another head or other numbers in its header, and checksums that fit."""
    view = memoryview(packed)
    header = read_header(view)
    body = packed[HEADER_BYTES + header.stored_bytes :]
    head = head_of(header, view) if head is None else head
    sizes = {"model_bytes": header.model_bytes, "model_crc": header.model_crc, "head_bytes": len(head)}
    told = {"format": header.format, "compression": Compression.STORED, **sizes, "stored_bytes": len(head)} | changes
    stored = told.pop("stored", head)
    return Header(**{"stored_crc": zlib.crc32(stored), **told}).to_bytes() + stored + body


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"model_bytes": (1 << 31) - 1}, "more than it can hold", id="a-model-too-large-for-its-file"),
        pytest.param({"model_bytes": 1 << 63}, "more than it can hold", id="a-model-too-large"),
        pytest.param({"head_bytes": (1 << 32) - 1}, "more than it can hold", id="a-head-too-large"),
        pytest.param({"head_bytes": 10}, "not as long", id="a-head-that-is-longer"),
        pytest.param({"stored_bytes": (1 << 32) - 1}, "end is missing", id="a-head-behind-the-end"),
        pytest.param({"model_bytes": 10}, "outside of the model", id="a-model-too-small"),
        pytest.param({"model_bytes": len(MODEL) + 1}, "do not make up", id="a-byte-nobody-has"),
        pytest.param({"format": 7}, "there is not", id="no-format"),
        pytest.param({"compression": 9}, "there is not", id="no-compression"),
        pytest.param({"compression": Compression.LZMA}, "index", id="no-lzma"),
        pytest.param({"compression": Compression.DEFLATE}, "index", id="no-deflate"),
        pytest.param({"head": b""}, "too early", id="no-head"),
        pytest.param({"head": number(0) + number(1 << 60)}, "too early", id="endless-tensors"),
        pytest.param({"head": number(0) + number(1) + number(1 << 60)}, "too early", id="endless-name"),
        pytest.param({"head": b"\xff" * 30}, "no end", id="endless-number"),
        pytest.param({"head": number(0) + number(1) + b"\1w" + b"\x63\0"}, "type or rank", id="no-type"),
        pytest.param({"head": number(0) + number(1) + b"\1w" + b"\1" + number(99)}, "type or rank", id="no-rank"),
        pytest.param({"head": number(0) + number(1) + b"\1\xff"}, "no UTF-8", id="no-name"),
        pytest.param({"head": number(0) + number(1) + b"\1w\1\1\0\0"}, "outside of the model", id="no-elements"),
        pytest.param(
            {"head": number(0) + number(1) + b"\1w\1\2" + number(1 << 60) * 2 + b"\0"}, "outside", id="absurd-shape"
        ),
        pytest.param({"head": number(0) + number(2) + b"\1w\2\0\0\0" * 2 + MODEL[2:]}, "one name", id="twins"),
        pytest.param({"head": number(1 << 40) + number(0) + MODEL}, "not as long", id="endless-zeros"),
    ],
)  # fmt: skip
def test_a_claim_that_cannot_be_is_refused(changes, said):
    """Checksums that fit prove nothing: each length is checked before it is used."""
    with pytest.raises(ModelError, match=said):
        Packed(forged(PACKED, **changes)).contents()


def test_a_bomb_is_stopped():
    """A head of a few bytes that would be 64 MiB is not decompressed beyond what it says."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 2}]
    bomb = lzma.compress(bytes(1 << 26), lzma.FORMAT_RAW, filters=filters)
    sizes = {"stored": bomb, "stored_bytes": len(bomb), "head_bytes": 100}

    with pytest.raises(ModelError, match="not as long"):
        Packed(forged(PACKED, compression=Compression.LZMA, **sizes))


def test_any_index_is_read_or_refused():
    """Indices with a few bytes changed and checksums that fit are read or refused by an error of ours."""
    rng = random.Random(0)
    head = head_of(read_header(memoryview(PACKED)), memoryview(PACKED))
    refused = 0
    for _ in range(1500):
        changed = bytearray(head)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(70)] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        try:
            packed = Packed(forged(PACKED, head=bytes(changed)))
            for name in packed.entries:
                packed.tensor(name)
            packed.contents()
        except BitwrightError as error:
            assert error.next, error
            refused += 1
    assert refused > 1000


def test_any_blob_is_read_or_refused():
    """Blobs with a few bytes changed and checksums that fit."""
    rng = random.Random(1)
    head = head_of(read_header(memoryview(PACKED)), memoryview(PACKED))
    entries = Packed(PACKED).entries
    sizes = [entry.blob_bytes for entry in entries.values()]
    start = len(PACKED) - sum(sizes)
    for round_number in range(1500):
        changed, told = bytearray(PACKED), bytearray(head)
        name = rng.choice([name for name, entry in entries.items() if not entry.is_kept])
        at = start + sum(sizes[: list(entries).index(name)])
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(min(entries[name].blob_bytes, 40 if round_number % 2 else 1 << 20))
            changed[at + place] = rng.randrange(256)
        crc = zlib.crc32(changed[at : at + entries[name].blob_bytes])
        old = struct.pack("<I", entries[name].crc)
        told = bytes(told).replace(old, struct.pack("<I", crc))
        try:
            made = Packed(forged(bytes(changed), head=told)).tensor(name)
            assert made.shape == WEIGHTS[name].shape
        except BitwrightError as error:
            assert error.next, error
