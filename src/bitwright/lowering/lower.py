"""lower: Graph + Plan -> Program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from bitwright.errors import UnsupportedOpError
from bitwright.lowering.cleaning import cleaned
from bitwright.lowering.concrete import make_concrete
from bitwright.lowering.context import Lowering
from bitwright.lowering.layout import LAYOUT, Permutation, PortLayouts, composed, read_layouts
from bitwright.lowering.memory import with_copies
from bitwright.lowering.ports import add_inputs, add_outputs, check_type
from bitwright.lowering.refusal import NodesRefused, Refusal, Refused
from bitwright.lowering.registry import LOWERINGS
from bitwright.lowering.settle import settled
from bitwright.lowering.step import Step
from bitwright.numerics.requantize import Rounding
from bitwright.program.definition import Call
from bitwright.program.program import Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.verify import verify
from bitwright.quantization.plan import Plan


@dataclass(frozen=True)
class Lowered:
    """What lowering gives.

    Args:
        program: the model.
        sources: the name of the node that each operator is from, by the operator's results; conversions at the ports
            are from none.
    """

    program: Program
    sources: Mapping[str, str]


def lower(
    model: ir.Model,
    plan: Plan | None,
    *,
    input_type: str | None = None,
    output_type: str | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    rounding: Rounding = "tflite_double",
) -> Program:
    """The model in TFLite's vocabulary: `lower_from`'s Program."""
    return lower_from(
        model,
        plan,
        input_type=input_type,
        output_type=output_type,
        input_shapes=input_shapes,
        rounding=rounding,
    ).program


def lower_from(
    model: ir.Model,
    plan: Plan | None,
    *,
    input_type: str | None = None,
    output_type: str | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    rounding: Rounding = "tflite_double",
) -> Lowered:
    """The model in TFLite's vocabulary, and which node each operator is from.

    Images come in and go out with their channels last where the network works on them so; the Program's metadata
    "bitwright.layout" names these ports and the order of their dimensions.

    Args:
        model: a prepared graph (transforms.pipeline.prepare), constants held as the plan says; left as it is.
        plan: how nodes compute; None: in float.
        input_type, output_type: what the ports hold: float32 (the default), int8, uint8, int16. Integer ports take and
            give the integers of the plan.
        input_shapes: shapes of inputs with free dimensions, by name; a free dimension is 1 otherwise.
        rounding: how the Program requantizes.

    Raises:
        NodesRefused: nodes that have no form in TFLite's vocabulary: all of them, each with its reason.
        UnsupportedOpError: a port has none.
        UsageError: an unknown type, integers at a port that is not quantized, a shape that does not fit.
    """
    given, wanted = check_type("input_type", input_type), check_type("output_type", output_type)
    model, plan = settled(model, plan)
    low = Lowering(make_concrete(model, input_shapes), plan)
    graph = model.graph
    for value in (*graph.inputs, *graph.outputs):
        low.build.reserve(str(value.name))
    moved_inputs: dict[str, Permutation] = {}
    moved_outputs: dict[str, Permutation] = {}
    try:
        inputs = add_inputs(low, list(graph.inputs), given, moved_inputs)
        refused = _lower_nodes(low, list(graph))
        if refused:
            raise NodesRefused(refused, len(graph), str(graph.name))
        outputs = add_outputs(low, list(graph.outputs), wanted, moved_outputs)
    except Refusal as refusal:
        raise UnsupportedOpError(
            f"a port has no form in .tflite: {refusal.reason}",
            where=f"graph {graph.name!r}",
            next="change the type or shape of the model's inputs and outputs",
        ) from refusal
    moved = composed(read_layouts(model.metadata_props.get(LAYOUT)), PortLayouts(moved_inputs, moved_outputs))
    metadata = {LAYOUT: moved.to_bytes()} if moved.inputs or moved.outputs else {}
    program = Program(
        tensors=low.build.tensors,
        operators=tuple(low.build.operators),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        name=graph.name or "main",
        rounding=rounding,
        signature="serving_default",
        metadata=metadata,
    )
    sources = {
        name: str(node.name)
        for node, operator in zip(low.sources, program.operators, strict=False)
        for name in operator.outputs
        if node is not None
    }
    program = with_copies(cleaned(program))
    verify(program)
    return Lowered(program, sources)


def _lower_nodes(low: Lowering, nodes: Sequence[ir.Node]) -> list[Refused]:
    """Lower every node. Those that cannot be, with reasons; what reads them is looked at all the same."""
    refused: list[Refused] = []
    for node in nodes:
        if node in low.done or all(low.concrete.is_constant(value) for value in node.outputs if value.name):
            continue
        absent = next((value for value in node.inputs if value is not None and not low.is_there(value)), None)
        if absent is not None:
            refused.append(Refused(node, f"the shape of {absent.name} is not known before it runs", follows=True))
            continue
        try:
            _lower_node(low, node)
        except Refusal as refusal:
            refused.append(Refused(node, refusal.reason))
            for value in node.outputs:
                low.stand_in(value)
    return refused


def _lower_node(low: Lowering, node: ir.Node) -> None:
    if node.domain not in ("", "ai.onnx"):
        raise Refusal(f"operators of {node.domain} have no counterpart")
    function = LOWERINGS.get(node.op_type)
    if function is None:
        raise Refusal("no operator does this")
    start = len(low.build.operators)
    low.sources += [None] * (start - len(low.sources))
    function(Step(low, node))
    low.sources += [node] * (len(low.build.operators) - start)
    for operator in low.build.operators[start:]:
        definition = DEFINITIONS.get(operator.kind)
        if definition is None:
            raise Refusal(f"{operator.kind} is not in the vocabulary")
        operands = tuple(None if name is None else low.build.tensors[name] for name in operator.inputs)
        call = Call(operator, operands, tuple(low.build.tensors[name] for name in operator.outputs))
        if definition.refuse is not None and (reason := definition.refuse(call)):
            raise Refusal(f"{operator.kind}: {reason}")
