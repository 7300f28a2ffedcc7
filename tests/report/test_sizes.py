"""Bytes by kind."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.graph.text import parse
from bitwright.numerics.qparams import QuantParams
from bitwright.report import sizes
from bitwright.report.sizes import GRAPH, QPARAMS, file_bytes, parameter_count, serialized_bytes, sizes_of


def test_sizes_of_a_float_graph_counts_its_constants(float_model):
    """12 weights and 3 biases of 4 bytes; what is left of the file is the graph."""
    found = sizes_of(float_model)

    assert found.by_kind["f32"] == 60
    assert found.by_kind[GRAPH] == found.total - 60
    assert found.total == len(ir.to_proto(float_model).SerializeToString())


def test_sizes_of_a_qdq_graph_tells_scales_from_weights(qdq_model):
    """An int8 weight is i8; its scale and zero point are counted apart."""
    found = sizes_of(qdq_model)

    assert found.by_kind["i8"] == 12
    assert found.by_kind[QPARAMS] == 5
    assert found.by_kind["f32"] == 12


@pytest.mark.parametrize(("storage", "expected"), [("i8", 12), ("i4", 6)], ids=["8-bit", "4-bit"])
def test_sizes_of_a_quantized_tensor_counts_stored_bits(float_model, storage, expected):
    """A constant held as integers counts as stored, not as the float32 that it means."""
    qparams = QuantParams(1.0, 0, storage)
    held = QuantizedTensor(np.zeros((4, 3), np.int8), qparams, name="w")
    float_model.graph.initializers["w"].const_value = held

    found = sizes_of(float_model, total=1000)

    assert found.by_kind[storage] == expected
    assert found.by_kind[QPARAMS] == 4
    assert found.total == 1000


def test_sizes_of_a_half_tensor_counts_two_bytes(float_model):
    """float16 weights take two bytes each."""
    float_model.graph.initializers["w"].const_value = HalfTensor(np.zeros((4, 3), np.float16), name="w")

    assert sizes_of(float_model, total=1000).by_kind["f16"] == 24


def test_sizes_of_matmul_nbits_names_the_packed_bits():
    """MatMulNBits holds 4-bit integers in bytes: they are u4, and its scales are scales."""
    model = parse("""<ir_version: 10, opset_import: ["": 21, "com.microsoft": 1]>
    g (float[N, 32] x) => (float[N, 2] y) <uint8[1] q = {0}, float[1] s = {0}> {
      y = com.microsoft.MatMulNBits <K=32, N=2, bits=4, block_size=32> (x, q, s)
    }""")
    model.graph.initializers["q"].const_value = ir.tensor(np.zeros((2, 1, 16), np.uint8), name="q")
    model.graph.initializers["s"].const_value = ir.tensor(np.ones(2, np.float32), name="s")

    found = sizes_of(model)

    assert found.by_kind["u4"] == 32
    assert found.by_kind[QPARAMS] == 8


def test_sizes_counts_constant_nodes():
    """A tensor in a Constant node counts like an initializer."""
    model = parse("""<ir_version: 10, opset_import: ["": 21]>
    g (float[4] x) => (float[4] y) { c = Constant <value = float[4] {1, 2, 3, 4}> ()  y = Add(x, c) }""")

    assert sizes_of(model).by_kind["f32"] == 16


def test_serialized_bytes_of_large_models_are_counted_by_parts(monkeypatch):
    """Above the limit nothing is copied, and the count stays within a few bytes a tensor."""
    model = parse("""<ir_version: 10, opset_import: ["": 21]>
    g (float[N, 64] x) => (float[N, 64] y) <float[1] w = {0}> { y = MatMul(x, w) }""")
    weight = ir.tensor(np.ones((64, 64), np.float32), name="w")
    model.graph.initializers["w"].const_value = weight
    exact = serialized_bytes(model)
    monkeypatch.setattr(sizes, "EXACT_BELOW_BYTES", 1)

    assert abs(serialized_bytes(model) - exact) < 100
    assert model.graph.initializers["w"].const_value is weight


def test_file_bytes_adds_external_data(tmp_path):
    """A model's file and the data beside it are one size."""
    model = parse("""<ir_version: 10, opset_import: ["": 21]>
    g (float[N, 64] x) => (float[N, 64] y) <float[1] w = {0}> { y = MatMul(x, w) }""")
    model.graph.initializers["w"].const_value = ir.tensor(np.ones((64, 64), np.float32), name="w")
    ir.save(model, tmp_path / "m.onnx", external_data="m.data", size_threshold_bytes=16)

    expected = (tmp_path / "m.onnx").stat().st_size + (tmp_path / "m.data").stat().st_size
    assert file_bytes(tmp_path / "m.onnx") == expected


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4 a zip", b"\xff" * 50, b"\x3a\x7f"], ids=["empty", "zip", "noise", "cut"]
)
def test_file_bytes_of_another_kind_of_file_is_its_length(content, tmp_path):
    """A file that is no ONNX model (a .pt2 program) names no data files."""
    (tmp_path / "m.pt2").write_bytes(content)

    assert file_bytes(tmp_path / "m.pt2") == len(content)


def test_parameter_count_leaves_scales_out(qdq_model):
    """12 weights and 3 biases, whatever they are stored as."""
    assert parameter_count(qdq_model) == 15
