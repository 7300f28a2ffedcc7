"""LSTM and GRU: unrolled into FULLY_CONNECTED and elementwise steps.

Unrolling keeps what ONNX says: states come in and go out as values, and every run starts from them. An LSTM that was
raised from TFLite's own, whose states last from run to run, becomes that again (`kept_state`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.lowering.constant import Constant
from bitwright.lowering.context import Array, Form
from bitwright.lowering.element_layout import Layout, row_major, transposed
from bitwright.lowering.lowerings.kept_state import is_sequence_lstm, lower_sequence_lstm
from bitwright.lowering.lowerings.normalization import Composer
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.lowering.weights import quantizes_asymmetrically, weight_tensor
from bitwright.program.options import ConcatenationOptions, FullyConnectedOptions, SplitOptions

#: More steps than this would make a Program of thousands of operators.
MOST_STEPS = 256


@dataclass(frozen=True)
class Sizes:
    """T steps, B rows, I inputs, H hidden values, D directions."""

    steps: int
    rows: int
    inputs: int
    hidden: int
    directions: int


class Cell:
    """One direction of a recurrent node: its weights as tensors, and one step.

    Args:
        step: the node.
        direction: which slice of the weights is its own.
        sizes: of the node.
    """

    gates = 1

    def __init__(self, step: Step, direction: int, sizes: Sizes) -> None:
        self.step, self.direction, self.sizes = step, direction, sizes
        self.do = Composer(step)
        self.kernel = step.kernel([], integer=())
        self.of_data, self.of_state = self._weights(1), self._weights(2)
        self.data_bias, self.state_bias = self._biases()

    def _weights(self, index: int) -> Constant:
        constant = self.step.constant(index)
        if constant is None:
            raise Refusal("its weights are not constant")
        return constant.rearranged(lambda array: array[self.direction], axis=0)

    def _biases(self) -> tuple[Array, Array]:
        count = self.gates * self.sizes.hidden
        if not self.step.has(3):
            return np.zeros(count, np.float32), np.zeros(count, np.float32)
        constant = self.step.constant(3)
        if constant is None:
            raise Refusal("its bias is not constant")
        both: Array = constant.real()[self.direction].astype(np.float32)
        return both[:count], both[count:]

    def product(self, name: str, data: str, weight: Constant, bias: Array | None) -> str:
        """[rows, K] times the transpose of [O, K], plus a bias."""
        step = self.step
        filters = weight_tensor(step, self.kernel, weight)
        added = [] if bias is None or not bias.any() else [self.do.array(f"{name}_bias", bias)]
        result = step.build.tensor(f"{step.name}_{name}", (step.build.shape(data)[0], weight.shape[0]))
        options = FullyConnectedOptions(asymmetric_quantize_inputs=quantizes_asymmetrically(step, weight))
        step.build.emit("FULLY_CONNECTED", [data, filters, *added], [result], options)
        return result

    def each_step(self, data: str) -> list[str]:
        """The data's share of the gates, step by step: one product for all steps."""
        whole = self.product("of_data", data, self.of_data, self.whole_bias())
        return _parts(self.step, "steps", whole, self.sizes.steps, 0)

    def whole_bias(self) -> Array:
        return self.data_bias + self.state_bias

    def advance(self, share: str, hidden: str | None, cell: str | None) -> tuple[str, str | None]:
        """(hidden, cell) after a step; None stands for zeros."""
        raise NotImplementedError


class LstmCell(Cell):
    """Gates in the order i, o, f, c.

    c' = sigmoid(f) * c + sigmoid(i) * tanh(c~), h' = sigmoid(o) * tanh(c')

    Source: ONNX LSTM-14.
    """

    gates = 4

    def advance(self, share: str, hidden: str | None, cell: str | None) -> tuple[str, str | None]:
        do = self.do
        if hidden is not None:
            share = do.do("ADD", "gates", share, self.product("of_state", hidden, self.of_state, None))
        enter, leave, forget, fresh = _parts(self.step, "gate", share, 4, 1)
        entering = do.do("MUL", "entering", do.do("LOGISTIC", "enter", enter), do.do("TANH", "fresh", fresh))
        if cell is not None:
            kept = do.do("MUL", "kept", do.do("LOGISTIC", "forget", forget), cell)
            entering = do.do("ADD", "cell", kept, entering)
        out = do.do("MUL", "hidden", do.do("LOGISTIC", "leave", leave), do.do("TANH", "cell_tanh", entering))
        return out, entering


