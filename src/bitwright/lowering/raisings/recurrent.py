"""UNIDIRECTIONAL_SEQUENCE_LSTM: LSTM.

ONNX's LSTM keeps no state between runs: the graph starts at zero each time, as the file does on its first run. The
node remembers (`provenance.KEEPS_STATE`), so that lowering gives the file's operator again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from bitwright.errors import UnsupportedOpError
from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.lowering.provenance import KEEPS_STATE
from bitwright.lowering.raisings.builder import Attribute, stands_for_reals, stored_form
from bitwright.lowering.raisings.step import Step
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation
from bitwright.program.options import UnidirectionalSequenceLSTMOptions
from bitwright.program.tensor import Array, Tensor


@dataclass(frozen=True)
class Gates:
    """Operands that belong to the gates: the first of them, and where from there each gate's is."""

    first: int
    what: str
    of: tuple[int, ...] = (0, 1, 2, 3)


_INPUT = Gates(1, "input_weights")
_RECURRENT = Gates(5, "recurrent_weights")
_BIAS = Gates(12, "bias")
#: Of the input, forget and output gate: the cell gate has none.
_PEEPHOLE = Gates(9, "peephole_weights", (0, 1, -1, 2))
_PROJECTION, _LAYER_NORM = (16, 17), (20, 21, 22, 23)

#: ONNX's order of the gates, by theirs here.
_INPUT_GATE, _FORGET_GATE, _CELL_GATE, _OUTPUT_GATE = range(4)
_ONNX_GATES = (_INPUT_GATE, _OUTPUT_GATE, _FORGET_GATE, _CELL_GATE)
_ONNX_PEEPHOLES = _ONNX_GATES[:3]

_ACTIVATIONS = {Activation.TANH: "Tanh", Activation.RELU: "Relu"}


def lstm(step: Step) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: data [N, T, I] or, time first, [T, N, I]."""
    o = step.options(UnidirectionalSequenceLSTMOptions)
    if reason := _refusal(step, o):
        raise UnsupportedOpError(reason)
    times, rows = step.input(0).shape[:2] if o.time_major else step.input(0).shape[1::-1]
    width = step.output.shape[2]
    order = (0, 1, 2) if o.time_major else (1, 0, 2)
    inputs: list[ir.Value | None] = [step.operand(0, order)]
    inputs += [_stacked(step, gates, _ONNX_GATES) for gates in (_INPUT, _RECURRENT)]
    inputs.append(_both_biases(step))
    if step.has(_PEEPHOLE.first + _PEEPHOLE.of[_OUTPUT_GATE]):
        inputs += [None, None, None, _stacked(step, _PEEPHOLE, _ONNX_PEEPHOLES)]
    attributes: dict[str, Attribute] = {"hidden_size": width}
    if o.fused_activation_function is not Activation.TANH:
        inner = _ACTIVATIONS[o.fused_activation_function]
        attributes["activations"] = ["Sigmoid", inner, inner]
    whole = step.node("LSTM", inputs, (times, 1, rows, width), attributes=attributes)
    step.nodes[-1].metadata_props[KEEPS_STATE] = "true"
    step.give("Squeeze", [whole, step.integers((1,), "axes")], order=order)


def _refusal(step: Step, o: UnidirectionalSequenceLSTMOptions) -> str:
    """Why ONNX's LSTM does not compute this one, "" when it does."""
    if step.is_integer:
        return "an LSTM that computes in integers has inner parameters that a graph does not hold"
    if any(step.has(i) for i in _PROJECTION):
        return "ONNX's LSTM has no projection"
    if any(step.has(i) for i in _LAYER_NORM):
        return "ONNX's LSTM does not normalize its gates"
    if o.cell_clip > 0:
        return "ONNX's LSTM does not clip its cell"
    if o.fused_activation_function not in _ACTIVATIONS:
        return f"ONNX's LSTM has no activation {o.fused_activation_function}"
    if o.diagonal_recurrent_tensors:
        return "its recurrent weights are diagonal"
    return ""


def _gates(step: Step, gates: Gates, order: tuple[int, ...]) -> list[Tensor]:
    """The constants of gates in an order.

    One without an input gate takes 1 - forget gate for it: sigmoid(-x) = 1 - sigmoid(x), so the forget gate's numbers
    with the other sign are the input gate's.
    """
    found: list[Tensor] = []
    for gate in order:
        coupled = gate == _INPUT_GATE and not step.has(_INPUT.first)
        index = gates.first + gates.of[_FORGET_GATE if coupled else gate]
        held = step.builder.held.get(step.input(index).name)
        if held is None or held.constant is None or held.constant.data is None:
            raise UnsupportedOpError(f"its operand {step.input(index).name!r} is computed; ONNX wants it constant here")
        found.append(_negated(held.constant) if coupled else held.constant)
    return found


def _negated(tensor: Tensor) -> Tensor:
    """The constant with the other sign; as floats where its integers have none that stands for it."""
    data, qparams = _array(tensor), tensor.qparams
    if qparams is None or (qparams.symmetric and data.min(initial=0) > np.iinfo(data.dtype).min):
        return Tensor(tensor.name, tensor.shape, tensor.dtype, qparams, -data)
    return Tensor(tensor.name, tensor.shape, data=-_reals(tensor))


def _stacked(step: Step, gates: Gates, order: tuple[int, ...]) -> ir.Value:
    """The constants of gates, [H, ...] each, as one [1, gates * H, ...], each row under its gate's scale."""
    parts = _gates(step, gates, order)
    name = f"{step.output.name}_{gates.what}"
    if all(stands_for_reals(part) for part in parts) and len({part.dtype for part in parts}) == 1:
        scales, points = zip(*(_rows(part) for part in parts), strict=True)
        qparams = QuantParams(np.concatenate(scales), np.concatenate(points), parts[0].dtype, 1)
        integers = np.concatenate([_array(part) for part in parts])[None]
        return step.builder.initializer(QuantizedTensor(integers, qparams), name)
    if all(part.dtype == "f16" for part in parts):
        return step.builder.initializer(HalfTensor(np.concatenate([_array(part) for part in parts])[None]), name)
    return step.builder.initializer(ir.Tensor(np.concatenate([_reals(part) for part in parts])[None]), name)


def _rows(part: Tensor) -> tuple[Array, Array]:
    """Scale and zero_point of every row."""
    qparams = part.qparams
    assert qparams is not None
    shape = (part.shape[0],)
    return np.broadcast_to(qparams.scale, shape), np.broadcast_to(qparams.zero_point, shape)


def _both_biases(step: Step) -> ir.Value:
    """[1, 8 H]: the biases, and zeros for the recurrent ones."""
    biases = np.concatenate([_reals(part) for part in _gates(step, _BIAS, _ONNX_GATES)])
    both = np.concatenate([biases, np.zeros_like(biases)])[None]
    return step.builder.initializer(ir.Tensor(both), f"{step.output.name}_{_BIAS.what}")


def _reals(tensor: Tensor) -> Array:
    return np.asarray(stored_form(tensor, halves=tensor.dtype == "f16").numpy(), np.float32)


def _array(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data


RAISINGS = {"UNIDIRECTIONAL_SEQUENCE_LSTM": lstm}
