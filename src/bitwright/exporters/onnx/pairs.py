"""Reads QuantizeLinear -> DequantizeLinear pairs: parameters of the values before them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from bitwright.exporters.onnx.editor import Editor
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.quantize_nodes import pair_parameters
from bitwright.quantization.rules import Kind, activation_operands, rule_of


def take_over(value: ir.Value, other: ir.Value) -> None:
    """`value` takes the name, the type, the readers and the graph output of `other`."""
    name = str(other.name)
    other.replace_all_uses_with(value, replace_graph_outputs=True)
    other.name = name + "_replaced"
    value.name = name
    value.type, value.shape = other.type or ir.TensorType(ir.DataType.FLOAT), other.shape or value.shape


@dataclass(frozen=True)
class _Pair:
    """The QuantizeLinears of a value and the DequantizeLinears behind them, all of the same parameters."""

    value: ir.Value
    quantize: tuple[ir.Node, ...]
    dequantize: tuple[ir.Node, ...]
    qparams: QuantParams

    @property
    def reals(self) -> list[ir.Value]:
        return [node.outputs[0] for node in self.dequantize]

    @property
    def outputs(self) -> list[ir.Value]:
        return [value for value in self.reals if value.is_graph_output()]


def read_activations(editor: Editor) -> dict[str, QuantParams]:
    """Q -> DQ pairs become parameters of the value before them, where the writer would write the same pair again."""
    quantized = dict.fromkeys(n.inputs[0] for n in editor.graph if n.op_type == "QuantizeLinear")
    pairs = {pair.value: pair for value in quantized if (pair := _pair(value)) is not None}
    while True:
        integer = _integer_nodes(pairs)
        kept = {value: pair for value, pair in pairs.items() if _is_written_again(pair, integer)}
        if len(kept) == len(pairs):
            break
        pairs = kept
    for value, pair in pairs.items():
        for real in pair.reals:
            if real.is_graph_output():
                take_over(value, real)
            else:
                real.replace_all_uses_with(value)
        for old in (*pair.dequantize, *pair.quantize):
            editor.graph.remove(old, safe=True)
    return {str(value.name): pair.qparams for value, pair in pairs.items()}


def _pair(value: ir.Value | None) -> _Pair | None:
    if value is None or value.is_initializer():
        return None
    quantize = tuple(reader for reader in value.consumers() if reader.op_type == "QuantizeLinear")
    found = {pair_parameters(node) for node in quantize}
    qparams = found.pop()
    if found or qparams is None or qparams.granularity != "per-tensor":
        return None
    return _Pair(value, quantize, tuple(n for node in quantize for n in node.outputs[0].consumers()), qparams)


def _integer_nodes(pairs: dict[ir.Value, _Pair]) -> set[ir.Node]:
    """Nodes with a row in the rules that take a dequantized value as an activation, and clamps right behind them."""
    found = set()
    for pair in pairs.values():
        for real in pair.reals:
            for node in real.consumers():
                rule = rule_of(node)
                if rule is not None and any(operand is real for operand in activation_operands(node, rule)):
                    found.add(node)
    clamps = {reader for node in found for value in node.outputs for reader in value.consumers()}
    return found | {n for n in clamps if (rule := rule_of(n)) is not None and rule.kind is Kind.CLAMP}


def _is_written_again(pair: _Pair, integer: set[ir.Node]) -> bool:
    """Whether the writer, given the value's parameters, would give the same readers the same values."""
    producer = pair.value.producer()
    raw = [node for node in pair.value.consumers() if node not in pair.quantize]
    dequantized = [node for real in pair.reals for node in real.consumers()]
    if producer is not None and producer in integer:
        return not raw and not pair.value.is_graph_output() and len(pair.outputs) <= 1
    return all(n in integer for n in dequantized) and not any(n in integer for n in raw) and not pair.outputs
