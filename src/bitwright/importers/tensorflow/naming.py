"""Names and order, the same whenever the same model is read: statistics of it have to fit it later.

tf2onnx leaves both to the order of sets in memory, which differs from one process to the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir

from bitwright.graph.naming import free_name
from bitwright.importers.tensorflow.frameworks import import_extra

#: What tf2onnx calls what it makes.
_NUMBERED = re.compile(r"__\d+(:\d+)?$")


@contextmanager
def in_one_order() -> Iterator[None]:
    """While it lasts, tf2onnx's sets of nodes come sorted by name: what it rewrites depends on which comes first.

    Backwards, which leaves Flatten behind a Transpose one Reshape; forwards it is computed from the shape.
    """
    graph = import_extra("tf2onnx.graph", "TensorFlow models").Graph
    names = ("find_output_consumers", "extract_sub_graph_nodes")
    plain = {name: getattr(graph, name) for name in names}

    def ordered(given: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> list[Any]:
            return sorted(given(*arguments, **options), key=lambda node: str(node.name), reverse=True)

        return call

    try:
        for name, given in plain.items():
            setattr(graph, name, ordered(given))
        yield
    finally:
        for name, given in plain.items():
            setattr(graph, name, given)


def settle(model: ir.Model, known: Collection[str]) -> None:
    """Put nodes in the order in which the outputs need them, and number anew what tf2onnx numbered.

    Constants that it numbered, or that are read twice, are called by their first readers: of equal constants it keeps
    any one.

    Args:
        model: changed in place; its ports keep their names.
        known: names that the TensorFlow graph has; they stay.
    """
    for graph in model.graphs():
        for node in _in_order(graph):
            graph.remove(node)
            graph.append(node)
    ports = {value for graph in model.graphs() for value in (*graph.inputs, *graph.outputs)}
    made = [node for node in model.graph.all_nodes() if _is_numbered(node.name, known)]
    made_values = [
        (node, value)
        for node in model.graph.all_nodes()
        for value in node.outputs
        if value not in ports and _is_numbered(value.name, known)
    ]
    kept = {value.name for node in model.graph.all_nodes() for value in node.outputs} | {v.name for v in ports}
    taken = kept - {value.name for _, value in made_values}
    nodes_taken = {node.name for node in model.graph.all_nodes()} - {node.name for node in made}
    for node in made:
        node.name = free_name(_NUMBERED.sub("", str(node.name)), nodes_taken)
    for node, value in made_values:
        value.name = free_name(f"{node.name}:{value.index()}", taken)
    _name_constants(model, known, taken)


def _in_order(graph: ir.Graph) -> list[ir.Node]:
    """Its nodes, each behind what it reads, from the first output on."""
    found: dict[ir.Node, None] = {}
    for last in [*(value.producer() for value in graph.outputs), *graph]:
        ahead = [last] if last is not None and last.graph is graph else []
        while ahead:
            waiting = [node for node in _read_by(ahead[-1], graph) if node not in found]
            if waiting:
                ahead.append(waiting[0])
            else:
                found[ahead.pop()] = None
    return list(found)


def _read_by(node: ir.Node, graph: ir.Graph) -> Iterator[ir.Node]:
    """The nodes of a graph that give what a node, or a graph in it, reads."""
    readers = [node]
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            readers += attribute.as_graph().all_nodes()
    for reader in readers:
        for value in reader.inputs:
            producer = value.producer() if value is not None else None
            if producer is not None and producer.graph is graph:
                yield producer


def _name_constants(model: ir.Model, known: Collection[str], taken: set[str | None]) -> None:
    read: dict[ir.Value, tuple[ir.Node, int]] = {}
    for node in model.graph.all_nodes():
        for slot, value in enumerate(node.inputs):
            if value is not None:
                read.setdefault(value, (node, slot))
    for graph in model.graphs():
        rest = sorted((v for v in graph.initializers.values() if v not in read), key=lambda value: str(value.name))
        held = [*(value for value in read if value.is_initializer() and value.graph is graph), *rest]
        graph.initializers.clear()
        chance = {value for value in held if value in read and _is_by_chance(value, known)}
        taken |= {value.name for value in held if value not in chance}
        for value in held:
            if value in chance:
                node, slot = read[value]
                value.name = free_name(f"{node.name}/{slot}", taken)
            graph.register_initializer(value)


def _is_by_chance(value: ir.Value, known: Collection[str]) -> bool:
    if value.is_graph_input() or value.is_graph_output():
        return False
    return len(value.uses()) > 1 or _is_numbered(value.name, known)


def _is_numbered(name: str | None, known: Collection[str]) -> bool:
    return name is not None and _NUMBERED.search(name) is not None and name.split(":")[0] not in known
