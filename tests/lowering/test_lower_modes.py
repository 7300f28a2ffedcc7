"""A small network in every mode, for either target: LiteRT computes what ONNX Runtime makes of the QDQ file."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.errors import UnsupportedOpError
from bitwright.graph.execution import random_feeds
from bitwright.lowering.lower import lower
from bitwright.program.tensor import Tensor

NET = """net (float[N, 3, 8, 8] x, float[16, 3, 3, 3] w1, float[16] b1, float[16, 1, 3, 3] w2, float[16] b2,
    float[16, 16, 1, 1] w3, float[256, 10] w4, float[10] b4) => (float[N, 10] y) {
    [stem] c = Conv <pads = [1, 1, 1, 1]> (x, w1, b1) [stem_relu] r = Relu(c)
    [depth] d = Conv <group = 16, strides = [2, 2], pads = [1, 1, 1, 1]> (r, w2, b2)
    [point] e = Conv(d, w3) [sum] s = Add(d, e) [sum_relu] t = Relu(s)
    [flat] f = Flatten(t) [dense] y = Gemm(f, w4, b4)
}"""
INTEGER = {"int8", "uint8", "int16x8"}
#: How far from the QDQ file, relative to the largest value: integers round otherwise than floats do.
MOST = {"int8": 0.02, "uint8": 0.02, "int16x8": 1e-3, "dynamic": 0.02, "weight-only": 1e-5, "float16": 1e-5}


@pytest.fixture
def quantized(network):
    """The network in a mode, and a sample it was calibrated on."""

    def make(mode: str, target: str = "litert", **options: object) -> tuple[bw.Model, dict[str, np.ndarray]]:
        model = network(NET)
        samples = [random_feeds(model, seed) for seed in range(4)]
        given = {"calibration": samples, "method": "minmax"} if mode in INTEGER else {}
        return bw.quantize(ir.to_proto(model), mode, target=target, **given, **options), samples[0]

    return make


@pytest.mark.parametrize("target", ["litert", "onnxruntime"])
@pytest.mark.parametrize("mode", MOST)
def test_lower_mode_computes_what_the_qdq_file_does(mode, target, quantized, on_onnx_runtime, on_litert):
    """On LiteRT's reference kernels and by default."""
    small, feeds = quantized(mode, target)
    program = lower(small.graph, small.plan)
    wanted = on_onnx_runtime(small.to_ir(), feeds)["y"]

    for resolver in ("BUILTIN_REF", "AUTO"):
        made = on_litert(program, feeds, resolver)["y"]

        assert np.abs(wanted - made).max() <= MOST[mode] * np.abs(wanted).max()


def weights_of(program) -> list[Tensor]:
    """What CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED multiply by."""
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    return [program.tensors[op.inputs[1]] for op in program.operators if op.kind in kinds]


@pytest.mark.parametrize(
    ("mode", "storage", "activations", "bias"),
    [("int8", "i8", "i8", "i32"), ("uint8", "u8", "u8", "i32"), ("int16x8", "i8", "i16", "i64")],
    ids=["int8", "uint8", "int16x8"],
)
def test_lower_integer_mode_is_integers_from_port_to_port(mode, storage, activations, bias, quantized):
    """One QUANTIZE, one DEQUANTIZE, and no float between them; biases as wide as their accumulators."""
    program = lower(*_parts(quantized(mode)))

    kinds = [op.kind for op in program.operators]
    inner = [program.tensors[op.outputs[0]].dtype for op in program.operators[:-1]]
    biases = {program.tensors[op.inputs[2]].dtype for op in program.operators if len(op.inputs) == 3}
    assert (kinds.count("QUANTIZE"), kinds.count("DEQUANTIZE")) == (1, 1)
    assert ({activations}, {storage}, {bias}) == ({*inner}, {t.dtype for t in weights_of(program)}, biases)


def _parts(made):
    return made[0].graph, made[0].plan


def test_lower_dynamic_gives_float_kernels_integer_weights(quantized):
    """No DEQUANTIZE: the kernels quantize activations as they arrive."""
    program = lower(*_parts(quantized("dynamic")))

    assert {"i8"} == {tensor.dtype for tensor in weights_of(program) if tensor.data is not None}
    assert "DEQUANTIZE" not in {op.kind for op in program.operators}


@pytest.mark.parametrize(
    ("mode", "options", "storage"),
    [("float16", {}, "f16"), ("weight-only", {}, "i8"), ("weight-only", {"weight_bits": 4}, "i4")],
    ids=["float16", "int8", "int4"],
)
def test_lower_stored_weights_are_made_floats_by_dequantize(mode, options, storage, quantized):
    """The file holds the small form; kernels read the DEQUANTIZE's result."""
    program = lower(*_parts(quantized(mode, **options)))

    maker = {op.outputs[0]: op for op in program.operators}
    sources = [program.tensors[maker[t.name].inputs[0]].dtype for t in weights_of(program) if t.data is None]
    assert len(sources) >= 3
    assert {storage} == {*sources}


def test_lower_refuses_blocks_of_weights(quantized):
    """Every node that has them is named."""
    small, _ = quantized("weight-only", "onnxruntime", block_size=32)

    with pytest.raises(UnsupportedOpError, match="nodes have no form") as caught:
        lower(small.graph, small.plan)

    assert caught.value.where.count("blocks have no form") >= 3
