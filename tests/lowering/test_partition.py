"""Cutting graphs: whatever is outside, the parts one after another compute what the whole does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.graph.execution import Execution
from bitwright.graph.text import parse
from bitwright.lowering.concrete import make_concrete
from bitwright.lowering.partition import partition
from bitwright.quantization.plan import Compute, NodePlan, Plan

#: Branches that join, a value that is read three times and given out, a Split, two inputs, a subgraph that captures.
GRAPH = """<ir_version: 10, opset_import: ["": 21]>
net (float[2, 4] x, float[2, 4] z) => (float[2, 4] y, float[2, 4] b, float[2, 2] p, float[3] c)
<float[4] k = {1, 2, 3, 4}, float zero = {0}, float[3] c0 = {5, 6, 7}, int64 axis = {1}> {
    a = Add(x, k) b = Exp(a) d = Neg(a) e = Mul(b, d) p, q = Split <axis = 1, num_outputs = 2> (e)
    f = Concat <axis = 1> (p, q) g = Sub(f, z) h = ReduceMax <keepdims = 0> (g) i = Greater(h, zero)
    j = If (i) <then_branch = one () => (float[2, 4] t) { t = Add(g, b) },
                else_branch = two () => (float[2, 4] u) { u = Sub(g, d) }>
    l = CumSum(j, axis) m = Max(l, b) y = Tanh(m) c = Neg(c0)
}"""


def named_graph() -> ir.Model:
    model = parse(GRAPH)
    for index, node in enumerate(model.graph):
        node.name = f"{node.op_type}_{index}"
    return model


MODEL = named_graph()
NAMES = [str(node.name) for node in MODEL.graph]
FEEDS: dict[str, np.ndarray] = {
    "x": np.float32([[0.1, -0.2, 0.3, 0.4], [1, -1, 0, 2]]),
    "z": np.float32([[0.5, 0.2, -0.3, 0], [-1, 1, 0, 0.5]]),
}
EXPECTED = Execution(MODEL).run(FEEDS)


def plan_of(integers: set[str]) -> Plan:
    """A plan whose named nodes count as work."""
    nodes = {
        n.name: NodePlan(n.name, n.op_type, Compute.INTEGER if n.name in integers else Compute.FLOAT)
        for n in MODEL.graph
    }
    return Plan("int8", "onnxruntime", {}, nodes)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_parts_compute_what_the_whole_does(outside, integers):
    """In order, each part finds what it reads, and the outputs are the graph's."""
    concrete = make_concrete(MODEL)

    cut = partition(concrete, plan_of(integers), dict.fromkeys(outside, "because"))

    values = dict(FEEDS) | {"c": concrete.array(MODEL.graph.outputs[3])}
    for part in cut.parts:
        names = [str(value.name) for value in part.model.graph.inputs]
        values |= Execution(part.model).run({name: values[name] for name in names})
    assert sorted(name for part in cut.parts for name in part.nodes) == sorted(set(NAMES) - {"Neg_13"})
    for name, array in EXPECTED.items():
        np.testing.assert_array_equal(array, values[name], err_msg=name)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_parts_keep_to_their_side(outside, integers):
    """Nothing that is outside is in a part that lowers; each such part has work; every node outside has a reason."""
    cut = partition(make_concrete(MODEL), plan_of(integers), dict.fromkeys(outside, "because"))

    for part in cut.parts:
        assert part.lowers == (not set(part.nodes) & set(cut.outside))
        assert not part.lowers or set(part.nodes) & integers
    assert {name for name in outside if name != "Neg_13"} <= set(cut.outside)


def test_parts_alternate():
    """Neighbours of one side are one part: no two parts follow each other that could be one."""
    cut = partition(make_concrete(MODEL), plan_of(set(NAMES)), {"Mul_3": "because"})

    assert [part.lowers for part in cut.parts] == [True, False, True]


def test_a_move_goes_with_what_is_before_it():
    """A node that only moves what comes from outside is no reason to come back."""
    cut = partition(make_concrete(MODEL), plan_of({"Add_0", "Sub_6"}), {"Mul_3": "because"})

    assert cut.outside["Split_4"] == "it only moves or clamps what comes from there"


def test_parts_know_their_shapes():
    """Inputs and outputs of a part have the numbers that the whole was given."""
    cut = partition(make_concrete(MODEL), plan_of(set(NAMES)), {"Mul_3": "because"})

    ports = [value for part in cut.parts for value in (*part.model.graph.inputs, *part.model.graph.outputs)]
    assert {str(value.name): tuple(value.shape.numpy()) for value in ports}["b"] == (2, 4)
    assert all(value.shape is not None and value.dtype is not None for value in ports)


def test_a_part_holds_its_own_constants_alone():
    """What only other parts read is not in it."""
    cut = partition(make_concrete(MODEL), plan_of(set(NAMES)), {"CumSum_10": "because"})

    held = {part.nodes: set(part.model.graph.initializers) for part in cut.parts}
    assert {"k", "zero"} <= held[cut.parts[0].nodes]
    assert held[("CumSum_10",)] == {"axis"}
