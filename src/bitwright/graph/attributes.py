"""Attributes of nodes with their defaults, read the way the operator's definition means them."""

from __future__ import annotations

import onnx_ir as ir


def int_attribute(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute, or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else attribute.as_int()


def float_attribute(node: ir.Node, name: str, default: float) -> float:
    """A float attribute, or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else attribute.as_float()


def ints_attribute(node: ir.Node, name: str) -> tuple[int, ...]:
    """A list of integers, empty when the node has none."""
    attribute = node.attributes.get(name)
    return () if attribute is None or attribute.is_ref() else tuple(attribute.as_ints())


def has_subgraph(node: ir.Node) -> bool:
    """True for If, Loop, Scan and whatever else carries a graph."""
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attribute.type in kinds for attribute in node.attributes.values())
