"""Partition: a graph as parts that run one after another: those that lower, and those that do not.

Each part is convex (no path leaves it and comes back). Between parts values are floats, or whatever else the graph has
there: a quantized value is handed over as the reals that its integers stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from bitwright.graph.attributes import has_subgraph
from bitwright.lowering.concrete import Concrete
from bitwright.lowering.layout import LAYOUT
from bitwright.quantization.plan import Compute, Plan
from bitwright.quantization.rules import Kind, Scale, rule_of

#: Why nodes that would lower are outside all the same.
_FOLLOWS = "it only moves or clamps what comes from there"
_NO_WORK = "nothing beside it computes on integers"


@dataclass(frozen=True)
class Part:
    """Nodes that run together.

    Args:
        lowers: whether they have a form in TFLite's vocabulary.
        nodes: their names, in order.
        model: a graph of them alone. Its inputs and outputs are values of the whole, under their names, with shapes.
    """

    lowers: bool
    nodes: tuple[str, ...]
    model: ir.Model


@dataclass(frozen=True)
class Partition:
    """The parts in order of execution, and why the nodes of those that do not lower are there, by name."""

    parts: tuple[Part, ...]
    outside: Mapping[str, str]


def partition(concrete: Concrete, plan: Plan, outside: Mapping[str, str]) -> Partition:
    """Cut a graph.

    Args:
        concrete: the graph with its shapes; constants are initializers.
        plan: how its nodes compute.
        outside: names of the nodes that do not lower, and why.
    """
    nodes = [n for n in concrete.model.graph if not all(concrete.is_constant(v) for v in n.outputs if v.name)]
    found = dict(outside)
    for node in nodes:
        if node.name not in found and _is_light(node) and _producers(node, nodes_outside=found):
            found[str(node.name)] = _FOLLOWS
    while True:
        levels = _levels(nodes, found)
        idle = [n for group in _groups(nodes, levels, found) if not any(_works(n, plan) for n in group) for n in group]
        if not idle:
            break
        found |= {str(node.name): _NO_WORK for node in idle}
    readers: dict[ir.Value, set[ir.Node]] = {}
    for node in nodes:
        for value in reads(node):
            readers.setdefault(value, set()).add(node)
    parts = []
    for level in sorted(set(levels.values())):
        own = [node for node in nodes if levels[node] == level]
        parts.append(Part(own[0].name not in found, tuple(str(n.name) for n in own), _extract(concrete, own, readers)))
    return Partition(tuple(parts), {str(n.name): found[str(n.name)] for n in nodes if n.name in found})


def _is_light(node: ir.Node) -> bool:
    """Whether a node only moves or clamps values."""
    rule = rule_of(node)
    return rule is not None and (rule.kind is Kind.CLAMP or rule.scale is Scale.SAME)


def _works(node: ir.Node, plan: Plan) -> bool:
    """Whether it is worth a part: it computes on integers."""
    return plan.compute_of(node.name) in (Compute.INTEGER, Compute.DYNAMIC) and not _is_light(node)


def _producers(node: ir.Node, *, nodes_outside: Mapping[str, str]) -> bool:
    """Whether what a node reads first comes from outside."""
    producer = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    return producer is not None and producer.name in nodes_outside


def reads(node: ir.Node) -> list[ir.Value]:
    """The values of its graph that a node reads; those that its subgraphs take from there as well."""
    found = [value for value in node.inputs if value is not None]
    if has_subgraph(node):
        for attribute in node.attributes.values():
            for graph in _graphs(attribute):
                for inner in graph.all_nodes():
                    found += [v for v in inner.inputs if v is not None and v.graph is node.graph]
                found += [v for v in graph.outputs if v.graph is node.graph]
    return list(dict.fromkeys(found))


def _graphs(attribute: ir.Attr) -> Sequence[ir.Graph]:
    if attribute.type is ir.AttributeType.GRAPH:
        return (attribute.as_graph(),)
    return tuple(attribute.as_graphs()) if attribute.type is ir.AttributeType.GRAPHS else ()


def _levels(nodes: Sequence[ir.Node], outside: Mapping[str, str]) -> dict[ir.Node, int]:
    """How often a path to each node changes sides, at most: even levels lower, odd ones do not."""
    levels: dict[ir.Node, int] = {}
    for node in nodes:
        side = int(node.name in outside)
        level = side
        for value in reads(node):
            before = levels.get(value.producer())  # type: ignore[arg-type]
            if before is not None:
                level = max(level, before + (before % 2 != side))
        levels[node] = level
    return levels


def _groups(
    nodes: Sequence[ir.Node], levels: Mapping[ir.Node, int], outside: Mapping[str, str]
) -> Iterable[list[ir.Node]]:
    """Nodes that lower, by what hangs together on one level."""
    group_of: dict[ir.Node, list[ir.Node]] = {}
    for node in nodes:
        if node.name in outside:
            continue
        own = [node]
        for value in reads(node):
            other = group_of.get(value.producer())  # type: ignore[arg-type]
            if other is not None and other is not own and levels[other[0]] == levels[node]:
                other += own
                own = other
                for member in other:
                    group_of[member] = other
        group_of[node] = own
    return {id(group): group for group in group_of.values()}.values()


def _extract(concrete: Concrete, nodes: Sequence[ir.Node], readers: Mapping[ir.Value, set[ir.Node]]) -> ir.Model:
    """A graph of some nodes alone."""
    own, names = set(nodes), {str(node.name) for node in nodes}
    made = [value for node in nodes for value in node.outputs if value.name]
    wanted = [value for value in made if value.is_graph_output() or not readers.get(value, set()) <= own]
    read = dict.fromkeys(value for node in nodes for value in reads(node))
    given = [value for value in read if value.producer() not in own and not concrete.is_constant(value)]
    copy = concrete.model.clone()
    copy.metadata_props.pop(LAYOUT, None)
    graph = copy.graph
    graph.outputs.clear()
    values = {str(v.name): v for v in (*graph.inputs, *graph.initializers.values())}
    values |= {str(v.name): v for node in graph for v in node.outputs if v.name}
    inputs = []
    for value in given:
        fresh = ir.val(str(value.name), dtype=concrete.dtypes.get(value), shape=concrete.shapes.get(value))
        values[str(value.name)].replace_all_uses_with(fresh)
        inputs.append(fresh)
    for value, array in concrete.folded.items():
        if value in read:
            fresh = ir.val(str(value.name), const_value=ir.tensor(array, name=value.name))
            values[str(value.name)].replace_all_uses_with(fresh)
            graph.register_initializer(fresh)
    graph.remove([node for node in graph if node.name not in names], safe=False)
    graph.inputs.clear()
    graph.inputs.extend(inputs)
    for value in wanted:
        output = values[str(value.name)]
        output.dtype, output.shape = concrete.dtypes.get(value, ir.DataType.FLOAT), _shape(concrete, value)
        graph.outputs.append(output)
    kept = {value for node in graph for value in reads(node)}
    for name, value in list(graph.initializers.items()):
        if value not in kept:
            del graph.initializers[name]
    return copy


def _shape(concrete: Concrete, value: ir.Value) -> ir.Shape | None:
    shape = concrete.shapes.get(value)
    return None if shape is None else ir.Shape(shape)