class GruCell(Cell):
    """Gates in the order z, r, h.

    h' = (1 - z) * n + z * h, with n = tanh(x W + (r * h) R) or, linear before reset, tanh(x W + r * (h R))

    Source: ONNX GRU-14.
    """

    gates = 3

    def whole_bias(self) -> Array:
        """The state's bias of the last gate is added later where the reset comes after the product."""
        hidden = self.sizes.hidden
        if not self.step.number("linear_before_reset", 0):
            return self.data_bias + self.state_bias
        return np.concatenate([(self.data_bias + self.state_bias)[: 2 * hidden], self.data_bias[2 * hidden :]])

    def advance(self, share: str, hidden: str | None, cell: str | None) -> tuple[str, str | None]:
        do, count = self.do, self.sizes.hidden
        if hidden is None:
            hidden = self.do.array("zeros", np.zeros((self.sizes.rows, count), np.float32))
        update, reset, fresh = _parts(self.step, "gate", share, 3, 1)
        gates = self.of_state.rearranged(lambda a: a[: 2 * count], axis=0, take=np.arange(2 * count))
        last = self.of_state.rearranged(lambda a: a[2 * count :], axis=0, take=np.arange(2 * count, 3 * count))
        of_update, of_reset = _parts(self.step, "of_state", self.product("of_gates", hidden, gates, None), 2, 1)
        z = do.do("LOGISTIC", "update", do.do("ADD", "update_sum", update, of_update))
        r = do.do("LOGISTIC", "reset", do.do("ADD", "reset_sum", reset, of_reset))
        if self.step.number("linear_before_reset", 0):
            product = self.product("of_hidden", hidden, last, self.state_bias[2 * count :])
            inner = do.do("MUL", "reset_hidden", r, product)
        else:
            inner = self.product("of_hidden", do.do("MUL", "reset_hidden", r, hidden), last, None)
        n = do.do("TANH", "fresh", do.do("ADD", "fresh_sum", fresh, inner))
        moved = do.do("MUL", "moved", z, do.do("SUB", "difference", hidden, n))
        return do.do("ADD", "hidden", n, moved), None


def _check(step: Step, activations: list[str], steps: int) -> None:
    """Refuse what the unrolled form does not do."""
    named = step.node.attributes.get("activations")
    given = [str(name).lower() for name in named.as_strings()] if named is not None else []
    if any(name != wanted for name, wanted in zip(given, activations * 2, strict=False)):
        raise Refusal("its activations are not the usual ones")
    if step.real("clip", 0.0) or step.number("input_forget", 0):
        raise Refusal("clips or couples its gates")
    if steps > MOST_STEPS:
        raise Refusal(
            f"has {steps} steps, more than {MOST_STEPS} to unroll (recurrent operators of .tflite keep their states "
            "from run to run, ONNX's start anew): split the sequence, and feed the states as inputs"
        )
    if step.has(4):
        lengths = step.array(4, "sequence lengths")
        if lengths is not None and (lengths != steps).any():
            raise Refusal("has sequences of different lengths")
    if step.has(7) and np.asarray(step.array(7, "peepholes")).any():
        raise Refusal("looks at its cell through peepholes")


