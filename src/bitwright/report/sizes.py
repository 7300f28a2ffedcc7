"""Bytes of a model by kind: constants by how they are stored, scales and zero points, and the graph around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.importers.tensorflow.kinds import kind_of
from bitwright.report.external_data import external_locations

#: Models whose constants are smaller are serialized in memory to count their bytes; larger ones are counted by parts.
EXACT_BELOW_BYTES = 1 << 28

QPARAMS = "scales and zero points"
GRAPH = "graph"

_QPARAMS_INPUTS: dict[str, tuple[int, ...]] = {
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "MatMulInteger": (2, 3),
    "ConvInteger": (2, 3),
    "DynamicQuantizeMatMul": (2, 3),
    "MatMulIntegerToFloat": (2, 3, 4, 5),
    "MatMulNBits": (2, 3),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "DynamicQuantizeLSTM": (8, 9, 10, 11),
}

_SHORT = {"FLOAT": "f32", "FLOAT16": "f16", "BFLOAT16": "bf16", "DOUBLE": "f64", "BOOL": "bool", "STRING": "string"}


@dataclass(frozen=True)
class Sizes:
    """Bytes of one model.

    Args:
        by_kind: bytes by kind, largest first: a storage type ("f32", "i8", "i4"), "scales and zero points", "graph"
            (nodes, names, attributes: all that is no constant).
        total: all of them; the bytes of the file when the kinds were counted for a file.
    """

    by_kind: Mapping[str, int]
    total: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"total": self.total, "by_kind": dict(self.by_kind)}


def sizes_of(model: ir.Model, *, total: int | None = None) -> Sizes:
    """The bytes of a model by kind.

    Args:
        model: any graph; constants held as integers (QuantizedTensor) count as stored.
        total: bytes of the file it came from; serialized to find out when None.
    """
    found: dict[str, int] = {}
    for kind, count in _constants(model):
        found[kind] = found.get(kind, 0) + count
    constants = sum(found.values())
    whole = serialized_bytes(model) if total is None else total
    found[GRAPH] = max(whole - constants, 0)
    return Sizes(dict(sorted(found.items(), key=lambda item: -item[1])), whole)


def serialized_bytes(model: ir.Model) -> int:
    """Bytes of the model as an ONNX file.

    Exact for models below EXACT_BELOW_BYTES; above, the messages around large constants are left out
    (a few bytes each).
    """
    tensors = {
        id(value): (value, value.const_value)
        for graph in model.graphs()
        for value in graph.initializers.values()
        if value.const_value is not None and value.const_value.nbytes > 1024
    }
    large = sum(int(tensor.nbytes) for _, tensor in tensors.values())
    if large < EXACT_BELOW_BYTES:
        return int(ir.to_proto(model).ByteSize())
    try:
        for value, tensor in tensors.values():
            value.const_value = ir.ExternalTensor(
                "x", 0, int(tensor.nbytes), tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=str(value.name)
            )
        return int(ir.to_proto(model).ByteSize()) + large
    finally:
        for value, tensor in tensors.values():
            value.const_value = tensor


def file_bytes(path: str | Path) -> int:
    """Bytes of a model's file, and of the external data files that its constants name."""
    path = Path(path)
    beside = (path.parent / name for name in external_locations(path))
    return path.stat().st_size + sum(file.stat().st_size for file in beside if file.is_file())


def source_bytes(path: str | Path | None) -> int | None:
    """Bytes of the file that a model was read from; None where none was, or where it is another framework's.

    A Keras file or SavedModel holds more than the network (states of an optimizer, other signatures), and a graph that
    is cut less: their bytes are not the network's.
    """
    return None if path is None or kind_of(path) is not None else file_bytes(path)


def parameter_count(model: ir.Model) -> int:
    """Elements of all floating and integer weights; scales, zero points and shapes (int64) are left out."""
    return sum(
        int(tensor.size)
        for value, tensor in _tensors(model)
        if not _is_qparams(value) and tensor.dtype not in (ir.DataType.INT64, ir.DataType.STRING, ir.DataType.BOOL)
    )


def storage_name(tensor: ir.TensorProtocol) -> str:
    """How a constant is stored, in short: "f32", "f16", "i8", "u4"."""
    if isinstance(tensor, QuantizedTensor):
        return tensor.qparams.storage
    if isinstance(tensor, HalfTensor):
        return "f16"
    name = tensor.dtype.name
    return _SHORT.get(name) or name.replace("UINT", "u").replace("INT", "i").lower()


def _constants(model: ir.Model) -> Iterator[tuple[str, int]]:
    for value, tensor in _tensors(model):
        if isinstance(tensor, QuantizedTensor):
            yield storage_name(tensor), -(-int(tensor.integers.size) * tensor.qparams.kind.bits // 8)
            yield QPARAMS, int(tensor.qparams.scale.nbytes)
        elif isinstance(tensor, HalfTensor):
            yield "f16", int(tensor.halves.nbytes)
        elif _is_qparams(value):
            yield QPARAMS, int(tensor.nbytes)
        else:
            yield _packed_storage(value) or storage_name(tensor), int(tensor.nbytes)


def _tensors(model: ir.Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """Every constant: initializers of all graphs, and tensors of Constant nodes."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value, value.const_value
        for node in graph:
            held = node.attributes.get("value") if node.op_type == "Constant" else None
            if held is not None and held.type == ir.AttributeType.TENSOR:
                yield node.outputs[0], held.as_tensor()


def _is_qparams(value: ir.Value) -> bool:
    uses = value.uses()
    return bool(uses) and all(use.idx in _QPARAMS_INPUTS.get(use.node.op_type, ()) for use in uses)


def _packed_storage(value: ir.Value) -> str | None:
    """MatMulNBits packs its integers into bytes; the attribute says how many bits each has."""
    for use in value.uses():
        if use.node.op_type == "MatMulNBits" and use.idx == 1:
            bits = use.node.attributes.get("bits")
            return f"u{bits.as_int() if bits is not None else 4}"
    return None
