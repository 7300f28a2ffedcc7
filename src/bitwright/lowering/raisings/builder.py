"""Builder: the graph that grows while a Program is raised: names, nodes, constants, and how each tensor is held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import UnsupportedOpError
from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.lowering.constant import STORAGE
from bitwright.lowering.raisings.order import NCHW, Order, as_stored, between, composed, padded, permuted, placed
from bitwright.numerics.qparams import QuantParams
from bitwright.program.program import Program
from bitwright.program.tensor import Shape, Tensor
from bitwright.quantization.plan import Compute

Attribute = int | float | str | Sequence[int] | Sequence[str]

#: ONNX's type of a storage type. Integers that stand for reals are floats in the graph.
DATA_TYPES: dict[str, ir.DataType] = {storage: kind for kind, storage in STORAGE.items()}

#: Storage types that stand for reals when they have parameters. Wider ones do so as biases only.
REAL_STORAGES = frozenset({"i2", "i4", "u4", "i8", "u8", "i16", "u16"})


def stands_for_reals(tensor: Tensor) -> bool:
    """Whether its integers are floats in the graph."""
    return tensor.qparams is not None and tensor.dtype in REAL_STORAGES


def type_of(tensor: Tensor) -> ir.DataType:
    """ONNX's type of the value that stands for it."""
    if stands_for_reals(tensor):
        return ir.DataType.FLOAT
    if tensor.dtype not in DATA_TYPES:
        raise UnsupportedOpError(f"{tensor.name!r} holds {tensor.dtype}, which ONNX does not compute with")
    return DATA_TYPES[tensor.dtype]


@dataclass
class Held:
    """How one tensor is held.

    Args:
        shape: of the stored tensor.
        values: the value in each order there is so far, the one that was made first in front. Orders longer than the
            shape are of values with dimensions of length 1 before it.
        constant: what a constant holds; its values are made when they are asked for.
        halves: the constant's float16 numbers stand for float32 ones.
    """

    shape: Shape
    values: dict[Order, ir.Value] = field(default_factory=dict)
    constant: Tensor | None = None
    halves: bool = False

    @property
    def order(self) -> Order:
        """The order of the value that was made first; as stored for a constant."""
        return self.stored if self.constant is not None else next(iter(self.values))

    @property
    def stored(self) -> Order:
        """The order of a value that lies as the tensor does."""
        return as_stored(len(self.shape))

    @property
    def value(self) -> ir.Value:
        """The value that was made first."""
        return next(iter(self.values.values()))

    def transposed(self, permutation: Order) -> Held:
        """The tensor that TRANSPOSE gives, held by the same values."""
        shape = placed(self.shape, permutation)
        if self.constant is not None:
            return Held(shape, constant=permuted(self.constant, permutation), halves=self.halves)
        known = {order: value for order, value in self.values.items() if len(order) == len(shape)}
        return Held(shape, {composed(order, permutation): value for order, value in known.items()})


