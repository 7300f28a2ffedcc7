"""One layer or block at a time, in every form it comes in: near to float in every mode, and read back the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.graph.execution import random_feeds
from bitwright.graph.text import parse
from bitwright.numerics.metrics import sqnr_db

MODES = ("float16", "weight-only", "dynamic", "int8", "uint8", "int16x8")

CONV_IN = "float[N, 8, 9, 9] x, float[16, 8, 3, 3] w"
DENSE_IN = "float[3, 16] x, float[16, 16] w"

#: name: (inputs, outputs, nodes, operator that must not stay float in any mode)
LAYERS = {
    "conv-1d": ("float[N, 8, 20] x, float[16, 8, 3] w, float[16] b", "float[N, 16, 18] y", "y = Conv(x, w, b)", "Conv"),
    "conv-3d": (
        "float[N, 4, 5, 5, 5] x, float[16, 4, 3, 3, 3] w",
        "float[N, 16, 3, 3, 3] y",
        "y = Conv(x, w)",
        "Conv",
    ),
    "conv-auto-pad": (
        CONV_IN,
        "float[N, 16, 5, 5] y",
        'y = Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (x, w)',
        "Conv",
    ),
    "conv-asymmetric-pads": (CONV_IN, "float[N, 16, 9, 10] y", "y = Conv <pads = [2, 0, 0, 3]> (x, w)", "Conv"),
    "conv-dilated": (CONV_IN, "float[N, 16, 5, 5] y", "y = Conv <dilations = [2, 2]> (x, w)", "Conv"),
    "conv-grouped": (
        "float[N, 8, 9, 9] x, float[16, 2, 3, 3] w, float[16] b",
        "float[N, 16, 7, 7] y",
        "y = Conv <group = 4> (x, w, b)",
        "Conv",
    ),
    "conv-depthwise": (
        "float[N, 16, 9, 9] x, float[16, 1, 3, 3] w, float[16] b",
        "float[N, 16, 7, 7] y",
        "y = Conv <group = 16> (x, w, b)",
        "Conv",
    ),
    "conv-transpose": (
        "float[N, 8, 9, 9] x, float[8, 16, 3, 3] w, float[16] b",
        "float[N, 16, 11, 11] y",
        "y = ConvTranspose(x, w, b)",
        "ConvTranspose",
    ),
    "conv-transpose-grouped": (
        "float[N, 8, 9, 9] x, float[8, 8, 3, 3] w, float[16] b",
        "float[N, 16, 19, 19] y",
        "y = ConvTranspose <group = 2, strides = [2, 2]> (x, w, b)",
        "ConvTranspose",
    ),
    "conv-prelu": (CONV_IN + ", float[16, 1, 1] s", "float[N, 16, 7, 7] y", "a = Conv(x, w) y = PRelu(a, s)", "Conv"),
    "conv-hardswish": (
        CONV_IN,
        "float[N, 16, 7, 7] y",
        "a = Conv(x, w) s = HardSigmoid(a) y = Mul(a, s)",
        "Conv",
    ),
    "gemm-row-bias": (DENSE_IN + ", float[1, 16] b", "float[3, 16] y", "y = Gemm(x, w, b)", "Gemm"),
    "gemm-matrix-bias": (DENSE_IN + ", float[3, 16] b", "float[3, 16] y", "y = Gemm(x, w, b)", "Gemm"),
    "gemm-scalar-bias": (DENSE_IN + ", float[1] b", "float[3, 16] y", "y = Gemm(x, w, b)", "Gemm"),
    "gemm-alpha": (DENSE_IN + ", float[16] b", "float[3, 16] y", "y = Gemm <alpha = 0.3> (x, w, b)", "Gemm"),
    "gemm-beta": (DENSE_IN + ", float[16] b", "float[3, 16] y", "y = Gemm <beta = 3.0> (x, w, b)", "Gemm"),
    "gemm-transA": (
        "float[16, 3] x, float[16, 16] w, float[16] b",
        "float[3, 16] y",
        "y = Gemm <transA = 1, transB = 1> (x, w, b)",
        "Gemm",
    ),
    "matmul-batch-of-weights": (
        "float[3, 8, 16] x, float[3, 16, 16] w",
        "float[3, 8, 16] y",
        "y = MatMul(x, w)",
        "MatMul",
    ),
    "matmul-vector": ("float[N, 256] x, float[256] w", "float[N] y", "y = MatMul(x, w)", "MatMul"),
    "attention": (
        "float[N, 4, 16] x, float[16, 16] wq, float[16, 16] wk, float[16, 16] wv",
        "float[N, 4, 16] y",
        "q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) t = Transpose <perm = [0, 2, 1]> (k)"
        " s = MatMul(q, t) p = Softmax(s) y = MatMul(p, v)",
        None,
    ),
    "layer-norm": (
        "float[N, 4, 16] x, float[16, 16] w, float[16, 16] v, float[16] g, float[16] b",
        "float[N, 4, 16] y",
        "a = MatMul(x, w) l = LayerNormalization(a, g, b) y = MatMul(l, v)",
        "MatMul",
    ),
    "lstm-with-state": (
        "float[5, 1, 16] x, float[1, 64, 16] w, float[1, 64, 16] r, float[1, 128] b, float[1, 1, 16] h",
        "float[5, 1, 1, 16] y, float[1, 1, 16] z",
        "y, z = LSTM <hidden_size = 16> (x, w, r, b, , h)",
        "LSTM",
    ),
    "shared-weight": (
        "float[N, 4, 16] x, float[16, 16] w",
        "float[N, 4, 16] y",
        "a = MatMul(x, w) s = Tan(a) t = Tanh(s) y = MatMul(t, w)",
        "MatMul",
    ),
}


def network(name: str) -> ir.Model:
    """The layer with random weights."""
    inputs, outputs, nodes, _ = LAYERS[name]
    model = parse(f'<ir_version: 10, opset_import: ["": 21]> g ({inputs}) => ({outputs}) {{ {nodes} }}')
    rng = np.random.default_rng(0)
    for value in list(model.graph.inputs)[1:]:
        shape = value.shape.numpy()
        array = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else shape[0])
        value.const_value = ir.Tensor(array.astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def made_of(name: str, mode: str) -> tuple[ir.Model, bw.Model, dict[str, np.ndarray]]:
    """The layer, its quantized form, and a sample."""
    model = network(name)
    samples = [random_feeds(model, seed=i, batch=3) for i in range(3)]
    return model, bw.quantize(model, mode, calibration=samples), samples[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_near_to_float(name, mode, run):
    """The file is valid, its results are near to float, and its weights are no longer float32."""
    model, made, sample = made_of(name, mode)
    proto = made.to_proto()

    onnx.checker.check_model(proto)

    expected, got = run(model, sample), run(proto, sample)
    for output, array in expected.items():
        assert sqnr_db(array, got[output]) > (60 if mode == "float16" else 25)
    wanted = LAYERS[name][3]
    for node in made.plan.nodes.values():
        assert node.op != wanted or node.compute != "float", node.reason


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LAYERS)
def test_layer_reads_back_as_it_was_written(name, mode):
    """The same plan and the same bytes."""
    _, made, _ = made_of(name, mode)

    again = bw.load(made.to_proto())

    assert again.plan == made.plan
    first, second = (m.to_proto().SerializeToString(deterministic=True) for m in (made, again))
    assert first == second


@pytest.mark.parametrize("mode", ["weight-only", "dynamic", "int8"])
def test_shared_weight_is_stored_once(mode):
    """A weight that two products share takes its bytes once."""
    _, made, _ = made_of("shared-weight", mode)

    stored = [t.name for t in made.to_proto().graph.initializer if list(t.dims) == [16, 16]]

    assert stored == ["w_quantized"]
