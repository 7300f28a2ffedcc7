"""The container: every byte of a model file comes back, a changed bit is found, and tensors come one by one."""

from __future__ import annotations

import lzma
import runpy
from pathlib import Path

import numpy as np
import onnx
import onnx.helper as helper
import onnx.numpy_helper as numpy_helper
import pytest

from bitwright.errors import ModelError, UsageError
from bitwright.formats.bwz.blob import Method
from bitwright.formats.bwz.layout import most_claimed
from bitwright.formats.bwz.numbers import Cursor, number
from bitwright.formats.bwz.read import Packed, open_bwz
from bitwright.formats.bwz.sniff import is_bwz, packed_suffix
from bitwright.formats.bwz.write import write_bwz
from bitwright.formats.tflite.read import read_tflite

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "mutations.py"))
TFLITE_FILES: dict[str, bytes] = BENCH["small_files"]()
SHARED = Path(__file__).parents[2] / ".." / "shared" / "models"
FILES = sorted(path for suffix in ("onnx", "tflite") for path in SHARED.glob(f"*.{suffix}"))

RNG = np.random.default_rng(0)
WEIGHTS = {
    "clustered": RNG.choice(np.float32([0, 0, 0, 0, -0.5, 0.25, 1.0]), (40, 30)),
    "dense": RNG.standard_normal((16, 20)).astype(np.float32),
    "integers": np.clip(np.rint(RNG.standard_normal((80, 40)) * 20), -127, 127).astype(np.int8),
    "bias": np.float32([1, 2, 3]),
}  # fmt: skip


def onnx_model(tensors, nodes=None, **about):
    """A model's bytes, whose initializers are of no use to it."""
    held = [t if isinstance(t, onnx.TensorProto) else numpy_helper.from_array(t, name) for name, t in tensors.items()]
    port = [helper.make_tensor_value_info("x", 1, [1]), helper.make_tensor_value_info("y", 1, [1])]
    nodes = nodes or [helper.make_node("Identity", ["x"], ["y"])]
    return helper.make_model(helper.make_graph(nodes, "g", port[:1], port[1:], held), **about).SerializeToString()


MODEL = onnx_model(WEIGHTS)
PACKED = write_bwz(MODEL, ".onnx")


def test_container_gives_back_the_file_and_its_tensors():
    """Byte for byte; each tensor by its name, those in the skeleton too."""
    packed = Packed(PACKED)

    assert packed.contents() == MODEL
    assert len(PACKED) < len(MODEL) / 2
    assert list(WEIGHTS) == list(packed.entries)
    for name, array in WEIGHTS.items():
        made = packed.tensor(name)
        np.testing.assert_array_equal(array, made)
        assert array.dtype == made.dtype
        assert not made.flags.writeable


def test_container_is_the_same_each_time():
    """No clock, no seed."""
    assert write_bwz(MODEL, ".onnx") == PACKED


@pytest.mark.parametrize("name", TFLITE_FILES)
def test_container_gives_back_small_tflite_files(name):
    """All of the format's vectors, options and metadata; constants are what the Program has."""
    packed = Packed(write_bwz(TFLITE_FILES[name], ".tflite"))

    assert packed.contents() == TFLITE_FILES[name]
    for tensor in read_tflite(TFLITE_FILES[name]).tensors.values():
        if tensor.name in packed.entries and tensor.data is not None:
            np.testing.assert_array_equal(tensor.data, packed.tensor(tensor.name))


@pytest.mark.skipif(not FILES, reason="../shared is absent")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_container_gives_back_real_models(path):
    """Byte for byte, in no more bytes than LZMA makes of the whole file."""
    data = path.read_bytes()

    packed = write_bwz(data, path.suffix)

    assert Packed(packed).contents() == data
    if len(data) < 1 << 20:
        assert len(packed) < 1.01 * len(lzma.compress(data))


def test_container_codes_float_data_and_constants_of_nodes_and_bodies():
    """Where raw_data is not used, in Constant nodes, in subgraphs; what has no name is called by its output."""
    values = np.repeat(np.float32([1, -2]), 500)
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["deep"], value=numpy_helper.from_array(values))], "b", [],
        [helper.make_tensor_value_info("deep", 1, [1000])],
    )  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], ["made"], value=numpy_helper.from_array(values)),
        helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner),
        helper.make_node("Identity", ["x"], ["y"]),
    ]
    types = {"floats": onnx.TensorProto.FLOAT, "doubles": onnx.TensorProto.DOUBLE}
    tensors = {name: helper.make_tensor(name, kind, [1000], values) for name, kind in types.items()}
    model = onnx_model(tensors, nodes)

    packed = Packed(write_bwz(model, ".onnx"))

    assert packed.contents() == model
    assert {"floats", "doubles", "made", "deep", "deep:2"} == set(packed.entries)
    assert not any(entry.is_kept for entry in packed.entries.values())
    for name in packed.entries:
        np.testing.assert_array_equal(values, packed.tensor(name))


