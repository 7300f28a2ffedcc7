"""Edits that every transform needs: whose constant is it, who reads it, take a node out and keep the names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.attributes import has_subgraph
from bitwright.graph.constants import HalfTensor, QuantizedTensor, constant_of
from bitwright.graph.naming import free_name

FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


def is_op(node: ir.Node | None, *op_types: str) -> bool:
    """True for an operator of ONNX's own domain with one of these names."""
    return node is not None and node.domain in ("", "ai.onnx") and node.op_type in op_types


def float_array(value: ir.Value | None) -> NDArray[Any] | None:
    """The plain float constant behind a value.

    None for what is not constant, not float, or held as integers or halves (its stored form must not be lost).
    """
    tensor = constant_of(value)
    if tensor is None or tensor.dtype not in FLOATS or isinstance(tensor, (QuantizedTensor, HalfTensor)):
        return None
    return tensor.numpy()


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads the value, once, when nobody else can see it.

    None when it is a graph output, is read more than once, or is captured by a control-flow subgraph.
    """
    if value.is_graph_output():
        return None
    uses = tuple(value.uses())
    if len(uses) != 1 or uses[0].node.graph is not value.graph:
        return None
    return uses[0].node


def unique_name(graph: ir.Graph, wanted: str) -> str:
    """`wanted`, or `wanted_1`, `wanted_2`, ... : a name that no value of the graph or its subgraphs has."""
    taken = {value.name for value in graph.inputs} | set(graph.initializers)
    taken |= {value.name for node in graph for value in node.outputs}
    if any(has_subgraph(node) for node in graph):
        taken |= {value.name for node in graph.all_nodes() for value in node.outputs}
        for subgraph in graph.subgraphs():
            taken |= {value.name for value in subgraph.inputs} | set(subgraph.initializers)
    return free_name(wanted, taken)


def add_constant(graph: ir.Graph, array: NDArray[Any], name: str) -> ir.Value:
    """A new initializer under a name like `name`."""
    name = unique_name(graph, name)
    tensor = ir.Tensor(np.asarray(array), name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def set_constant(node: ir.Node, index: int, array: NDArray[Any], name: str) -> None:
    """Give a node's input a new constant. Other readers of the old one keep the old one.

    Args:
        node: a node of a graph.
        index: which input; the node gains inputs when it has fewer.
        array: the new constant.
        name: the name to use when the old value cannot be kept.
    """
    graph = graph_of(node)
    old = node.inputs[index] if index < len(node.inputs) else None
    if old is not None and old.is_initializer() and only_reader(old) is node and not old.is_graph_input():
        old.const_value = ir.Tensor(array, name=old.name)
        old.shape, old.type = ir.Shape(array.shape), ir.TensorType(old.const_value.dtype)
        return
    new = add_constant(graph, array, str(old.name) if old is not None else name)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, new)
    drop_unread([old])


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph that holds the node."""
    assert isinstance(node.graph, ir.Graph)
    return node.graph


def drop_unread(values: Iterable[ir.Value | None]) -> None:
    """Remove the initializers and Constant nodes among the values that nobody reads any more."""
    for value in values:
        if value is None or value.uses() or value.is_graph_output() or value.is_graph_input():
            continue
        producer = value.producer()
        if value.is_initializer() and value.graph is not None and value.name is not None:
            value.graph.initializers.pop(value.name, None)
        elif is_op(producer, "Constant") and producer is not None and producer.graph is not None:
            producer.graph.remove(producer, safe=True)


def remove(*nodes: ir.Node) -> None:
    """Take out nodes that nobody reads, and the constants that they alone read."""
    inputs = [value for node in nodes for value in node.inputs]
    for node in nodes:
        graph_of(node).remove(node, safe=True)
    drop_unread(inputs)


def absorb(node: ir.Node, chain: list[ir.Node]) -> None:
    """Take out the nodes of a chain that hangs on `node`; node's output takes the name of the chain's last output."""
    graph, kept, last = graph_of(node), node.outputs[0], chain[-1].outputs[0]
    inputs = [value for gone in chain for value in gone.inputs]
    last.replace_all_uses_with(kept, replace_graph_outputs=True)
    graph.remove(chain, safe=True)
    take_name(kept, last)
    drop_unread(inputs)


def bypass(node: ir.Node) -> bool:
    """Take out a node whose output 0 equals its input 0. False when a name of the graph's interface would be lost."""
    graph, source, result = graph_of(node), node.inputs[0], node.outputs[0]
    if source is None:
        return False
    fixed = source.is_graph_input() or source.is_graph_output() or source.is_initializer() or source.graph is not graph
    if result.is_graph_output() and (fixed or sum(value is result for value in graph.outputs) > 1):
        return False
    inputs = list(node.inputs)[1:]
    named = result.is_graph_output()
    result.replace_all_uses_with(source, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if source.shape is None:
        source.shape = result.shape
    if source.type is None:
        source.type = result.type
    if named:
        take_name(source, result)
    drop_unread(inputs)
    return True


def take_name(value: ir.Value, gone: ir.Value) -> None:
    """Give a value the name, type, shape and metadata of one that is no longer in the graph."""
    name, gone.name = gone.name, None
    value.name = name
    value.shape = gone.shape if gone.shape is not None else value.shape
    value.type = gone.type if gone.type is not None else value.type
    value.metadata_props.update(gone.metadata_props)
