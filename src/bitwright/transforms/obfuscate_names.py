"""obfuscate_names: short names that say nothing."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import onnx_ir as ir

from bitwright.transforms.outcome import Outcome

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#: The metadata of a quantized model that names its nodes; what it says can be seen from the graph.
PLAN_KEY = "bitwright.plan"


def obfuscate_names(model: ir.Model) -> Outcome:
    """Name nodes and values 0, 1, ..., 9, a, ... Only the graph's inputs and outputs keep their names.

    What exporters leave beside them (documentation, the place in the source) goes too.

    Args:
        model: changed in place; constants that other graphs share keep their names there.

    Source: TensorFlow's Graph Transform Tool, `obfuscate_names`.
    """
    graphs = list(model.graphs())
    nodes = list(model.graph.all_nodes())
    kept = {value.name for value in (*model.graph.inputs, *model.graph.outputs)}
    values = [v for graph in graphs for v in (*graph.inputs, *graph.initializers.values())]
    values += [v for node in nodes for v in node.outputs if v.name]
    fresh = free_names({*(v.name for v in values), *(node.name for node in nodes)})
    renamed = [value for value in dict.fromkeys(values) if value.name not in kept]
    for value in renamed:
        rename(value, next(fresh))
    for node in nodes:
        node.name = next(fresh)
    told: list[ir.Model | ir.Graph | ir.Node | ir.Value] = [model, *graphs, *nodes, *values]
    for thing in told:
        thing.doc_string = None
        for key in [key for key in thing.metadata_props if key == PLAN_KEY or not key.startswith("bitwright.")]:
            thing.metadata_props.pop(key)
    return Outcome(model, bool(nodes or renamed), f"{len(nodes)} nodes and {len(renamed)} values renamed")


def free_names(taken: set[str | None]) -> Iterator[str]:
    """0, 1, ..., Z, 10, 11, ... without those that are taken.

    >>> names = free_names({"1"})
    >>> [next(names) for _ in range(3)]
    ['0', '2', '3']
    """
    count = 0
    while True:
        number, name = count, ""
        while number or not name:
            number, digit = divmod(number, len(DIGITS))
            name = DIGITS[digit] + name
        count += 1
        if name not in taken:
            yield name


def rename(value: ir.Value, name: str) -> None:
    """Give a value a name; the tensor of a constant may be shared with other graphs, which keep theirs."""
    tensor = value.const_value
    if tensor is None:
        value.name = name
        return
    value.const_value = None
    value.name = name
    value.const_value = copy.copy(tensor)
    value.const_value.name = name
