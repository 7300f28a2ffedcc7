"""Frozen GraphDefs: read from a file, and cut at nodes within."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitwright.errors import ModelError, UsageError
from bitwright.importers.tensorflow.frameworks import import_extra, quiet

#: Nodes that compute nothing that an output could be.
_NO_OUTPUT = frozenset({"NoOp", "Assert", "Const", "Placeholder", "SaveV2", "RestoreV2"})
_VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp", "ReadVariableOp"})


@dataclass(frozen=True)
class Frozen:
    """A graph without variables, and its ports.

    Args:
        graph_def: TensorFlow's GraphDef.
        inputs: names of tensors, such as "x:0".
        outputs: likewise.
        names: what the ports are called, by name of the tensor.
        tables: lookup tables that the graph reads, by name; see tf2onnx.
    """

    graph_def: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    names: dict[str, str]
    tables: dict[str, Any] | None = None


def read_graph_def(tf: Any, path: Path) -> Any:
    """The GraphDef of a file, binary or text.

    Raises:
        ModelError: it cannot be read, or is a SavedModel's file.
    """
    graph_def = tf.compat.v1.GraphDef()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the graph cannot be read: {error.strerror or error}", where=str(path), next="check the path"
        ) from error
    try:
        if path.suffix.lower() == ".pbtxt":
            from google.protobuf import text_format

            text_format.Parse(content.decode(), graph_def)
        else:
            graph_def.ParseFromString(content)
    except Exception as error:  # protobuf's DecodeError and ParseError, a UnicodeDecodeError
        raise ModelError(
            "the file is not a GraphDef, or a damaged one",
            where=str(path),
            next="a SavedModel is given as its folder; freeze variables into constants before a .pb is written",
        ) from error
    if not graph_def.node:
        raise ModelError("the GraphDef has no nodes", where=str(path), next="give a frozen graph")
    return graph_def


def cut(tf: Any, graph_def: Any, inputs: Sequence[str], outputs: Sequence[str], where: str | None) -> Frozen:
    """The part of a graph between inputs and outputs.

    Args:
        tf: the module.
        graph_def: left as it is.
        inputs: names of nodes or tensors that are fed; placeholders take their places. All placeholders by default.
        outputs: names of nodes or tensors; by default the nodes that no other reads.
        where: the file.

    Raises:
        UsageError: a name that the graph does not have, or none are given where they cannot be told.
        ModelError: the graph cannot be imported, or holds variables.
    """
    nodes = {node.name: node for node in graph_def.node}
    inputs = tuple(inputs) or tuple(name for name, node in nodes.items() if node.op.startswith("Placeholder"))
    outputs = tuple(outputs) or _unread(graph_def)
    for name in (*inputs, *outputs):
        if (node_name := name.removeprefix("^").split(":")[0]) not in nodes:
            raise UsageError(f"the graph has no node {node_name!r}", where=where, next=_near(node_name, nodes))
    if not outputs:
        raise UsageError("the graph has no output that can be told", where=where, next="give outputs=, names of nodes")
    graph = _imported(tf, graph_def, where)
    made = tf.compat.v1.GraphDef(versions=graph_def.versions, library=graph_def.library)
    renamed: dict[str, str] = {}
    for name in dict.fromkeys(_tensor(name) for name in inputs):
        tensor = graph.get_tensor_by_name(name)
        node, _, slot = name.partition(":")
        placeholder = node if slot == "0" else f"{node}_{slot}"
        while slot != "0" and placeholder in nodes:
            placeholder += "_"
        renamed[name] = placeholder
        made.node.append(_placeholder(tf, placeholder, tensor))
    fed = {tensor.split(":")[0] for tensor, placeholder in renamed.items() if tensor == f"{placeholder}:0"}
    needed = [node for node in _needed(nodes, outputs, renamed) if node.name not in fed]
    kept = {node.name for node in needed}
    for node in needed:
        if node.op in _VARIABLES:
            raise ModelError(
                f"the graph holds variables, such as {node.name!r}",
                where=where,
                next="freeze it first, or give the SavedModel folder",
            )
        copy = made.node.add()
        copy.CopyFrom(node)
        copy.device = ""
        del copy.input[:]
        copy.input.extend(
            _rewired(name, renamed) for name in node.input if not name.startswith("^") or name[1:] in kept
        )
    ports = tuple(_tensor(placeholder) for placeholder in renamed.values())
    results = tuple(dict.fromkeys(_tensor(name) for name in outputs))
    names = {tensor: tensor.removesuffix(":0") for tensor in (*ports, *results)}
    loader = import_extra("tf2onnx.tf_loader", "TensorFlow models")
    with quiet(), tf.Graph().as_default():
        tf.import_graph_def(made, name="")
        made = loader.tf_optimize(list(ports), list(results), made)
    return Frozen(made, ports, results, names)


def _imported(tf: Any, graph_def: Any, where: str | None) -> Any:
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(graph_def, name="")
        except Exception as error:  # ValueError of an operator that is not there, NotFoundError, ...
            raise ModelError(
                f"TensorFlow cannot import the graph: {str(error).splitlines()[0][:300]}",
                where=where,
                next="a graph of custom operators needs their library loaded first (tf.load_op_library)",
            ) from error
    return graph


def _placeholder(tf: Any, name: str, tensor: Any) -> Any:
    """A node that is fed, of a tensor's type and shape."""
    node = tf.compat.v1.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = tensor.dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tensor.shape.as_proto())
    return node


def _needed(nodes: dict[str, Any], outputs: Sequence[str], fed: dict[str, str]) -> list[Any]:
    """The nodes that outputs need when tensors are fed, in the order of the graph."""
    found: set[str] = set()
    waiting = [_tensor(name) for name in outputs]
    while waiting:
        tensor = waiting.pop()
        name = tensor.removeprefix("^").split(":")[0]
        if tensor in fed or name in found:
            continue
        found.add(name)
        waiting += [_tensor(read) for read in nodes[name].input if not read.startswith("^")]
    return [node for name, node in nodes.items() if name in found]


def _rewired(name: str, renamed: dict[str, str]) -> str:
    """What a node reads, where placeholders have taken places."""
    return renamed.get(_tensor(name), name)


def _tensor(name: str) -> str:
    """A tensor's name of a node's or a tensor's.

    >>> _tensor("softmax"), _tensor("split:1")
    ('softmax:0', 'split:1')
    """
    return name if ":" in name else f"{name}:0"


def _unread(graph_def: Any) -> tuple[str, ...]:
    read = {name.removeprefix("^").split(":")[0] for node in graph_def.node for name in node.input}
    return tuple(n.name for n in graph_def.node if n.name not in read and n.op not in _NO_OUTPUT)


def _near(name: str, nodes: dict[str, Any]) -> str:
    import difflib

    near = difflib.get_close_matches(name, nodes, n=3)
    return f"did you mean {', '.join(near)}?" if near else f"it ends with: {', '.join(list(nodes)[-5:])}"
