"""Files of every format, read into one value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitwright as bw
from bitwright.errors import ModelError, UsageError
from bitwright.formats.tflite.write import write_tflite
from bitwright.program.operator import Operator
from bitwright.program.options import FullyConnectedOptions
from bitwright.program.program import Port, Program
from bitwright.program.reference import Reference
from bitwright.program.tensor import Tensor
from bitwright.reading import is_tflite, read_program

SHARED = Path(__file__).parents[1].parent / "shared" / "models"
INT8 = sorted(SHARED.glob("*_int8.tflite"))


@pytest.mark.skipif(not INT8, reason="../shared is absent")
@pytest.mark.parametrize("path", INT8, ids=lambda path: path.stem)
def test_a_quantized_tflite_survives_onnx(path, tmp_path):
    """.tflite -> .onnx -> .tflite: the same integers in, the same integers out."""
    bw.load(path).save(tmp_path / "m.onnx")
    bw.load(tmp_path / "m.onnx").save(tmp_path / "m.tflite")
    programs = [read_program(path), read_program(tmp_path / "m.tflite")]
    shape = programs[0].tensors[programs[0].inputs[0].tensor].shape
    x = np.random.default_rng(0).integers(-128, 128, shape, dtype=np.int8)

    made = [Reference(p).run({p.inputs[0].name: x})[p.outputs[0].name] for p in programs]

    assert made[0].dtype == np.int8
    assert np.array_equal(*made)


@pytest.mark.skipif(not INT8, reason="../shared is absent")
def test_other_ports_keep_the_integers_inside(tmp_path):
    """A float output is the integer one, dequantized; the input stays what it was."""
    path = SHARED / "kws_dscnn_int8.tflite"
    bw.load(path).with_ports(None, "float32").save(tmp_path / "m.tflite")
    x = np.random.default_rng(0).integers(-128, 128, (1, 49, 10, 1), dtype=np.int8)

    integers, floats = bw.run(path, x)["Identity"], bw.run(tmp_path / "m.tflite", x)["Identity"]

    assert floats.dtype == np.float32
    assert np.array_equal((integers.astype(np.float32) + 128) / 256, floats)


def test_a_float_model_has_no_integer_ports(tmp_path):
    """It has to be quantized first."""
    from bitwright.graph.text import parse

    model = bw.load(parse('<ir_version: 10, opset_import: ["": 21]> g (float[1,4] x) => (float[1,4] y) {y = Relu(x)}'))

    with pytest.raises(UsageError, match="no integer ports"):
        model.with_ports("int8", None)


def test_tflite_is_known_by_its_content(tmp_path):
    """Whatever it is called; a file that is none is refused as one when it says it is."""
    (tmp_path / "m.bin").write_bytes(b"\x1c\0\0\0TFL3" + bytes(20))
    (tmp_path / "m.tflite").write_bytes(b"nothing of the kind")

    assert is_tflite(tmp_path / "m.bin")
    with pytest.raises(ModelError, match=r"not a \.tflite file|not a whole"):
        bw.load(tmp_path / "m.tflite")


def test_a_missing_tflite_is_told(tmp_path):
    """With its path."""
    with pytest.raises(ModelError, match="No such file") as caught:
        bw.load(tmp_path / "none.tflite")

    assert caught.value.where == str(tmp_path / "none.tflite")


def test_a_mapped_tflite_is_read_as_a_copied_one(tmp_path):
    """Its constants stay in the file, which may be replaced while they are used; empty files are told as ever."""
    path = tmp_path / "m.tflite"
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensors = {"x": Tensor("x", (1, 3)), "w": Tensor("w", (2, 3), data=weights), "y": Tensor("y", (1, 2))}
    operator = Operator("FULLY_CONNECTED", ("x", "w", None), ("y",), FullyConnectedOptions())
    path.write_bytes(write_tflite(Program(tensors, (operator,), (Port("x", "x"),), (Port("y", "y"),))))

    copied, mapped = read_program(path), read_program(path, mapped=True, rounding="fp32_even")
    (tmp_path / "empty").touch()
    (tmp_path / "empty").replace(path)

    assert (copied.rounding, mapped.rounding) == ("tflite_double", "fp32_even")
    assert mapped.operators == copied.operators
    for program in (copied, mapped):
        np.testing.assert_array_equal(weights, program.tensors["w"].data)
        assert not program.tensors["w"].data.flags.writeable
    with pytest.raises(ModelError, match="the file is empty"):
        read_program(path, mapped=True)
