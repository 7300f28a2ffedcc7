"""A float graph, its plan and its quantized forms, small enough to check by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.graph.constants import QuantizedTensor
from bitwright.graph.text import parse
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import quantize
from bitwright.quantization.plan import Compute, NodePlan, Plan, Role, TensorPlan, make_plan_value

FLOAT = """<ir_version: 10, opset_import: ["": 21]>
net (float[N, 4] x) => (float[N, 3] y)
<float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12.7}, float[3] b = {0.5, -0.5, 0}>
{
  h = MatMul(x, w)
  s = Add(h, b)
  y = Relu(s)
}"""

QDQ = """<ir_version: 10, opset_import: ["": 21]>
net (float[N, 4] x) => (float[N, 3] y)
<int8[4, 3] w_q = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 127}, float ws = {0.1}, int8 wz = {0},
 float[3] b = {0.5, -0.5, 0}>
{
  w = DequantizeLinear(w_q, ws, wz)
  h = MatMul(x, w)
  s = Add(h, b)
  y = Relu(s)
}"""


@dataclass
class Held:
    """What compare and inspect need of a model."""

    graph: ir.Model
    source: str | None = None
    plan: Plan | None = None
    report: object = None
    is_lowered: bool = False
    file_program: object = None

    def to_ir(self) -> ir.Model:
        return self.graph


@dataclass
class Rows:
    """Samples by index, each of one row."""

    rows: np.ndarray
    labels: list[int] | None = None
    given: int = field(default=0)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self):
        for index, row in enumerate(self.rows):
            self.given += 1
            yield index, {"x": row[None].astype(np.float32)}


@pytest.fixture
def float_model() -> ir.Model:
    """A MatMul, an Add and a Relu."""
    model = parse(FLOAT)
    for index, node in enumerate(model.graph):
        node.name = f"node{index}"
    return model


@pytest.fixture
def qdq_model() -> ir.Model:
    """The same with int8 weights of scale 0.1: every weight is exact."""
    return parse(QDQ)


@pytest.fixture
def plan() -> Plan:
    """int8 weight, u8 activations; Relu stays float."""
    return make_plan_value(
        "int8",
        "onnxruntime",
        [
            TensorPlan("w", Role.WEIGHT, QuantParams(0.5, 0, "i8")),
            TensorPlan("x", Role.ACTIVATION, QuantParams(1 / 64, 128, "u8")),
            TensorPlan("h", Role.ACTIVATION, QuantParams(1.0, 128, "u8")),
        ],
        [
            NodePlan("node0", "MatMul", Compute.INTEGER, "all operands are quantized"),
            NodePlan("node1", "Add", Compute.FLOAT, "its other operand is constant"),
            NodePlan("node2", "Relu", Compute.FLOAT, "its other operand is constant"),
        ],
    )


@pytest.fixture
def applied(float_model: ir.Model, plan: Plan) -> ir.Model:
    """The float graph after its weight became integers of scale 0.5."""
    model = float_model.clone()
    value = model.graph.initializers["w"]
    qparams = plan.qparams_of("w")
    assert qparams is not None
    value.const_value = QuantizedTensor(quantize(value.const_value.numpy(), qparams), qparams, name="w")
    return model


@pytest.fixture
def held() -> type[Held]:
    return Held


@pytest.fixture
def rows() -> type[Rows]:
    return Rows


@pytest.fixture
def shared() -> Path:
    """The folder with models and data, beside the repository."""
    folder = Path(__file__).parents[2].parent / "shared"
    if not folder.is_dir():
        pytest.skip("the shared models and data are not here")
    return folder
