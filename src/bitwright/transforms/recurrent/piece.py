"""Piece: the nodes that some values need, from a graph or a loop's body, run by themselves on numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.attributes import has_subgraph
from bitwright.graph.constants import HalfTensor, QuantizedTensor, constant_of

Array = NDArray[Any]


class Unfit(Exception):
    """A loop is not what was looked for; the message is a reason for the report."""


class Piece:
    """What some values are computed by, down to values that are given.

    Args:
        outputs: the values that are wanted.
        given: values that are fed instead of computed.
        graphs: whose nodes are gone through; values of other graphs are read as constants, or are `open`.
        aliases: values that stand for others, such as a loop's unchanging inputs.
        versions: the operator sets, by domain.
        double: compute in float64 what is written in float32.

    Raises:
        Unfit: it holds what cannot be run so.
    """

    def __init__(
        self,
        outputs: Sequence[ir.Value],
        given: Sequence[ir.Value],
        graphs: Collection[ir.Graph],
        aliases: Mapping[ir.Value, ir.Value],
        versions: Mapping[str, int],
        *,
        double: bool = False,
    ) -> None:
        self.outputs, self.given, self.double = outputs, given, double
        self.nodes: dict[ir.Node, None] = {}
        self.open: list[ir.Value] = []
        self._graphs, self._aliases, self._versions = graphs, aliases, versions
        self._constants: dict[ir.Value, ir.TensorProtocol] = {}
        for value in outputs:
            if (node := self._producer(value)) is not None:
                self._collect(node)
        self._runner: Any = None

    def run(self, feeds: Mapping[ir.Value, Array]) -> list[Array]:
        """The outputs, for what is given and what is open.

        Raises:
            Unfit: ONNX's reference cannot compute it.
        """
        feeds = {value: np.asarray(array) for value, array in feeds.items()}
        if self.double:
            feeds = {value: _doubled(array) for value, array in feeds.items()}
        try:
            if self._runner is None:
                self._runner = self._made()
            runner, names = self._runner
            with np.errstate(all="ignore"):  # its Sigmoid overflows where it then looks away
                return list(runner.run(None, {names[v]: array for v, array in feeds.items() if v in names}))
        except Exception as error:  # the reference raises whatever numpy does
            raise Unfit(
                f"it cannot be tried out ({(str(error).splitlines() or [type(error).__name__])[0][:80]})"
            ) from error

    def shown(self, value: ir.Value) -> ir.Value:
        """The value that another one stands for."""
        while value in self._aliases:
            value = self._aliases[value]
        return value

    def _producer(self, value: ir.Value | None) -> ir.Node | None:
        """The node to go through for a value; None where the value is given, constant or open."""
        if value is None or value in self.given:
            return None
        value = self.shown(value)
        if value in self.given or value in self._constants or value in self.open:
            return None
        tensor = constant_of(value)
        if tensor is not None:
            if isinstance(tensor, QuantizedTensor | HalfTensor):
                raise Unfit("its weights are held as integers or halves")
            self._constants[value] = tensor
            return None
        node = value.producer()
        if node is None or node.graph not in self._graphs:
            self.open.append(value)
            return None
        if has_subgraph(node):
            raise Unfit(f"it depends on another {node.op_type}")
        return node

    def _collect(self, last: ir.Node) -> None:
        """The nodes that a node needs and itself, in order of execution."""
        ahead = [last]
        while ahead:
            waiting = [
                node for v in ahead[-1].inputs if (node := self._producer(v)) is not None and node not in self.nodes
            ]
            if waiting:
                ahead += waiting
            else:
                self.nodes[ahead.pop()] = None

    def _made(self) -> tuple[Any, dict[ir.Value, str]]:
        """The reference's runner, and the names of what is fed."""
        from onnx.reference import ReferenceEvaluator

        made: dict[ir.Value, ir.Value] = {}

        def named(value: ir.Value) -> ir.Value:
            key = value if value in made or value in self.given else self.shown(value)
            return made.setdefault(key, ir.Value(name=f"v{len(made)}", type=ir.TensorType(ir.DataType.FLOAT)))

        fed = [named(value) for value in (*self.given, *self.open)]
        names = {value: str(named(value).name) for value in (*self.given, *self.open)}
        initializers = []
        for value, tensor in self._constants.items():
            array = tensor.numpy()
            named(value).const_value = ir.Tensor(_doubled(array) if self.double else array, name=named(value).name)
            initializers.append(named(value))
        nodes = []
        for node in self.nodes:
            inputs = [None if value is None else named(value) for value in node.inputs]
            outputs = [named(value) if value.name else ir.Value(name="") for value in node.outputs]
            nodes.append(ir.Node(node.domain, node.op_type, inputs, node.attributes.values(), outputs=outputs))
        graph = ir.Graph(
            fed,
            [named(value) for value in self.outputs],
            nodes=nodes,
            initializers=initializers,
            opset_imports=dict(self._versions),
            name="piece",
        )
        return ReferenceEvaluator(ir.to_proto(ir.Model(graph, ir_version=10))), names


def _doubled(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array
