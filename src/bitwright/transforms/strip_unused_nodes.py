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

#: What TensorFlow calls the types of a placeholder.
TYPES = {
    "half": ir.DataType.FLOAT16,
    "bfloat16": ir.DataType.BFLOAT16,
    "float": ir.DataType.FLOAT,
    "double": ir.DataType.DOUBLE,
    "bool": ir.DataType.BOOL,
    "string": ir.DataType.STRING,
    "int8": ir.DataType.INT8,
    "int16": ir.DataType.INT16,
    "int32": ir.DataType.INT32,
    "int64": ir.DataType.INT64,
    "uint8": ir.DataType.UINT8,
    "uint16": ir.DataType.UINT16,
    "quint8": ir.DataType.UINT8,
    "qint8": ir.DataType.INT8,
    "qint32": ir.DataType.INT32,
}


def strip_unused_nodes(
    model: ir.Model,
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    type: str | None = None,
    shape: Sequence[int] = (),
    name: Sequence[str] = (),
    type_for_name: Sequence[str] = (),
    shape_for_name: Sequence[Sequence[int]] = (),
) -> Outcome:
    """Keep what leads from the given inputs to the given outputs.

    Args:
        model: changed in place.
        inputs: values that become the graph's inputs, of the type and shape they have. Inputs that are not named go
            away when nothing needs them any more. The graph's own, all kept, by default.
        outputs: values that become the graph's outputs, in this order; the graph's own by default.
        type, shape: of a value that becomes an input, as far as the graph does not know them: "float", (1, 9).
        name, type_for_name, shape_for_name: the same for one value, in step; TensorFlow's spelling.

    Raises:
        TransformError: no value has that name, nothing is known of its type, or the type is none.
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
        graph.outputs.extend(with_type(values[one]) for one in dict.fromkeys(outputs))
        changed = True
    told = placeholders(type, shape, name, type_for_name, shape_for_name)
    for one in dict.fromkeys(inputs):
        complete(values[one], *told.get(one, told[""]))
        changed = cut_before(graph, values[one]) or changed
    removed = RemoveUnusedNodesPass()(model).modified
    removed = RemoveUnusedFunctionsPass()(model).modified or removed  # type: ignore[no-untyped-call]
    if inputs:
        ordered = {value.name: value for value in graph.inputs}
        wanted = [ordered[one] for one in dict.fromkeys(inputs)]
        wanted += [v for v in graph.inputs if v.name not in inputs and (v.uses() or v.is_graph_output())]
        changed = changed or wanted != list(graph.inputs)
        gone = [value for value in graph.inputs if value not in wanted and value.is_initializer()]
        graph.inputs.clear()
        graph.inputs.extend(wanted)
        for value in gone:
            graph.initializers.pop(str(value.name))
    return Outcome(model, changed or removed, f"{before - len(graph)} nodes removed")


def placeholders(
    kind: str | None,
    shape: Sequence[int],
    names: Sequence[str],
    kinds: Sequence[str],
    shapes: Sequence[Sequence[int]],
) -> dict[str, tuple[ir.DataType | None, Sequence[int]]]:
    """Type and shape by name; under "" for every other name.

    Raises:
        TransformError: a type that is none, or not one for every name.
    """
    for given, key in ((kinds, "type_for_name"), (shapes, "shape_for_name")):
        if given and len(given) != len(names):
            raise TransformError(
                f"{key} is given {len(given)} times for {len(names)} names",
                next=f"give one behind every name: strip_unused_nodes(name=a, {key}=..., name=b, {key}=...)",
            )
    read: list[ir.DataType | None] = []
    for text in (kind, *kinds):
        if text is not None and text not in TYPES:
            raise TransformError(f"no type is called {text!r}", next=f"one of {', '.join(TYPES)}")
        read.append(None if text is None else TYPES[text])
    found: dict[str, tuple[ir.DataType | None, Sequence[int]]] = {"": (read[0], shape)}
    for index, one in enumerate(names):
        found[one] = (read[1 + index] if kinds else read[0], shapes[index] if shapes else shape)
    return found


def complete(value: ir.Value, kind: ir.DataType | None, shape: Sequence[int]) -> None:
    """Say of a value that is to become an input what the graph does not know: its type, its shape, free dimensions."""
    if value.is_graph_input() or value.is_initializer():
        return
    if value.type is None and kind is not None:
        value.type = ir.TensorType(kind)
    known = value.shape
    if not shape or (known is not None and len(known) != len(shape)):
        return
    if known is None or all(not isinstance(d, int) or d == n for d, n in zip(known, shape, strict=True)):
        value.shape = ir.Shape(shape)


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
