"""Operators, blocks, networks: ONNX -> .tflite -> the real LiteRT, float and int8, in shapes that Hypothesis draws."""

from __future__ import annotations

from typing import Any

import litert_blocks
import litert_cases as cases
import litert_networks
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bitwright as bw
from bitwright.lowering.layout import layouts_of
from bitwright.program.program import Program
from bitwright.program.reference import Reference
from bitwright.runtime.ports import run_rows

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")


NETWORKS = litert_networks.CASES
CASES = cases.CASES | litert_blocks.CASES | NETWORKS

#: Operators without an integer form in LiteRT, or whose result is no quantity.
FLOAT_ALONE = {"DIV", "CAST", "UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM, both directions", "GRU", "Div of two inputs"}
#: Operators that only LiteRT's default kernels have.
BY_DEFAULT = {"composed elementwise"}
#: How far a float result may be off, of its largest value.
FLOAT_ERROR = 1e-5
#: Less of int8 beside float, and something else was computed.
LEAST_SQNR_DB = 15.0
#: Where a rounded value picks a row, or a norm divides by little: integers are compared, reals are not.
SENSITIVE = {"EMBEDDING_LOOKUP", "attention"}

DRAWN = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def drawn(kind: str, data: Any) -> tuple[Any, onnx.ModelProto]:
    graph = cases.Graph(data.draw(st.integers(0, 1 << 16)))
    results = CASES[kind](data.draw, graph)
    return graph, graph.model([results] if isinstance(results, str) else results)


def on_litert(
    model: bw.Model, program: Program, feeds: dict[str, np.ndarray], resolver: str = "BUILTIN_REF"
) -> dict[str, np.ndarray]:
    """LiteRT's reference kernels by default; inputs and outputs as the file holds them."""
    interpreter = litert.Interpreter(
        model_content=model.to_tflite(), experimental_op_resolver_type=getattr(litert.OpResolverType, resolver)
    )
    interpreter.allocate_tensors()
    for port, detail in zip(program.inputs, interpreter.get_input_details(), strict=True):
        interpreter.set_tensor(detail["index"], feeds[port.name])
    interpreter.invoke()
    details = interpreter.get_output_details()
    return {port.name: interpreter.get_tensor(d["index"]) for port, d in zip(program.outputs, details, strict=True)}


def on_onnx_runtime(model: onnx.ModelProto, feeds: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """The model as it stands, without ONNX Runtime's own rewriting."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(names, one), strict=True)) for one in feeds]


def is_integer(program: Program) -> bool:
    """Whether nothing between the ports is float."""
    ports = {port.tensor for port in (*program.inputs, *program.outputs)}
    inner = [tensor for tensor in program.tensors.values() if tensor.data is None and tensor.name not in ports]
    return bool(inner) and all(tensor.dtype != "f32" for tensor in inner)


def sqnr_db(wanted: list[np.ndarray], made: list[np.ndarray]) -> float:
    first, second = (np.concatenate([a.reshape(-1) for a in arrays]).astype(np.float64) for arrays in (wanted, made))
    noise = np.sum((first - second) ** 2)
    return float(10 * np.log10(max(np.sum(first**2), 1e-30) / noise)) if noise else np.inf


@pytest.mark.parametrize("kind", CASES)
def test_float_operator_computes_what_onnx_runtime_does(kind):
    """Within 1e-5 of the largest value."""

    @DRAWN
    @given(st.data())
    def check(data):
        graph, model = drawn(kind, data)
        feeds = graph.feeds(1)
        wanted = on_onnx_runtime(model, [feeds])[0]
        loaded = bw.load(model)
        program, resolver = loaded.to_program(), "BUILTIN" if kind in BY_DEFAULT else "BUILTIN_REF"

        made = run_rows(program, lambda f: on_litert(loaded, program, f, resolver), feeds, layouts=layouts_of(program))

        for name, array in wanted.items():
            assert array.shape == made[name].shape
            scale = np.abs(array).max(initial=1e-6)
            assert np.abs(array.astype(np.float64) - made[name]).max(initial=0) <= FLOAT_ERROR * scale

    check()


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind not in FLOAT_ALONE | BY_DEFAULT])
def test_int8_operator_gives_the_integers_of_litert(kind):
    """The numpy reference and LiteRT's reference kernels differ in no integer, which mean what the floats are."""

    @DRAWN
    @given(st.data())
    def check(data):
        graph, model = drawn(kind, data)
        samples = [graph.feeds(seed) for seed in range(4)]
        small = bw.quantize(model, "int8", target="litert", calibration=samples)
        program = small.to_program()
        layouts = layouts_of(program)
        feeds = {}
        for port in program.inputs:
            permutation = layouts.inputs.get(port.name)
            array = samples[0][port.name]
            feeds[port.name] = np.ascontiguousarray(array if permutation is None else array.transpose(permutation))

        made, wanted = Reference(program).run(feeds), on_litert(small, program, feeds)

        for name, array in wanted.items():
            if is_integer(program):
                assert array.tobytes() == made[name].tobytes()
            else:  # a float kernel is among them: the last bits of floats are free
                assert np.abs(array.astype(np.float64) - made[name]).max() <= FLOAT_ERROR * np.abs(array).max()
        if kind not in SENSITIVE | NETWORKS.keys():  # which may lose all of a range on the way
            floats = on_onnx_runtime(model, samples)
            run = [run_rows(program, Reference(program).run, one, layouts=layouts) for one in samples]
            for name in (name for name, array in floats[0].items() if array.dtype.kind == "f"):
                assert sqnr_db([one[name] for one in floats], [one[name] for one in run]) >= LEAST_SQNR_DB

    check()
