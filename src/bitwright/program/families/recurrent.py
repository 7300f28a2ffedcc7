"""UNIDIRECTIONAL_SEQUENCE_LSTM: with f32 weights, or with i8 weights and f32 activations (hybrid).

    i, f, o = logistic(W x + R h + p * c + b), g = activation(W x + R h + b)     each gate with its own W, R, p, b
    c = clip(f * c + i * g), h = o * activation(c), with a projection h = clip(P h + b)

Without the weights of the input gate i = 1 - f. With layer norm coefficients n a gate is
logistic(n * normalized(W x + R h + p * c) + b). c in the peephole of o is the new one.

Source: LiteRT tflite/kernels/unidirectional_sequence_lstm.cc, lstm_eval.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError
from bitwright.program.definition import Call, Definition
from bitwright.program.fixed_point import REAL_BOUNDS
from bitwright.program.hybrid import Quantized, quantize_rows, scaled_sums
from bitwright.program.operands import need_rank
from bitwright.program.operator import Activation
from bitwright.program.options import UnidirectionalSequenceLSTMOptions
from bitwright.program.tensor import Shape

Floats = NDArray[np.float32]

INPUT_WEIGHTS, RECURRENT_WEIGHTS, PEEPHOLES, BIASES, NORMS = 1, 5, 9, 12, 20
PROJECTION, PROJECTION_BIAS, HIDDEN_STATE, CELL_STATE = 16, 17, 18, 19
#: The order of gates among the weights; the cell gate has no peephole.
INPUT, FORGET, CELL, OUTPUT = range(4)
_PEEPHOLE_OF = {INPUT: 9, FORGET: 10, OUTPUT: 11}
#: Operands of an LSTM without projection, peepholes, layer norm and input gate; all others may be left out.
_NEEDED = (0, 2, 3, 4, 6, 7, 8, 13, 14, 15, HIDDEN_STATE, CELL_STATE)


def _infer(call: Call) -> tuple[Shape, ...]:
    missing = [index for index in _NEEDED if not call.has(index)]
    if missing:
        raise ModelError(f"operands {missing} are left out")
    first, second, inputs = need_rank(call.input(0), 3)
    cells = need_rank(call.input(INPUT_WEIGHTS + OUTPUT), 2)[0]
    outputs = need_rank(call.input(RECURRENT_WEIGHTS + OUTPUT), 1, 2)[-1]
    batch = second if call.options(UnidirectionalSequenceLSTMOptions).time_major else first
    if not call.has(PROJECTION) and outputs != cells:
        raise ModelError(f"{cells} cells do not make {outputs} outputs without a projection")
    if call.has(INPUT_WEIGHTS) != call.has(RECURRENT_WEIGHTS) or call.has(INPUT_WEIGHTS) != call.has(BIASES):
        raise ModelError("of the input gate some operands are there and some are not")
    for index, shape in _shapes(inputs, cells, outputs, batch):
        if not call.has(index):
            continue
        diagonal = RECURRENT_WEIGHTS <= index < PEEPHOLES and call.input(index).shape == (cells,) == (outputs,)
        if call.input(index).shape != shape and not diagonal:
            raise ModelError(f"operand {index} is {list(call.input(index).shape)}, not {list(shape)}")
    return ((first, second, outputs),)


def _shapes(inputs: int, cells: int, outputs: int, batch: int) -> tuple[tuple[int, Shape], ...]:
    """What every operand but the input looks like."""
    return (
        *((INPUT_WEIGHTS + gate, (cells, inputs)) for gate in range(4)),
        *((RECURRENT_WEIGHTS + gate, (cells, outputs)) for gate in range(4)),
        *((index, (cells,)) for index in (*range(PEEPHOLES, PROJECTION), *range(NORMS, NORMS + 4))),
        (PROJECTION, (outputs, cells)),
        (PROJECTION_BIAS, (outputs,)),
        (HIDDEN_STATE, (batch, outputs)),
        (CELL_STATE, (batch, cells)),
    )


def _refuse(call: Call) -> str:
    activation = call.options(UnidirectionalSequenceLSTMOptions).fused_activation_function
    if activation is Activation.NONE:
        return "LiteRT leaves the cell gate unwritten when the activation is NONE"
    if call.input(0).dtype in ("i8", "i16"):
        return "an integer LSTM needs the intermediate tensors of its file, which are not kept"
    if call.input(0).dtype != "f32" or call.output.dtype != "f32":
        return f"an LSTM takes and gives f32 (got {call.input(0).dtype} and {call.output.dtype})"
    if not (call.input(HIDDEN_STATE).variable and call.input(CELL_STATE).variable):
        return "the states of an LSTM are variable tensors"
    weights = call.input(INPUT_WEIGHTS + OUTPUT).dtype
    if weights not in ("f32", "i8"):
        return f"weights are f32 or i8 (got {weights})"
    for index in range(1, len(call.inputs)):
        if not call.has(index):
            continue
        tensor = call.input(index)
        diagonal = RECURRENT_WEIGHTS <= index < PEEPHOLES and len(tensor.shape) == 1
        wanted = weights if (index < BIASES or index == PROJECTION) and not diagonal else "f32"
        if tensor.dtype != wanted:
            return f"operand {index} is {tensor.dtype}, not {wanted}"
        if wanted == "i8" and (tensor.qparams is None or tensor.qparams.scale.size != 1 or tensor.zero_point):
            return f"operand {index} needs one scale and zero_point 0"
    return ""


@dataclass(frozen=True, eq=False)
class _Matrix:
    """A weight operand: [O,K] of f32 or of i8 with a scale, or the diagonal [O] of f32."""

    values: NDArray[np.float32] | NDArray[np.int8]
    scale: float

    def times(self, x: Floats, rows: Quantized | None) -> Floats:
        """[B,O], the product with x [B,K]; `rows` are those of x quantized."""
        if self.values.ndim == 1:
            return x * self.values.astype(np.float32)
        if rows is None:
            return x @ self.values.astype(np.float32, copy=False).T
        sums = rows.centred @ self.values.astype(np.int64).T
        return scaled_sums(sums, rows.scale[:, None], np.asarray(self.scale, np.float32), None)


class _Lstm:
    """The constants of one call."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.options = call.options(UnidirectionalSequenceLSTMOptions)
        self.hybrid = call.input(INPUT_WEIGHTS + OUTPUT).dtype == "i8"
        self.gates = [gate for gate in range(4) if call.has(INPUT_WEIGHTS + gate)]

    def matrix(self, index: int) -> _Matrix:
        tensor = self.call.input(index)
        return _Matrix(self.call.array(index), 1.0 if tensor.qparams is None else tensor.scale)

    def vector(self, index: int | None) -> Floats | None:
        """An operand of one number a cell, as reals; None where it is left out."""
        if index is None or not self.call.has(index):
            return None
        return self.call.array(index).astype(np.float32) * np.float32(self.matrix(index).scale)

    def rows(self, x: Floats) -> Quantized | None:
        return quantize_rows(x, asymmetric=self.options.asymmetric_quantize_inputs) if self.hybrid else None

    def products(self, index: int, x: Floats) -> dict[int, Floats]:
        """By gate, the product of x [B,K] with the gate's weights; `index` is that of the input gate's."""
        rows = self.rows(x)
        return {gate: self.matrix(index + gate).times(x, rows) for gate in self.gates}

    def gate(self, gate: int, total: Floats, cell: Floats) -> Floats:
        """A gate's value from W x + R h (`total`, [B,O]) and the cell state."""
        peephole = self.vector(_PEEPHOLE_OF.get(gate))
        if peephole is not None:
            total = total + peephole * cell
        norm = self.vector(NORMS + gate)
        if norm is not None:
            centred = total - total.mean(axis=1, keepdims=True)
            total = centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + np.float32(1e-8)) * norm
        total = total + self.call.array(BIASES + gate)
        return self.activate(total) if gate == CELL else _logistic(total)

    def activate(self, x: Floats) -> Floats:
        activation = self.options.fused_activation_function
        if activation is Activation.TANH:
            return np.tanh(x)
        low, high = REAL_BOUNDS[activation]
        return np.clip(x, low, np.inf if high is None else high)

    def step(self, from_input: dict[int, Floats], hidden: Floats, cell: Floats) -> tuple[Floats, Floats]:
        """(hidden, cell) after one step."""
        from_hidden = self.products(RECURRENT_WEIGHTS, hidden)
        total = {gate: from_input[gate] + from_hidden[gate] for gate in self.gates}
        forget = self.gate(FORGET, total[FORGET], cell)
        taken = self.gate(INPUT, total[INPUT], cell) if INPUT in total else np.float32(1) - forget
        cell = _clipped(forget * cell + taken * self.gate(CELL, total[CELL], cell), self.options.cell_clip)
        hidden = self.gate(OUTPUT, total[OUTPUT], cell) * self.activate(cell)
        if self.call.has(PROJECTION):
            hidden = self.matrix(PROJECTION).times(hidden, self.rows(hidden))
            if self.call.has(PROJECTION_BIAS):
                hidden = hidden + self.call.array(PROJECTION_BIAS)
            hidden = _clipped(hidden, self.options.proj_clip)
        return hidden, cell


