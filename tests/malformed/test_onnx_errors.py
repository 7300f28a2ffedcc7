"""Each way an ONNX model can be broken gives an error of its own: what, where, next."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from bitwright.errors import ModelError
from bitwright.graph.text import parse
from bitwright.importers.load import load_graph
from bitwright.importers.onnx_file import load_onnx

SMALL = (
    '<ir_version: 10, opset_import: ["": 21]> g (float[N,3] x) => (float[N,3] y) '
    "<float[3] w = {1.0, 2.0, 3.0}> { [first] a = Mul(x, w) [second] y = Relu(a) }"
)


def _proto(text: str = SMALL) -> onnx.ModelProto:
    proto = ir.to_proto(parse(text))
    assert isinstance(proto, onnx.ModelProto)
    for tensor in proto.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    return proto


WHOLE = _proto().SerializeToString()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


@pytest.mark.parametrize(
    ("data", "what"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(WHOLE[: len(WHOLE) // 2], "cut short or damaged", id="truncated"),
        pytest.param(PNG, "not an ONNX model", id="png"),
        pytest.param(b"# a text file\nwith two lines\n" * 50, "not an ONNX model", id="text"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer", id="lfs"),
        pytest.param(b"\x08\x0a", "holds no graph", id="no-graph"),
        pytest.param(onnx.ModelProto(graph=_proto().graph).SerializeToString(), "operator set", id="no-opset"),
    ],
)
def test_file_that_is_no_model_is_refused(data: bytes, what: str, tmp_path: Path) -> None:
    """What the file is instead is said, with its path and what to do."""
    path = tmp_path / "m.onnx"
    path.write_bytes(data)

    with pytest.raises(ModelError, match=what) as caught:
        load_graph(path)

    assert caught.value.where == str(path)
    assert caught.value.next


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere."""
    with pytest.raises(ModelError, match="does not exist") as caught:
        load_graph(tmp_path / "nowhere.onnx")

    assert caught.value.where == str(tmp_path / "nowhere.onnx")
    assert caught.value.next == "check the path"


def test_folder_is_refused_with_the_model_in_it(tmp_path: Path) -> None:
    """A folder is not a model, but the model in it is named."""
    (tmp_path / "net.onnx").write_bytes(WHOLE)

    with pytest.raises(ModelError, match="a folder is not a model") as caught:
        load_graph(tmp_path)

    assert caught.value.where == str(tmp_path)
    assert str(tmp_path / "net.onnx") in str(caught.value.next)
    with pytest.raises(ModelError, match="a folder is not an ONNX model"):
        load_onnx(tmp_path)


def _weight(change: Callable[[onnx.TensorProto], None]) -> onnx.ModelProto:
    proto = _proto()
    change(proto.graph.initializer[0])
    return proto


def _dims(*dims: int) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.dims[:] = dims

    return change


def _type(number: int) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.data_type = number

    return change


def _raw(data: bytes) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.raw_data = data

    return change


def _no_name(tensor: onnx.TensorProto) -> None:
    tensor.name = ""


def _few(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.float_data[:] = [1.0, 2.0]


def _no_data(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param(_raw(b"12345"), r"shape \[3\] and type FLOAT must have 12 bytes \(got 5\)", id="short-raw-data"),
        pytest.param(_raw(bytes(16)), r"must have 12 bytes \(got 16\)", id="long-raw-data"),
        pytest.param(_few, r"must have 3 values \(got 2\)", id="short-float-data"),
        pytest.param(_no_data, r"must have 3 values \(got 0\)", id="no-data"),
        pytest.param(_dims(-1), r"negative dimension: \[-1\]", id="negative-dimension"),
        pytest.param(_dims(1 << 40), "must have 4398046511104 bytes", id="huge-dimension"),
        pytest.param(_dims(1 << 62, 1 << 62), "larger than any memory", id="absurd-dimensions"),
        pytest.param(_dims(0, 1 << 62, 1 << 62), "larger than any memory", id="absurd-empty-dimensions"),
        pytest.param(_dims(*[1] * 100), "larger than any memory", id="too-many-dimensions"),
        pytest.param(_type(0), "unknown type 0", id="undefined-type"),
        pytest.param(_type(99), "unknown type 99", id="unknown-type"),
        pytest.param(_type(8), "strings has raw data", id="raw-strings"),
    ],
)
def test_tensor_that_does_not_fit_its_shape_is_refused(change: Callable[..., None], what: str, tmp_path: Path) -> None:
    """Shape, type and bytes are compared before anything is allocated; file and tensor are named."""
    path = tmp_path / "m.onnx"
    path.write_bytes(_weight(change).SerializeToString())

    with pytest.raises(ModelError, match=what) as caught:
        load_graph(path)

    assert caught.value.where == f"{path}, initializer 'w'"
    assert "export it again" in str(caught.value.next)


