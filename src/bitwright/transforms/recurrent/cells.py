"""Which cell a step is: an LSTM's or a GRU's, its weights found by probing and proved on random numbers.

What goes into a step's Sigmoid and Tanh nodes is affine in the input and the state, however the graph spells it: with
one matrix or many, biases apart or together, gates in any order. Zeros and the rows of a unit matrix, in float64, give
back the matrices exactly. Which gate is which is tried out, and the cell so found has to give what the step gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.transforms.recurrent.piece import Unfit
from bitwright.transforms.recurrent.steps import State, Steps
from bitwright.transforms.rewiring import is_op

Floats = NDArray[np.floating]

#: Largest difference between a step and the cell that stands for it, relative to values above 1.
TOLERANCE = 1e-5
#: Magnitudes of the numbers that they are compared on: small ones tell gates apart, large ones find what is clipped.
MAGNITUDES = (0.1, 1.0, 1.0, 10.0, 100.0, 1000.0)
#: Rows of each magnitude.
ROWS = 4


@dataclass(frozen=True)
class Cell:
    """A cell as ONNX's LSTM (gates i, o, f, c) and GRU (gates z, r, h) hold it, of one direction.

    Args:
        kind: "LSTM" or "GRU".
        weights: W [g * H, I].
        recurrence: R [g * H, H].
        biases: B [2 * g * H]: of the input, then of the state.
        states: the hidden state, and an LSTM's cell.
        linear_before_reset: see ONNX's GRU.
    """

    kind: str
    weights: Floats
    recurrence: Floats
    biases: Floats
    states: tuple[State, ...]
    linear_before_reset: bool = False

    @property
    def hidden(self) -> int:
        return int(self.recurrence.shape[1])


@dataclass(frozen=True)
class _Affine:
    """x W + h R + b: W [I, H], R [H, H], b [H]."""

    weights: Floats
    recurrence: Floats
    bias: Floats


def find_cell(steps: Steps) -> Cell:
    """The LSTM or GRU that one step of a walk computes.

    Raises:
        Unfit: it computes neither.
    """
    shape = steps.sequence.shape
    width = shape[2] if shape is not None and len(shape) == 3 else None
    widths = {state.shape[1] if state.shape is not None and len(state.shape) == 2 else None for state in steps.states}
    if len(steps.states) not in (1, 2):
        raise Unfit(f"it carries {len(steps.states)} states")
    hidden = widths.pop()
    if not isinstance(width, int) or not isinstance(hidden, int) or widths:
        raise Unfit("its sequence is not [steps, rows, inputs], or its states are not [rows, hidden]")
    tried = _lstms(steps, width, hidden) if len(steps.states) == 2 else _grus(steps, width, hidden)
    expected, x, before = _sample(steps, width, hidden)
    for cell in tried:
        got = _step(cell, x, [before[state] for state in cell.states])
        if all(_is_close(array, expected[state]) for array, state in zip(got, cell.states, strict=True)):
            return cell
    raise Unfit(f"its step is not that of {'an LSTM' if len(steps.states) == 2 else 'a GRU'}")


def _sample(steps: Steps, width: int, hidden: int) -> tuple[dict[State, Floats], Floats, dict[State, Floats]]:
    """(states after the step, input, states before it) on random rows."""
    rng = np.random.default_rng(0)
    sizes = np.repeat(MAGNITUDES, ROWS)[:, None]
    x = rng.standard_normal((len(sizes), width)) * sizes
    before = {state: rng.standard_normal((len(sizes), hidden)) * rng.permutation(sizes) for state in steps.states}
    feeds = {steps.element: x, **{state.before: array for state, array in before.items()}}
    after = steps.piece([state.after for state in steps.states]).run(feeds)
    return dict(zip(steps.states, after, strict=True)), x, before


def _is_close(got: Floats, expected: Floats) -> bool:
    if got.shape != expected.shape:
        return False
    return bool((np.abs(got - expected) <= TOLERANCE * np.maximum(1.0, np.abs(expected))).all())


def _gates(steps: Steps) -> tuple[list[ir.Node], list[ir.Node]]:
    """The Sigmoid and Tanh nodes of a step."""
    nodes = steps.piece([state.after for state in steps.states]).nodes
    return [node for node in nodes if is_op(node, "Sigmoid")], [node for node in nodes if is_op(node, "Tanh")]


def _into(node: ir.Node) -> ir.Value:
    assert node.inputs[0] is not None
    return node.inputs[0]


def _lstms(steps: Steps, width: int, hidden: int) -> Iterator[Cell]:
    """Every LSTM that the step may be."""
    sigmoids, tanhs = _gates(steps)
    for state, cell in (steps.states, steps.states[::-1]):
        fresh = [node for node in tanhs if not _reads(steps, _into(node), cell.before)]
        if len(tanhs) != 2 or len(fresh) != 1 or any(_reads(steps, _into(node), cell.before) for node in sigmoids):
            continue
        *outer, last = _probed(steps, [_into(node) for node in (*sigmoids, *fresh)], state, width, hidden)
        if len(outer) != 3:
            continue
        for enter, leave, forget in permutations(outer):
            found = [enter, leave, forget, last]
            biases = np.concatenate([*(gate.bias for gate in found), np.zeros(4 * hidden)])
            yield Cell("LSTM", *_stacked(found), biases.astype(np.float32), (state, cell))


def _grus(steps: Steps, width: int, hidden: int) -> Iterator[Cell]:
    """Every GRU that the step may be. The reset gate's value is given, to see what it is multiplied by."""
    sigmoids, tanhs = _gates(steps)
    (state,) = steps.states
    if len(tanhs) != 1:
        return
    outer = _probed(steps, [_into(node) for node in sigmoids], state, width, hidden)
    if len(outer) != 2:
        return
    for resetting in (1, 0):
        reset, update = outer[resetting], outer[1 - resetting]
        shut, opened = (
            _probed(steps, [_into(tanhs[0])], state, width, hidden, _held(sigmoids, resetting, to, hidden))
            for to in (0.0, 1.0)
        )
        if len(shut) != 1 or len(opened) != 1:
            continue
        inner = opened[0].bias - shut[0].bias
        fresh = _Affine(shut[0].weights, opened[0].recurrence, shut[0].bias)
        biases = np.concatenate([update.bias, reset.bias, fresh.bias, np.zeros(2 * hidden), inner]).astype(np.float32)
        for linear in (False, True):
            yield Cell("GRU", *_stacked([update, reset, fresh]), biases, (state,), linear_before_reset=linear)


