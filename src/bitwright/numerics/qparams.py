"""QuantParams: how the integers of one tensor stand for real values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import QuantParamsError


@dataclass(frozen=True)
class Storage:
    """One integer storage type: its name, width in bits, signedness, and the numpy type that holds it unpacked."""

    name: str
    bits: int
    signed: bool
    dtype: np.dtype[Any]

    @property
    def qmin(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def qmax(self) -> int:
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1


STORAGES: dict[str, Storage] = {
    name: Storage(name, int(name[1:]), name[0] == "i", np.dtype(dtype))
    for name, dtype in {
        "i2": np.int8,
        "u2": np.uint8,
        "i4": np.int8,
        "u4": np.uint8,
        "i8": np.int8,
        "u8": np.uint8,
        "i16": np.int16,
        "u16": np.uint16,
        "i32": np.int32,
        "i64": np.int64,
    }.items()
}


@dataclass(frozen=True, eq=False)
class QuantParams:
    """How integers stand for real values: real = scale * (q - zero_point).

    Args:
        scale: the real step, positive, f32. One entry (per tensor), n entries along `axis` (per channel),
            or an array of ceil(shape / block_shape) (per block).
        zero_point: the integer that stands for real 0, same shape as scale.
        storage: a key of STORAGES, such as "i8".
        axis: the quantization axis; None = per tensor, or per block when `block_shape` is given.
        block_shape: how many elements share one scale, per dimension; None unless per block.
        narrow_range: qmin is raised by one, -127..127, so that the range is symmetric.
        bits: how wide the integers are that it holds, where that is less than the storage type: 4-bit weights of an
            8-bit kernel.
        symmetric: not given: whether every zero_point is 0.

    Raises:
        QuantParamsError: a scale that is not positive and finite, a zero_point out of range, shapes that differ.

    >>> QuantParams(scale=(0.5,), zero_point=(3,))
    QuantParams(i8, scale=0.5, zero_point=3)
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32]
    storage: str = "i8"
    axis: int | None = None
    block_shape: tuple[int, ...] | None = None
    narrow_range: bool = False
    bits: int | None = None
    symmetric: bool = field(init=False, repr=False)

    def __init__(
        self,
        scale: Any,
        zero_point: Any = 0,
        storage: str = "i8",
        axis: int | None = None,
        block_shape: tuple[int, ...] | None = None,
        narrow_range: bool = False,
        bits: int | None = None,
    ) -> None:
        if storage not in STORAGES:
            raise QuantParamsError(f"unknown storage type {storage!r}", next=f"one of {', '.join(STORAGES)}")
        scales = np.array(scale, dtype=np.float32, ndmin=1)
        points = np.array(np.broadcast_to(np.asarray(zero_point, dtype=np.int32), scales.shape))
        if axis is not None and (scales.ndim != 1 or block_shape is not None):
            raise QuantParamsError("an axis goes with one scale per index along it", next="leave axis out for blocks")
        if block_shape is None and axis is None and scales.shape != (1,):
            raise QuantParamsError(f"per-tensor parameters have one scale (got {scales.size})", next="give the axis")
        if block_shape is not None and len(block_shape) != scales.ndim:
            raise QuantParamsError(f"block_shape has {len(block_shape)} dimensions, scale has {scales.ndim}")
        if bits is not None and not 2 <= bits <= STORAGES[storage].bits:
            raise QuantParamsError(f"{storage} holds no integers of {bits} bits", next="give fewer")
        if not scales.size:
            raise QuantParamsError("there is no scale", next="give one, or one per index of the axis")
        least, greatest = _extremes(scales)
        if not 0 < least <= greatest < float("inf"):  # NaN fails all
            raise scale_error()
        held = None if bits == STORAGES[storage].bits else bits
        qmin, qmax = integer_bounds(storage, held)
        least, greatest = _extremes(points)
        if least < qmin or greatest > qmax:
            raise QuantParamsError(f"zero_point must lie in [{qmin}, {qmax}] for {storage}")
        scales.setflags(write=False)
        points.setflags(write=False)
        blocks = None if block_shape is None else tuple(int(b) for b in block_shape)
        self._set(scales, points, storage, axis, blocks, bool(narrow_range), held, bool(least == greatest == 0))

    @classmethod
    def of_checked(
        cls,
        scale: NDArray[np.float32],
        zero_point: NDArray[np.int32],
        storage: str,
        axis: int | None,
        narrow_range: bool,
        symmetric: bool,
    ) -> QuantParams:
        """Parameters whose scales and zero_points were checked together with those of others.

        Args:
            scale: one, or one per index of the axis, positive and finite; nobody writes to them.
            zero_point: as many, in the range of the storage type; likewise.
            storage, axis, narrow_range: as above.
            symmetric: whether every zero_point is 0.
        """
        made = object.__new__(cls)
        made._set(scale, zero_point, storage, axis, None, narrow_range, None, symmetric)
        return made

    def _set(
        self,
        scale: NDArray[np.float32],
        zero_point: NDArray[np.int32],
        storage: str,
        axis: int | None,
        block_shape: tuple[int, ...] | None,
        narrow_range: bool,
        bits: int | None,
        symmetric: bool,
    ) -> None:
        fields = self.__dict__
        fields["scale"] = scale
        fields["zero_point"] = zero_point
        fields["storage"] = storage
        fields["axis"] = axis
        fields["block_shape"] = block_shape
        fields["narrow_range"] = narrow_range
        fields["bits"] = bits
        fields["symmetric"] = symmetric

    @property
    def kind(self) -> Storage:
        return STORAGES[self.storage]

    @property
    def qmin(self) -> int:
        return integer_bounds(self.storage, self.bits)[0] + int(self.narrow_range)

    @property
    def qmax(self) -> int:
        return integer_bounds(self.storage, self.bits)[1]

    @property
    def granularity(self) -> str:
        """One of "per-tensor", "per-channel" and "per-block"."""
        if self.block_shape is not None:
            return "per-block"
        return "per-tensor" if self.axis is None else "per-channel"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QuantParams) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (
            self.scale.shape,
            self.scale.tobytes(),
            self.zero_point.tobytes(),
            self.storage,
            self.axis,
            self.block_shape,
            self.narrow_range,
            self.bits,
        )

    def __repr__(self) -> str:
        if self.scale.size == 1 and self.axis is None:
            body = f"scale={float(self.scale.flat[0]):.6g}, zero_point={int(self.zero_point.flat[0])}"
        else:
            point = "0" if self.symmetric else f"{self.zero_point.min()}..{self.zero_point.max()}"
            where = f"axis={self.axis}" if self.axis is not None else f"block_shape={self.block_shape}"
            body = (
                f"scale={self.scale.min():.6g}..{self.scale.max():.6g} x{self.scale.size}, zero_point={point}, {where}"
            )
        held = self.storage if self.bits is None else f"{self.storage} of {self.bits} bits"
        return f"QuantParams({held}, {body})"


def integer_bounds(storage: str, bits: int | None = None) -> tuple[int, int]:
    """The least and the greatest integer of a storage type, or of fewer bits in it.

    >>> integer_bounds("i8"), integer_bounds("i8", 4), integer_bounds("u8", 4)
    ((-128, 127), (-8, 7), (0, 15))
    """
    kind = STORAGES[storage]
    unused = 0 if bits is None else kind.bits - bits
    return kind.qmin >> unused, kind.qmax >> unused


def scale_error() -> QuantParamsError:
    """What scales that are not positive and finite are refused with."""
    return QuantParamsError(
        "scale must be positive and finite", next="a tensor with NaN, Inf or no range cannot be quantized"
    )


def _extremes(values: NDArray[Any]) -> tuple[Any, Any]:
    """The least and the greatest; of one value without a reduction."""
    if values.size == 1:
        return (values.item(),) * 2
    return np.minimum.reduce(values, axis=None), np.maximum.reduce(values, axis=None)
