"""strip_unused_nodes: what no output needs goes away; the graph may be cut at given values."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedFunctionsPass, RemoveUnusedNodesPass

from bitwright.errors import TransformError
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import unique_name
from bitwright.transforms.shapes import infer_shapes


def strip_unused_nodes(model: ir.Model, *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Outcome:
    """Keep what leads from the given inputs to the given outputs.

    Args:
        model: changed in place.
        inputs: values that become the graph's inputs, of the type and shape they have. Inputs that are not named go
            away when nothing needs them any more. The graph's own, all kept, by default.
        outputs: values that become the graph's outputs, in this order; the graph's own by default.

    Raises:
        TransformError: no value has that name, or nothing is known of its type.
    """
    graph = model.graph
    before = len(graph)
    values = main_values(model)
    check_names(values, [*inputs, *outputs])
    if inputs or outputs:
        infer_shapes(model)
    changed = False
    if outputs and [value.name for value in graph.outputs] != list(dict.fromkeys(outputs)):
        graph.outputs.clear()
        graph.outputs.extend(with_type(values[name]) for name in dict.fromkeys(outputs))
        changed = True
    for name in dict.fromkeys(inputs):
        changed = cut_before(graph, values[name]) or changed
    removed = RemoveUnusedNodesPass()(model).modified
    removed = RemoveUnusedFunctionsPass()(model).modified or removed  # type: ignore[no-untyped-call]
    if inputs:
        ordered = {value.name: value for value in graph.inputs}
        wanted = [ordered[name] for name in dict.fromkeys(inputs)]
        wanted += [v for v in graph.inputs if v.name not in inputs and (v.uses() or v.is_graph_output())]
        changed = changed or wanted != list(graph.inputs)
        gone = [value for value in graph.inputs if value not in wanted and value.is_initializer()]
        graph.inputs.clear()
        graph.inputs.extend(wanted)
        for value in gone:
            graph.initializers.pop(str(value.name))
    return Outcome(model, changed or removed, f"{before - len(graph)} nodes removed")


def main_values(model: ir.Model) -> dict[str, ir.Value]:
    """The values of the main graph by name."""
    graph = model.graph
    values = {str(value.name): value for value in graph.inputs}
    values |= dict(graph.initializers)
    values |= {str(value.name): value for node in graph for value in node.outputs if value.name}
    return values


def check_names(values: dict[str, ir.Value], names: Sequence[str]) -> None:
    """Refuse names that no value has.

    Raises:
        TransformError: all such names, with what may have been meant.
    """
    unknown = [name for name in dict.fromkeys(names) if name not in values]
    if not unknown:
        return
    near = difflib.get_close_matches(unknown[0], values, n=3)
    raise TransformError(
        f"no value of the graph is named {', '.join(repr(name) for name in unknown)}",
        next=f"did you mean {' or '.join(repr(name) for name in near)}?"
        if near
        else "`bitwright inspect` lists the names",
    )


def cut_before(graph: ir.Graph, value: ir.Value) -> bool:
    """Make a value an input of the graph. False when it is one already."""
    if value.is_graph_input():
        return False
    with_type(value)
    if value.is_initializer():
        graph.initializers.pop(str(value.name))
        value.const_value = None
        graph.inputs.append(value)
        return True
    name = value.name
    fresh = ir.Value(name=name, type=value.type, shape=value.shape)
    value.replace_all_uses_with(fresh, replace_graph_outputs=True)
    value.name = unique_name(graph, f"{name}_cut")
    graph.inputs.append(fresh)
    return True


def with_type(value: ir.Value) -> ir.Value:
    """The value itself, when its type is known: an input or output must have one.

    Raises:
        TransformError: it is not known.
    """
    if value.type is None:
        raise TransformError(
            f"the type of value {value.name!r} is not known, so it cannot be an input or output of the graph",
            next="choose a value before or behind it",
        )
    return value
