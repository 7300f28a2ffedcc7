"""Float networks of several kinds, as ONNX text with random weights, and how they are quantized, saved and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

import bitwright as bw
from bitwright.graph.execution import open_session, random_feeds
from bitwright.graph.text import parse

HEADER = '<ir_version: 10, opset_import: ["": 21]>\n'

NETS = {
    # residual, concat, clip, pools, dense, softmax
    "convolutions": """net (float[N, 3, 16, 16] x, float[16, 3, 3, 3] w1, float[16] b1, float[16, 16, 3, 3] w2,
        float[16] b2, float[16, 16, 1, 1] w3, float[8, 32, 1, 1] w4, float[8] b4, float[128, 10] w5, float[10] b5)
        => (float[N, 10] y) <float low = {0}, float high = {6}, int64[2] shape = {0, -1}> {
        [stem] c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        [relu] r1 = Relu(c1)
        [main] c2 = Conv <pads = [1, 1, 1, 1]> (r1, w2, b2)
        [short] c3 = Conv (r1, w3)
        [sum] s = Add(c2, c3)
        [relu6] r2 = Clip(s, low, high)
        [join] j = Concat <axis = 1> (r1, r2)
        [pool] p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (j)
        [point] c4 = Conv (p, w4, b4)
        [leaky] l = LeakyRelu(c4)
        [mean] a = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (l)
        [flat] f = Reshape(a, shape)
        [dense] d = Gemm(f, w5, b5)
        [prob] y = Softmax(d)
    }""",
    "depthwise": """net (float[N, 8, 12, 12] x, float[32, 8, 1, 1] w1, float[32] b1, float[32, 1, 3, 3] w2,
        float[32] b2, float[8, 32, 1, 1] w3, float[8] b3) => (float[N, 8, 12, 12] y)
        <float low = {0}, float high = {6}> {
        [expand] c1 = Conv (x, w1, b1)
        [act1] r1 = Clip(c1, low, high)
        [depth] c2 = Conv <group = 32, pads = [1, 1, 1, 1]> (r1, w2, b2)
        [act2] r2 = Clip(c2, low, high)
        [project] c3 = Conv (r2, w3, b3)
        [sum] y = Add(c3, x)
    }""",
    "mlp": """net (float[B, T, 32] x, float[32, 64] w1, float[64] b1, float[64, 64] w2, float[64] b2, float[64, 12] w3)
        => (float[B, T, 12] y) {
        [one] a = MatMul(x, w1) [one_bias] s = Add(a, b1) [one_relu] r = Relu(s)
        [two] c = MatMul(r, w2) [two_bias] t = Add(c, b2) [two_relu] u = Relu(t)
        [three] y = MatMul(u, w3)
    }""",
    "gemm": """net (float[N, 32] x, float[48, 32] w1, float[48] b1, float[48, 10] w2, float[10] b2)
        => (float[N, 10] y) {
        [one] a = Gemm <transB = 1> (x, w1, b1) [relu] r = Relu(a) [two] y = Gemm(r, w2, b2)
    }""",
    "lstm": """net (float[T, B, 16] x, float[1, 96, 16] w, float[1, 96, 24] r, float[1, 192] b, float[24, 10] v)
        => (float[T, 1, B, 10] y, float[1, B, 24] h) {
        [cell] s, h = LSTM <hidden_size = 24> (x, w, r, b)
        [dense] y = MatMul(s, v)
    }""",
    "lstm-both-ways": """net (float[T, B, 16] x, float[2, 96, 16] w, float[2, 96, 24] r, float[2, 192] b)
        => (float[T, 2, B, 24] y) {
        [cell] y = LSTM <hidden_size = 24, direction = "bidirectional"> (x, w, r, b)
    }""",
    "gru": """net (float[T, B, 16] x, float[1, 72, 16] w, float[1, 72, 24] r, float[1, 144] b, float[24, 10] v)
        => (float[T, 1, B, 10] y) {
        [cell] s = GRU <hidden_size = 24> (x, w, r, b)
        [dense] y = MatMul(s, v)
    }""",
    "embedding": """net (int64[B, T] x, float[50, 32] table, float[32, 16] w) => (float[B, T, 16] y) {
        [look] e = Gather(table, x) [dense] y = MatMul(e, w)
    }""",
}

MODES: dict[str, dict[str, Any]] = {
    "float16": {"mode": "float16"},
    "weight-only-8": {"mode": "weight-only"},
    "weight-only-8-block-64": {"mode": "weight-only", "block_size": 64},
    "weight-only-4": {"mode": "weight-only", "weight_bits": 4},
    "dynamic": {"mode": "dynamic"},
    "dynamic-per-tensor": {"mode": "dynamic", "per_channel": False},
    "int8": {"mode": "int8"},
    "int8-i8": {"mode": "int8", "activation_type": "i8"},
    "int8-per-tensor": {"mode": "int8", "per_channel": False},
    "uint8": {"mode": "uint8"},
    "int16x8": {"mode": "int16x8"},
}


def make_net(name: str, seed: int = 0) -> ir.Model:
    """A float network; what is no input becomes random constants, scaled by their fan-in."""
    model = parse(HEADER + NETS[name])
    rng = np.random.default_rng(seed)
    for value in list(model.graph.inputs):
        if value.name == "x":
            continue
        shape = value.shape.numpy()  # type: ignore[union-attr]
        array = rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:]) if len(shape) == 4 else max(shape[-2:])))
        value.const_value = ir.Tensor(array.astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def make_feeds(model: ir.Model, count: int = 6) -> list[dict[str, np.ndarray]]:
    """Random samples; indices for an integer input."""
    feeds = [random_feeds(model, seed=i, batch=4) for i in range(count)]
    rng = np.random.default_rng(7)
    return [{n: rng.integers(0, 50, a.shape) if a.dtype == np.int64 else a for n, a in f.items()} for f in feeds]


@pytest.fixture(params=list(NETS))
def net(request: pytest.FixtureRequest) -> str:
    """The name of every network in turn."""
    return str(request.param)


@pytest.fixture(params=list(MODES))
def mode(request: pytest.FixtureRequest) -> str:
    """The name of every mode in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def float_net() -> Callable[[str], ir.Model]:
    """A network by name."""
    return make_net