def _held(sigmoids: Sequence[ir.Node], which: int, to: float, hidden: int) -> dict[ir.Value, Floats]:
    """What Sigmoid nodes give where one of the two gates is `to` and the other a half: of a node each, or of one."""
    gates = [np.full(hidden, to if gate == which else 0.5) for gate in (0, 1)]
    given = gates if len(sigmoids) == 2 else [np.concatenate(gates)]
    return {node.outputs[0]: array for node, array in zip(sigmoids, given, strict=True)}


def _reads(steps: Steps, value: ir.Value, source: ir.Value) -> bool:
    """Whether a value of a step depends on another."""
    piece = steps.piece([value])
    return piece.shown(value) is source or any(source in node.inputs for node in piece.nodes)


def _probed(
    steps: Steps,
    values: Sequence[ir.Value],
    state: State,
    width: int,
    hidden: int,
    held: Mapping[ir.Value, Floats] | None = None,
) -> list[_Affine]:
    """Values of a step as affine functions of its input and hidden state, cut into pieces as wide as the state.

    Args:
        held: values that are given, the same for every row.
    """
    held = held or {}
    rows = 1 + width + hidden
    x, h = np.zeros((rows, width)), np.zeros((rows, hidden))
    x[1 : 1 + width], h[1 + width :] = np.eye(width), np.eye(hidden)
    feeds = {steps.element: x, **{other.before: np.zeros((rows, hidden)) for other in steps.states}, state.before: h}
    feeds |= {value: np.tile(row, (rows, 1)) for value, row in held.items()}
    found = []
    for array in steps.piece(values, [*held]).run(feeds):
        if array.ndim != 2 or len(array) != rows or array.shape[1] % hidden:
            raise Unfit("a gate is not as wide as its state")
        for part in np.split(array, array.shape[1] // hidden, axis=1):
            slopes = part[1:] - part[0]
            found.append(_Affine(slopes[:width], slopes[width:], part[0]))
    return found


def _stacked(gates: Sequence[_Affine]) -> tuple[Floats, Floats]:
    """W [g * H, I] and R [g * H, H], in float32."""
    weights, recurrence = (
        np.concatenate([np.ascontiguousarray(array.T) for array in arrays]).astype(np.float32)
        for arrays in ([gate.weights for gate in gates], [gate.recurrence for gate in gates])
    )
    return weights, recurrence


def _sigmoid(x: Floats) -> Floats:
    result: Floats = 0.5 * (1.0 + np.tanh(0.5 * x))
    return result


def _step(cell: Cell, x: Floats, before: Sequence[Floats]) -> tuple[Floats, ...]:
    """One step of a cell as ONNX defines it.

    Source: ONNX LSTM-22, GRU-22.
    """
    gates = 4 if cell.kind == "LSTM" else 3
    hidden = before[0]
    of_input = np.split(x @ cell.weights.T + cell.biases[: len(cell.weights)], gates, axis=1)
    of_state = np.split(hidden @ cell.recurrence.T + cell.biases[len(cell.weights) :], gates, axis=1)
    if cell.kind == "LSTM":
        enter, leave, forget, fresh = (a + b for a, b in zip(of_input, of_state, strict=True))
        memory = _sigmoid(forget) * before[1] + _sigmoid(enter) * np.tanh(fresh)
        return _sigmoid(leave) * np.tanh(memory), memory
    update, reset = (_sigmoid(a + b) for a, b in zip(of_input[:2], of_state[:2], strict=True))
    if cell.linear_before_reset:
        inner = reset * of_state[2]
    else:
        inner = (reset * hidden) @ cell.recurrence[2 * cell.hidden :].T + cell.biases[-cell.hidden :]
    return ((1 - update) * np.tanh(of_input[2] + inner) + update * hidden,)
