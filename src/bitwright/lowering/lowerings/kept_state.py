"""UNIDIRECTIONAL_SEQUENCE_LSTM, for LSTM nodes that were raised from one: its states last from run to run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bitwright.lowering.constant import Constant
from bitwright.lowering.context import Form
from bitwright.lowering.element_layout import placed, row_major
from bitwright.lowering.provenance import has_asymmetric_inputs, keeps_state
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.lowering.weights import is_hybrid
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation
from bitwright.program.options import UnidirectionalSequenceLSTMOptions

#: The operator's order of the gates, and where each stands among ONNX's: input, output, forget, cell.
GATES = ("input", "forget", "cell", "output")
_IN_ONNX = {"input": 0, "output": 1, "forget": 2, "cell": 3}
_PEEPHOLES = ("input", "forget", "output")

_INNER = {"tanh": Activation.TANH, "relu": Activation.RELU}


def is_sequence_lstm(step: Step) -> bool:
    """Whether an LSTM came from the operator, and nothing was made of it since that the operator does not do."""
    forward = step.text("direction", "forward") == "forward" and not step.number("layout", 0)
    alone = not any(step.has(index) for index in (4, 5, 6))
    alone = alone and not any(value.uses() or value.is_graph_output() for value in step.node.outputs[1:])
    clipped = step.real("clip", 0.0) or step.number("input_forget", 0)
    return keeps_state(step.node) and forward and alone and not clipped and _inner(step) is not None


def _inner(step: Step) -> Activation | None:
    """The activation of the cell gate and of the cell; None when the operator does not have it."""
    named = step.node.attributes.get("activations")
    if named is None:
        return Activation.TANH
    outer, *inner = (str(name).lower() for name in named.as_strings())
    return _INNER.get(inner[0]) if outer == "sigmoid" and len(set(inner)) == 1 else None


def lower_sequence_lstm(step: Step) -> None:
    """Data [N, T, I], or [T, N, I] where it lies so, and the result alike."""
    data = step.value(0)
    times, rows, _ = step.shape(data)
    order = (1, 0, 2) if step.low.perm(data, None) == (1, 0, 2) else (0, 1, 2)
    weights, recurrent = _by_gate(step, 1, GATES), _by_gate(step, 2, GATES)
    peepholes = _by_gate(step, 7, _PEEPHOLES) if step.has(7) else {}
    biases = _biases(step, next(iter(recurrent.values())).shape[0])
    groups = (weights, recurrent, peepholes, biases)
    if all(_is_opposite(group["input"], group["forget"]) for group in groups if group):
        for group in groups:  # sigmoid(-x) = 1 - sigmoid(x), which is what the operator takes without an input gate
            group.pop("input", None)
    quantized = [*weights.values(), *recurrent.values(), *peepholes.values()]
    hybrid = all(is_hybrid(step, c) and c.qparams is not None and c.qparams.axis is None for c in quantized)

    def tensors(constants: dict[str, Constant], gates: tuple[str, ...]) -> list[str | None]:
        take = step.low.store if hybrid else step.low.real
        return [take(constants[gate]) if gate in constants else None for gate in gates]

    hidden = next(iter(recurrent.values())).shape[0]
    states = [
        step.build.tensor(f"{step.name}_{what}_state", (rows, hidden), variable=True) for what in ("hidden", "cell")
    ]
    inputs = [step.low.placed(data, order, None), *tensors(weights, GATES), *tensors(recurrent, GATES)]
    inputs += [*tensors(peepholes, _PEEPHOLES), *tensors(biases, GATES), None, None, *states]
    lead = (times, rows) if order == (0, 1, 2) else (rows, times)
    result = step.build.tensor(step.name, (*lead, hidden))
    options = UnidirectionalSequenceLSTMOptions(
        fused_activation_function=_inner(step) or Activation.TANH,
        time_major=order == (0, 1, 2),
        asymmetric_quantize_inputs=hybrid and has_asymmetric_inputs(step.node),
    )
    step.build.emit("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [result], options)
    shape = (times, 1, rows, hidden)
    layout = row_major(shape) if order == (0, 1, 2) else placed(shape, (2, 0, 1, 3))
    step.low.forms[step.output] = [Form(result, layout, None)]


def _by_gate(step: Step, index: int, gates: tuple[str, ...]) -> dict[str, Constant]:
    """A constant [1, gates * H, ...] cut into [H, ...] by gate; one with the same scale in all rows has one scale."""
    constant = step.constant(index)
    if constant is None:
        raise Refusal("its weights are not constant")
    if constant.qparams is not None and constant.qparams.axis not in (None, 1):
        constant = constant.plain()
    count = constant.shape[1] // len(gates)
    found = {}
    for gate in gates:
        rows = np.arange(count) + _IN_ONNX[gate] * count
        part = constant.rearranged(lambda a, rows=rows: a[0, rows], axis=0, take=rows)  # type: ignore[misc]
        found[gate] = _on_one_scale(replace(part, name=f"{constant.name}_{gate}"))
    return found


def _on_one_scale(constant: Constant) -> Constant:
    """The constant with parameters of the whole tensor, where those of its rows are all the same."""
    q = constant.qparams
    if q is None or q.axis is None or (q.scale != q.scale[0]).any() or (q.zero_point != q.zero_point[0]).any():
        return constant
    return replace(constant, qparams=QuantParams(q.scale[:1], q.zero_point[:1], q.storage, None, None, q.narrow_range))


def _biases(step: Step, hidden: int) -> dict[str, Constant]:
    """[H] by gate, f32: that of the data and that of the state together."""
    both = np.zeros((2, 4, hidden), np.float32)
    if step.has(3):
        constant = step.constant(3)
        if constant is None:
            raise Refusal("its bias is not constant")
        both = constant.real().astype(np.float32).reshape(2, 4, hidden)
    name = f"{step.name}_bias"
    return {gate: Constant(f"{name}_{gate}", both[0, at] + both[1, at], "f32") for gate, at in _IN_ONNX.items()}


def _is_opposite(one: Constant, other: Constant) -> bool:
    return one.shape == other.shape and np.array_equal(one.real(), -other.real())