def test_container_gives_types_numpy_has_not_as_their_bits():
    """bfloat16 as uint16; 4-bit integers one a byte."""
    bits = RNG.integers(0, 4, 1000).astype(np.uint16)
    nibbles = RNG.integers(-8, 8, 1001).astype(np.int8)
    tensors = {
        "bf16": helper.make_tensor("bf16", onnx.TensorProto.BFLOAT16, [1000], bits.tobytes(), raw=True),
        "i4": helper.make_tensor("i4", onnx.TensorProto.INT4, [1001], nibbles),
    }
    packed = Packed(write_bwz(onnx_model(tensors), ".onnx"))

    np.testing.assert_array_equal(bits, packed.tensor("bf16"))
    assert packed.method("bf16") == Method.CODED
    if "i4" in packed.entries:
        np.testing.assert_array_equal(nibbles, packed.tensor("i4"))


@pytest.mark.parametrize("bit", [0, 7])
def test_container_finds_a_bit_that_changed_anywhere(bit):
    """Each byte of the file: the header, the index, blobs."""
    for place in range(len(PACKED)):
        changed = bytearray(PACKED)
        changed[place] ^= 1 << bit
        with pytest.raises(ModelError):
            Packed(bytes(changed)).contents()


def test_container_names_the_tensor_that_changed_and_gives_the_others():
    """One blob is damaged: all other tensors can be read."""
    changed = bytearray(PACKED)
    changed[-5] ^= 1
    packed = Packed(bytes(changed), where="m.bwz")

    with pytest.raises(ModelError, match="tensor 'integers'") as caught:
        packed.tensor("integers")

    assert caught.value.where == "m.bwz"
    assert caught.value.next
    np.testing.assert_array_equal(WEIGHTS["dense"], packed.tensor("dense"))
    np.testing.assert_array_equal(WEIGHTS["clustered"], packed.tensor("clustered"))


def test_container_refuses_a_file_cut_or_lengthened_anywhere():
    """Whatever is missing, or added."""
    for size in [*range(0, len(PACKED), 7), len(PACKED) - 1]:
        with pytest.raises(ModelError):
            Packed(PACKED[:size])
    with pytest.raises(ModelError, match="not as long"):
        Packed(PACKED + b"\0")


def test_container_pads_what_shrinks_beyond_measure():
    """A model of zeros: the file grows until readers believe it, by zeros that are checked."""
    model = onnx_model({"w": np.zeros((20, 1 << 20), np.float32)})

    packed = write_bwz(model, ".onnx")

    assert len(model) <= most_claimed(len(packed))
    assert Packed(packed).contents() == model
    assert not any(packed[-1000:])
    with pytest.raises(ModelError, match="not zeros"):
        Packed(packed[:-1] + b"\1")


def test_packed_says_which_names_there_are(tmp_path):
    """Of a tensor that is not there."""
    (tmp_path / "m.bwz").write_bytes(PACKED)

    with pytest.raises(UsageError, match="no tensor is named 'w'"):
        open_bwz(tmp_path / "m.bwz").tensor("w")


def test_a_file_is_told_by_its_suffix_or_its_first_bytes(tmp_path):
    """What it holds is said without reading the rest."""
    (tmp_path / "m.bin").write_bytes(PACKED)
    (tmp_path / "other.bwz").write_bytes(b"else")
    (tmp_path / "m.onnx").write_bytes(MODEL)

    assert is_bwz(tmp_path / "m.bin")
    assert packed_suffix(tmp_path / "m.bin") == ".onnx"
    assert is_bwz(tmp_path / "other.bwz")
    assert packed_suffix(tmp_path / "other.bwz") is None
    assert not is_bwz(tmp_path / "m.onnx")
    assert not is_bwz(np.zeros(3))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 1 << 40, (1 << 62) + 5])
def test_numbers_are_read_as_written(value):
    """7 bits a byte."""
    cursor = Cursor(number(value) + b"x", "w")

    assert value == cursor.number()
    assert cursor.left == 1


@pytest.mark.parametrize("size", [1, 5, 50, 200])
def test_an_onnx_file_that_ends_early_is_refused(size):
    """The protobuf message is checked as far as it is walked."""
    with pytest.raises(ModelError, match="damaged"):
        write_bwz(MODEL[:-size], ".onnx")
