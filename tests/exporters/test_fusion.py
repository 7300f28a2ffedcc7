"""ONNX Runtime's graph optimizer turns the file into integer kernels: no float convolution or product is left."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

import bitwright as bw
from bitwright.graph.execution import random_feeds
from bitwright.graph.text import parse

FLOAT_KERNELS = {"Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm", "NhwcFusedConv"}


@pytest.mark.parametrize("mode", ["int8", "int8-per-tensor", "uint8"])
@pytest.mark.parametrize(
    "net, kernels",
    [
        ("convolutions", {"QLinearConv": 4, "QLinearAdd": 1, "QLinearConcat": 1, "QGemm": 1, "QLinearAveragePool": 1}),
        ("depthwise", {"QLinearConv": 3, "QLinearAdd": 1}),
        ("mlp", {"QLinearMatMul": 2, "MatMulIntegerToFloat": 1}),
        ("gemm", {"QGemm": 2}),
    ],
)
def test_every_layer_is_an_integer_kernel(net, kernels, mode, made, optimized, tmp_path):
    """The optimized graph holds as many integer kernels as the network has layers, and no clamp beside them."""
    found = optimized(made(net, mode).to_proto(), tmp_path)

    assert not FLOAT_KERNELS & set(found)
    assert not {"Relu", "Clip", "Add", "Concat", "LeakyRelu", "AveragePool"} & set(found)
    assert {op: found.count(op) for op in kernels} == kernels
    assert found.count("QuantizeLinear") == 1  # the input; nothing goes back to float in between


@pytest.mark.parametrize("net", ["convolutions", "depthwise", "mlp", "gemm"])
def test_signed_activations_are_integer_kernels_where_the_session_allows(net, made, tmp_path):
    """int8 activations fuse as well when the session is told to keep them signed (x86 makes them unsigned)."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4

    onnxruntime.InferenceSession(
        made(net, "int8-i8").to_proto().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    found = {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert not FLOAT_KERNELS & found
    assert found & {"QLinearConv", "QLinearMatMul", "QGemm"}


@pytest.mark.parametrize(
    "net, kernels",
    [
        ("mlp", {"DynamicQuantizeMatMul": 3}),
        ("gemm", {"DynamicQuantizeMatMul": 2}),
        ("lstm", {"DynamicQuantizeLSTM": 1, "DynamicQuantizeMatMul": 1}),
        ("lstm-both-ways", {"DynamicQuantizeLSTM": 1}),
        ("convolutions", {"ConvInteger": 4}),
    ],
)
def test_dynamic_kernels_are_there(net, kernels, made, optimized, tmp_path):
    """Mode dynamic gives ONNX Runtime's dynamic kernels, one a layer, and no float weights."""
    found = optimized(made(net, "dynamic").to_proto(), tmp_path)

    assert not FLOAT_KERNELS & set(found)
    assert {op: found.count(op) for op in kernels} == kernels


def filled(text: str) -> ir.Model:
    """A graph of a text whose inputs other than x are random constants."""
    model = parse('<ir_version: 10, opset_import: ["": 21]>' + text)
    rng = np.random.default_rng(0)
    for value in list(model.graph.inputs)[1:]:
        value.const_value = ir.Tensor(rng.standard_normal(value.shape.numpy()).astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def test_dynamic_quantizes_a_shared_activation_once():
    """Two convolutions of one value have one DynamicQuantizeLinear between them."""
    model = filled("""g (float[N, 16, 6, 6] x, float[16, 16, 1, 1] w, float[16, 16, 1, 1] v)
        => (float[N, 16, 6, 6] y, float[N, 16, 6, 6] z) { y = Conv(x, w) z = Conv(x, v) }""")

    ops = [node.op_type for node in bw.quantize(model, "dynamic").to_proto().graph.node]

    assert ops.count("ConvInteger") == 2
    assert ops.count("DynamicQuantizeLinear") == 1


@pytest.mark.parametrize(
    "activations",
    [
        "u8",
        pytest.param(
            "i8",
            marks=pytest.mark.xfail(
                strict=True, reason="on x86 ONNX Runtime makes int8 pairs unsigned, but not where two nodes read one"
            ),
        ),
    ],
)
def test_activation_with_two_readers_is_integer_in_a_default_session(activations, optimized, tmp_path):
    """A ReLU's result that a convolution and a residual Add read: all three are integer kernels."""
    model = filled("""g (float[N, 8, 6, 6] x, float[8, 8, 1, 1] w) => (float[N, 8, 6, 6] y)
        { c = Conv(x, w) r = Relu(c) a = Conv(r, w) y = Add(a, r) }""")
    samples = [random_feeds(model, seed=i) for i in range(2)]

    made = bw.quantize(model, "int8", activation_type=activations, calibration=samples)

    assert made.plan.counts() == {"integer": 4}
    assert not {*FLOAT_KERNELS, "Add"} & set(optimized(made.to_proto(), tmp_path))


def test_product_before_a_float_add_of_static_shape_is_integer(optimized, tmp_path):
    """A MatMul that the plan calls integer runs as integer whatever float node is behind it."""
    model = filled("""g (float[1, 4, 32] x, float[32, 24] w, float[24] b) => (float[1, 4, 24] y)
        { a = MatMul(x, w) s = Add(a, b) y = Sigmoid(s) }""")

    made = bw.quantize(model, "int8", calibration=[random_feeds(model, seed=i) for i in range(2)])

    assert next(iter(made.plan.nodes.values())).compute == "integer"
    assert not FLOAT_KERNELS & set(optimized(made.to_proto(), tmp_path))
