"""One sample, as it came, to the arrays a model takes: matched by name or position, checked, converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.calibration.stored_array import StoredArray
from bitwright.errors import SampleError

Array = NDArray[Any]
Feeds = dict[str, Array]
#: Names under which samples and tables of arrays hold labels, where no input has that name.
LABEL_NAMES = ("label", "labels", "y")


@dataclass(frozen=True)
class InputSpec:
    """One required input of a model.

    Args:
        name: the input's name.
        dtype: numpy type of its elements; object for strings.
        shape: a number, the name of a free dimension, or None per dimension; None when even the rank is free.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...] | None

    @property
    def rank(self) -> int | None:
        """The number of dimensions, None when free."""
        return None if self.shape is None else len(self.shape)

    def __str__(self) -> str:
        dims = "..." if self.shape is None else ", ".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.name!r} {self.dtype}[{dims}]"


def input_specs(model: ir.Model) -> list[InputSpec]:
    """The inputs that must be fed: graph inputs without an initializer."""
    specs = []
    for value in model.graph.inputs:
        if value.name in model.graph.initializers:
            continue
        dims = None if value.shape is None else tuple(d if isinstance(d, int) else d.value for d in value.shape)
        dtype = np.dtype(object) if value.dtype == ir.DataType.STRING else (value.dtype or ir.DataType.FLOAT).numpy()
        specs.append(InputSpec(str(value.name), np.dtype(dtype), dims))
    return specs


def to_array(value: Any) -> Array:
    """A numpy array of whatever holds numbers: numpy, torch and TensorFlow tensors, nested lists."""
    if isinstance(value, np.ndarray | StoredArray):
        return value  # type: ignore[return-value]  # rows are read on demand
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "numpy") and callable(value.numpy):
        value = value.numpy()
    return np.asarray(value)


def is_array(value: Any) -> bool:
    """Whether it is an array or tensor with at least one dimension."""
    shape = getattr(value, "shape", None)
    return shape is not None and hasattr(value, "dtype") and len(shape) >= 1


def match(sample: Any, inputs: Sequence[InputSpec], index: int) -> tuple[Feeds, Any]:
    """The feeds and the label (None without) of one sample.

    Args:
        sample: an array (one input), a mapping by input name, or a list or tuple of arrays in the order of the
            inputs; one more entry than there are inputs is the label.
        inputs: what the model takes.
        index: the sample's index, for errors.

    Raises:
        SampleError: an unknown or missing input, a wrong shape or dtype, NaN or Inf.
    """
    label = None
    if isinstance(sample, Mapping):
        names = {spec.name for spec in inputs}
        named = {name: value for name, value in sample.items() if name in names or name not in LABEL_NAMES}
        label = next((value for name, value in sample.items() if name not in named), None)
        unknown = [name for name in named if name not in names]
        if unknown:
            raise SampleError(
                f"sample {index} has no input of the model by the name {unknown[0]!r}",
                where=f"sample {index}",
                next=f"the model takes {_listed(inputs)}",
            )
    else:
        parts = [sample]
        if isinstance(sample, (list, tuple)) and any(is_array(part) for part in sample):
            parts = list(sample)
        if len(parts) == len(inputs) + 1 and len(parts) > 1:
            *parts, label = parts
        if len(parts) != len(inputs):
            raise SampleError(
                f"sample {index} holds {len(parts)} arrays, the model has {len(inputs)} inputs",
                where=f"sample {index}",
                next=f"give a dict by input name: {_listed(inputs)}",
            )
        named = {spec.name: part for spec, part in zip(inputs, parts, strict=True)}
    missing = [spec for spec in inputs if spec.name not in named]
    if missing:
        raise SampleError(
            f"sample {index} lacks input {missing[0].name!r}",
            where=f"sample {index}, which holds {', '.join(map(repr, named)) or 'nothing'}",
            next=f"the model takes {_listed(inputs)}",
        )
    return {spec.name: fit(named[spec.name], spec, index) for spec in inputs}, label


def fit(value: Any, spec: InputSpec, index: int) -> Array:
    """One array as the model takes it: a missing batch dimension is added, exact conversions of type are made.

    Raises:
        SampleError: a wrong shape or dtype, NaN or Inf.
    """
    where = f"sample {index}, input {spec.name!r}"
    try:
        array = to_array(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SampleError(f"{where}: not an array ({error})", where=where, next=f"the model takes {spec}") from error
    if spec.rank is not None and array.ndim == spec.rank - 1:
        array = array[None]
    if not _shape_fits(array.shape, spec):
        raise SampleError(
            f"{where}: the shape is {list(array.shape)}, the model takes {spec}", where=where, next=_advice(array, spec)
        )
    array = _convert(array, spec, where)
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            bad = 0 if np.isfinite(array.sum()) else int(array.size - np.isfinite(array).sum())
        if bad:
            nans = int(np.isnan(array).sum())
            kind = "NaN" if nans == bad else "infinite" if not nans else "NaN or infinite"
            raise SampleError(
                f"{where}: {bad} {'value is' if bad == 1 else 'values are'} {kind}",
                where=where,
                next="look at how the sample was made, or leave it out",
            )
    return np.ascontiguousarray(array).reshape(array.shape)


def _convert(array: Array, spec: InputSpec, where: str) -> Array:
    if array.dtype == spec.dtype:
        return array
    source, target = array.dtype.kind, spec.dtype.kind
    if target in "fV" and (source == "f" or (source in "iu" and array.dtype.itemsize == 1)):
        with np.errstate(over="ignore"):
            return array.astype(spec.dtype)
    if target in "iu" and source in "iu":
        limits = np.iinfo(spec.dtype)
        if not array.size or limits.min <= int(array.min()) <= int(array.max()) <= limits.max:
            return array.astype(spec.dtype)
        raise SampleError(
            f"{where}: values {array.min()}..{array.max()} do not fit {spec.dtype}",
            where=where,
            next=f"the model takes {spec}",
        )
    if target == "O" and source in "OSU":
        return array.astype(object)
    raise SampleError(
        f"{where}: the type is {array.dtype}, the model takes {spec.dtype}",
        where=where,
        next=f"convert it first: the model takes {spec}",
    )


def _shape_fits(shape: Sequence[int], spec: InputSpec) -> bool:
    if spec.shape is None:
        return True
    return len(shape) == len(spec.shape) and all(
        not isinstance(want, int) or want == have for want, have in zip(spec.shape, shape, strict=True)
    )


def _advice(array: Array, spec: InputSpec) -> str:
    if array.ndim == spec.rank == 4:
        for order, name in (((0, 3, 1, 2), "NHWC to NCHW"), ((0, 2, 3, 1), "NCHW to NHWC")):
            if _shape_fits([array.shape[i] for i in order], spec):
                return f"the layout looks swapped: transpose {name} with x.transpose{order}"
    return "give samples of the model's shape; dimensions with a name or ? are free"


def _listed(inputs: Sequence[InputSpec]) -> str:
    return ", ".join(map(str, inputs)) or "no inputs"