def test_tensor_without_a_name_is_refused() -> None:
    """A constant nobody can read is a fault of the exporter."""
    with pytest.raises(ModelError, match="an initializer has no name"):
        load_graph(_weight(_no_name))


def test_tensor_of_a_node_is_checked_too() -> None:
    """Constants in attributes, of subgraphs as well, are checked; the node is named."""
    proto = _proto(
        '<ir_version: 10, opset_import: ["": 21]> g (bool c) => (float[3] y) '
        "{ [choice] y = If(c)"
        "<then_branch = t () => (float[3] p) { [inner] p = Constant<value=float[3]{1.0,2.0,3.0}>()},"
        " else_branch = e () => (float[3] q) { q = Constant<value=float[3]{1.0,2.0,3.0}>() }> }"
    )
    proto.graph.node[0].attribute[0].g.node[0].attribute[0].t.dims[:] = [4]

    with pytest.raises(ModelError, match="must have 4 values") as caught:
        load_graph(proto)

    assert caught.value.where == "node \"inner\" (Constant), attribute 'value'"


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (onnx.TensorProto.INT4, 5),
        (onnx.TensorProto.UINT4, 4),
        (onnx.TensorProto.BFLOAT16, 3),
        (onnx.TensorProto.FLOAT8E4M3FN, 3),
        (onnx.TensorProto.COMPLEX64, 3),
        (onnx.TensorProto.STRING, 3),
        (onnx.TensorProto.BOOL, 3),
        (onnx.TensorProto.UINT32, 3),
        (onnx.TensorProto.DOUBLE, 0),
    ],
)
def test_tensor_of_any_type_that_fits_is_read(kind: int, numbers: int) -> None:
    """The check does not refuse what the format allows, in raw data or in typed fields."""
    values = ["a"] * numbers if kind == onnx.TensorProto.STRING else np.ones(numbers)
    proto = _proto()
    proto.graph.initializer.append(onnx.helper.make_tensor("more", kind, [numbers], values))

    model, _ = load_graph(proto)

    assert model.graph.initializers["more"].const_value.numpy().shape == (numbers,)


def test_name_that_nobody_defines_is_refused() -> None:
    """A node reads what nothing produces."""
    proto = _proto()
    proto.graph.node[1].input[0] = "ghost"

    with pytest.raises(ModelError, match="nothing produces the value 'ghost'") as caught:
        load_graph(proto)

    assert caught.value.where == 'node "second" (Relu)'


def test_value_of_a_model_object_that_nobody_defines_is_refused() -> None:
    """The same for a model that was built in memory."""
    model = parse(SMALL)
    model.graph[1].replace_input_with(0, ir.Value(name="ghost"))

    with pytest.raises(ModelError, match="ghost"):
        load_graph(model)


def test_output_that_nobody_produces_is_refused() -> None:
    """A graph output without a producer."""
    proto = _proto()
    proto.graph.output[0].name = "ghost"

    with pytest.raises(ModelError, match="nothing produces a graph output") as caught:
        load_graph(proto)

    assert caught.value.where == "output 'ghost'"


@pytest.mark.parametrize("kind", ["nodes", "initializer-and-node", "input-and-node", "initializers", "inputs"])
def test_value_that_is_defined_twice_is_refused(kind: str) -> None:
    """Each value has one definition."""
    proto = _proto()
    graph = proto.graph
    if kind == "nodes":
        graph.node[1].output[0] = "a"
    elif kind == "initializers":
        graph.initializer.append(graph.initializer[0])
    elif kind == "inputs":
        graph.input.append(graph.input[0])
    else:
        graph.node[1].output[0] = "w" if kind == "initializer-and-node" else "x"

    with pytest.raises(ModelError, match="is defined twice") as caught:
        load_graph(proto)

    assert caught.value.where
    assert caught.value.next