def _logistic(x: Floats) -> Floats:
    with np.errstate(over="ignore"):  # exp overflows to infinity, whose reciprocal is the 0 it should be
        return np.float32(1) / (np.float32(1) + np.exp(-x))


def _clipped(x: Floats, bound: float) -> Floats:
    return np.clip(x, -np.float32(bound), np.float32(bound)) if bound > 0 else x


def _reference(call: Call) -> tuple[Floats, ...]:
    """All steps; leaves the states behind."""
    lstm = _Lstm(call)
    x: Floats = call.array(0)
    if not lstm.options.time_major:
        x = x.transpose(1, 0, 2)
    steps, batch, inputs = x.shape
    hidden, cell = call.array(HIDDEN_STATE), call.array(CELL_STATE)
    every = lstm.products(INPUT_WEIGHTS, x.reshape(steps * batch, inputs))
    given = np.empty((steps, *hidden.shape), np.float32)
    for t in range(steps):
        now = {gate: product[t * batch : (t + 1) * batch] for gate, product in every.items()}
        hidden, cell = lstm.step(now, hidden, cell)
        given[t] = hidden
    call.state[call.input(HIDDEN_STATE).name] = hidden
    call.state[call.input(CELL_STATE).name] = cell
    return (given if lstm.options.time_major else np.ascontiguousarray(given.transpose(1, 0, 2)),)


DEFINITIONS: dict[str, Definition] = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Definition(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", _infer, _reference, (1, 24), UnidirectionalSequenceLSTMOptions, _refuse
    )
}
