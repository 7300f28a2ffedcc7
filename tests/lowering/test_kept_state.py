"""LSTMs whose states last from run to run: raised, quantized and lowered again, beside the file they came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bitwright as bw
from bitwright.formats.tflite.read import read_tflite
from bitwright.formats.tflite.write import write_tflite
from bitwright.lowering.lower import lower
from bitwright.lowering.provenance import KEEPS_STATE
from bitwright.lowering.raise_program import raise_program
from bitwright.numerics.metrics import sqnr_db
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import quantize
from bitwright.program.operator import Activation, Operator
from bitwright.program.options import UnidirectionalSequenceLSTMOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor
from bitwright.transforms.pipeline import prepare

#: More steps than are unrolled; inputs and hidden values of a size at which weights are quantized.
STEPS, INPUTS, HIDDEN = 300, 12, 16
KIND = "UNIDIRECTIONAL_SEQUENCE_LSTM"


def lstm(
    *,
    steps: int = STEPS,
    rows: int = 1,
    hybrid: bool = False,
    coupled: bool = False,
    peepholes: bool = False,
    **options: Any,
) -> Program:
    """A file of one LSTM; hybrid: each weight i8 on a scale of its own."""
    rng = np.random.default_rng(0)
    o = UnidirectionalSequenceLSTMOptions(**{"fused_activation_function": Activation.TANH} | options)
    tensors: dict[str, Tensor] = {}

    def constant(name: str, *shape: int, plain: bool = False) -> str:
        values = (rng.standard_normal(shape) * 0.4).astype(np.float32)
        tensors[name] = Tensor(name, shape, data=values)
        if hybrid and not plain:
            q = QuantParams(float(np.abs(values).max() / 127))
            tensors[name] = Tensor(name, shape, "i8", q, quantize(values, q))
        return name

    def gates(stem: str, *shape: int, plain: bool = False, first: int = 0, last: int = 4) -> list[str | None]:
        names = [constant(f"{stem}{gate}", *shape, plain=plain) for gate in range(first, last)]
        return [None if coupled and name == f"{stem}0" else name for name in names]

    lead = (steps, rows) if o.time_major else (rows, steps)
    tensors["x"], tensors["y"] = Tensor("x", (*lead, INPUTS)), Tensor("y", (*lead, HIDDEN))
    operands = ["x", *gates("w", HIDDEN, INPUTS), *gates("r", HIDDEN, HIDDEN)]
    operands += [*(gates("p", HIDDEN, last=3) if peepholes else [None] * 3), *gates("b", HIDDEN, plain=True)]
    for state in ("hidden", "cell"):
        tensors[state] = Tensor(state, (rows, HIDDEN), variable=True)
    operator = Operator(KIND, (*operands, None, None, "hidden", "cell"), ("y",), o)
    used = {name: t for name, t in tensors.items() if name in (*operator.inputs, "y")}
    return Program(used, (operator,), (Port("x", "x"),), (Port("y", "y"),), signature="serving_default")


Runs = Callable[[Program], list[np.ndarray]]


@pytest.fixture
def three_runs(litert_session) -> Runs:
    """What LiteRT gives for three inputs one after the other, the states kept."""

    def run(program: Program, resolver: str = "BUILTIN_REF") -> list[np.ndarray]:
        session, rng = litert_session(program, resolver), np.random.default_rng(1)
        shape = program.tensors[program.inputs[0].tensor].shape
        return [session({"x": rng.standard_normal(shape).astype(np.float32)})["y"] for _ in range(3)]

    return run


FILES = {
    "float": lstm(),
    "rows": lstm(rows=2),
    "time-major": lstm(rows=2, time_major=True),
    "relu": lstm(steps=5, fused_activation_function=Activation.RELU),
    "coupled": lstm(coupled=True),
    "peepholes": lstm(peepholes=True),
    "coupled-peepholes": lstm(coupled=True, peepholes=True),
    "hybrid": lstm(hybrid=True),
    "hybrid-asymmetric": lstm(hybrid=True, asymmetric_quantize_inputs=True),
    "hybrid-coupled-peepholes": lstm(hybrid=True, coupled=True, peepholes=True),
}


@pytest.mark.parametrize("name", FILES)
def test_lstm_raised_and_lowered_gives_the_same_over_three_runs(name, three_runs):
    """One operator again, with the same options and operands; the numbers are the same, run after run."""
    before = FILES[name]

    after = lower(*raise_program(before))

    (first,), (second,) = before.operators, after.operators
    assert first.kind == second.kind and first.options == second.options
    assert [n is None for n in first.inputs] == [n is None for n in second.inputs]
    np.testing.assert_array_equal(three_runs(before), three_runs(after))


@pytest.mark.parametrize(
    ("mode", "stored", "least_db"), [("float16", "f16", 55), ("weight-only", "i8", 30), ("dynamic", "i8", 30)]
)
def test_long_lstm_of_a_file_is_quantized(mode, stored, least_db, three_runs, tmp_path):
    """Its eight weights are stored small; LiteRT's numbers are near those of the float file, the states kept."""
    path, small = tmp_path / "float.tflite", tmp_path / "small.tflite"
    path.write_bytes(write_tflite(FILES["float"]))

    bw.quantize(path, mode, target="litert").save(small)

    program = read_tflite(small.read_bytes())
    assert [*["DEQUANTIZE"] * 8, KIND] == [op.kind for op in program.operators]
    assert {stored} == {program.tensors[op.inputs[0]].dtype for op in program.operators[:8]}
    assert sqnr_db(np.stack(three_runs(FILES["float"])), np.stack(three_runs(program))) > least_db


