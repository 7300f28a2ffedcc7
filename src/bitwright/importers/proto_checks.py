"""Checks of a model's protobuf before anything is built from it: names defined once, tensors that fit their bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import onnx
import onnx_ir as ir

from bitwright.errors import ModelError

EXPORT_AGAIN = "the file is damaged or its exporter has a fault: export it again"

#: What a tensor may weigh: numpy counts bytes in a signed 64-bit integer.
LARGEST_TENSOR_BYTES = (1 << 63) - 1

_D = ir.DataType
#: Which field holds the values of a type when raw_data does not (ONNX, TensorProto).
_INT32_TYPES = {
    *(_D.INT32, _D.INT16, _D.INT8, _D.INT4, _D.INT2, _D.UINT16, _D.UINT8, _D.UINT4, _D.UINT2, _D.BOOL),
    *(_D.FLOAT16, _D.BFLOAT16, _D.FLOAT8E4M3FN, _D.FLOAT8E4M3FNUZ, _D.FLOAT8E5M2, _D.FLOAT8E5M2FNUZ),
    *(_D.FLOAT8E8M0, _D.FLOAT4E2M1),
}
_FIELDS = {_D.FLOAT: "float_data", _D.COMPLEX64: "float_data", _D.DOUBLE: "double_data", _D.COMPLEX128: "double_data"}
_FIELDS |= {_D.INT64: "int64_data", _D.UINT32: "uint64_data", _D.UINT64: "uint64_data", _D.STRING: "string_data"}
_FIELDS |= dict.fromkeys(_INT32_TYPES, "int32_data")


def check_proto(proto: onnx.ModelProto) -> None:
    """Check the names and tensors of a model, its subgraphs and functions.

    Raises:
        ModelError: a name defined twice or never, a tensor whose bytes do not fit its shape and type.
    """
    _check_graph(proto.graph, frozenset())
    for function in proto.functions:
        place = f"function {function.name!r}"
        defined = _defined_once((place, name) for name in function.input)
        _check_nodes(function.node, defined, frozenset())


def _check_graph(graph: onnx.GraphProto, outer: frozenset[str]) -> None:
    if graph.sparse_initializer:
        raise ModelError("sparse initializers are not read", next="export the model with dense weights")
    for tensor in graph.initializer:
        if not tensor.name:
            raise ModelError("an initializer has no name", next=EXPORT_AGAIN)
        check_tensor(tensor, f"initializer {tensor.name!r}")
    inputs = _defined_once(("graph input", value.name) for value in graph.input)
    initializers = _defined_once(("initializer", tensor.name) for tensor in graph.initializer)
    defined = _check_nodes(graph.node, inputs | initializers, outer)
    for value in graph.output:
        if value.name not in defined:
            raise ModelError("nothing produces a graph output", where=f"output {value.name!r}", next=EXPORT_AGAIN)


def _check_nodes(nodes: Iterable[onnx.NodeProto], defined: set[str], outer: frozenset[str]) -> set[str]:
    """Check nodes among which values of `defined` and `outer` are known; gives `defined` and their outputs."""
    nodes = list(nodes)
    produced = _defined_once((_place(node, i), name) for i, node in enumerate(nodes) for name in node.output if name)
    for i, node in enumerate(nodes):
        for name in node.output:
            if name in defined:
                raise ModelError(f"the value {name!r} is defined twice", where=_place(node, i), next=EXPORT_AGAIN)
    defined = defined | produced
    for i, node in enumerate(nodes):
        for name in node.input:
            if name and name not in defined and name not in outer:
                raise ModelError(
                    f"nothing produces the value {name!r} that a node reads", where=_place(node, i), next=EXPORT_AGAIN
                )
        for attribute in node.attribute:
            for tensor in _tensors(attribute):
                check_tensor(tensor, f"{_place(node, i)}, attribute {attribute.name!r}")
            for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                _check_graph(graph, outer | defined)
    return defined


def _tensors(attribute: onnx.AttributeProto) -> Iterator[onnx.TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors


def _defined_once(names: Iterable[tuple[str, str]]) -> set[str]:
    seen: set[str] = set()
    for place, name in names:
        if name in seen:
            raise ModelError(f"the value {name!r} is defined twice", where=place, next=EXPORT_AGAIN)
        seen.add(name)
    return seen


def _place(node: onnx.NodeProto, index: int) -> str:
    return f'node "{node.name}" ({node.op_type})' if node.name else f"node number {index} ({node.op_type})"


def check_tensor(tensor: onnx.TensorProto, where: str) -> None:
    """Check that a tensor's values fit its shape and type, without reading or allocating them.

    External data is not looked at here, see `external.check_external`.

    Raises:
        ModelError: an unknown type, a negative or absurd dimension, too few or too many bytes.
    """
    try:
        dtype = ir.DataType(tensor.data_type)
    except ValueError:
        dtype = ir.DataType.UNDEFINED
    if dtype is ir.DataType.UNDEFINED:
        raise ModelError(f"a tensor has the unknown type {tensor.data_type}", where=where, next=EXPORT_AGAIN)
    dims = list(tensor.dims)
    if any(d < 0 for d in dims):
        raise ModelError(f"a tensor has a negative dimension: {_shape(dims)}", where=where, next=EXPORT_AGAIN)
    bits = 64 if dtype is ir.DataType.STRING else dtype.bitwidth
    if math.prod(d for d in dims if d) * bits > LARGEST_TENSOR_BYTES * 8 or len(dims) > 64:
        raise ModelError(f"a tensor is larger than any memory: {_shape(dims)}", where=where, next=EXPORT_AGAIN)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        if dtype is ir.DataType.STRING:
            raise ModelError("a tensor of strings cannot be external", where=where, next=EXPORT_AGAIN)
        for entry in tensor.external_data:
            if entry.key in ("offset", "length") and not (entry.value.isascii() and entry.value.isdigit()):
                raise ModelError(
                    f"the {entry.key} of external data is not a number of bytes: {entry.value[:40]!r}",
                    where=where,
                    next=EXPORT_AGAIN,
                )
        return
    _check_length(tensor, dtype, math.prod(dims), where)


def _check_length(tensor: onnx.TensorProto, dtype: ir.DataType, size: int, where: str) -> None:
    if tensor.HasField("raw_data"):
        if dtype is ir.DataType.STRING:
            raise ModelError("a tensor of strings has raw data", where=where, next=EXPORT_AGAIN)
        expected, found, unit = (size * dtype.bitwidth + 7) // 8, len(tensor.raw_data), "bytes"
    else:
        field = _FIELDS.get(dtype)
        # Types narrower than a byte are packed in int32_data as in raw_data; complex numbers take two entries.
        per_entry = 8 // dtype.bitwidth if dtype is not ir.DataType.STRING and dtype.bitwidth < 8 else 1
        wide = dtype in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128)
        expected = 2 * size if wide else -(-size // per_entry)
        found, unit = (len(getattr(tensor, field)) if field else 0), "values"
        others = [f for f in set(_FIELDS.values()) if f != field and len(getattr(tensor, f))]
        if others:
            raise ModelError(f"a tensor of type {dtype.name} has {others[0]}", where=where, next=EXPORT_AGAIN)
    if expected != found:
        raise ModelError(
            f"a tensor of shape {_shape(tensor.dims)} and type {dtype.name} must have {expected} {unit} (got {found})",
            where=where,
            next=EXPORT_AGAIN,
        )


def _shape(dims: Iterable[int]) -> str:
    shown = ",".join(map(str, dims))
    return f"[{shown if len(shown) <= 200 else shown[:200] + '...'}]"