@pytest.fixture(scope="session")
def feeds_of() -> Callable[..., list[dict[str, np.ndarray]]]:
    """Samples for a network."""
    return make_feeds


@pytest.fixture(scope="session")
def made() -> Callable[[str, str], bw.Model]:
    """A network quantized in a mode, both by name; each combination once a session."""
    known: dict[tuple[str, str], bw.Model] = {}

    def make(net: str, mode: str) -> bw.Model:
        if (net, mode) not in known:
            model = make_net(net)
            known[net, mode] = bw.quantize(model, **MODES[mode], calibration=make_feeds(model))
        return known[net, mode]

    return make


@pytest.fixture(scope="session")
def run() -> Callable[..., dict[str, np.ndarray]]:
    """What ONNX Runtime computes from a model's file."""

    def go(model: bw.Model | ir.Model | onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        proto = model if isinstance(model, onnx.ModelProto) else None
        if proto is None:
            proto = model.to_proto() if isinstance(model, bw.Model) else ir.to_proto(model)
        session = open_session(proto.SerializeToString())
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))

    return go


@pytest.fixture(scope="session")
def optimized() -> Callable[[onnx.ModelProto, Path], list[str]]:
    """The operators of the graph that ONNX Runtime really runs."""

    def go(proto: onnx.ModelProto, folder: Path) -> list[str]:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(folder / "optimized.onnx")
        options.log_severity_level = 4
        onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return [node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node]

    return go


@pytest.fixture
def shared() -> Path:
    """The folder with models and data, beside the repository."""
    folder = Path(__file__).parents[2].parent / "shared"
    if not folder.is_dir():
        pytest.skip("the shared models and data are not here")
    return folder
