"""Tensor: one value of a Program: its name, shape, storage type, how its integers stand for reals, its constant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.numerics.qparams import STORAGES, QuantParams

Array = NDArray[Any]
Shape = tuple[int, ...]

#: Storage types, and the numpy type that holds each (4-bit types one a byte).
DTYPES: dict[str, np.dtype[Any]] = {name: kind.dtype for name, kind in STORAGES.items()} | {
    name: np.dtype(dtype)
    for name, dtype in {
        "f16": np.float16,
        "f32": np.float32,
        "f64": np.float64,
        "u32": np.uint32,
        "u64": np.uint64,
        "bool": np.bool_,
    }.items()
}


@dataclass(frozen=True, eq=False)
class Tensor:
    """One value of a Program.

    Args:
        name: unique in its Program.
        shape: concrete; () is a scalar.
        dtype: storage type, a key of DTYPES.
        qparams: how its integers stand for reals; None when they are plain numbers.
        data: the constant, of DTYPES[dtype] and `shape`; None when it is computed or fed.
        variable: state that is kept from run to run, zero at first.
        shape_signature: `shape` with -1 where the file leaves a dimension free; None when none is.
        recorded: the least and greatest real values that a converter recorded, f32 each; nothing computes with them.
    """

    name: str
    shape: Shape
    dtype: str = "f32"
    qparams: QuantParams | None = None
    data: Array | None = None
    variable: bool = False
    shape_signature: Shape | None = None
    recorded: tuple[Array, Array] | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements as a file stores them: two 4-bit integers a byte."""
        return -(-self.elements * bits_of(self.dtype) // 8)

    @property
    def scale(self) -> float:
        """The scale of a tensor with one: a float32 value. `qparams` has those of an axis."""
        assert self.qparams is not None
        return float(self.qparams.scale.item(0))

    @property
    def zero_point(self) -> int:
        """The zero_point of a tensor with one scale; 0 when it has no parameters."""
        return 0 if self.qparams is None else int(self.qparams.zero_point.item(0))


def bits_of(dtype: str) -> int:
    """Bits that one element takes in a file."""
    return STORAGES[dtype].bits if dtype in STORAGES else DTYPES[dtype].itemsize * 8
