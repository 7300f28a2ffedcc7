"""Constant: a constant of the graph as a Program stores it: integers, halves or plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.lowering.refusal import Refusal
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import dequantize, quantize
from bitwright.program.tensor import DTYPES

Array = NDArray[Any]

#: Storage types by ONNX's.
STORAGE = {
    ir.DataType.FLOAT: "f32",
    ir.DataType.FLOAT16: "f16",
    ir.DataType.DOUBLE: "f64",
    ir.DataType.INT8: "i8",
    ir.DataType.UINT8: "u8",
    ir.DataType.INT16: "i16",
    ir.DataType.UINT16: "u16",
    ir.DataType.INT32: "i32",
    ir.DataType.UINT32: "u32",
    ir.DataType.INT64: "i64",
    ir.DataType.UINT64: "u64",
    ir.DataType.BOOL: "bool",
}

#: Integers that a DEQUANTIZE reads.
DEQUANTIZED = ("i4", "i8", "u8", "i16")


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant.

    Args:
        name: of the value it is.
        array: of DTYPES[dtype].
        dtype: storage type.
        qparams: how its integers stand for reals; None for plain numbers.
        half: whether plain f16 numbers stand for f32 ones.
    """

    name: str
    array: Array
    dtype: str
    qparams: QuantParams | None = None
    half: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def is_plain(self) -> bool:
        """Whether a kernel that takes plain numbers reads it as it is stored."""
        return self.qparams is None and not self.half

    def real(self) -> Array:
        """What it means."""
        if self.qparams is not None:
            return dequantize(self.array, self.qparams)
        return self.array.astype(np.float32) if self.half else self.array

    def plain(self) -> Constant:
        """The same as plain numbers."""
        return self if self.is_plain else Constant(self.name, self.real(), "f32")

    def integers(self, qparams: QuantParams) -> Constant:
        """The same as integers of these parameters; exactly what is stored when they are its own."""
        if self.qparams == qparams:
            return self
        return Constant(self.name, quantize(self.real(), qparams), qparams.storage, qparams)

    def rearranged(
        self, change: Callable[[Array], Array], axis: int | None = None, take: Array | None = None
    ) -> Constant:
        """The same elements in another order or shape.

        Args:
            change: what happens to the array.
            axis: where the quantization axis lies afterwards; of no meaning for parameters without one.
            take: the order of the scales afterwards, when it is another.
        """
        qparams = self.qparams
        if qparams is not None and qparams.axis is not None:
            if axis is None:
                raise Refusal("its weights have scales along an axis that the kernel does not take")
            index = slice(None) if take is None else take
            scale, points = qparams.scale[index], qparams.zero_point[index]
            qparams = QuantParams(scale, points, qparams.storage, axis, None, qparams.narrow_range)
        return replace(self, array=np.asarray(change(self.array), order="C"), qparams=qparams)


def make_constant(name: str, tensor: ir.TensorProtocol, qparams: QuantParams | None, *, legacy: bool) -> Constant:
    """The constant behind a value.

    Args:
        name: of the value.
        tensor: the graph's; its own integers are taken as they are.
        qparams: what the plan says of a constant that the graph still holds as floats.
        legacy: u8 stays u8.

    Raises:
        Refusal: blocks, or a type that files do not have.
    """
    if isinstance(tensor, HalfTensor):
        return Constant(name, tensor.halves, "f16", half=True)
    if isinstance(tensor, QuantizedTensor):
        if tensor.qparams.block_shape is not None:
            raise Refusal("blocks have no form in .tflite")
        return _respelled(Constant(name, tensor.integers, tensor.qparams.storage, tensor.qparams), legacy)
    storage = STORAGE.get(tensor.dtype)
    if storage is None:
        raise Refusal(f"its constant is {tensor.dtype.name.lower()}, which .tflite does not have")
    plain = Constant(name, np.asarray(tensor.numpy(), DTYPES[storage]), storage)
    if qparams is None or storage != "f32":
        return plain
    if qparams.block_shape is not None:
        raise Refusal("blocks have no form in .tflite")
    array = plain.array.reshape(-1) if qparams.storage in ("i32", "i64") else plain.array
    return _respelled(Constant(name, quantize(array, qparams), qparams.storage, qparams), legacy)


def _respelled(constant: Constant, legacy: bool) -> Constant:
    """i8 for u8, with the same reals exactly, unless kernels of old take u8."""
    qparams = constant.qparams
    if qparams is None or qparams.storage != "u8" or legacy:
        return constant
    integers = (constant.array.astype(np.int16) - 128).astype(np.int8)
    moved = QuantParams(qparams.scale, qparams.zero_point - 128, "i8", qparams.axis)
    return Constant(constant.name, integers, "i8", moved)
