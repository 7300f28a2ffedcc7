"""fuse_recurrent: a Loop or Scan that computes an LSTM or a GRU becomes one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from bitwright.graph.constants import array_of
from bitwright.transforms.outcome import Outcome, told
from bitwright.transforms.recurrent.cells import Cell, find_cell
from bitwright.transforms.recurrent.piece import Array, Unfit
from bitwright.transforms.recurrent.steps import State, Steps, body_of, read_steps
from bitwright.transforms.rewiring import add_constant, drop_unread, graph_of, is_op, take_name, unique_name
from bitwright.transforms.shapes import infer_shapes

Dim = int | ir.SymbolicDim | None


def fuse_recurrent(model: ir.Model) -> Outcome:
    """Make an LSTM or GRU node of every Loop or Scan that walks over a sequence with the step of one.

        Y[t], c = step(X[t], Y[t-1], c), t from 0 to T-1     becomes     Y, Y_h, Y_c = LSTM(X, W, R, B, "", h0, c0)

    X [T, N, I], states [N, H]. The step may be spelled in any way and have its gates in any order: its weights are
    found by probing it, and the node stands in only where it gives what the step gives, within 1e-5. What reads the
    sequence of all hidden states, the last states, or a value that the loop only hands on, reads on. A walk that reads
    its sequence backwards, is stopped by data, skips steps, clips or looks through peepholes stays as it is.
    """
    loops = [node for node in model.graph if is_op(node, "Loop", "Scan")]
    if loops:
        infer_shapes(model)
    fused, declined = 0, []
    for node in loops:
        try:
            steps = read_steps(model, node)
            cell = find_cell(steps)
            _check_readers(steps, cell)
            starts = [_start(steps, state, cell.hidden) for state in cell.states]
        except Unfit as reason:
            declined.append(f"{node.op_type} {node.name or node.outputs[0].name}: {reason}")
            continue
        _replace(steps, cell, starts)
        fused += 1
    return Outcome(model, fused > 0, told(f"{fused} loops became LSTM or GRU", declined))


def _is_read(value: ir.Value) -> bool:
    return value.is_graph_output() or bool(value.uses())


def _check_readers(steps: Steps, cell: Cell) -> None:
    """Refuse a loop that is asked for more than the node gives."""
    served = {state.last for state in cell.states} | {result for result, _ in steps.passed}
    served |= {result for value, result in steps.every if value is cell.states[0].after}
    if any(_is_read(result) for result in steps.node.outputs if result not in served):
        raise Unfit("more of it is read than hidden states and the last cell")
    if any(result.is_graph_output() for result, _ in steps.passed):
        raise Unfit("it hands an output of the graph on")


def _start(steps: Steps, state: State, hidden: int) -> ir.Value | None:
    """What a state starts from; None for zeros."""
    shape, sequence = state.start.shape, steps.sequence.shape
    assert sequence is not None
    if shape is not None and (len(shape) != 2 or shape[1] != hidden or (sequence[1] == 1 and shape[0] != 1)):
        raise Unfit("a state does not start from one row for each row of the sequence")
    if _is_zero(state.start):
        return None
    if shape is None or (shape[0] == 1 and sequence[1] != 1):
        raise Unfit("a state does not start from one row for each row of the sequence")
    return state.start


def _is_zero(value: ir.Value) -> bool:
    """Whether a value is zeros of whatever shape."""
    while (node := value.producer()) is not None and is_op(node, "Expand", "Identity", "Unsqueeze", "Reshape", "Tile"):
        if node.inputs[0] is None:
            return False
        value = node.inputs[0]
    if node is not None and is_op(node, "ConstantOfShape"):
        filled = node.attributes.get("value")
        return filled is None or not filled.as_tensor().numpy().any()
    array = array_of(value)
    return array is not None and not array.any()


def _replace(steps: Steps, cell: Cell, starts: list[ir.Value | None]) -> None:
    """Put the node in the loop's place."""
    loop, graph = steps.node, graph_of(steps.node)
    name = loop.name or str(loop.outputs[0].name)

    def constant(array: Array, ending: str) -> ir.Value:
        return add_constant(graph, array, f"{name}_{ending}")

    inputs: list[ir.Value | None] = [
        steps.sequence,
        constant(cell.weights[None], "W"),
        constant(cell.recurrence[None], "R"),
        constant(cell.biases[None], "B"),
    ]
    first, second = constant(np.array([0], np.int64), "axis_0"), constant(np.array([1], np.int64), "axis_1")
    if any(start is not None for start in starts):
        whole = (1, None, cell.hidden)
        inputs += [None, *(v if v is None else _added(loop, "Unsqueeze", v, first, whole) for v in starts)]
    attributes: dict[str, int] = {"hidden_size": cell.hidden}
    if cell.linear_before_reset:
        attributes["linear_before_reset"] = 1
    node = ir.node(cell.kind, inputs, attributes, num_outputs=1 + len(cell.states), name=name)
    graph.insert_before(loop, node)
    times, rows = steps.sequence.shape[:2] if steps.sequence.shape is not None else (None, None)
    for value, shape in zip(node.outputs, [(times, 1, rows, cell.hidden), *[(1, rows, cell.hidden)] * 2], strict=False):
        value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(shape)
    for value, ending in zip(node.outputs, ("Y", "Y_h", "Y_c"), strict=False):
        value.name = unique_name(graph, f"{name}_{ending}")
    for value, result in steps.every:
        if value is cell.states[0].after and _is_read(result):
            _hand_over(result, _added(loop, "Squeeze", node.outputs[0], second, (times, rows, cell.hidden)))
    for state, value in zip(cell.states, node.outputs[1:], strict=True):
        if _is_read(state.last):
            _hand_over(state.last, _added(loop, "Squeeze", value, first, (rows, cell.hidden)))
    for result, source in steps.passed:
        result.replace_all_uses_with(source)
    read = [*loop.inputs, *_emptied(body_of(loop)), first, second]
    graph.remove(loop, safe=True)
    drop_unread(dict.fromkeys(read))


def _added(before: ir.Node, op: str, data: ir.Value, axis: ir.Value, shape: Sequence[Dim]) -> ir.Value:
    """A result of a new node in front of another."""
    node = ir.node(op, [data, axis])
    graph_of(before).insert_before(before, node)
    node.outputs[0].type, node.outputs[0].shape = data.type, ir.Shape(shape)
    return node.outputs[0]


def _hand_over(result: ir.Value, value: ir.Value) -> None:
    """Whoever reads a result of the loop reads a value of the same name instead."""
    result.replace_all_uses_with(value, replace_graph_outputs=True)
    take_name(value, result)


def _emptied(body: ir.Graph) -> list[ir.Value | None]:
    """Take all nodes out of a body, so that what they read from outside is no longer read; what they read."""
    read = [value for node in body.all_nodes() for value in node.inputs]
    for graph in (*reversed([*body.subgraphs()]), body):
        graph.outputs.clear()
        graph.remove(list(graph), safe=True)
    return read
