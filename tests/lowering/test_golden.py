"""A graph as text, perhaps a plan, and the Program it is lowered to: one file a case in tests/golden/lower.

A plan begins with its mode and, where it matters, its target. It has a line a tensor: name, role, storage type, scales,
zero_point and, where there is one, the axis. With a plan every node computes on integers.
"""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

from bitwright.graph.text import parse
from bitwright.lowering.lower import lower
from bitwright.numerics.qparams import QuantParams
from bitwright.program.text import to_text
from bitwright.quantization.apply import apply_plan
from bitwright.quantization.plan import Compute, NodePlan, Plan, Role, TensorPlan, make_plan_value
from bitwright.transforms.pipeline import prepare

CASES = sorted((Path(__file__).parents[1] / "golden" / "lower").glob("*.lower"))
HEADER = '<ir_version: 10, opset_import: ["": 21]>\n'


def read_plan(text: str, model: ir.Model) -> Plan:
    """The plan of a case's middle part."""
    first, *lines = text.strip().splitlines()
    mode, _, target = first.removeprefix("plan ").partition(" for ")
    tensors = []
    for line in lines:
        name, role, storage, scales, point, *axis = line.split()
        scale = [float(s) for s in scales.split(",")]
        qparams = QuantParams(scale, int(point), storage, int(axis[0].removeprefix("axis=")) if axis else None)
        tensors.append(TensorPlan(name, Role(role), qparams))
    nodes = [NodePlan(str(node.name), node.op_type, Compute.INTEGER) for node in model.graph]
    return make_plan_value(mode, target or "golden", tensors, nodes)


def lowered(parts: list[str]) -> str:
    """The text of the Program that a case's graph and plan give."""
    model = prepare(parse(HEADER + parts[0]))
    plan = read_plan(parts[1], model) if len(parts) > 1 else None
    if plan is not None:
        apply_plan(model, plan)
    return to_text(lower(model, plan))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_lower_gives_the_text(path):
    """A graph becomes exactly this Program."""
    *given, expected = path.read_text().split("\n---\n")

    assert expected == lowered(given)
