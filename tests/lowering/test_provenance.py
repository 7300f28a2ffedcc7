"""What nodes remember of a file's operators: whether activations quantized as they arrive get a zero_point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitwright as bw
from bitwright.formats.tflite.read import read_tflite
from bitwright.formats.tflite.write import write_tflite
from bitwright.lowering.lower import lower
from bitwright.lowering.raise_program import raise_program
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import quantize
from bitwright.program.operator import Operator, Options
from bitwright.program.options import BatchMatMulOptions, FullyConnectedOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor

MODELS = Path(__file__).parents[2] / ".." / "shared" / "models"


def product(kind: str, options: Options) -> Program:
    """Floats [2, 20] times integers."""
    shape = (16, 20) if kind == "FULLY_CONNECTED" else (20, 16)
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    q = QuantParams(float(np.abs(values).max() / 127))
    tensors = [Tensor("x", (2, 20)), Tensor("w", shape, "i8", q, quantize(values, q)), Tensor("y", (2, 16))]
    operator = Operator(kind, ("x", "w"), ("y",), options)
    return Program({t.name: t for t in tensors}, (operator,), (Port("x", "x"),), (Port("y", "y"),))


@pytest.mark.parametrize("asymmetric", [False, True], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("FULLY_CONNECTED", FullyConnectedOptions), ("BATCH_MATMUL", BatchMatMulOptions)],
    ids=["fully-connected", "batch-matmul"],
)
def test_hybrid_product_quantizes_its_inputs_as_the_file_says(kind, options, asymmetric, on_litert, tmp_path):
    """Raised and lowered again, and by way of an .onnx file: the same floats to the last bit of rounding."""
    before = product(kind, options(asymmetric_quantize_inputs=asymmetric))
    feeds = {"x": np.random.default_rng(1).standard_normal((2, 20)).astype(np.float32) + 1}
    (tmp_path / "first.tflite").write_bytes(write_tflite(before))
    bw.load(tmp_path / "first.tflite").save(tmp_path / "middle.onnx")

    programs = [lower(*raise_program(before)), bw.load(tmp_path / "middle.onnx").to_program()]

    for program in programs:
        assert [op.kind for op in program.operators] == ["FULLY_CONNECTED"]
        assert asymmetric == program.operators[0].options.asymmetric_quantize_inputs
        np.testing.assert_allclose(on_litert(before, feeds)["y"], on_litert(program, feeds)["y"], rtol=1e-6, atol=1e-6)


def test_dynamic_product_of_a_float_file_quantizes_its_inputs_asymmetrically(tmp_path):
    """A float operator's own flag says nothing."""
    program = product("FULLY_CONNECTED", FullyConnectedOptions())
    weight = Tensor("w", (16, 20), data=np.random.default_rng(0).standard_normal((16, 20)).astype(np.float32))
    before = Program({**program.tensors, "w": weight}, program.operators, program.inputs, program.outputs)
    (tmp_path / "float.tflite").write_bytes(write_tflite(before))

    (operator,) = bw.quantize(tmp_path / "float.tflite", "dynamic", target="litert").to_program().operators

    assert operator.options.asymmetric_quantize_inputs


def test_dynamic_file_raised_and_lowered_gives_the_same_floats(litert_session):
    """dtln_1_dynamic, whose operators quantize without a zero_point: on both kernel sets, to the bit."""
    path = MODELS / "dtln_1_dynamic.tflite"
    if not path.exists():
        pytest.skip("the shared models are not here")
    before = read_tflite(path.read_bytes())
    after = lower(*raise_program(before))

    for resolver in ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        first, second = litert_session(before, resolver), litert_session(after, resolver)
        rng = np.random.default_rng(0)
        for _ in range(5):
            feeds = {
                port.name: rng.standard_normal(before.tensors[port.tensor].shape).astype(np.float32)
                for port in before.inputs
            }
            expected, got = first(feeds), second(feeds)
            for name, array in expected.items():
                np.testing.assert_array_equal(array, got[name])
