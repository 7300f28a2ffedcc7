"""Concrete: a graph whose free dimensions have numbers: every value's type and shape, and what follows from shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.graph.attributes import has_subgraph, int_attribute, ints_attribute
from bitwright.graph.constants import HalfTensor, QuantizedTensor, constant_of

Array = NDArray[Any]
Shape = tuple[int, ...]

#: Constants of at most so many elements tell shapes (axes, target shapes, pads).
TELLING_ELEMENTS = 1024
#: Nodes on constants are computed here when they read at most so many elements.
FOLDED_ELEMENTS = 1 << 24

#: Operators that ONNX defines by others, without an inference of their own.
_SAME_SHAPE = ("GroupNormalization", "MeanVarianceNormalization")

_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")


@dataclass(frozen=True)
class Concrete:
    """Types and shapes of all values, and the constants that were computed on the way.

    Args:
        model: as it was given; it is left as it is.
        shapes: by value; a value whose shape depends on data is not in it.
        dtypes: by value.
        folded: values that nodes on constants give.
    """

    model: ir.Model
    shapes: Mapping[ir.Value, Shape]
    dtypes: Mapping[ir.Value, ir.DataType]
    folded: Mapping[ir.Value, Array]

    def array(self, value: ir.Value | None) -> Array | None:
        """The constant behind a value, None when it is computed from inputs."""
        if value is None:
            return None
        if value in self.folded:
            return self.folded[value]
        tensor = constant_of(value)
        return None if tensor is None else tensor.numpy()

    def is_constant(self, value: ir.Value | None) -> bool:
        return value is not None and (value in self.folded or constant_of(value) is not None)


def make_concrete(model: ir.Model, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Concrete:
    """Give every free dimension a number: 1, or what `input_shapes` says.

    Args:
        model: nodes in order of execution; left as it is.
        input_shapes: whole shapes by input name.

    Raises:
        UsageError: a shape for an input that does not exist, or that does not fit; an input without a shape.
    """
    walk = _Walk(model, dict(input_shapes or {}))
    for node in model.graph:
        walk.visit(node)
    return Concrete(model, walk.shapes, walk.dtypes, walk.folded)


class _Walk:
    """Forward through the graph: each node's results from its operands' shapes and constants."""

    def __init__(self, model: ir.Model, input_shapes: dict[str, Sequence[int]]) -> None:
        self.shapes: dict[ir.Value, Shape] = {}
        self.dtypes: dict[ir.Value, ir.DataType] = {}
        self.folded: dict[ir.Value, Array] = {}
        self.versions = dict(model.graph.opset_imports) or dict(model.opset_imports)
        self.imports = [onnx.helper.make_opsetid(domain, version) for domain, version in self.versions.items()]
        names = [str(value.name) for value in model.graph.inputs]
        for name in input_shapes:
            if name not in names:
                raise UsageError(f"input_shapes names {name!r}, which is no input", next=f"one of {', '.join(names)}")
        for value in model.graph.inputs:
            self.shapes[value] = _input_shape(value, input_shapes.get(str(value.name)))
            self.dtypes[value] = value.dtype or ir.DataType.FLOAT
        for value in model.graph.initializers.values():
            if (tensor := constant_of(value)) is not None:
                self._constant(value, tensor)

    def _constant(self, value: ir.Value, tensor: ir.TensorProtocol) -> None:
        self.shapes[value] = tuple(int(d) for d in tensor.shape.numpy())
        self.dtypes[value] = tensor.dtype

    def visit(self, node: ir.Node) -> None:
        if node.op_type == "Constant" and (tensor := constant_of(node.outputs[0])) is not None:
            self._constant(node.outputs[0], tensor)
            return
        arrays = self._folded(node)
        if arrays is not None:
            for value, array in zip((v for v in node.outputs if v.name), arrays, strict=True):
                self.folded[value] = array
                self.shapes[value], self.dtypes[value] = array.shape, ir.DataType.from_numpy(array.dtype)
            return
        found = self._inferred(node)
        data = node.inputs[0] if node.inputs else None
        for value in node.outputs:
            kind = found.get(str(value.name))
            if kind is not None and kind.HasField("tensor_type"):
                self.dtypes[value] = ir.DataType(kind.tensor_type.elem_type)
                if kind.tensor_type.HasField("shape"):
                    dims = kind.tensor_type.shape.dim
                    if all(d.HasField("dim_value") for d in dims):
                        self.shapes[value] = tuple(d.dim_value for d in dims)
            if value not in self.dtypes and value.dtype is not None:
                self.dtypes[value] = value.dtype
            if value not in self.shapes and value.shape is not None and value.shape.is_static():
                self.shapes[value] = tuple(int(d) for d in value.shape.numpy())
            if value in self.shapes and node.op_type in ("MaxPool", "AveragePool") and data in self.shapes:
                self.shapes[value] = _pooled(node, self.shapes[data], self.shapes[value])

    def _folded(self, node: ir.Node) -> Sequence[Array] | None:
        """The node's results when they follow from shapes and constants alone."""
        data = node.inputs[0] if node.inputs else None
        if node.op_type in ("Shape", "Size") and data in self.shapes and node.domain == "":
            shape = self.shapes[data]
            if node.op_type == "Size":
                return [np.array(math.prod(shape), np.int64)]
            end = int_attribute(node, "end", len(shape))
            return [np.array(shape[int_attribute(node, "start", 0) : end], np.int64)]
        if node.op_type in _RANDOM or node.domain not in ("", "ai.onnx") or has_subgraph(node):
            return None
        if not any(value is not None for value in node.inputs):
            return None
        tensors = {str(v.name): self._foldable(v) for v in node.inputs if v is not None}
        if any(array is None for array in tensors.values()):
            return None
        return _evaluated(node, {name: array for name, array in tensors.items() if array is not None}, self.imports)

    def _foldable(self, value: ir.Value) -> Array | None:
        if value in self.folded:
            return self.folded[value]
        tensor = constant_of(value)
        if tensor is None or tensor.size > FOLDED_ELEMENTS:
            return None
        if isinstance(tensor, QuantizedTensor | HalfTensor) and tensor.size > TELLING_ELEMENTS:
            return None
        return tensor.numpy()

    def _inferred(self, node: ir.Node) -> Mapping[str, onnx.TypeProto]:
        """What ONNX's own inference says of the node's results; nothing for an operator it does not know."""
        operands = [v for v in node.inputs if v is not None]
        if any(v not in self.dtypes for v in operands):
            return {}
        types = {str(v.name): _type(self.dtypes[v], self.shapes.get(v)) for v in operands}
        data = {}
        for value in operands:
            array = self.folded.get(value)
            tensor = constant_of(value)
            if array is None and tensor is not None and tensor.size <= TELLING_ELEMENTS:
                array = tensor.numpy()
            if array is not None and array.size <= TELLING_ELEMENTS and array.dtype.kind in "iufb":
                data[str(value.name)] = onnx.numpy_helper.from_array(array, str(value.name))
        try:
            schema = onnx.defs.get_schema(node.op_type, self.versions.get(node.domain, 1), node.domain)
            found = onnx.shape_inference.infer_node_outputs(
                schema, ir.to_proto(node), types, data, opset_imports=self.imports, ir_version=10
            )
        except (onnx.shape_inference.InferenceError, onnx.defs.SchemaError, ValueError, RuntimeError):
            found = {}
        known = {name: kind for name, kind in found.items() if kind.HasField("tensor_type")}
        if node.op_type in _SAME_SHAPE:
            known[str(node.outputs[0].name)] = types[str(operands[0].name)]
        return known