def lower_recurrent(step: Step, kind: type[Cell], activations: list[str]) -> None:
    batch_first = bool(step.number("layout", 0))
    data = step.value(0)
    if batch_first:
        data = step.low.transposed_view(data, (1, 0, 2), None)
    steps, rows, inputs = step.shape(data)
    direction = step.text("direction", "forward")
    reversals = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    sizes = Sizes(steps, rows, inputs, step.shape(step.value(2))[2], len(reversals))
    _check(step, activations, steps)
    tensor = step.low.laid(data, row_major(step.shape(data)), (steps * rows, inputs), None)
    hidden_in, cell_in = (_states(step, index, sizes, batch_first) for index in (5, 6))
    found: list[list[str]] = []  # hidden values, per direction and step
    hidden_out, cell_out = [], []
    for number, backwards in enumerate(reversals):
        cell = kind(step, number, sizes)
        shares = cell.each_step(tensor)
        hidden, state = hidden_in[number], cell_in[number]
        outputs: list[str] = []
        for share in reversed(shares) if backwards else shares:
            hidden, state = cell.advance(share, hidden, state)
            outputs.append(hidden)
        found.append(outputs[::-1] if backwards else outputs)
        hidden_out.append(outputs[-1])
        cell_out.append(state)
    every = [found[d][t] for t in range(steps) for d in range(sizes.directions)]
    whole = (steps, sizes.directions, rows, sizes.hidden)
    _give(step, 0, every, whole, (2, 0, 1, 3) if batch_first else None)
    last = (sizes.directions, rows, sizes.hidden)
    _give(step, 1, hidden_out, last, (1, 0, 2) if batch_first else None)
    _give(step, 2, [state for state in cell_out if state is not None], last, (1, 0, 2) if batch_first else None)


def _states(step: Step, index: int, sizes: Sizes, batch_first: bool) -> Sequence[str | None]:
    """The state that every direction starts from, [rows, hidden]; None for zeros."""
    if not step.has(index):
        return [None] * sizes.directions
    array = step.low.concrete.array(step.node.inputs[index])
    if array is not None and not array.any():
        return [None] * sizes.directions
    value = step.value(index)
    if batch_first and sizes.directions > 1:
        value = step.low.transposed_view(value, (1, 0, 2), None)
    shape = (sizes.directions * sizes.rows, sizes.hidden)
    tensor = step.low.laid(value, row_major(shape), shape, None)
    return _parts(step, f"state_{index}", tensor, sizes.directions, 0)


def _parts(step: Step, name: str, tensor: str, count: int, axis: int) -> list[str]:
    """A tensor cut into equal parts."""
    if count == 1:
        return [tensor]
    shape = list(step.build.shape(tensor))
    shape[axis] //= count
    made = [step.build.tensor(f"{step.name}_{name}_{i}", shape) for i in range(count)]
    where = step.build.constant(f"{step.name}_{name}_axis", np.array(axis, np.int32), "i32")
    step.build.emit("SPLIT", [where, tensor], made, SplitOptions(num_splits=count))
    return made


def _give(
    step: Step, output: int, tensors: Sequence[str], shape: tuple[int, ...], perm: tuple[int, ...] | None
) -> None:
    """A result that is made of tensors one after the other, wanted or not."""
    if output >= len(step.node.outputs) or not step.node.outputs[output].name or not tensors:
        return
    value = step.node.outputs[output]
    if not value.uses() and not value.is_graph_output():
        return
    tensor = tensors[0]
    if len(tensors) > 1:
        rows = sum(step.build.shape(part)[0] for part in tensors)
        tensor = step.build.tensor(f"{value.name}_joined", (rows, shape[-1]))
        step.build.emit("CONCATENATION", tensors, [tensor], ConcatenationOptions(axis=0))
    layout: Layout | None = row_major(shape)
    if perm is not None and layout is not None:
        layout = transposed(layout, shape, perm)
    assert layout is not None
    step.low.forms[value] = [Form(tensor, layout, None)]


def lower_lstm(step: Step) -> None:
    if is_sequence_lstm(step):
        lower_sequence_lstm(step)
    else:
        lower_recurrent(step, LstmCell, ["sigmoid", "tanh", "tanh"])


LOWERINGS: dict[str, Callable[[Step], None]] = {
    "LSTM": lower_lstm,
    "GRU": lambda step: lower_recurrent(step, GruCell, ["sigmoid", "tanh"]),
}
