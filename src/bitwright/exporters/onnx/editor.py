"""Edits that the writer's spellings share: constants, inserted nodes, values that change their producer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.exporters.onnx.names import QUANTIZED, SCALE, ZERO_POINT
from bitwright.graph.constants import QuantizedTensor
from bitwright.graph.naming import free_name
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.quantize_nodes import DATA_TYPES

Made = TypeVar("Made")


class Editor:
    """A graph being respelled. Every added name is free, every added constant an initializer."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.graph = model.graph
        self.scales: dict[str, ir.Value] = {}  # by the name of the value they belong to
        self._parameters: dict[str, list[ir.Value | None]] = {}
        self._shared: dict[tuple[str, bytes, tuple[int, ...]], ir.Value] = {}
        self._made: dict[tuple[str, str], Any] = {}
        self._node_names = {str(n.name) for n in self.graph.all_nodes()}
        self._names = {str(v.name) for n in self.graph.all_nodes() for v in n.outputs}
        self._names |= set(self.graph.initializers) | {str(v.name) for v in self.graph.inputs}

    def free_name(self, wanted: str) -> str:
        """A name no value has yet."""
        return free_name(wanted, self._names, first=2)

    def node_name(self, wanted: str) -> str:
        """A name no node has yet."""
        return free_name(wanted, self._node_names, first=2)

    def constant(
        self, array: NDArray[Any], name: str, kind: ir.DataType | None = None, *, share: bool = False
    ) -> ir.Value:
        """A new initializer; equal ones are one when shared."""
        key = (str(kind or array.dtype), array.tobytes() if share else b"", array.shape)
        if share and key in self._shared:
            return self._shared[key]
        typed = array if kind is None else array.astype(kind.numpy())
        tensor = ir.Tensor(typed, dtype=kind, name=self.free_name(name))
        value = ir.val(tensor.name, const_value=tensor, dtype=tensor.dtype, shape=tensor.shape)
        self.graph.register_initializer(value)
        if share:
            self._shared[key] = value
        return value

    def scale_and_point(
        self, qparams: QuantParams, name: str, *, share: bool = False, point: bool = True
    ) -> list[ir.Value | None]:
        """Scale and zero_point constants as Quantize- and DequantizeLinear want them; the point may be left out."""
        shape = () if qparams.granularity == "per-tensor" else qparams.scale.shape
        scale = self.constant(qparams.scale.reshape(shape), name + SCALE, share=share)
        self.scales[name] = scale
        found: list[ir.Value | None] = [scale]
        if point:
            points = qparams.zero_point.reshape(shape)
            share_point = share or qparams.symmetric
            found.append(self.constant(points, name + ZERO_POINT, DATA_TYPES[qparams.storage], share=share_point))
        return found

    def activation_parameters(self, name: str, qparams: QuantParams) -> list[ir.Value | None]:
        """Scale and zero_point of an activation; equal ones are one constant."""
        if name not in self._parameters:
            self._parameters[name] = self.scale_and_point(qparams, name, share=True)
        return self._parameters[name]

    def integers(self, tensor: QuantizedTensor, name: str) -> ir.Value:
        """The integers of a constant as an initializer."""
        return self.constant(tensor.integers, name + QUANTIZED, DATA_TYPES[tensor.qparams.storage])

    def held(self, tensor: QuantizedTensor, stored_name: str) -> ir.Value:
        """A weight as the graph holds it, under the name it had before it was stored as `stored_name`."""
        cut = stored_name.endswith(QUANTIZED)
        name = self.free_name(stored_name[: -len(QUANTIZED)] if cut else stored_name + "_weight")
        tensor.name = name
        value = ir.val(name, const_value=tensor, dtype=tensor.dtype, shape=tensor.shape)
        self.graph.register_initializer(value)
        return value

    def once(self, form: str, owner: ir.Value, make: Callable[[], Made]) -> Made:
        """What `make` gives for a form of a value; the readers of the value in that form share it."""
        key = (form, str(owner.name))
        if key not in self._made:
            self._made[key] = make()
        made: Made = self._made[key]
        return made

    def insert(
        self,
        op: str,
        inputs: list[ir.Value | None],
        result: ir.Value | str,
        *,
        before: ir.Node | None = None,
        after: ir.Node | None = None,
        domain: str = "",
        name: str | None = None,
        **attributes: Any,
    ) -> ir.Value:
        """A new node giving `result` (a value, or a new one's name); at the start of the graph unless placed."""
        value = result if isinstance(result, ir.Value) else ir.val(self.free_name(result))
        outputs = [value]
        node = ir.node(
            op,
            inputs,
            attributes,
            domain=domain,
            outputs=outputs,
            name=self.node_name(f"{value.name}_{op}") if name is None else name,
        )
        first = next(iter(self.graph), None)
        if after is not None:
            self.graph.insert_after(after, node)
        elif (before := before or first) is not None:
            self.graph.insert_before(before, node)
        else:
            self.graph.append(node)
        return value

    def release(self, value: ir.Value) -> ir.Value:
        """Take a constant out of the initializers, so that a node may produce it under its own name."""
        del self.graph.initializers[str(value.name)]
        produced = ir.val(str(value.name), dtype=ir.DataType.FLOAT, shape=value.shape)
        value.replace_all_uses_with(produced, replace_graph_outputs=True)
        return produced

    def drop_unused(self, value: ir.Value) -> None:
        """Remove an initializer that nobody reads any more."""
        if not value.uses() and not value.is_graph_output():
            self.graph.initializers.pop(str(value.name), None)
