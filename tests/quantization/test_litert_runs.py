"""Every operator that the target names, planned, lowered and run by LiteRT: integer inside, near to the float graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.graph.execution import Execution
from bitwright.numerics.metrics import sqnr_db
from bitwright.quantization.target import load_target

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

MODES = {"int8": "i8", "uint8": "u8", "int16x8": "i16"}

#: Operator -> (what follows a convolution `a` of the image `x`, more inputs or constants).
BODIES = {
    "Conv": ("y = Conv(a, w)", ""),
    "ConvTranspose": ("y = ConvTranspose <strides = [2, 2]> (a, v)", "float[4, 3, 2, 2] v"),
    "Gemm": ("f = Flatten(a) y = Gemm(f, v, c)", "float[144, 10] v, float[10] c"),
    "MatMul": ("y = MatMul(a, v)", "float[6, 10] v"),
    "Add": ("y = Add(a, x)", ""),
    "Sub": ("y = Sub(a, x)", ""),
    "Mul": ("y = Mul(a, x)", ""),
    "Sum": ("y = Sum(a, x)", ""),
    "Max": ("y = Max(a, x)", ""),
    "Min": ("y = Min(a, c)", "float[1] c"),
    "Pow": ("y = Pow(a, two)", ""),
    "Concat": ("b = Conv(x, v) y = Concat <axis = 1> (a, b)", "float[4, 4, 1, 1] v"),
    "AveragePool": ("y = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (a)", ""),
    "GlobalAveragePool": ("y = GlobalAveragePool(a)", ""),
    "MaxPool": ("y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)", ""),
    "GlobalMaxPool": ("y = GlobalMaxPool(a)", ""),
    "ReduceMean": ("y = ReduceMean(a, axes)", ""),
    "ReduceSum": ("y = ReduceSum(a, axes)", ""),
    "ReduceMax": ("y = ReduceMax(a, axes)", ""),
    "ReduceMin": ("y = ReduceMin(a, axes)", ""),
    "Relu": ("b = Add(a, x) c = Mul(b, a) y = Relu(c) z = LeakyRelu(c)", "outputs: float[E, F, G, H] z"),
    "Clip": ("y = Clip(x, low, high) z = Clip(a, low, high)", "outputs: float[E, F, G, H] z"),
    "LeakyRelu": ("y = LeakyRelu(a)", ""),
    "PRelu": ("y = PRelu(a, c)", "float[4, 1, 1] c"),
    "HardSwish": ("y = HardSwish(a)", ""),
    "Gelu": ("y = Gelu(a)", ""),
    "Elu": ("y = Elu(a)", ""),
    "Exp": ("y = Exp(a)", ""),
    "Log": ("b = Abs(a) c = Add(b, two) y = Log(c)", ""),
    "Abs": ("y = Abs(a)", ""),
    "Sigmoid": ("y = Sigmoid(a)", ""),
    "Tanh": ("y = Tanh(a)", ""),
    "Softmax": ("y = Softmax <axis = 1> (a)", ""),
    "LogSoftmax": ("y = LogSoftmax <axis = 1> (a)", ""),
    "LpNormalization": ("y = LpNormalization <axis = 1> (a)", ""),
    "Pad": ("b = Pad(a, pads, fill) y = Pad(b, pads)", ""),
    "Resize": ('y = Resize <mode = "linear"> (a, , scales)', ""),
    "Identity": ("b = Identity(a) y = LeakyRelu(b)", ""),
    "Reshape": ("y = Reshape(a, shape)", ""),
    "Flatten": ("b = Flatten(a) y = Unsqueeze(b, axes)", ""),
    "Transpose": ("y = Transpose <perm = [0, 3, 2, 1]> (a)", ""),
    "Squeeze": ("b = Squeeze(a, zero) y = Unsqueeze(b, zero)", ""),
    "Unsqueeze": ("b = Unsqueeze(a, zero) y = Squeeze(b, zero)", ""),
    "Slice": ("y = Slice(a, one, three, one)", ""),
    "Split": ("y, z = Split <axis = 1, num_outputs = 2> (a)", "outputs: float[E, F, G, H] z"),
    "Gather": ("y = Gather <axis = 1> (a, three)", ""),
    "Expand": ("y = Expand(a, wide)", ""),
    "Tile": ("y = Tile(a, twice)", ""),
    "DepthToSpace": ("y = DepthToSpace <blocksize = 2> (a)", ""),
    "SpaceToDepth": ("y = SpaceToDepth <blocksize = 2> (a)", ""),
}

CONSTANTS = """int64[2] axes = {2, 3}, float two = {2}, float low = {-0.5}, float high = {0.7}, float fill = {2.5},
    int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}, float[4] scales = {1, 1, 2, 2}, int64[4] shape = {1, 2, -1, 6},
    int64[1] zero = {0}, int64[1] one = {1}, int64[1] three = {3}, int64[4] wide = {2, 4, 6, 6},
    int64[4] twice = {1, 2, 1, 1}"""

CASES = [
    (op, mode) for mode, storage in MODES.items() for op in BODIES if load_target("litert").has_integer(op, storage)
]


@pytest.fixture
def graph(build):
    """The graph of one operator."""

    def make(op: str) -> ir.Model:
        body, more = BODIES[op]
        outputs = more.removeprefix("outputs: ") if more.startswith("outputs") else ""
        inputs = more if more and not outputs else ""
        header = '<ir_version: 10, opset_import: ["": 22]>\n'
        given = "float[1, 4, 6, 6] x, float[4, 4, 1, 1] w, float[4] b0" + (f", {inputs}" if inputs else "")
        results = "float[A, B, C, D] y" + (f", {outputs}" if outputs else "")
        return build(f"g ({given}) => ({results}) <{CONSTANTS}> {{ a = Conv(x, w, b0) {body} }}", header=header)

    return make


def test_every_operator_of_the_target_is_here():
    """What the target names is tried."""
    assert set().union(*load_target("litert").integer_ops.values()) == set(BODIES)


@pytest.mark.parametrize("op, mode", CASES, ids=[f"{op}-{mode}" for op, mode in CASES])
def test_operator_is_integer_on_litert(op, mode, graph):
    """No operator of the file computes on floats, and LiteRT's result is near to the float graph's."""
    model = graph(op)
    feeds = [{"x": np.random.default_rng(i).standard_normal((1, 4, 6, 6)).astype(np.float32)} for i in range(2)]

    made = bw.quantize(model, mode, target="litert", calibration=feeds)

    assert made.plan.float_nodes() == []
    program = made.to_program()
    inside = [o for o in program.operators if o.kind not in ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "TRANSPOSE")]
    floats = [
        o.kind for o in inside if any(program.tensors[n].dtype == "f32" for n in (*filter(None, o.inputs), *o.outputs))
    ]
    assert floats == []
    wanted = Execution(model).run(feeds[0])
    given = bw.run(made, feeds[0], runtime="litert")
    for name, array in wanted.items():
        assert sqnr_db(array, given[name]) > (43 if mode == "int16x8" else 27)
