"""Tensors: the tables of a file's tensors -> Tensors: names made unique, types, parameters, constants."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from bitwright.errors import ModelError, QuantParamsError
from bitwright.formats.tflite.columns import Columns, Ints, contents_of
from bitwright.formats.tflite.parameters import Found, read_parameters
from bitwright.formats.tflite.schema import STORAGE_TYPES, TENSOR_TYPE_NAMES
from bitwright.formats.tflite.source import DamagedError, Source
from bitwright.numerics.packing import unpack
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.program.tensor import DTYPES, Array, Shape, Tensor, bits_of

#: The fields of the schema's table Tensor.
_SHAPE, _TYPE, _BUFFER, _NAME, _QUANTIZATION, _IS_VARIABLE, _SPARSITY, _SHAPE_SIGNATURE = range(8)
#: The largest tensor that is believed: 1 TiB.
_MOST_BYTES = 1 << 40
#: So many elements are never too many.
_FEW = _MOST_BYTES // 8
#: The most dimensions: numpy's own limit, less two that a reference may add.
_MOST_DIMENSIONS = 62
#: Types whose integers are weights, mostly without their lowest value.
_WEIGHT_TYPES = ("i2", "i4", "i8")
_COPY_AGAIN = "copy or download the model again"
#: How many names an error lists.
_LISTED = 10
_BITS = {dtype: bits_of(dtype) for dtype in DTYPES}
#: Types whose constants numpy can take as they lie in a file.
_AS_THEY_LIE = {dtype: kind.newbyteorder("<") for dtype, kind in DTYPES.items() if _BITS[dtype] > 4 and dtype != "bool"}


class Tensors:
    """Reads the tensors of one subgraph.

    Args:
        source: the file.
        buffers: the places of its buffers' tables.
        tables: the places of the subgraph's tensors' tables.
        used: indices of those that something names; the others are left out.
    """

    def __init__(self, source: Source, buffers: Ints, tables: Ints, used: Collection[int]) -> None:
        self._source = source
        self._buffers = buffers
        self._used = sorted(used)
        self._columns = Columns(source, tables[np.array(self._used, np.int64)], 8)
        self._moved: dict[tuple[int, str], Array] = {}
        self._narrow: dict[tuple[int, str], bool] = {}
        self.names = _unique_names(dict(zip(self._used, self._columns.texts(_NAME), strict=True)))

    def read(self, computed: Collection[int]) -> dict[str, Tensor]:
        """All of them by name.

        Args:
            computed: indices of inputs and results, which hold no constant whatever their buffer has.

        Raises:
            ModelError: a type, a shape or parameters that are not held; a constant of another size.
        """
        columns, dtypes = self._columns, self._types()
        buffers, variables = columns.numbers(_BUFFER, "<u4"), columns.numbers(_IS_VARIABLE, "?")
        shapes, signatures = columns.integers(_SHAPE), columns.integers(_SHAPE_SIGNATURE)
        is_quantized, is_sparse = columns.has(_QUANTIZATION), columns.has(_SPARSITY)
        spans = self._spans({b for b, index in zip(buffers, self._used, strict=True) if index not in computed})
        parameters = self._parameters(dtypes, shapes)
        tensors, index = {}, 0
        try:
            for index, dtype, shape, buffer, variable, signature, quantized, sparse in zip(
                self._used,
                dtypes,
                shapes,
                buffers,
                variables,
                signatures,
                is_quantized.tolist(),
                is_sparse.tolist(),
                strict=True,
            ):
                if sparse:
                    raise ModelError("is sparse, which is not read", next="write the model with dense weights")
                elements = math.prod(shape)
                if elements > _FEW or len(shape) > _MOST_DIMENSIONS or (shape and min(shape) < 0):
                    _check_shape(shape, dtype)
                data = None if index in computed else self._constant(buffer, spans[buffer], dtype, shape, elements)
                if variable and data is not None:
                    if data.size:
                        raise ModelError(
                            "is state that starts with a value", next="let it start at zero, as LiteRT asks"
                        )
                    data = None
                found, recorded = next(parameters) if quantized else (None, None)
                qparams = None
                if found is not None:
                    scale, zero_point, axis, symmetric = found
                    narrow = (
                        symmetric
                        and data is not None
                        and dtype in _WEIGHT_TYPES
                        and self._is_narrow(buffer, dtype, data)
                    )
                    qparams = QuantParams.of_checked(scale, zero_point, dtype, axis, narrow, symmetric)
                free = _free_shape(signature, shape) if signature else None
                name = self.names[index]
                tensors[name] = Tensor(name, shape, dtype, qparams, data, variable, free, recorded)
        except DamagedError:
            raise
        except (ModelError, QuantParamsError) as error:
            raise ModelError(f"tensor {self.names[index]!r} {error.what}", next=error.next) from error
        return tensors

    def _types(self) -> list[str]:
        """The storage type of each."""
        numbers = self._columns.numbers(_TYPE, "<i1")
        if not STORAGE_TYPES.keys() >= set(numbers):
            refused = [
                f"{self.names[index]!r} {TENSOR_TYPE_NAMES.get(number, f'type {number}')}"
                for index, number in zip(self._used, numbers, strict=True)
                if number not in STORAGE_TYPES
            ]
            more = f" and {len(refused) - _LISTED} more" if len(refused) > _LISTED else ""
            raise ModelError(
                f"tensors of types that are not held: {', '.join(refused[:_LISTED])}{more}",
                next=f"convert the model without them; types that are held: {', '.join(STORAGE_TYPES.values())}",
            )
        return [STORAGE_TYPES[number] for number in numbers]

    def _spans(self, buffers: set[int]) -> dict[int, tuple[int, int]]:
        """Where the contents of buffers lie, by number."""
        numbers = sorted(buffers)
        if numbers and numbers[-1] >= len(self._buffers):
            raise DamagedError(f"{len(self._buffers)} buffers, where one of them needs number {numbers[-1]}")
        return dict(zip(numbers, contents_of(self._source, self._buffers[np.array(numbers, np.int64)]), strict=True))

    def _parameters(self, dtypes: list[str], shapes: list[Shape]) -> Iterator[Found]:
        """The parameters of each tensor that has a table of them, in turn."""
        which = np.flatnonzero(self._columns.has(_QUANTIZATION))
        given = which.tolist()
        return read_parameters(
            self._source,
            self._columns.tables(_QUANTIZATION)[which],
            [dtypes[i] for i in given],
            [shapes[i] for i in given],
        )

    def _constant(self, buffer: int, span: tuple[int, int], dtype: str, shape: Shape, elements: int) -> Array | None:
        """The constant in a buffer: a view of the file where it lies in it as numpy has it."""
        start, size = span
        if not size and elements:
            return None
        nbytes = -(-elements * _BITS[dtype] // 8)
        if size != nbytes:
            raise ModelError(f"{dtype}{list(shape)} takes {nbytes} bytes, its buffer holds {size}", next=_COPY_AGAIN)
        if dtype in _AS_THEY_LIE:
            values: Array = np.ndarray(shape, _AS_THEY_LIE[dtype], self._source.data, start)
            if _BITS[dtype] == 8 or values.flags.aligned:
                return values
        key = (buffer, dtype)
        if key not in self._moved:
            self._source.spend(max(nbytes, elements))
            self._moved[key] = _moved(self._source.data[start : start + size], dtype, elements)
        return self._moved[key].reshape(shape)

    def _is_narrow(self, buffer: int, dtype: str, data: Array) -> bool:
        """Whether weights are without the lowest value of their type."""
        key = (buffer, dtype)
        if key not in self._narrow:
            self._source.spend(data.size)
            self._narrow[key] = data.size > 0 and int(data.min()) > STORAGES[dtype].qmin
        return self._narrow[key]


def _check_shape(shape: Shape, dtype: str) -> None:
    """Refuse a shape that no device could hold."""
    if len(shape) > _MOST_DIMENSIONS:
        raise ModelError(f"has {len(shape)} dimensions, more than any device takes", next=_COPY_AGAIN)
    if min(shape) < 0:
        raise ModelError(f"has the unknown shape {list(shape)}", next="convert the model with fixed shapes")
    if math.prod(shape) * _BITS[dtype] // 8 > _MOST_BYTES:
        raise ModelError(f"has {math.prod(shape)} elements, more than any device holds", next=_COPY_AGAIN)


def _free_shape(signature: Shape, shape: Shape) -> Shape | None:
    """The shape with -1 where it is free; None when nothing is, or it belongs to another shape."""
    if -1 not in signature or len(signature) != len(shape):
        return None
    return signature if all(a in (-1, b) for a, b in zip(signature, shape, strict=True)) else None


def _moved(contents: memoryview, dtype: str, elements: int) -> Array:
    """The elements of a buffer that numpy can't take as they lie in the file, flat."""
    data = np.frombuffer(contents, np.uint8)
    if _BITS[dtype] < 8:
        values: Array = unpack(data, dtype, (elements,))
    elif dtype == "bool":
        values = data != 0
    else:
        values = data.view(_AS_THEY_LIE[dtype]).copy()
    values.setflags(write=False)
    return values


def _unique_names(given: Mapping[int, str]) -> dict[int, str]:
    """Every name once: the second "a" is "a_2"; one without a name is "tensor_<index>"."""
    reserved = set(given.values())
    if len(reserved) == len(given) and "" not in reserved:
        return dict(given)
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
