"""A small network with the names that people's scripts have, its samples, and its distance from what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from bitwright.graph.execution import Execution
from bitwright.graph.text import parse
from bitwright.model import Model
from bitwright.numerics.metrics import sqnr_db

TEXT = """<ir_version: 10, opset_import: ["": 21]>
g (float[N,3,16,16] input_data, float[32,3,3,3] conv_w, float[32] conv_b, float[32] gamma, float[32] beta,
   float[32] mean, float[32] var, float[2048,10] fc_w, float[10] fc_b) => (float[N,10] softmax)
<int64[2] shape = {-1,2048}>
{
  [conv] conv = Conv <strides = [2,2], pads = [1,1,1,1]> (input_data, conv_w, conv_b)
  [bn] bn = BatchNormalization (conv, gamma, beta, mean, var)
  [relu] relu = Relu (bn)
  [flat] flat = Reshape (relu, shape)
  [fc] logits_0 = MatMul (flat, fc_w)
  [bias] logits = Add (logits_0, fc_b)
  [softmax] softmax = Softmax <axis = -1> (logits)
}"""


@pytest.fixture
def network() -> Model:
    """input_data -> Conv, BatchNormalization, Relu, MatMul, Add -> softmax, with random weights."""
    graph = parse(TEXT)
    rng = np.random.default_rng(0)
    for value in list(graph.graph.inputs)[1:]:
        assert value.shape is not None
        shape = value.shape.numpy()
        spread = np.sqrt(2 / np.prod(shape[1:] if len(shape) == 4 else shape[:1])) if len(shape) > 1 else 0.3
        array = rng.standard_normal(shape).astype(np.float32) * np.float32(spread)
        value.const_value = ir.Tensor(array + (1 if value.name in ("gamma", "var") else 0), name=value.name)
        graph.graph.inputs.remove(value)
        graph.graph.register_initializer(value)
    return Model(graph)


@pytest.fixture
def network_file(network: Model, tmp_path: Path) -> Path:
    """The same in a file."""
    return network.save(tmp_path / "network.onnx")[0]


@pytest.fixture
def samples() -> NDArray[np.float32]:
    """32 random images."""
    return np.random.default_rng(1).standard_normal((32, 3, 16, 16)).astype(np.float32)


@pytest.fixture
def distance(network: Model, samples: NDArray[np.float32]) -> Callable[[Model], float]:
    """Signal to noise of a model's softmax against the float network's, both on ONNX Runtime, in dB."""
    expected = Execution(network.graph).run({"input_data": samples})["softmax"]

    def measure(model: Model) -> float:
        return sqnr_db(expected, Execution(model.to_ir()).run({"input_data": samples})["softmax"])

    return measure


@pytest.fixture
def ops() -> Callable[[Model], list[str]]:
    """The operators of a model as its ONNX file spells them."""
    return lambda model: [node.op_type for node in model.to_ir().graph]