def test_lstm_with_one_scale_a_weight_stays_hybrid(three_runs, tmp_path):
    """Per-tensor weights give integer operands, and activations are quantized as they arrive."""
    path = tmp_path / "float.tflite"
    path.write_bytes(write_tflite(FILES["float"]))

    program = bw.quantize(path, "dynamic", target="litert", per_channel=False).to_program()

    (operator,) = program.operators
    assert operator.kind == KIND and operator.options.asymmetric_quantize_inputs
    assert {"i8"} == {program.tensors[name].dtype for name in operator.inputs[1:9]}
    assert sqnr_db(np.stack(three_runs(FILES["float"])), np.stack(three_runs(program))) > 25


@pytest.mark.parametrize("name", ["float", "hybrid"])
def test_long_lstm_goes_through_onnx(name, three_runs, tmp_path):
    """The .onnx file remembers where its LSTM is from."""
    path, middle = tmp_path / "first.tflite", tmp_path / "middle.onnx"
    path.write_bytes(write_tflite(FILES[name]))

    bw.load(path).save(middle)
    again = bw.load(middle).to_program()

    assert FILES[name].operators[0].options == again.operators[0].options
    np.testing.assert_array_equal(three_runs(FILES[name]), three_runs(again))


SIZES = "float[3, 1, 4] x, float[1, 1, 2] h, float[1, 8, 4] w, float[1, 8, 2] r"


@pytest.mark.parametrize(
    ("is_marked", "results", "call"),
    [
        (False, "float[] y", "y = LSTM <hidden_size = 2> (x, w, r)"),
        (True, "float[] y", "y = LSTM <hidden_size = 2> (x, w, r, , , h)"),
        (True, "float[] y, float[] last", "y, last = LSTM <hidden_size = 2> (x, w, r)"),
        (True, "float[] y", 'y = LSTM <hidden_size = 2, direction = "reverse"> (x, w, r)'),
    ],
    ids=["onnx-own", "state-fed", "state-read", "reverse"],
)
def test_lstm_that_the_operator_does_not_do_is_unrolled(is_marked, results, call, network):
    """ONNX's own, which starts anew at each run; and one that was changed after it was raised."""
    model = network(f"net ({SIZES}) => ({results}) {{ {call} }}", inputs=2)
    if is_marked:
        next(iter(model.graph)).metadata_props[KEEPS_STATE] = "true"

    program = lower(model, None)

    assert KIND not in {op.kind for op in program.operators}
    assert not any(tensor.variable for tensor in program.tensors.values())


def test_lstm_keeps_its_mark_when_the_graph_is_prepared():
    """Copies and transforms leave it; without it a long LSTM could not be lowered."""
    model, _ = raise_program(FILES["float"])

    prepared = prepare(model)

    assert [n.metadata_props.get(KEEPS_STATE) for n in prepared.graph if n.op_type == "LSTM"] == ["true"]
