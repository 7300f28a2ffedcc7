"""Step: one node being lowered: its operands, its attributes, and what its kernel gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.attributes import float_attribute, int_attribute, ints_attribute
from bitwright.lowering.builder import Builder
from bitwright.lowering.constant import Constant
from bitwright.lowering.context import Form, Lowering
from bitwright.lowering.element_layout import Layout
from bitwright.lowering.refusal import Refusal
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import quantize
from bitwright.program.operator import Activation
from bitwright.quantization.plan import Compute
from bitwright.quantization.rules import clamp_range

Array = NDArray[Any]
Bounds = tuple[float, float]
Shape = tuple[int, ...]

#: The activations that a kernel does before it gives its result, by the range they leave.
ACTIVATIONS: dict[Bounds, Activation] = {
    (0.0, float("inf")): Activation.RELU,
    (0.0, 6.0): Activation.RELU6,
    (-1.0, 1.0): Activation.RELU_N1_TO_1,
}


@dataclass(frozen=True)
class Kernel:
    """What one operator is to give.

    Args:
        value: the ONNX value: the node's result, or that of the clamp behind it.
        integer: whether it computes on integers.
        qparams: the parameters the plan has for the value; None for floats.
        activation: what the kernel does to its result itself.
        clamp: the bounds that are left for operators behind it.
        reads: parameters of the operands by value.
    """

    value: ir.Value
    integer: bool
    qparams: QuantParams | None
    activation: Activation
    clamp: Bounds | None
    reads: dict[ir.Value, QuantParams | None]

    def q(self, value: ir.Value) -> QuantParams | None:
        """The parameters to read an operand in."""
        return self.reads.get(value) if self.integer else None


class Step:
    """One node.

    Args:
        low: the run.
        node: the node.
    """

    def __init__(self, low: Lowering, node: ir.Node) -> None:
        self.low = low
        self.node = node
        self.build: Builder = low.build

    # Operands, results, attributes.

    def has(self, index: int) -> bool:
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def value(self, index: int = 0) -> ir.Value:
        """An operand that must be there."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            raise Refusal(f"operand {index} is missing")
        return value

    @property
    def output(self) -> ir.Value:
        return self.node.outputs[0]

    @property
    def name(self) -> str:
        """What helper tensors are named after."""
        return str(self.node.outputs[0].name)

    def shape(self, value: ir.Value) -> Shape:
        return self.low.shape(value)

    def array(self, index: int, what: str) -> Array | None:
        """A constant operand, None when it is left out.

        Raises:
            Refusal: it is there and not constant.
        """
        if not self.has(index):
            return None
        array = self.low.concrete.array(self.node.inputs[index])
        if array is None:
            raise Refusal(f"its {what} are not constant")
        return array

    def constant(self, index: int) -> Constant | None:
        return self.low.constant(self.value(index)) if self.has(index) else None

    def number(self, name: str, default: int) -> int:
        return int_attribute(self.node, name, default)

    def real(self, name: str, default: float) -> float:
        return float_attribute(self.node, name, default)

    def numbers(self, name: str) -> tuple[int, ...]:
        return ints_attribute(self.node, name)

    def text(self, name: str, default: str) -> str:
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_string()

    def axis(self, name: str, default: int, rank: int) -> int:
        axis = self.number(name, default)
        return axis + rank if axis < 0 else axis

    # What the kernel computes on, and what it gives.

    def kernel(
        self,
        operands: Sequence[ir.Value],
        *,
        integer: Sequence[str] = ("i8", "u8", "i16"),
        fuses: bool = False,
        output: int = 0,
        last: ir.Node | None = None,
    ) -> Kernel:
        """Decide how this node computes.

        Args:
            operands: its activations and constant operands (not weights).
            integer: the activation storage types that the operator has integer kernels for.
            fuses: whether the operator does clamps itself.
            output: which result.
            last: the node whose result the kernel gives, where it does the work of more than this one.
        """
        own = self.node.outputs[output] if last is None else last.outputs[0]
        value, node = own, self.node
        bounds: Bounds | None = None
        clamp = self._clamp_behind(value)
        if clamp is not None:
            node, bounds = clamp
            value = node.outputs[0]
        qparams = self.low.planned(value) if self.low.compute(node) is Compute.INTEGER else None
        reads: dict[ir.Value, QuantParams | None] = {}
        whole = self.low.compute(self.node) is Compute.INTEGER and qparams is not None
        if whole and qparams is not None:
            reads = {v: self.low.operand_parameters(v, qparams.storage) for v in operands}
            whole = qparams.storage in integer and all(
                q is not None and q.storage == qparams.storage for q in reads.values()
            )
        if bounds is not None and not whole and not (fuses and bounds in ACTIVATIONS) and qparams is None:
            value, bounds = own, None  # the clamp is lowered when its turn comes
        elif clamp is not None:
            self.low.done.add(clamp[0])
        activation = ACTIVATIONS.get(bounds, Activation.NONE) if fuses and bounds is not None else Activation.NONE
        left = bounds if activation is Activation.NONE else None
        return Kernel(value, whole, qparams, activation, left, reads)

    def _clamp_behind(self, value: ir.Value) -> tuple[ir.Node, Bounds] | None:
        """The Relu or Clip that alone reads a value, when the plan has nothing between the two."""
        readers = list(value.uses())
        if value.is_graph_output() or len(readers) != 1:
            return None
        node = readers[0].node
        if node.op_type not in ("Relu", "Clip") or node.domain != "" or readers[0].idx != 0:
            return None
        ours, its = self.low.compute(self.node), self.low.compute(node)
        if (ours is Compute.INTEGER) != (its is Compute.INTEGER):
            return None
        if ours is Compute.INTEGER and self.low.planned(value) is not None:
            return None
        bounds = clamp_range(node)
        return None if bounds is None else (node, bounds)

    def result(
        self, kernel: Kernel, shape: Sequence[int], qparams: QuantParams | None = None, dtype: str = "f32"
    ) -> str:
        """A new tensor for what the kernel gives.

        Args:
            kernel: what was decided.
            shape: of the tensor.
            qparams: what it gives when it computes on integers; the plan's own by default.
            dtype: storage type of plain numbers.
        """
        qparams = (kernel.qparams if qparams is None else qparams) if kernel.integer else None
        final = qparams == kernel.qparams and (kernel.clamp is None or not self._clamps_left(kernel))
        name = str(kernel.value.name) if final else f"{kernel.value.name}_computed"
        if final and self.build.free_name(name) != name:
            name += "_quantized" if qparams is not None else "_float"
        return self.build.tensor(name, shape, dtype if qparams is None else qparams.storage, qparams)

    def give(self, kernel: Kernel, tensor: str, layout: Layout) -> None:
        """The kernel's tensor stands for its value from now on, clamped and in the parameters of the plan."""
        name = str(kernel.value.name)
        if kernel.qparams is not None and self.build.tensors[tensor].qparams != kernel.qparams:
            left = self._clamps_left(kernel)
            tensor = self.build.convert(tensor, kernel.qparams, f"{name}_unclamped" if left else self._free(name))
        for index, kind in enumerate(left := self._clamps_left(kernel)):
            tensor = self.clamped(tensor, kind, self._free(name) if index == len(left) - 1 else f"{name}_above")
        self.low.forms[kernel.value] = [Form(tensor, layout, kernel.qparams)]

    def _free(self, name: str) -> str:
        return name if self.build.free_name(name) == name else f"{name}_quantized"

    def _clamps_left(self, kernel: Kernel) -> list[tuple[str, float]]:
        """Operators that clamp behind the kernel; none where saturation does it."""
        return clamps(kernel.clamp, kernel.qparams) if kernel.clamp is not None else []

    def clamped(self, tensor: str, clamp: tuple[str, float], name: str) -> str:
        """A tensor limited by RELU, RELU6, RELU_N1_TO_1, or MINIMUM or MAXIMUM with a number."""
        kind, bound = clamp
        held = self.build.tensors[tensor]
        inputs = [tensor]
        if kind in ("MINIMUM", "MAXIMUM"):
            array: Array = np.array([bound], np.float32)
            if held.qparams is not None:
                array = quantize(array, held.qparams)
            inputs.append(self.build.constant(f"{name}_bound", array, held.dtype, held.qparams))
        result = self.build.tensor(name, held.shape, held.dtype, held.qparams)
        self.build.emit(kind, inputs, [result])
        return result

    def give_views(self, value: ir.Value, forms: Sequence[Form]) -> None:
        """The result is there already, in tensors of another value."""
        self.low.forms[value] = list(forms)


def is_wide(qparams: QuantParams | None) -> bool:
    """Whether it is 16-bit integers, which RELU_N1_TO_1 has no kernel for."""
    return qparams is not None and qparams.storage == "i16"


def clamps(bounds: Bounds, qparams: QuantParams | None) -> list[tuple[str, float]]:
    """The operators that limit a tensor to the bounds: (kind, number).

    Integers that cannot stand for anything beyond the bounds need none.
    """
    low, high = bounds
    if qparams is not None:
        step, point = float(qparams.scale.reshape(())), int(qparams.zero_point.reshape(()))
        below, above = step * (qparams.qmin - point) < low, step * (qparams.qmax - point) > high
        if not below and not above:
            return []
    else:
        below, above = low > float("-inf"), high < float("inf")
    if bounds in ACTIVATIONS and not (ACTIVATIONS[bounds] is Activation.RELU_N1_TO_1 and is_wide(qparams)):
        return [(str(ACTIVATIONS[bounds]), 0.0)]
    lower = [("RELU", 0.0) if low == 0.0 else ("MAXIMUM", low)] if below else []
    return [*lower, *([("MINIMUM", high)] if above else [])]