class Builder:
    """A graph under construction.

    Args:
        program: what is raised.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.held: dict[str, Held] = {
            name: Held(t.shape, constant=t)
            for name, t in program.tensors.items()
            if t.data is not None and not t.variable
        }
        self.nodes: list[ir.Node] = []
        self.initializers: list[ir.Value] = []
        self.qparams: dict[ir.Value, QuantParams] = {}
        self.computes: dict[ir.Node, Compute] = {}
        self.floats: set[ir.Value] = set()  # made in float, and quantized behind that
        self.names = {port.name for port in (*program.inputs, *program.outputs)}
        self._shared: dict[tuple[object, ...], ir.Value] = {}

    def free_name(self, *wanted: str) -> str:
        """The first of these names that is free, or the last with a number; taken from now on."""
        for name in wanted:
            if name not in self.names:
                self.names.add(name)
                return name
        number = 1
        while f"{wanted[-1]}_{number}" in self.names:
            number += 1
        return self.free_name(f"{wanted[-1]}_{number}")

    def add(
        self,
        op: str,
        inputs: Iterable[ir.Value | None],
        results: Sequence[tuple[str, ir.DataType, Shape]],
        attributes: Mapping[str, Attribute] | None = None,
    ) -> ir.Node:
        """A node at the end; results are (free name, type, shape)."""
        outputs = [ir.val(name, dtype=dtype, shape=shape) for name, dtype, shape in results]
        node = ir.node(op, list(inputs), dict(attributes or {}), outputs=outputs)
        self.nodes.append(node)
        return node

    def initializer(self, tensor: ir.TensorProtocol, *names: str) -> ir.Value:
        """A constant value under the first of the names that is free."""
        name = self.free_name(*names)
        tensor.name = name
        value = ir.val(name, dtype=tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), const_value=tensor)
        self.initializers.append(value)
        return value

    def numbers(self, array: NDArray[Any], name: str) -> ir.Value:
        """A small constant of the raising's own (a shape, bounds); the same numbers are held once."""
        key = ("numbers", str(array.dtype), array.shape, array.tobytes())
        if key not in self._shared:
            self._shared[key] = self.initializer(ir.Tensor(np.asarray(array, order="C")), name)
        return self._shared[key]

    def value_of(self, name: str, order: Order | None = None) -> ir.Value:
        """The value that stands for a tensor, in an order (as stored by default); transposed when it has to be.

        An order longer than the tensor's shape asks for dimensions of length 1 before it, as broadcasting adds them.
        """
        held = self._held(name)
        wanted = held.stored if order is None else order
        if wanted not in held.values:
            rank = len(wanted)
            if held.constant is not None:
                constant = permuted(padded(held.constant, rank), wanted)
                form = stored_form(constant, halves=held.halves)
                made = self.initializer(form, constant.name, f"{constant.name}_{order_suffix(wanted)}")
            elif rank == len(held.shape):
                made = self._transposed(held, wanted, name)
            else:
                made = self._transposed(self._padded(held, rank, name), wanted, name)
            held.values[wanted] = made
        return held.values[wanted]

    def order_of(self, name: str) -> Order:
        """The order in which a tensor is held at first hand."""
        return self._held(name).order

    def broadcastable(self, name: str, order: Order) -> ir.Value:
        """The value that stands for a tensor beside one of that order."""
        shape = self._held(name).shape
        if order == as_stored(len(order)) or all(n == 1 for n in shape):
            return self.value_of(name)
        return self.value_of(name, order)

    def gives_integers(self, value: ir.Value) -> bool:
        """Whether the node that makes the value computes in integers."""
        producer = value.producer()
        return producer is not None and self.computes.get(producer) is Compute.INTEGER

    def _held(self, name: str) -> Held:
        if name not in self.held:
            raise UnsupportedOpError(f"it reads {name!r}, state that is kept between runs; graphs of ONNX keep none")
        return self.held[name]

    def _transposed(self, held: Held, wanted: Order, name: str) -> ir.Value:
        value = held.value
        assert value.dtype is not None
        result = (self.free_name(f"{name}_{order_suffix(wanted)}"), value.dtype, placed(held.shape, wanted))
        node = self.add("Transpose", [value], [result], {"perm": between(held.order, wanted)})
        self.moves(node, value, integer=stands_for_reals(self.program.tensors[name]))
        return node.outputs[0]

    def _padded(self, held: Held, rank: int, name: str) -> Held:
        value, shape = self.value_of(name), (1,) * (rank - len(held.shape)) + held.shape
        assert value.dtype is not None
        target = self.numbers(np.array(shape, np.int64), f"{name}_shape")
        node = self.add("Reshape", [value, target], [(self.free_name(f"{name}_padded"), value.dtype, shape)])
        self.moves(node, value, integer=stands_for_reals(self.program.tensors[name]))
        return Held(shape, {as_stored(rank): node.outputs[0]})

    def moves(self, node: ir.Node, value: ir.Value, *, integer: bool) -> None:
        """Note that the node only moves what the value holds: integers where they are there.

        A value that is made in float and quantized behind that stays float for whoever reads the floats.

        Args:
            node: with one result.
            value: its first operand.
            integer: whether the moved tensor's integers are read.
        """
        if value in self.qparams and (integer or value not in self.floats):
            self.qparams[node.outputs[0]] = self.qparams[value]
            self.computes[node] = Compute.INTEGER


def order_suffix(order: Order) -> str:
    """What the name of a value in that order ends with, where the tensor's own name is taken."""
    if len(order) == len(NCHW):
        return "".join("nhwc"[i] for i in order)
    return "order_" + "_".join(map(str, order))


def stored_form(tensor: Tensor, *, halves: bool = False) -> ir.TensorProtocol:
    """A constant as the graph holds it: integers under a float meaning, halves likewise, or the numbers they are."""
    data, qparams = tensor.data, tensor.qparams
    assert data is not None
    if qparams is not None and stands_for_reals(tensor):
        return QuantizedTensor(data, qparams)
    return HalfTensor(data) if halves else ir.Tensor(data, dtype=type_of(tensor))
