"""Steps: a Loop or Scan as a walk over a sequence, from its first step to its last, with states that it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from bitwright.graph.attributes import int_attribute, ints_attribute
from bitwright.graph.constants import constant_of
from bitwright.transforms.recurrent.count import check_count
from bitwright.transforms.recurrent.piece import Piece, Unfit
from bitwright.transforms.rewiring import graph_of, is_op


@dataclass(frozen=True)
class State:
    """A tensor that goes from step to step.

    Args:
        before: the body's input.
        after: what the body makes of it.
        start: what the first step gets, a value outside.
        last: what the last step gives, a result of the node.
    """

    before: ir.Value
    after: ir.Value
    start: ir.Value
    last: ir.Value

    @property
    def shape(self) -> ir.Shape | None:
        """[rows, hidden] of an LSTM's and a GRU's, as far as it is known."""
        return self.before.shape if self.before.shape is not None else self.start.shape


@dataclass(frozen=True)
class Steps:
    """A walk over a sequence.

    Args:
        node: the Loop or Scan.
        sequence: [T, ...], outside.
        element: the body's value that is one step of it.
        states: of floats, of at least one dimension.
        every: results of the node that hold a value of every step, by the body's value.
        passed: results of the node that are values from before it.
        aliases: the body's inputs that never change, and what they are.
        versions: the operator sets, by domain.
    """

    node: ir.Node
    sequence: ir.Value
    element: ir.Value
    states: tuple[State, ...]
    every: Sequence[tuple[ir.Value, ir.Value]]
    passed: Sequence[tuple[ir.Value, ir.Value]]
    aliases: Mapping[ir.Value, ir.Value]
    versions: Mapping[str, int] = field(default_factory=dict)

    def piece(self, outputs: Sequence[ir.Value], more: Sequence[ir.Value] = (), *, double: bool = True) -> Piece:
        """Values of the body for one step, from the element, the states before it and `more` values that are given.

        Raises:
            Unfit: they depend on anything else, or cannot be run by themselves.
        """
        given = [self.element, *(state.before for state in self.states), *more]
        graphs = [body_of(self.node), graph_of(self.node)]
        piece = Piece(outputs, given, graphs, self.aliases, self.versions, double=double)
        if piece.open:
            raise Unfit("a step reads more than one element of a sequence and the states")
        return piece


def read_steps(model: ir.Model, node: ir.Node) -> Steps:
    """What a Loop or Scan walks over.

    Raises:
        Unfit: it is no such walk.
    """
    versions, body = dict(model.graph.opset_imports), node.attributes.get("body")
    own = 2 if is_op(node, "Loop") else 0  # inputs that come before what is carried; a condition comes back
    if body is None or body.type != ir.AttributeType.GRAPH or len(node.inputs) < own:
        raise Unfit("it has no body")
    ports = body.as_graph()
    if len(ports.inputs) != len(node.inputs) or len(ports.outputs) != len(node.outputs) + own // 2:
        raise Unfit("its body takes or gives another number of values")
    return _read_loop(model, node, versions) if is_op(node, "Loop") else _read_scan(node, versions)


def body_of(node: ir.Node) -> ir.Graph:
    """The graph of one step."""
    return node.attributes["body"].as_graph()


def behind_identities(value: ir.Value) -> ir.Value:
    """The value that Identity nodes hand on."""
    while (node := value.producer()) is not None and is_op(node, "Identity") and node.inputs[0] is not None:
        value = node.inputs[0]
    return value


@dataclass
class _Carried:
    """The values that go from step to step, by what becomes of them."""

    states: list[State] = field(default_factory=list)
    numbers: list[State] = field(default_factory=list)
    aliases: dict[ir.Value, ir.Value] = field(default_factory=dict)
    passed: list[tuple[ir.Value, ir.Value]] = field(default_factory=list)


def _sorted(
    starts: Sequence[ir.Value | None], before: Sequence[ir.Value], after: Sequence[ir.Value], last: Sequence[ir.Value]
) -> _Carried:
    found = _Carried()
    for start, inner, end, result in zip(starts, before, after, last, strict=True):
        if start is None:
            raise Unfit("a state has no start")
        state = State(inner, behind_identities(end), start, result)
        if state.after is inner:
            found.aliases[inner] = start
            found.passed.append((result, start))
        elif (inner.dtype or start.dtype) == ir.DataType.FLOAT and state.shape is not None and len(state.shape):
            found.states.append(state)
        else:
            found.numbers.append(state)
    return found


def _read_loop(model: ir.Model, node: ir.Node, versions: Mapping[str, int]) -> Steps:
    body, count = body_of(node), len(node.inputs) - 2
    number, asked, *inner = body.inputs
    going, *ends = body.outputs
    carried = _sorted(node.inputs[2:], inner, ends[:count], node.outputs[:count])
    reads = []
    for reader in body:
        if is_op(reader, "Gather") and int_attribute(reader, "axis", 0) == 0 and None not in reader.inputs[:2]:
            data, index = (behind_identities(value) for value in reader.inputs[:2] if value is not None)
            data = carried.aliases.get(data, data)
            if data.graph is not body and data.dtype == ir.DataType.FLOAT and constant_of(data) is None:
                reads.append((data, index, reader.outputs[0]))
    if len(reads) != 1:
        raise Unfit(f"it reads {len(reads)} sequences")
    sequence, index, element = reads[0]
    every = [(behind_identities(v), out) for v, out in zip(ends[count:], node.outputs[count:], strict=True)]
    steps = Steps(node, sequence, element, tuple(carried.states), every, carried.passed, carried.aliases, versions)
    numbers = [(state.before, state.after, state.start) for state in carried.numbers]
    check_count(model, node, sequence, index, (number, asked, going), numbers, carried.aliases)
    return steps


def _read_scan(node: ir.Node, versions: Mapping[str, int]) -> Steps:
    body, scanned = body_of(node), int_attribute(node, "num_scan_inputs", 0)
    if scanned != 1:
        raise Unfit(f"it reads {scanned} sequences")
    turned = ("scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions")
    if any(any(ints_attribute(node, name)) for name in turned):
        raise Unfit("it walks along another axis, or backwards")
    *starts, sequence = node.inputs
    *inner, element = body.inputs
    count = len(starts)
    carried = _sorted(starts, inner, body.outputs[:count], node.outputs[:count])
    every = [(behind_identities(v), out) for v, out in zip(body.outputs[count:], node.outputs[count:], strict=True)]
    if sequence is None:
        raise Unfit("it reads no sequence")
    return Steps(node, sequence, element, tuple(carried.states), every, carried.passed, carried.aliases, versions)