def _input_shape(value: ir.Value, given: Sequence[int] | None) -> Shape:
    where = f"input {str(value.name)!r}"
    if value.shape is None and given is None:
        raise UsageError(
            "an input has no shape",
            where=where,
            next="export the model with a shape for every input",
        )
    if value.shape is None or given is None:
        return tuple(int(d) for d in given or ()) if value.shape is None else _filled(value.shape)
    fits = len(given) == len(value.shape) and all(
        not isinstance(dim, int) or dim == int(size) for dim, size in zip(value.shape, given, strict=True)
    )
    if not fits or any(int(size) < 1 for size in given):
        raise UsageError(
            f"shape {list(given)} does not fit {value.shape}",
            where=where,
            next="give a number for every free dimension",
        )
    return tuple(int(size) for size in given)


def _filled(shape: ir.Shape) -> Shape:
    return tuple(dim if isinstance(dim, int) else 1 for dim in shape)


def _type(dtype: ir.DataType, shape: Shape | None) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(int(dtype), shape)


def _pooled(node: ir.Node, shape: Shape, inferred: Shape) -> Shape:
    """A pool's result without windows that would start behind the data, which ONNX's inference counts.

    Source: ONNX MaxPool-22 on ceil_mode; ONNX Runtime does so for older ones.
    """
    if not int_attribute(node, "ceil_mode", 0):
        return inferred
    rank = len(shape) - 2
    strides, pads = ints_attribute(node, "strides") or (1,) * rank, ints_attribute(node, "pads") or (0,) * 2 * rank
    spatial = [out - ((out - 1) * strides[i] >= shape[i + 2] + pads[i]) for i, out in enumerate(inferred[2:])]
    return (*inferred[:2], *spatial)


def _evaluated(node: ir.Node, arrays: Mapping[str, Array], imports: list[Any]) -> Sequence[Array] | None:
    """The node's results computed; None when ONNX's reference cannot."""
    from onnx.reference import ReferenceEvaluator

    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    outputs = [onnx.ValueInfoProto(name=str(v.name)) for v in node.outputs if v.name]
    graph = onnx.helper.make_graph([ir.to_proto(node)], "one", inputs, outputs)
    try:
        runner = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=imports, ir_version=10))
        made = runner.run(None, dict(arrays))
    except Exception:  # whatever it raises, the node is left for its lowering to take or to refuse
        return None
    return [np.asarray(array) for array in made]
