"""insert_logging: values of inner nodes are made outputs, with what is to be said of them in each run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import onnx_ir as ir

from bitwright.compat.graph_transforms.range_log import PRINTED, RANGE_SUFFIXES
from bitwright.compat.graph_transforms.work import Work
from bitwright.quantization.planner import observations
from bitwright.quantization.recipe import recipe_for_mode
from bitwright.quantization.target import load_target, target_names
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.pipeline import copy_of, prepare
from bitwright.transforms.rewiring import unique_name
from bitwright.transforms.shapes import infer_shapes

#: Key of the model's metadata under which the lines are described, as JSON.
LOGGING = "bitwright.logging"
#: The operator of TensorFlow whose results are the least and the largest value of a tensor.
RANGE = "RequantizationRange"


@dataclass(frozen=True)
class Line:
    """One line of a run's log.

    Args:
        text: before the values.
        values: names of outputs whose values follow.
        first_n: how many times it is written; -1 is always.
        summarize: how many elements of a value are written.
    """

    text: str
    values: tuple[str, ...]
    first_n: int = -1
    summarize: int = 1024


def insert_logging(
    work: Work,
    *,
    op: Sequence[str] = (),
    prefix: Sequence[str] = (),
    show_op: bool = False,
    show_name: bool = False,
    message: str = "",
    first_n: int = -1,
    summarize: int = 1024,
) -> Outcome:
    """Make results of nodes outputs of the graph, so that whatever runs it can log them; `log_values` does.

    ONNX has no operator that prints. What TensorFlow's Print would have written stands in the model's metadata.

    Args:
        work: whose model is instrumented.
        op: results of these operators. RequantizationRange stands for the least and largest value of every tensor that
            full-integer arithmetic needs the range of: two outputs each, whose lines `freeze_requantization_ranges`
            reads. All operators but that by default.
        prefix: results of nodes whose names start so; all by default.
        show_op, show_name: begin the line with the operator, with the node's name.
        message: text before the values.
        first_n: how many times a line is written; -1 is always.
        summarize: how many elements of a value are written.

    Source: TensorFlow's Graph Transform Tool, `insert_logging`.
    """
    graph = copy_of(work.model.to_ir())
    infer_shapes(graph)
    main = graph.graph
    lines: list[Line] = []

    def add(name: str, kind: str, values: Sequence[str]) -> None:
        text = (f";{kind};" if show_op else "") + (f";{name}{PRINTED};" if show_name else "") + message
        lines.append(Line(text, tuple(values), first_n, summarize))

    for node in list(main):
        values = [v for v in node.outputs if v.name and v.uses() and v.type is not None]
        if (not op or node.op_type in op) and starts(str(node.name), prefix) and values:
            for value in values:
                make_output(main, value)
            add(str(node.name), node.op_type, [str(value.name) for value in values])
    for value in ranged_values(work, main) if RANGE in op else ():
        name = f"{value.name}{RANGE_SUFFIXES[0]}"
        if starts(name, prefix):
            add(name, RANGE, add_range(main, value, name))
    if not lines:
        return Outcome(graph, False, "no node to log")
    lines = [*lines_of(graph), *lines]
    graph.metadata_props[LOGGING] = json.dumps([asdict(line) for line in lines])
    work.take(graph)
    return Outcome(work.model.graph, True, f"{len(lines)} lines a run; `log_values` writes them")


def lines_of(model: ir.Model) -> list[Line]:
    """The lines that a model's metadata describes."""
    told = json.loads(model.metadata_props.get(LOGGING, "[]"))
    return [Line(one["text"], tuple(one["values"]), one["first_n"], one["summarize"]) for one in told]


def starts(name: str, prefixes: Sequence[str]) -> bool:
    """Whether a name starts with one of the prefixes; True where there are none."""
    return not prefixes or name.startswith(tuple(prefixes))


def make_output(graph: ir.Graph, value: ir.Value) -> None:
    """Give a value out, if the graph does not yet."""
    if not value.is_graph_output():
        graph.outputs.append(value)


def ranged_values(work: Work, graph: ir.Graph) -> list[ir.Value]:
    """The float values whose ranges full-integer arithmetic needs, on any target, in the order of the graph."""
    prepared, recipe = prepare(work.floats().graph), recipe_for_mode("int8")
    wanted = {
        request.name
        for name in target_names()
        for request in observations(prepared, recipe, load_target(name))
        if request.ranges
    }
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    return [value for value in values if value.name in wanted and value.dtype in (None, ir.DataType.FLOAT)]


def add_range(graph: ir.Graph, value: ir.Value, name: str) -> list[str]:
    """Two outputs: the least and the largest value of a tensor."""
    made = []
    for index, operator in enumerate(("ReduceMin", "ReduceMax")):
        result = ir.val(unique_name(graph, f"{name}:{index}"), dtype=ir.DataType.FLOAT, shape=ir.Shape(()))
        graph.append(ir.node(operator, [value], {"keepdims": 0}, outputs=[result], name=f"{name}:{index}"))
        graph.outputs.append(result)
        made.append(str(result.name))
    return made
