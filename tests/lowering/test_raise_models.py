"""Trained .tflite files, raised: the same numbers in ONNX Runtime, the same integers when lowered again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.exporters.onnx.write import to_onnx
from bitwright.formats.tflite.read import read_tflite
from bitwright.formats.tflite.write import write_tflite
from bitwright.graph.execution import Execution
from bitwright.lowering.lower import lower
from bitwright.lowering.raise_program import raise_program
from bitwright.model import Model
from bitwright.numerics.metrics import sqnr_db
from bitwright.numerics.quantize import dequantize
from bitwright.program.program import Program
from bitwright.quantization.plan import Compute
from bitwright.transforms.pipeline import prepare

MODELS = Path(__file__).parents[2] / ".." / "shared" / "models"
FLOAT = ("resnet8_cifar10", "vww_mobilenetv1", "toycar_autoencoder", "dtln_1")
INT8 = ("resnet8_cifar10_int8", "kws_dscnn_int8", "vww_mobilenetv1_int8", "toycar_autoencoder_int8")
DYNAMIC = ("kws_dscnn", "dtln_1_dynamic")

#: Numbers as large as the data that the networks were trained on.
SPREAD = {"resnet8_cifar10": 128.0, "toycar_autoencoder": 3.0}

Arrays = dict[str, np.ndarray]


def file_of(name: str) -> bytes:
    path = MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip("the shared models are not here")
    return path.read_bytes()


class LiteRT:
    """One file in the interpreter, without XNNPACK."""

    def __init__(self, data: bytes, program: Program) -> None:
        module = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")
        resolver = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.session: Any = module.Interpreter(model_content=data, experimental_op_resolver_type=resolver)
        self.session.allocate_tensors()
        self.program = program

    def run(self, feeds: Arrays) -> Arrays:
        for detail, port in zip(self.session.get_input_details(), self.program.inputs, strict=True):
            self.session.set_tensor(detail["index"], feeds[port.name])
        self.session.invoke()
        details = zip(self.session.get_output_details(), self.program.outputs, strict=True)
        return {port.name: self.session.get_tensor(detail["index"]) for detail, port in details}


def drawn(program: Program, count: int, spread: float = 1.0, seed: int = 0) -> Iterator[Arrays]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        feeds = {}
        for port in program.inputs:
            tensor = program.tensors[port.tensor]
            if tensor.dtype == "i8":
                feeds[port.name] = rng.integers(-128, 128, tensor.shape).astype(np.int8)
            else:
                feeds[port.name] = (rng.standard_normal(tensor.shape) * spread).astype(np.float32)
        yield feeds


@pytest.mark.parametrize("name", FLOAT)
def test_raise_float_file_computes_what_litert_does(name):
    """Within 1e-5 of the largest number, on 10 inputs; the graph is valid ONNX."""
    data = file_of(name)
    program = read_tflite(data)

    model, plan = raise_program(program)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)

    assert plan is None
    raised, original = Execution(model), LiteRT(data, program)
    for feeds in drawn(program, 10, SPREAD.get(name, 1.0)):
        got, expected = raised.run(feeds), original.run(feeds)
        for port, array in expected.items():
            assert np.abs(array - got[port]).max() <= 1e-5 * np.abs(array).max()


def test_raise_recurrent_file_follows_litert_over_100_steps():
    """dtln_1 with its states fed back: within 1e-4."""
    data = file_of("dtln_1")
    program = read_tflite(data)
    raised, original = Execution(raise_program(program)[0]), LiteRT(data, program)
    (frame, state), (mask, next_state) = [p.name for p in program.inputs], [p.name for p in program.outputs]
    states = [np.zeros(program.tensors[program.inputs[1].tensor].shape, np.float32)] * 2
    rng = np.random.default_rng(0)

    for _ in range(100):
        x = np.abs(rng.standard_normal(program.tensors[program.inputs[0].tensor].shape)).astype(np.float32)
        made = [run.run({frame: x, state: s}) for run, s in zip((raised, original), states, strict=True)]
        states = [arrays[next_state] for arrays in made]
        for port in (mask, next_state):
            assert np.abs(made[0][port] - made[1][port]).max() <= 1e-4 * np.abs(made[1][port]).max()


@pytest.mark.parametrize("name", INT8)
def test_raise_int8_file_is_lowered_to_the_same_integers(name):
    """Raised, lowered and written again, LiteRT computes the same integers from both files."""
    data = file_of(name)
    program = read_tflite(data)
    model, plan = raise_program(program)

    again = lower(model, plan, input_type="int8", output_type="int8")

    before, after = ([op.kind for op in p.operators if op.kind != "RESHAPE"] for p in (program, again))
    assert before == after
    first, second = LiteRT(data, program), LiteRT(write_tflite(again), again)
    for feeds in drawn(program, 20):
        expected, got = first.run(feeds), second.run(feeds)
        for port, array in expected.items():
            np.testing.assert_array_equal(array, got[port].reshape(array.shape))


@pytest.mark.parametrize("name", INT8)
def test_raise_int8_file_runs_as_onnx(name):
    """Its QDQ spelling agrees with LiteRT on the best of the classes, nearly always, or on the reals."""
    data = file_of(name)
    program = read_tflite(data)
    model, plan = raise_program(program)
    assert plan is not None and {Compute.INTEGER} == {n.compute for n in plan.nodes.values()}
    raised, original = Execution(to_onnx(model, plan)), LiteRT(data, program)
    (entry,), (port,) = program.inputs, program.outputs
    into, out = program.tensors[entry.tensor].qparams, program.tensors[port.tensor].qparams
    assert into is not None and out is not None

    pairs = []
    for feeds in drawn(program, 20):
        expected = dequantize(original.run(feeds)[port.name], out)
        pairs.append((expected, raised.run({entry.name: dequantize(feeds[entry.name], into)})[port.name]))

    assert sum(int(a.argmax() == b.argmax()) for a, b in pairs) >= 18
    assert sqnr_db(np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])) > 20


@pytest.mark.parametrize("name", DYNAMIC)
def test_raise_dynamic_file_keeps_its_integers(name):
    """Hybrid operators are dynamic in the plan; the ONNX file with dynamic kernels follows LiteRT."""
    data = file_of(name)
    program = read_tflite(data)

    model, plan = raise_program(program)

    assert plan is not None and plan.mode == "dynamic"
    assert plan.counts()["dynamic"] == 5
    raised, original = Execution(to_onnx(model, plan)), LiteRT(data, program)
    pairs = [(original.run(feeds), raised.run(feeds)) for feeds in drawn(program, 10)]
    for port in program.outputs:
        assert sqnr_db(*(np.stack([run[port.name] for run in side]) for side in zip(*pairs, strict=True))) > 25


@pytest.mark.parametrize("name", FLOAT)
def test_raise_float_file_can_be_prepared_and_quantized(name):
    """The transforms leave its numbers alone; quantizing it makes integer nodes."""
    program = read_tflite(file_of(name))
    model, _ = raise_program(program)
    samples = list(drawn(program, 4, SPREAD.get(name, 1.0)))

    expected = Execution(model).run(samples[0])
    got = Execution(prepare(model)).run(samples[0])
    small = bw.quantize(Model(model, None, None), "int8", calibration=samples)

    for port, array in expected.items():
        np.testing.assert_allclose(array, got[port], rtol=1e-5, atol=1e-5 * float(np.abs(array).max()))
    assert small.plan is not None and "integer" in small.plan.counts()
