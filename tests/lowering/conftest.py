"""Graphs as text with random weights, and Programs run by LiteRT in the graph's own layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.formats.tflite.write import write_tflite
from bitwright.graph.execution import open_session
from bitwright.graph.text import parse
from bitwright.lowering.layout import inverse, layouts_of
from bitwright.program.program import Program
from bitwright.transforms.pipeline import prepare

HEADER = '<ir_version: 10, opset_import: ["": 21]>\n'


@pytest.fixture
def network() -> Callable[..., ir.Model]:
    """A prepared graph from its text: inputs after the first `inputs` become constants, normal and small."""

    def make(text: str, inputs: int = 1, seed: int = 0) -> ir.Model:
        model, rng = parse(HEADER + text), np.random.default_rng(seed)
        values = list(model.graph.inputs)
        del model.graph.inputs[inputs:]
        for value in values[inputs:]:
            shape = tuple(int(d) for d in value.shape.numpy())
            fan = max(int(np.prod(shape[1:])), 1)
            tensor = ir.tensor((rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32), name=value.name)
            model.graph.register_initializer(
                ir.Value(name=value.name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
            )
            fresh = model.graph.initializers[value.name]
            value.replace_all_uses_with(fresh)
        return prepare(model)

    return make


@pytest.fixture
def litert_session() -> Callable[..., Callable[[Mapping[str, Any]], dict[str, np.ndarray]]]:
    """A Program on LiteRT: feeds and results as the graph has them."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

    def start(program: Program, resolver: str = "BUILTIN_REF") -> Callable[[Mapping[str, Any]], dict[str, np.ndarray]]:
        interpreter = litert.Interpreter(
            model_content=write_tflite(program),
            experimental_op_resolver_type=getattr(litert.OpResolverType, resolver),
        )
        interpreter.allocate_tensors()
        moved = layouts_of(program)

        def run(feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
            for port, detail in zip(program.inputs, interpreter.get_input_details(), strict=True):
                perm = moved.inputs.get(port.name)
                array = feeds[port.name] if perm is None else feeds[port.name].transpose(perm)
                interpreter.set_tensor(detail["index"], np.ascontiguousarray(array))
            interpreter.invoke()
            made = {}
            for port, detail in zip(program.outputs, interpreter.get_output_details(), strict=True):
                perm = moved.outputs.get(port.name)
                array = interpreter.get_tensor(detail["index"])
                made[port.name] = array if perm is None else array.transpose(inverse(perm))
            return made

        return run

    return start


@pytest.fixture
def on_litert(litert_session: Any) -> Callable[..., dict[str, np.ndarray]]:
    """One run of a Program on LiteRT."""

    def run(program: Program, feeds: Mapping[str, Any], resolver: str = "BUILTIN_REF") -> dict[str, np.ndarray]:
        return litert_session(program, resolver)(feeds)

    return run


@pytest.fixture
def on_onnx_runtime() -> Callable[..., dict[str, np.ndarray]]:
    """What ONNX Runtime makes of a graph as it stands: its own rewriting takes a Pad into a MaxPool, which is wrong."""

    def run(model: ir.Model, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        session = open_session(ir.to_proto(model).SerializeToString(), optimize=False)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    return run
