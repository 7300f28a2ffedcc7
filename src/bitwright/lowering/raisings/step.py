"""Step: one operator while it is raised: its operands as values of the graph, and the nodes that stand for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import onnx_ir as ir

from bitwright.errors import UnsupportedOpError
from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.lowering.provenance import ASYMMETRIC_INPUTS
from bitwright.lowering.raisings.builder import Attribute, Builder, Held, order_suffix, stands_for_reals, type_of
from bitwright.lowering.raisings.order import Order, as_stored, placed
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation, Operator, Options
from bitwright.program.options import BatchMatMulOptions, FullyConnectedOptions, UnidirectionalSequenceLSTMOptions
from bitwright.program.tensor import Array, Shape, Tensor
from bitwright.quantization.plan import Compute

SomeOptions = TypeVar("SomeOptions", bound=Options)

#: Operators that ONNX Runtime has dynamic kernels for; integer weights of others are dequantized.
DYNAMIC_OPS = frozenset({"Conv", "Gemm", "MatMul", "LSTM"})

#: (ONNX operator, bounds) of a fused activation.
_ACTIVATIONS: dict[Activation, tuple[str, tuple[float, ...]]] = {
    Activation.RELU: ("Relu", ()),
    Activation.RELU6: ("Clip", (0.0, 6.0)),
    Activation.RELU_N1_TO_1: ("Clip", (-1.0, 1.0)),
    Activation.TANH: ("Tanh", ()),
}


class Step:
    """One operator of the Program.

    Args:
        builder: the graph.
        operator: what is raised.
    """

    def __init__(self, builder: Builder, operator: Operator) -> None:
        self.builder = builder
        self.operator = operator
        self.inputs = builder.program.operands(operator)
        self.outputs = builder.program.results(operator)
        self.nodes: list[ir.Node] = []

    # what the operator is

    @property
    def output(self) -> Tensor:
        """The first result's tensor."""
        return self.outputs[0]

    def options(self, kind: type[SomeOptions]) -> SomeOptions:
        """The operator's options, typed."""
        assert isinstance(self.operator.options, kind)
        return self.operator.options

    def has(self, index: int) -> bool:
        """Whether an optional operand is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def input(self, index: int) -> Tensor:
        """The tensor of an operand that must be there."""
        tensor = self.inputs[index]
        assert tensor is not None
        return tensor

    def numbers(self, index: int) -> Array:
        """The numbers of an operand that ONNX wants as constants, or that decide which nodes there are."""
        tensor = self.input(index)
        held = self.builder.held.get(tensor.name)
        if held is None or held.constant is None or held.constant.data is None:
            raise UnsupportedOpError(f"its operand {tensor.name!r} is computed; ONNX wants it constant here")
        return held.constant.data

    @property
    def is_integer(self) -> bool:
        """Whether it computes on integers that stand for reals."""
        moving = [t for t in self.inputs if t is not None and t.data is None]
        return any(stands_for_reals(t) for t in (*moving, *self.outputs))

    # operands

    def order(self, index: int) -> Order:
        """The order in which an operand is held."""
        return self.builder.order_of(self.input(index).name)

    def operand(self, index: int, order: Order | None = None) -> ir.Value:
        """An operand's value in an order, as stored by default."""
        return self.builder.value_of(self.input(index).name, order)

    def aligned(self, indices: Iterable[int]) -> tuple[Order, list[ir.Value]]:
        """The values of operands that are broadcast against each other, and the order they have together."""
        rank, wanted = len(self.output.shape), list(indices)
        moving = [i for i in wanted if self.input(i).data is None and len(self.input(i).shape) == rank]
        stored = as_stored(rank)
        order = next((found for i in moving if (found := self.order(i)) != stored), stored)
        return order, [self.builder.broadcastable(self.input(i).name, order) for i in wanted]

    def bias(self, index: int, channels: int, *, factors: tuple[int, int] = (0, 1)) -> list[ir.Value]:
        """The bias operand, one value a channel, as a list of none or one.

        One of 32 or 64 bits is held as its integers; without parameters of its own it has the product of the scales
        of `factors`, the operands that are multiplied.
        """
        if not self.has(index):
            return []
        tensor = self.input(index)
        held = self.builder.held.get(tensor.name)
        if tensor.dtype not in ("i32", "i64") or tensor.data is None or held is None:
            return [self._flat(index, channels)]
        stored = tuple(range(len(tensor.shape)))
        if stored not in held.values:
            qparams = tensor.qparams if tensor.qparams is not None else self._product_scale(tensor.dtype, factors)
            if qparams.axis is not None:
                qparams = QuantParams(qparams.scale, qparams.zero_point, qparams.storage, 0)
            form = QuantizedTensor(tensor.data.reshape(-1), qparams)
            held.values[stored] = self.builder.initializer(form, tensor.name)
        return [held.values[stored]]

    def _flat(self, index: int, channels: int) -> ir.Value:
        tensor = self.input(index)
        if tensor.shape == (channels,):
            return self.operand(index)
        return self.reshaped(self.operand(index), (channels,))

    def _product_scale(self, storage: str, factors: tuple[int, int]) -> QuantParams:
        known = [found for i in factors if (found := self.input(i).qparams) is not None]
        if len(known) != len(factors):
            raise UnsupportedOpError("its bias holds integers, its other operands do not")
        scale = (known[0].scale * known[1].scale).astype(np.float32)
        return QuantParams(scale, 0, storage, 0 if scale.size > 1 else None)

    # nodes

    def node(
        self,
        op: str,
        inputs: Iterable[ir.Value | None],
        shape: Shape,
        *,
        dtype: ir.DataType | None = None,
        moves: bool = False,
        compute: Compute | None = None,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> ir.Value:
        """An inner node and the value it gives.

        Args:
            op: of the ONNX domain.
            inputs: its operands.
            shape: of the result.
            dtype: of the result; that of the first operand by default.
            moves: the result only moves what the first operand holds, so it has the same parameters.
            compute: how it computes, where it is not as the operator does.
            attributes: the node's.
        """
        given = list(inputs)
        first = given[0]
        assert first is not None
        kind = dtype if dtype is not None else first.dtype
        assert kind is not None
        name = self.builder.free_name(f"{self.output.name}_{op.lower()}")
        made = self.builder.add(op, given, [(name, kind, shape)], attributes)
        self.nodes.append(made)
        if moves:
            self.builder.moves(made, first, integer=self.is_integer)
        if compute is not None:
            self.builder.computes[made] = compute
        return made.outputs[0]

    def nodes_results(
        self, op: str, inputs: Iterable[ir.Value | None], shapes: Sequence[Shape], **attributes: Attribute
    ) -> tuple[ir.Value, ...]:
        """An inner node that gives several values of its first operand's type."""
        given = list(inputs)
        first = given[0]
        assert first is not None and first.dtype is not None
        results = [(self.builder.free_name(f"{self.output.name}_{op.lower()}"), first.dtype, s) for s in shapes]
        made = self.builder.add(op, given, results, attributes)
        self.nodes.append(made)
        return tuple(made.outputs)

    def give(
        self,
        op: str,
        inputs: Iterable[ir.Value | None],
        *,
        order: Order | None = None,
        activation: Activation = Activation.NONE,
        **attributes: Attribute,
    ) -> None:
        """The node that gives the operator's only result, in an order (as stored by default)."""
        tensor = self.output
        wanted = as_stored(len(tensor.shape)) if order is None else order
        value = self.node(op, inputs, placed(tensor.shape, wanted), dtype=type_of(tensor), attributes=attributes)
        self.bind(value, order=wanted, activation=activation)

    def bind(
        self,
        value: ir.Value,
        *,
        order: Order | None = None,
        index: int = 0,
        activation: Activation = Activation.NONE,
    ) -> None:
        """Let a value stand for a result. One that a node of this step made gets the tensor's name."""
        tensor = self.outputs[index]
        wanted = as_stored(len(tensor.shape)) if order is None else order
        value = self.activated(value, activation)
        if value.producer() in self.nodes:
            lies_otherwise = wanted != as_stored(len(wanted))
            self.rename(value, tensor.name, *([f"{tensor.name}_{order_suffix(wanted)}"] if lies_otherwise else []))
            self.has_parameters(value, index)
        self.builder.held[tensor.name] = Held(tensor.shape, {wanted: value})

    def rename(self, value: ir.Value, *names: str) -> None:
        """Give a value that this step made its lasting name: the first of these that is free."""
        assert value.name is not None
        self.builder.names.discard(value.name)
        value.name = self.builder.free_name(*names)

    def activated(self, value: ir.Value, activation: Activation) -> ir.Value:
        """The value behind the fused activation; itself when there is none."""
        if activation is Activation.NONE:
            return value
        if activation not in _ACTIVATIONS:
            raise UnsupportedOpError(f"its fused activation {activation} has no form in ONNX")
        op, bounds = _ACTIVATIONS[activation]
        assert value.shape is not None
        self.rename(value, f"{self.output.name}_before_{activation.lower()}")
        inputs = [value, *(self.scalar(bound, value) for bound in bounds)]
        return self.node(op, inputs, tuple(value.shape.numpy()))

    def has_parameters(self, value: ir.Value, index: int = 0) -> None:
        """The value has the parameters of a result, when its integers stand for reals."""
        tensor = self.outputs[index]
        if stands_for_reals(tensor) and tensor.qparams is not None:
            self.builder.qparams[value] = tensor.qparams

    # constants of the raising's own

    def integers(self, numbers: Iterable[int], what: str) -> ir.Value:
        """A list of int64 numbers: axes, a shape."""
        return self.builder.numbers(np.array(list(numbers), np.int64), f"{self.output.name}_{what}")

    def scalar(self, number: float, like: ir.Value) -> ir.Value:
        """One number of another value's type."""
        assert like.dtype is not None
        return self.builder.numbers(np.array(number, like.dtype.numpy()), f"{self.output.name}_{number:g}")

    def reshaped(self, value: ir.Value, shape: Shape) -> ir.Value:
        """The value in another shape; itself when that is its own."""
        assert value.shape is not None
        if tuple(value.shape.numpy()) == shape:
            return value
        return self.node("Reshape", [value, self.integers(shape, "shape")], shape, moves=True)

    # how its nodes compute

    def settle(self) -> None:
        """Say of each node how it computes, where that is not said yet."""
        hybrid = any(t is not None and t.data is not None and stands_for_reals(t) for t in self.inputs)
        for node in self.nodes:
            if node in self.builder.computes:
                continue
            if self.is_integer and _has_floats(node):
                self.builder.computes[node] = Compute.INTEGER
                continue
            held = [v.const_value for v in node.inputs if v is not None]
            if any(isinstance(constant, QuantizedTensor) for constant in held):
                dynamic = hybrid and node.op_type in DYNAMIC_OPS and _is_matrix_or_kernel(node)
                self.builder.computes[node] = Compute.DYNAMIC if dynamic else Compute.WEIGHT_ONLY
                if dynamic and self._has_symmetric_inputs():
                    node.metadata_props[ASYMMETRIC_INPUTS] = "false"
            elif any(isinstance(constant, HalfTensor) for constant in held):
                self.builder.computes[node] = Compute.FLOAT16

    def _has_symmetric_inputs(self) -> bool:
        """Whether the file says that activations are quantized without a zero_point as they arrive."""
        o = self.operator.options
        if not isinstance(o, FullyConnectedOptions | BatchMatMulOptions | UnidirectionalSequenceLSTMOptions):
            return False
        return not o.asymmetric_quantize_inputs


def _has_floats(node: ir.Node) -> bool:
    return any(v is not None and v.dtype == ir.DataType.FLOAT for v in (*node.inputs[:1], *node.outputs))


def _is_matrix_or_kernel(node: ir.Node) -> bool:
    """Whether the weight is one that dynamic kernels take: of 2 dimensions in a product, per channel or per tensor."""
    weight = node.inputs[1]
    constant = weight.const_value if weight is not None else None
    if not isinstance(constant, QuantizedTensor) or not constant.qparams.symmetric:
        return False
    return node.op_type != "MatMul" or constant.integers.ndim == 2
