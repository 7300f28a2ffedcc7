"""A frozen graph without what only training needs: dropout, and switches that have a default."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

WITH_DEFAULT = "PlaceholderWithDefault"
_RANDOM = frozenset({"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"})
#: Nodes between a random number and what it is compared with: Add(Mul(random, range), low).
_SCALINGS = frozenset({"Add", "AddV2", "Mul", "Sub"})


def needs_stripping(graph_def: Any) -> bool:
    """Whether it may hold anything that `strip_training` takes away."""
    return any(node.op == WITH_DEFAULT or node.op in _RANDOM for node in graph_def.node)


def strip_training(tf: Any, graph: Any, graph_def: Any, fed: Collection[str]) -> Any:
    """A copy in which placeholders that have a default are their default, and dropout hands on what it gets.

    Dropout is a random mask times x / keep; in inference keep is 1, whatever a placeholder for it is called.

    Args:
        tf: the module.
        graph: the same graph, imported.
        graph_def: left as it is.
        fed: names of nodes that stay, because they are fed.
    """
    made = tf.compat.v1.GraphDef()
    made.CopyFrom(graph_def)
    nodes = {node.name: node for node in graph_def.node}
    for node in made.node:
        if node.op == WITH_DEFAULT and node.name not in fed:
            _hand_on(node, node.input[0], node.attr["dtype"].type)
        elif node.op in ("Mul", "SelectV2") and (data := _dropped(tf, graph, nodes, nodes[node.name])) is not None:
            _hand_on(node, data, node.attr["T"].type)
    return made


def _hand_on(node: Any, data: str, dtype: int) -> None:
    controls = [name for name in node.input if name.startswith("^")]
    node.op = "Identity"
    del node.input[:]
    node.input.extend([data, *controls])
    node.attr.clear()
    node.attr["T"].type = dtype


def _dropped(tf: Any, graph: Any, nodes: Mapping[str, Any], node: Any) -> str | None:
    """What dropout gets, where a node gives its result: mask * scaled, or where(mask, scaled, 0)."""
    operands = _operands(node)
    if node.op == "SelectV2":
        mask, scaled, other = operands
        zero = _node(nodes, other)
        if zero.op != "Const" or tf.make_ndarray(zero.attr["value"].tensor).any() or not _is_mask(nodes, mask):
            return None
        return _unscaled(graph, nodes, scaled)
    for mask, scaled in (operands, operands[::-1]):
        if _node(nodes, mask).op in ("Cast", "Floor") and _is_mask(nodes, mask):
            return _unscaled(graph, nodes, scaled)
    return None


def _is_mask(nodes: Mapping[str, Any], name: str) -> bool:
    """Whether it is random >= rate, or floor(keep + random) as old graphs have it."""
    node = _node(nodes, name)
    if node.op == "Cast":
        node = _node(nodes, _operands(node)[0])
    if node.op == "GreaterEqual":
        return _is_random(nodes, _operands(node)[0])
    return node.op == "Floor" and _is_random(nodes, _operands(node)[0])


def _is_random(nodes: Mapping[str, Any], name: str, depth: int = 3) -> bool:
    node = _node(nodes, name)
    if node.op in _RANDOM:
        return True
    return depth > 0 and node.op in _SCALINGS and any(_is_random(nodes, one, depth - 1) for one in _operands(node))


def _unscaled(graph: Any, nodes: Mapping[str, Any], name: str) -> str | None:
    """The x of x / keep, or of x * scale where the scale is one number."""
    node = _node(nodes, name)
    if node.op not in ("RealDiv", "Mul"):
        return None
    first, second = _operands(node)
    if _is_number(graph, second):
        return first
    return second if node.op == "Mul" and _is_number(graph, first) else None


def _is_number(graph: Any, name: str) -> bool:
    """Whether a tensor is one number; placeholders of keep are often left without a shape."""
    return graph.get_tensor_by_name(name if ":" in name else f"{name}:0").shape.rank in (0, None)


def _operands(node: Any) -> list[str]:
    return [name for name in node.input if not name.startswith("^")]


def _node(nodes: Mapping[str, Any], name: str) -> Any:
    """The node that gives a tensor, behind Identity nodes."""
    node = nodes[name.split(":")[0]]
    while node.op == "Identity":
        node = nodes[node.input[0].split(":")[0]]
    return node