def test_cycle_is_refused_with_its_nodes() -> None:
    """Nodes that wait for each other are named, others are not."""
    proto = _proto(
        '<ir_version: 10, opset_import: ["": 21]> g (float[3] x) => (float[3] y) '
        "{ [one] a = Relu(x) [two] b = Add(a, a) [three] c = Neg(b) [four] y = Abs(c) }"
    )
    proto.graph.node[1].input[1] = "c"

    with pytest.raises(ModelError, match="cycle through 2 nodes") as caught:
        load_graph(proto)

    where = str(caught.value.where)
    assert '"two"' in where
    assert '"three"' in where
    assert '"one"' not in where
    assert '"four"' not in where


def test_node_that_reads_itself_is_a_cycle() -> None:
    """The shortest cycle has one node."""
    proto = _proto()
    proto.graph.node[1].input[0] = "y"

    with pytest.raises(ModelError, match="cycle through 1 node") as caught:
        load_graph(proto)

    assert caught.value.where == 'node "second" (Relu)'


def _external(folder: Path, location: str = "m.data", *, data: bytes | None = bytes(12), **entries: str) -> Path:
    proto = _proto()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    if data is not None:
        (folder / "m.data").write_bytes(data)
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("entries", "data", "what"),
    [
        pytest.param({}, None, "'m.data' is missing", id="missing"),
        pytest.param({}, bytes(5), "too short: 12 bytes are needed, it has 5", id="short"),
        pytest.param({"offset": "8"}, bytes(12), "too short: 20 bytes are needed, it has 12", id="offset-beyond"),
        pytest.param({"offset": "-4"}, bytes(12), "not a number of bytes: '-4'", id="negative-offset"),
        pytest.param({"length": "8"}, bytes(12), r"must have 12 bytes \(got 8", id="length-that-does-not-fit"),
        pytest.param({"offset": "many"}, bytes(12), "not a number of bytes: 'many'", id="offset-no-number"),
    ],
)
def test_external_data_that_cannot_be_read_is_refused(
    entries: dict[str, str], data: bytes | None, what: str, tmp_path: Path
) -> None:
    """A missing or short file is said before any constant is read."""
    path = _external(tmp_path, data=data, **entries)

    with pytest.raises(ModelError, match=what) as caught:
        load_graph(path)

    assert str(caught.value.where).startswith(str(path))
    assert caught.value.next


@pytest.mark.parametrize("kind", ["parent", "absolute", "inner-parent", "symlink", "hard-link", "folder", "empty"])
def test_external_data_outside_the_models_folder_is_refused(kind: str, tmp_path: Path) -> None:
    """A model cannot make the reader open files that are not its own."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(12))
    (folder / "sub").mkdir()
    (folder / "symlink").symlink_to(tmp_path / "secret")
    os.link(tmp_path / "secret", folder / "hard-link")
    location = {
        "parent": "../secret",
        "absolute": str(tmp_path / "secret"),
        "inner-parent": "sub/../../secret",
        "folder": "sub",
        "empty": "",
    }.get(kind, kind)
    path = _external(folder, location)

    with pytest.raises(ModelError, match=r"outside the model's folder|not a plain file") as caught:
        load_graph(path)

    assert str(caught.value.where).startswith(str(path))


def test_external_data_of_a_model_in_memory_needs_a_folder(tmp_path: Path) -> None:
    """A proto does not say where its external files are."""
    proto = onnx.load(_external(tmp_path), load_external_data=False)

    with pytest.raises(ModelError, match="does not say in which folder") as caught:
        load_graph(proto)

    assert "path" in str(caught.value.next)


def test_sparse_initializer_is_refused() -> None:
    """Sparse weights are said, not dropped."""
    proto = _proto()
    proto.graph.sparse_initializer.add()

    with pytest.raises(ModelError, match="sparse"):
        load_graph(proto)
