"""How often a Loop runs, and in which order it reads its sequence: counted through, not guessed from its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from bitwright.graph.constants import constant_of
from bitwright.transforms.recurrent.piece import Array, Piece, Unfit
from bitwright.transforms.rewiring import graph_of, is_op

#: Sizes that free dimensions are given, one after another; each in turn is the first dimension's.
SIZES = (3, 2, 5, 4)


def check_count(
    model: ir.Model,
    node: ir.Node,
    sequence: ir.Value,
    index: ir.Value,
    control: tuple[ir.Value, ir.Value, ir.Value],
    numbers: Sequence[tuple[ir.Value, ir.Value, ir.Value]],
    aliases: Mapping[ir.Value, ir.Value],
) -> None:
    """Check that a Loop runs once for every element of a sequence, from the first to the last.

    The loop's counters and conditions are run, for the length that the sequence has; where it is free, for several.

    Args:
        node: the Loop, of the main graph.
        index: the body's value that says which element is read.
        control: the body's number of the step and condition that come in, and the condition that goes out.
        numbers: what else it carries beside its states: before, after, and at the start.
        aliases: inputs of the body that never change, and what they are.

    Raises:
        Unfit: it does not, or that depends on data.
    """
    number, asked, going = control
    versions = dict(model.graph.opset_imports)
    given = [number, asked, *(before for before, _, _ in numbers)]
    body = number.graph
    assert body is not None
    step = Piece([index, going, *(after for _, after, _ in numbers)], given, [body], aliases, versions)
    if any(value.is_graph_input() and value.graph is body for value in step.open):
        raise Unfit("how often it runs depends on what it computes")
    limits = [value for value in node.inputs[:2] if value is not None]
    wanted = [*limits, *(start for _, _, start in numbers), *step.open]
    for value in wanted:
        _check_shapes_alone(value, graph_of(node))
    for length, known in _known(model, node, sequence, wanted):
        feeds = {value: known[value] for value in step.open}
        carried = [known[start] for _, _, start in numbers]
        most, start = node.inputs[:2]
        limit = length + 1 if most is None else min(int(_one(known[most])), length + 1)
        goes, done = start is None or bool(_one(known[start])), 0
        while goes and done < limit:
            now = {number: np.array(done, np.int64), asked: np.array(True), **feeds}
            now |= {before: array for (before, _, _), array in zip(numbers, carried, strict=True)}
            place, again, *carried = step.run(now)
            if done < length and (place.ndim or place.item() != done):
                raise Unfit("it does not read its sequence from the first element to the last")
            goes, done = bool(_one(again)), done + 1
        if done != length:
            raise Unfit(f"it does not run once for every element of its sequence ({done} times for {length})")


def _one(array: Array) -> int:
    """A condition or count, which is one value."""
    if array.size != 1:
        raise Unfit("its condition or count is not one value")
    return int(array.item())


def _check_shapes_alone(value: ir.Value, graph: ir.Graph) -> None:
    """Refuse a value that depends on more of the graph's inputs than on their shapes."""
    ahead, seen = [value], {value}
    while ahead:
        value = ahead.pop()
        producer = value.producer()
        if constant_of(value) is not None or is_op(producer, "Shape", "Size"):
            continue
        if producer is None or producer.graph is not graph or not producer.inputs:
            raise Unfit("how often it runs depends on data")
        fresh = [v for v in producer.inputs if v is not None and v not in seen]
        seen.update(fresh)
        ahead += fresh


def _known(
    model: ir.Model, node: ir.Node, sequence: ir.Value, wanted: Sequence[ir.Value]
) -> list[tuple[int, dict[ir.Value, Array]]]:
    """(the sequence's length, what the wanted values then are), for the sizes that the graph's inputs may have."""
    graph = graph_of(node)
    versions = dict(model.graph.opset_imports)
    length = sequence.shape[0] if sequence.shape is not None else None
    alone = Piece(wanted, [], [graph], {}, versions)
    if isinstance(length, int) and not alone.open:
        return [(length, dict(zip(wanted, alone.run({}), strict=True)))]
    whole = Piece([sequence, *wanted], [], [graph], {}, versions)
    found = []
    for turn in range(len(SIZES)):
        array, *arrays = whole.run(_zeros(whole.open, turn))
        found.append((len(array), dict(zip(wanted, arrays, strict=True))))
    return found


def _zeros(inputs: Sequence[ir.Value], turn: int) -> dict[ir.Value, Any]:
    """Zeros for the inputs; dimensions of one name have one size, others another."""
    names: dict[object, int] = {}
    feeds: dict[ir.Value, Any] = {}
    for value in inputs:
        if value.shape is None:
            raise Unfit("an input's shape is not known")
        sizes = []
        for place, dim in enumerate(value.shape):
            key = dim.value if isinstance(dim, ir.SymbolicDim) and dim.value is not None else (value.name, place)
            at = names.setdefault(key, len(names))
            sizes.append(dim if isinstance(dim, int) else SIZES[(at + turn) % len(SIZES)])
        feeds[value] = np.zeros(sizes, (value.dtype or ir.DataType.FLOAT).numpy())
    return feeds
