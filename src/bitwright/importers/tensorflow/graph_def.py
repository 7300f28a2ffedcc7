"""Frozen GraphDefs: read from a file, and cut at nodes within."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitwright.errors import ModelError, UsageError, reason_of
from bitwright.importers.tensorflow.frameworks import import_extra, quiet
from bitwright.importers.tensorflow.inference import WITH_DEFAULT, needs_stripping, strip_training

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
    """The part of a graph between inputs and outputs, without what only training needs.

    Args:
        tf: the module.
        graph_def: left as it is.
        inputs: names of nodes or tensors that are fed; placeholders take their places. By default the placeholders
            that the outputs need; one that has a default is its default, unless it is named or there is no other.
        outputs: names of nodes or tensors; by default the nodes that no other reads.
        where: the file.

    Raises:
        UsageError: a name that the graph does not have, or none are given where they cannot be told.
        ModelError: the graph cannot be imported, or holds variables.
    """
    graph = imported(tf, graph_def, where)
    outputs = tuple(outputs) or _unread(graph, graph_def)
    if not outputs:
        raise UsageError("the graph has no output that can be told", where=where, next="give outputs=, names of nodes")
    for name in (*inputs, *outputs):
        _check_name(graph, name, [node.name for node in graph_def.node], where)
    fed = list(dict.fromkeys(_tensor(name) for name in tuple(inputs) or _placeholders(graph_def)))
    if needs_stripping(graph_def):
        graph_def = strip_training(tf, graph, graph_def, {name.split(":")[0] for name in fed})
    nodes = {node.name: node for node in graph_def.node}
    needed, read = _needed(nodes, outputs, fed)
    kept = {node.name for node in needed}
    made = tf.compat.v1.GraphDef(versions=graph_def.versions, library=graph_def.library)
    renamed: dict[str, str] = {}
    for name in fed:
        if not inputs and name not in read:
            continue
        node, _, slot = name.partition(":")
        placeholder = node if slot == "0" and node not in kept else f"{node}_{slot}"
        while placeholder != node and placeholder in nodes:
            placeholder += "_"
        renamed[name] = f"{placeholder}:0"
        made.node.append(_placeholder(tf, placeholder, graph.get_tensor_by_name(name)))
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
            renamed.get(_tensor(name), name) for name in node.input if not name.startswith("^") or name[1:] in kept
        )
    ports = tuple(renamed.values())
    results = tuple(dict.fromkeys(renamed.get(_tensor(name), _tensor(name)) for name in outputs))
    names = {tensor: tensor.removesuffix(":0") for tensor in (*ports, *results)}
    names |= {placeholder: name.removesuffix(":0") for name, placeholder in renamed.items() if name.endswith(":0")}
    return Frozen(optimized(tf, made, ports, results), ports, results, names)


def optimized(tf: Any, graph_def: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The graph as TensorFlow's own optimizer leaves it, constants computed."""
    loader = import_extra("tf2onnx.tf_loader", "TensorFlow models")
    with quiet(), tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        return loader.tf_optimize(list(inputs), list(outputs), graph_def)


def _placeholders(graph_def: Any) -> tuple[str, ...]:
    """The nodes that are fed where no names are given."""
    plain = tuple(node.name for node in graph_def.node if node.op in ("Placeholder", "PlaceholderV2"))
    return plain or tuple(node.name for node in graph_def.node if node.op == WITH_DEFAULT)


def _check_name(graph: Any, name: str, nodes: Sequence[str], where: str | None) -> None:
    """Refuse names of what the graph does not have.

    Raises:
        UsageError: it has no such node, or the node no such result.
    """
    node, _, slot = _tensor(name).partition(":")
    if node not in nodes:
        raise UsageError(f"the graph has no node {node!r}", where=where, next=_near(node, nodes))
    count = len(graph.get_operation_by_name(node).outputs)
    if not slot.isdecimal() or int(slot) >= count:
        given = ", ".join(f"{node}:{at}" for at in range(count))
        raise UsageError(
            f"the graph has no tensor {_tensor(name)!r}",
            where=where,
            next=f"node {node!r} gives {given or 'no tensor'}",
        )


def imported(tf: Any, graph_def: Any, where: str | None) -> Any:
    """The graph as TensorFlow's tf.Graph.

    Raises:
        ModelError: TensorFlow cannot import it.
    """
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(graph_def, name="")
        except Exception as error:  # ValueError of an operator that is not there, NotFoundError, ...
            raise ModelError(
                f"TensorFlow cannot import the graph: {reason_of(error)}",
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


def _needed(nodes: dict[str, Any], outputs: Sequence[str], fed: Sequence[str]) -> tuple[list[Any], set[str]]:
    """The nodes that outputs need when tensors are fed, in the order of the graph; and the tensors that are read."""
    found: set[str] = set()
    read: set[str] = set()
    waiting = [_tensor(name) for name in outputs]
    while waiting:
        tensor = waiting.pop()
        read.add(tensor)
        name = tensor.split(":")[0]
        if tensor in fed or name in found:
            continue
        found.add(name)
        waiting += [_tensor(one) for one in nodes[name].input if not one.startswith("^")]
    return [node for name, node in nodes.items() if name in found], read


def _tensor(name: str) -> str:
    """A tensor's name of a node's or a tensor's.

    >>> _tensor("softmax"), _tensor("split:1")
    ('softmax:0', 'split:1')
    """
    return name if ":" in name else f"{name}:0"


def _unread(graph: Any, graph_def: Any) -> tuple[str, ...]:
    """The nodes that no other reads and that give a tensor."""
    read = {name.removeprefix("^").split(":")[0] for node in graph_def.node for name in node.input}
    unread = (n.name for n in graph_def.node if n.name not in read and n.op not in _NO_OUTPUT)
    return tuple(name for name in unread if graph.get_operation_by_name(name).outputs)


def _near(name: str, nodes: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, nodes, n=3)
    return f"did you mean {', '.join(near)}?" if near else f"it ends with: {', '.join(nodes[-5:])}"
