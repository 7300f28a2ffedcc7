"""Tensors: the tables of a file's tensors -> Tensors: names made unique, types, parameters, constants."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import ModelError, QuantParamsError
from bitwright.formats.tflite.schema import STORAGE_TYPES, TENSOR_TYPE_NAMES
from bitwright.formats.tflite.source import DamagedError, Source
from bitwright.numerics.packing import unpack
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.program.tensor import DTYPES, Array, Shape, Tensor, bits_of

#: The largest tensor that is believed: 1 TiB.
_MOST_BYTES = 1 << 40
#: The most dimensions: numpy's own limit, less two that a reference may add.
_MOST_DIMENSIONS = 62
#: Types whose integers are weights, mostly without their lowest value.
_WEIGHT_TYPES = ("i2", "i4", "i8")
_COPY_AGAIN = "copy or download the model again"
#: How many names an error lists.
_LISTED = 10
#: What QuantizationDetails may be.
_DETAILS = {1: "custom", 2: "blockwise"}


class Tensors:
    """Reads the tensors of one subgraph.

    Args:
        source: the file.
        buffers: its buffers' tables.
        tables: the subgraph's tensors' tables.
        used: indices of those that something names; the others are left out.
    """

    def __init__(self, source: Source, buffers: Sequence[Any], tables: Sequence[Any], used: Collection[int]) -> None:
        self._source = source
        self._buffers = buffers
        self._tables = tables
        self._values: dict[tuple[int, str], Array] = {}
        self.used = sorted(used)
        self.names = _unique_names({index: source.text(tables[index], "Name") for index in self.used})

    def read(self, computed: Collection[int]) -> dict[str, Tensor]:
        """All of them by name.

        Args:
            computed: indices of inputs and results, which hold no constant whatever their buffer has.

        Raises:
            ModelError: a type, a shape or parameters that are not held; a constant of another size.
        """
        self._check_types()
        return {self.names[index]: self._tensor(index, index in computed) for index in self.used}

    def _check_types(self) -> None:
        refused = [
            f"{self.names[index]!r} {TENSOR_TYPE_NAMES.get(number, f'type {number}')}"
            for index in self.used
            if (number := self._tables[index].Type()) not in STORAGE_TYPES
        ]
        if refused:
            more = f" and {len(refused) - _LISTED} more" if len(refused) > _LISTED else ""
            raise ModelError(
                f"tensors of types that are not held: {', '.join(refused[:_LISTED])}{more}",
                next=f"convert the model without them; types that are held: {', '.join(STORAGE_TYPES.values())}",
            )

    def _tensor(self, index: int, computed: bool) -> Tensor:
        table, name = self._tables[index], self.names[index]
        dtype = STORAGE_TYPES[table.Type()]
        try:
            shape = self._shape(table, dtype)
            variable = bool(table.IsVariable())
            data = None if computed else self._constant(table, dtype, shape)
            if variable and data is not None and data.size:
                raise ModelError("is state that starts with a value", next="let it start at zero, as LiteRT asks")
            return Tensor(
                name,
                shape,
                dtype,
                qparams=self._qparams(table, dtype, shape, data),
                data=None if variable else data,
                variable=variable,
                shape_signature=self._shape_signature(table, shape),
                recorded=self._recorded(table),
            )
        except DamagedError:
            raise
        except (ModelError, QuantParamsError) as error:
            raise ModelError(f"tensor {name!r} {error.what}", next=error.next) from error

    def _shape(self, table: Any, dtype: str) -> Shape:
        if table.Sparsity() is not None:
            raise ModelError("is sparse, which is not read", next="write the model with dense weights")
        sizes = self._source.numbers(table, "Shape")
        if sizes.size > _MOST_DIMENSIONS:
            raise ModelError(f"has {sizes.size} dimensions, more than any device takes", next=_COPY_AGAIN)
        shape = tuple(sizes.tolist())
        if any(size < 0 for size in shape):
            raise ModelError(f"has the unknown shape {list(shape)}", next="convert the model with fixed shapes")
        if math.prod(shape) * bits_of(dtype) // 8 > _MOST_BYTES:
            raise ModelError(f"has {math.prod(shape)} elements, more than any device holds", next=_COPY_AGAIN)
        return shape

    def _shape_signature(self, table: Any, shape: Shape) -> Shape | None:
        """The shape with -1 where it is free; None when nothing is, or it belongs to another shape."""
        signature = tuple(self._source.numbers(table, "ShapeSignature").tolist())
        fits = len(signature) == len(shape) and all(a in (-1, b) for a, b in zip(signature, shape, strict=True))
        return signature if fits and -1 in signature else None

    def _constant(self, table: Any, dtype: str, shape: Shape) -> Array | None:
        number, elements = int(table.Buffer()), math.prod(shape)
        if number >= len(self._buffers):
            raise DamagedError(f"{len(self._buffers)} buffers, where one of them needs number {number}")
        contents = self._source.contents(self._buffers[number])
        if not contents.size and elements:
            return None
        nbytes = -(-elements * bits_of(dtype) // 8)
        if contents.size != nbytes:
            raise ModelError(
                f"{dtype}{list(shape)} takes {nbytes} bytes, its buffer holds {contents.size}",
                next=_COPY_AGAIN,
            )
        key = (number, dtype)
        if key not in self._values:
            self._values[key] = self._elements(contents, dtype)
        return self._values[key][:elements].reshape(shape)

    def _elements(self, contents: NDArray[np.uint8], dtype: str) -> Array:
        """The elements of a buffer, flat: a view of the file where they lie in it as numpy has them."""
        if bits_of(dtype) < 8:
            elements = contents.size * 8 // bits_of(dtype)
            self._source.spend(elements)
            values: Array = unpack(contents, dtype, (elements,))
        elif dtype == "bool":
            self._source.spend(contents.size)
            values = contents != 0
        else:
            values = contents.view(DTYPES[dtype].newbyteorder("<"))
            if not values.flags.aligned:
                self._source.spend(contents.size)
                values = values.copy()
        values.setflags(write=False)
        return values

    def _recorded(self, table: Any) -> tuple[Array, Array] | None:
        """The ranges beside the parameters, where the file has both ends of them."""
        quantization = table.Quantization()
        if quantization is None:
            return None
        low, high = (self._source.numbers(quantization, name) for name in ("Min", "Max"))
        return (low, high) if low.size and low.size == high.size else None

    def _qparams(self, table: Any, dtype: str, shape: Shape, data: Array | None) -> QuantParams | None:
        quantization = table.Quantization()
        if quantization is None:
            return None
        if details := int(quantization.DetailsType()):
            raise ModelError(
                f"has {_DETAILS.get(details, f'number {details}')} quantization, which is not read",
                next="convert the model with parameters per tensor or per channel",
            )
        scale = self._source.numbers(quantization, "Scale")
        if not scale.size or dtype not in STORAGES:
            return None  # converters leave an empty table at plain tensors
        point = self._zero_point(quantization, scale.size, dtype)
        axis = _axis(int(quantization.QuantizedDimension()), scale.size, shape)
        symmetric = dtype in _WEIGHT_TYPES and data is not None and data.size > 0 and not point.any()
        narrow = symmetric and data is not None and int(data.min()) > STORAGES[dtype].qmin
        return QuantParams(scale, point, dtype, axis, narrow_range=narrow)

    def _zero_point(self, quantization: Any, scales: int, dtype: str) -> NDArray[np.int32]:
        point = self._source.numbers(quantization, "ZeroPoint")
        if point.size not in (0, scales):
            raise ModelError(
                f"has {scales} scales and {point.size} zero_points", next="write the model again from its source"
            )
        low, high = max(STORAGES[dtype].qmin, -(1 << 31)), min(STORAGES[dtype].qmax, (1 << 31) - 1)
        if point.size and not low <= int(point.min()) <= int(point.max()) <= high:
            raise ModelError(f"has a zero_point outside [{low}, {high}]", next="write the model again from its source")
        return point.astype(np.int32) if point.size else np.zeros(scales, np.int32)


def _axis(dimension: int, scales: int, shape: Shape) -> int | None:
    """The quantization axis. One scale is per tensor, unless the file names an axis of one element (other than the
    first, which is also what it names when it means none).
    """
    fits = 0 <= dimension < len(shape) and shape[dimension] == scales
    if scales == 1:
        return dimension if fits and dimension else None
    if not fits:
        raise ModelError(
            f"{list(shape)} has {scales} scales along axis {dimension}", next="write the model again from its source"
        )
    return dimension


def _unique_names(given: Mapping[int, str]) -> dict[int, str]:
    """Every name once: the second "a" is "a_2"; one without a name is "tensor_<index>"."""
    reserved = set(given.values())
    seen: dict[str, int] = {}
    names: dict[int, str] = {}
    for index, name in given.items():
        base = name or f"tensor_{index}"
        count = seen.get(base, 0 if name or base not in reserved else 1) + 1
        unique = base
        while count > 1 and (unique := f"{base}_{count}") in reserved:
            count += 1
        seen[base] = count
        reserved.add(unique)
        names[index] = unique
    return names
