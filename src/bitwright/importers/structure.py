"""The structure every room counts on: values that something defines, nodes in execution order, names for all nodes."""

from __future__ import annotations

import graphlib

import onnx_ir as ir

from bitwright.errors import ModelError


def check_values(model: ir.Model) -> None:
    """Check that every value a node reads is an input, a constant or another node's output.

    Raises:
        ModelError: names the node and the value.
    """
    for node in model.graph.all_nodes():
        for value in node.inputs:
            if value is None or value.producer() is not None or value.is_graph_input() or value.is_initializer():
                continue
            raise ModelError(
                f"nothing produces the value {value.name!r} that a node reads",
                where=describe(node),
                next="the file is damaged or its exporter has a fault: export it again",
            )


def sort_nodes(model: ir.Model) -> None:
    """Put nodes into execution order where they are not, keeping the rest of the order.

    Raises:
        ModelError: a cycle; names the nodes in it.
    """
    if all(_is_sorted(graph) for graph in model.graphs()):
        return
    for graph in model.graphs():
        try:
            graphlib.TopologicalSorter({node: _producers(node, graph) for node in graph}).prepare()
        except graphlib.CycleError as error:
            nodes = list(dict.fromkeys(error.args[1]))
            shown = ", ".join(describe(node) for node in nodes[:8]) + (", ..." if len(nodes) > 8 else "")
            raise ModelError(
                f"the graph has a cycle through {len(nodes)} node{'s' if len(nodes) > 1 else ''}",
                where=shown,
                next="ONNX graphs have no cycles: use a Loop or Scan, or pass the state as an input and an output",
            ) from error
    model.graph.sort()


def _is_sorted(graph: ir.Graph | ir.Function) -> bool:
    done: set[ir.Node] = set()
    for node in graph:
        if not done.issuperset(_producers(node, graph)):
            return False
        done.add(node)
    return True


def _producers(node: ir.Node, graph: ir.Graph | ir.Function) -> set[ir.Node]:
    """Nodes of `graph` whose outputs the node, or anything in its subgraphs, reads."""
    found = set()
    readers = [node]
    for attribute in node.attributes.values():
        if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            bodies = [attribute.value] if attribute.type == ir.AttributeType.GRAPH else attribute.value
            for body in bodies:
                readers.extend(body.all_nodes())
                found |= {p for value in body.outputs if (p := value.producer()) is not None and p.graph is graph}
    for reader in readers:
        for value in reader.inputs:
            producer = None if value is None else value.producer()
            if producer is not None and producer.graph is graph:
                found.add(producer)
    return found


def name_nodes(model: ir.Model) -> None:
    """Give each node a name no other node has: its own if it is the first to have it, else `<op>_<index>`."""
    nodes = list(model.graph.all_nodes())
    used: set[str] = set()
    unnamed = []
    for index, node in enumerate(nodes):
        if node.name and node.name not in used:
            used.add(node.name)
        else:
            unnamed.append((index, node))
    for index, node in unnamed:
        stem = node.name or node.op_type
        name, number = f"{stem}_{index}", index
        while name in used:
            number += 1
            name = f"{stem}_{number}"
        used.add(name)
        node.name = name


def describe(node: ir.Node) -> str:
    """A node for an error message: its name and operator."""
    return f'node "{node.name}" ({node.op_type})' if node.name else f"a node of {node.op_type}"
