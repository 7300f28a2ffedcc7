"""Builder: a Program under construction: unique names, tensors, operators in order of execution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.lowering.refusal import Refusal
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Operator, Options
from bitwright.program.options import ReshapeOptions
from bitwright.program.tensor import DTYPES, Tensor

Array = NDArray[Any]
Shape = tuple[int, ...]


class Builder:
    """Tensors and operators so far."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []
        self._reserved: set[str] = set()

    def reserve(self, name: str) -> None:
        """Keep a name for a port: `tensor` and `constant` give others."""
        self._reserved.add(name)

    def free_name(self, wanted: str) -> str:
        """`wanted`, or it with a number."""
        name, count = wanted, 1
        while name in self.tensors or name in self._reserved or not name:
            count += 1
            name = f"{wanted}_{count}"
        return name

    def tensor(
        self, wanted: str, shape: Sequence[int], dtype: str = "f32", qparams: QuantParams | None = None, **more: Any
    ) -> str:
        """A new tensor that an operator gives (or state, with variable=True); its name."""
        name = self.free_name(wanted)
        self.tensors[name] = Tensor(name, tuple(int(d) for d in shape), dtype, qparams, **more)
        return name

    def release(self, name: str) -> None:
        """Give a reserved name free again, for its port."""
        self._reserved.discard(name)

    def renamed(self, tensor: str, name: str) -> str:
        """Give a tensor a port's name, wherever it is read and given; the name it has then."""
        self.release(name)
        new = self.free_name(name)
        self.tensors = {
            (new if key == tensor else key): (replace(held, name=new) if key == tensor else held)
            for key, held in self.tensors.items()
        }
        self.operators = [
            replace(
                op,
                inputs=tuple(new if n == tensor else n for n in op.inputs),
                outputs=tuple(new if n == tensor else n for n in op.outputs),
            )
            if tensor in op.inputs or tensor in op.outputs
            else op
            for op in self.operators
        ]
        return new

    def port(self, name: str, shape: Sequence[int], dtype: str, qparams: QuantParams | None) -> str:
        """A new tensor under a reserved name."""
        self.release(name)
        return self.tensor(name, shape, dtype, qparams)

    def constant(self, wanted: str, array: Array, dtype: str, qparams: QuantParams | None = None) -> str:
        """A new constant; its name."""
        data = np.ascontiguousarray(array, dtype=DTYPES[dtype])
        return self.tensor(wanted, array.shape, dtype, qparams, data=data.reshape(array.shape))

    def integers(self, wanted: str, values: Any) -> str:
        """A constant i32 operand: a shape, axes, pads."""
        return self.constant(wanted, np.asarray(values, np.int32), "i32")

    def emit(
        self, kind: str, inputs: Sequence[str | None], outputs: Sequence[str], options: Options | None = None
    ) -> None:
        """Append an operator."""
        self.operators.append(Operator(kind, tuple(inputs), tuple(outputs), options or Options()))

    def shape(self, name: str) -> Shape:
        return self.tensors[name].shape

    def convert(self, tensor: str, qparams: QuantParams | None, name: str) -> str:
        """A tensor's reals in other parameters (None: as floats)."""
        held = self.tensors[tensor]
        if qparams is None:
            result = self.tensor(name, held.shape)
            self.emit("DEQUANTIZE", [tensor], [result])
            return result
        if held.qparams is None and held.dtype != "f32":
            raise Refusal(f"{held.dtype} numbers are not quantized")
        result = self.tensor(name, held.shape, qparams.storage, qparams)
        self.emit("QUANTIZE", [tensor], [result])
        return result

    def reshaped(self, tensor: str, shape: Sequence[int], name: str) -> str:
        """The same elements in the same order under another shape."""
        held = self.tensors[tensor]
        shape = tuple(shape)
        if held.shape == shape:
            return tensor
        result = self.tensor(name, shape, held.dtype, held.qparams)
        inputs = [tensor, self.integers(f"{name}_shape", shape)]
        self.emit("RESHAPE", inputs, [result], ReshapeOptions(new_shape=shape))
        return result

    def transposed(self, tensor: str, perm: Sequence[int], name: str) -> str:
        """The same elements with the dimensions in another order."""
        held = self.tensors[tensor]
        if tuple(perm) == tuple(range(len(held.shape))):
            return tensor
        result = self.tensor(name, [held.shape[p] for p in perm], held.dtype, held.qparams)
        self.emit("TRANSPOSE", [tensor, self.integers(f"{name}_perm", perm)], [result])
        return result
