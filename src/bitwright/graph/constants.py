"""Constants of a graph: their values, and tensors that carry integers under a float meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import dequantize


class QuantizedTensor(ir.LazyTensor):
    """A float constant that is held as integers: numpy() gives the reals, `integers` what is stored.

    Args:
        integers: storage type of `qparams` (4-bit types one a byte). Its shape may be a matrix view of `shape`
            (blocks of a convolution's weights run over [O, I*kH*kW]).
        qparams: how the integers stand for reals.
        shape: the shape the graph sees; the integers' own by default.
    """

    def __init__(
        self,
        integers: NDArray[np.integer[Any]],
        qparams: QuantParams,
        *,
        name: str | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        shown = tuple(integers.shape if shape is None else shape)
        super().__init__(
            lambda: ir.tensor(dequantize(integers, qparams).reshape(shown)),
            dtype=ir.DataType.FLOAT,
            shape=ir.Shape(shown),
            name=name,
        )
        self.integers = integers
        self.qparams = qparams


class HalfTensor(ir.LazyTensor):
    """A float32 constant that is held as float16."""

    def __init__(self, halves: NDArray[np.float16], *, name: str | None = None) -> None:
        super().__init__(
            lambda: ir.tensor(halves.astype(np.float32)),
            dtype=ir.DataType.FLOAT,
            shape=ir.Shape(halves.shape),
            name=name,
        )
        self.halves = halves


def held_as_floats(model: ir.Model) -> ir.Model:
    """A copy whose quantized and half-precision constants are the float32 values that they stand for."""
    copy = model.clone()
    for graph in copy.graphs():
        for value in graph.initializers.values():
            if isinstance(value.const_value, QuantizedTensor | HalfTensor):
                value.const_value = ir.Tensor(np.ascontiguousarray(value.const_value.numpy()), name=value.name)
    return copy


def constant_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The constant behind a value: an initializer that no caller can override, or a Constant node's tensor."""
    if value is None or value.is_graph_input():
        return None
    return ir.convenience.get_const_tensor(value)


def array_of(value: ir.Value | None) -> NDArray[Any] | None:
    """The constant behind a value as an array, or None when it is not constant."""
    tensor = constant_of(value)
    return None if tensor is None else tensor.numpy()
