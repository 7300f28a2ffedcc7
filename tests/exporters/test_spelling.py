"""How the writer spells what is hard to spell: outputs, captured values, names that are taken."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.graph.execution import random_feeds
from bitwright.graph.text import parse
from bitwright.numerics.metrics import sqnr_db

HEADER = '<ir_version: 10, opset_import: ["": 21]>\n'
MODES = ("float16", "weight-only", "dynamic", "int8", "uint8", "int16x8")


def network(text: str, seed: int = 0) -> ir.Model:
    """A graph whose inputs that do not start with x are random constants."""
    model = parse(HEADER + text)
    rng = np.random.default_rng(seed)
    for value in list(model.graph.inputs):
        if not value.name.startswith("x"):
            shape = value.shape.numpy()
            array = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
            value.const_value = ir.Tensor(array, name=value.name)
            model.graph.inputs.remove(value)
            model.graph.register_initializer(value)
    return model


#: (text, lowest SQNR in dB of any 8-bit mode)
ODD = {
    "input-is-output": """g (float[N, 16] x, float[16, 16] w) => (float[N, 16] y, float[N, 16] x)
        { y = MatMul(x, w) }""",
    "inner-value-is-output": """g (float[N, 16, 4, 4] x, float[16, 16, 1, 1] w)
        => (float[N, 16, 4, 4] a, float[N, 16, 4, 4] r, float[N, 16, 4, 4] y)
        { a = Conv(x, w) r = Relu(a) y = Conv(r, w) }""",
    "taken-names": """g (float[N, 16, 4, 4] x, float[16, 16, 1, 1] w, float[16, 16, 1, 1] w_quantized,
        float[16, 16, 1, 1] a_scale) => (float[N, 16, 4, 4] x_dequantized)
        { a_quantized = Conv(x, w) a = Conv(a_quantized, w_quantized) x_dequantized = Conv(a, a_scale) }""",
    "taken-node-names": """g (float[N, 16, 4, 4] x, float[16, 16, 1, 1] w) => (float[N, 16, 4, 4] y)
        { [x_QuantizeLinear] a = Conv(x, w) [a_DequantizeLinear] r = Relu(a) [r_DequantizeLinear] y = Conv(r, w) }""",
    "value-read-twice-by-one-node": """g (float[N, 16, 4, 4] x, float[16, 16, 1, 1] w) => (float[N, 16, 4, 4] y)
        { a = Conv(x, w) m = Mul(a, a) s = Add(m, m) y = Conv(s, w) }""",
    "float-and-integer-readers": """g (float[N, 16, 4, 4] x, float[16, 16, 1, 1] w)
        => (float[N, 16, 4, 4] y, float[N, 16, 4, 4] z) { y = Conv(x, w) z = Tan(x) }""",
    "split": """g (float[N, 16, 4, 4] x, float[16, 16, 1, 1] w, float[16, 8, 1, 1] v) => (float[N, 16, 4, 4] y)
        { a = Conv(x, w) p, q = Split <axis = 1, num_outputs = 2> (a) s = Mul(p, q) y = Conv(s, v) }""",
    "no-inputs": """g () => (float[4, 16] y) <float[4, 16] c = {CONSTANT}> { y = Relu(c) }""".replace(
        "CONSTANT", ", ".join(["1.5"] * 64)
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ODD)
def test_odd_graphs_are_valid_and_near_to_float(kind, mode, run):
    """Values that are outputs, read twice, or whose derived names are taken: valid, same names, same results."""
    model = network(ODD[kind])
    feeds = [random_feeds(model, seed=i, batch=3) for i in range(3)]

    made = bw.quantize(model, mode, calibration=feeds)
    proto = made.to_proto()

    onnx.checker.check_model(proto, full_check=True)
    expected, got = run(model, feeds[0]), run(proto, feeds[0])
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert sqnr_db(array, got[name]) > 25
    assert run(bw.load(proto), feeds[0]).keys() == got.keys()
    for name, array in run(bw.load(proto), feeds[0]).items():
        np.testing.assert_array_equal(array, got[name])


def test_input_that_is_also_an_output_stays_exact(run):
    """The value itself is given, not its quantized form."""
    model = network(ODD["input-is-output"])
    feeds = random_feeds(model, batch=3)

    np.testing.assert_array_equal(run(bw.quantize(model, "int8", calibration=[feeds]), feeds)["x"], feeds["x"])


def test_float_reader_of_a_float_value_reads_the_value_itself(run):
    """Beside a convolution that quantizes its input, a Tan of the input is exact."""
    model = network(ODD["float-and-integer-readers"])
    feeds = random_feeds(model, batch=3)

    np.testing.assert_allclose(
        run(bw.quantize(model, "int8", calibration=[feeds]), feeds)["z"], np.tan(feeds["x"]), rtol=1e-3, atol=1e-5
    )


def test_captured_values_survive(run):
    """An If whose branches capture a quantized value computes near to float in both branches, and reads back."""
    model = network("""g (float[1, 16, 4, 4] x, bool xc, float[16, 16, 1, 1] w) => (float[1, 16, 4, 4] y) {
        a = Conv(x, w)
        r = Relu(a)
        y = If (xc) <
          then_branch = yes () => (float[1, 16, 4, 4] u) { u = Sin(r) },
          else_branch = no () => (float[1, 16, 4, 4] v) { v = Neg(r) }
        >
    }""")
    feeds = [{**random_feeds(model, seed=i), "xc": np.array(bool(i % 2))} for i in range(4)]

    for mode in MODES:
        proto = bw.quantize(model, mode, calibration=feeds).to_proto()
        onnx.checker.check_model(proto, full_check=True)
        for sample in feeds:
            assert sqnr_db(run(model, sample)["y"], run(proto, sample)["y"]) > 25
        again = bw.load(proto).to_proto()
        assert again.SerializeToString(deterministic=True) == proto.SerializeToString(deterministic=True)


def test_fused_clamp_has_no_pair_before_it(made):
    """One quantization after the ReLU, none before: Conv's result is read by the ReLU itself."""
    graph = made("convolutions", "int8").to_proto().graph

    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in ("Relu", "Clip"):
            assert producers[node.input[0]].op_type in ("Conv", "Add")
            assert [n.op_type for n in graph.node if node.output[0] in n.input] == ["QuantizeLinear"]


def test_integers_are_initializers(made):
    """Every DequantizeLinear of a weight reads an integer initializer, never a float through a QuantizeLinear."""
    graph = made("convolutions", "int8").to_proto().graph
    floats = {t.name: t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT}

    assert not [n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] in floats]
    assert max(int(np.prod(list(t.dims))) for t in floats.values()) <= 32
