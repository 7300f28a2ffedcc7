"""ONNX models become graphs with named, sorted nodes; what is given is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from bitwright.errors import UsageError
from bitwright.graph.text import parse
from bitwright.importers.load import load_graph
from bitwright.importers.onnx_file import load_onnx

SMALL = (
    '<ir_version: 10, opset_import: ["": 21]> g (float[N,3] x) => (float[N,3] y) '
    "<float[3] w = {1.0, 2.0, 3.0}> { a = Mul(x, w) y = Relu(a) }"
)


def _proto(text: str = SMALL) -> onnx.ModelProto:
    return ir.to_proto(parse(text))


def test_load_onnx_names_nodes_and_keeps_the_names_there_are() -> None:
    """Unnamed nodes and second owners of a name get their own; names that are unique and values' names stay."""
    proto = _proto(
        '<ir_version: 10, opset_import: ["": 21]> g (float[3] x) => (float[3] y) '
        "{ [same] a = Relu(x) [same] b = Neg(a) c = Abs(b) [other] y = Neg(c) }"
    )

    model = load_onnx(proto)

    names = [node.name for node in model.graph]
    assert names[0] == "same"
    assert names[3] == "other"
    assert len(set(names)) == 4
    assert all(names)
    assert [node.outputs[0].name for node in model.graph] == ["a", "b", "c", "y"]


def test_load_onnx_names_nodes_of_subgraphs_apart() -> None:
    """Nodes of branches have names that no node of the main graph has."""
    proto = _proto(
        '<ir_version: 10, opset_import: ["": 21]> g (float[3] x, bool c) => (float[3] y) '
        "{ [n] a = Relu(x) y = If(c)<then_branch = t () => (float[3] p) { [n] p = Neg(a) },"
        " else_branch = e () => (float[3] q) { [n] q = Abs(a) }> }"
    )

    names = [node.name for node in load_onnx(proto).graph.all_nodes()]

    assert len(set(names)) == 4


def test_load_onnx_gives_the_same_names_when_read_again() -> None:
    """Names written to a file stay when it is read."""
    once = load_onnx(_proto())
    twice = load_onnx(ir.to_proto(once))

    assert [n.name for n in once.graph] == [n.name for n in twice.graph]


@pytest.mark.parametrize("kind", ["proto", "model"])
def test_load_onnx_leaves_the_given_object_as_it_was(kind: str) -> None:
    """Renaming and editing the graph does not reach the caller's object."""
    given: Any = _proto() if kind == "proto" else parse(SMALL)
    before = given.SerializeToString() if kind == "proto" else ir.to_proto(given).SerializeToString()

    model = load_onnx(given)
    model.graph.initializers["w"].name = "other"
    model.graph.inputs[0].name = "z"
    model.graph[0].name = "renamed"

    after = given.SerializeToString() if kind == "proto" else ir.to_proto(given).SerializeToString()
    assert before == after


def test_load_onnx_sorts_nodes_that_can_be_sorted(run_model: Any) -> None:
    """Nodes written in the wrong order are put into the right one, also where a branch is the reader."""
    proto = _proto(
        '<ir_version: 10, opset_import: ["": 21]> g (float[3] x, bool c) => (float[3] y) '
        "{ a = Relu(x) b = Neg(a) y = If(c)<then_branch = t () => (float[3] p) { p = Neg(b) },"
        " else_branch = e () => (float[3] q) { q = Abs(a) }> }"
    )
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)

    model = load_onnx(proto)

    assert [node.op_type for node in model.graph] == ["Relu", "Neg", "If"]
    feeds = {"x": np.float32([-1, 0, 2]), "c": np.array(True)}
    np.testing.assert_array_equal(np.float32([0, 0, 2]), run_model(model, feeds)["y"])


def test_load_onnx_inlines_functions(run_model: Any) -> None:
    """Model-local functions are replaced by their nodes; the main graph's names stay."""
    proto = _proto(
        '<ir_version: 10, opset_import: ["": 21, "local": 1]> g (float[3] x) => (float[3] y) '
        "{ a = local.Double(x) y = local.Double(a) } "
        '<domain: "local", opset_import: ["": 21]> Double (a) => (b) { c = Neg(a) d = Neg(c) b = Add(a, d) }'
    )

    model = load_onnx(proto)

    assert not model.functions
    assert {node.domain for node in model.graph} == {""}
    assert {"a", "y"} <= {v.name for node in model.graph for v in node.outputs}
    assert len({node.name for node in model.graph}) == 6
    np.testing.assert_array_equal(np.float32([4, 8, -4]), run_model(model, {"x": np.float32([1, 2, -1])})["y"])


def test_load_onnx_keeps_external_data_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """External constants are mapped from the model's folder, wherever the process is by then."""
    ir.save(parse(SMALL), tmp_path / "m.onnx", external_data="m.data", size_threshold_bytes=0)
    monkeypatch.chdir(tmp_path)
    model = load_onnx("m.onnx")
    monkeypatch.chdir("/")

    tensor = model.graph.initializers["w"].const_value

    assert isinstance(tensor, ir.ExternalTensor)
    np.testing.assert_array_equal(np.float32([1, 2, 3]), tensor.numpy())


def test_load_onnx_takes_the_long_name_of_the_onnx_domain() -> None:
    """`ai.onnx` is the default domain."""
    proto = _proto()
    proto.opset_import[0].domain = "ai.onnx"

    assert load_onnx(proto).opset_imports == {"": 21}


def test_load_graph_reads_onnx_under_any_name(tmp_path: Path) -> None:
    """A file of another or no suffix is read when it is ONNX."""
    path = tmp_path / "network"
    path.write_bytes(_proto().SerializeToString())

    model, shown = load_graph(path)

    assert shown == str(path)
    assert len(model.graph) == 2


def test_load_graph_refuses_what_is_no_model() -> None:
    """An object of another type is a wrong call."""
    with pytest.raises(UsageError, match="'int'"):
        load_graph(3)
