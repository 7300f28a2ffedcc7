"""Types and shapes of inner values: filled in by ONNX's own inference when some are missing."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.transforms.outcome import Outcome

#: Constants above this take no part in the inference; target shapes, axes and the like are smaller.
LARGE_BYTES = 1024


def infer_shapes(model: ir.Model) -> Outcome:
    """Fill in missing types and shapes of the main graph's values. Those that are known stay as they are.

    Large constants take part by type and shape alone, so it costs milliseconds however many weights there are.
    A value of an operator that nobody knows stays without a shape.
    """
    before = missing(model.graph)
    if not before:
        return Outcome(model, False, "all known")
    found = inferred(model)
    for node in model.graph:
        for value in node.outputs:
            kind, shape = found.get(str(value.name), (None, None))
            value.type = value.type if value.type is not None else kind
            value.shape = value.shape if value.shape is not None else shape
    after = missing(model.graph)
    return Outcome(model, after < before, f"{before - after} of {before} shapes found")


def inferred(model: ir.Model) -> dict[str, tuple[ir.TypeProtocol | None, ir.Shape | None]]:
    """Type and shape of the main graph's values by name, as far as ONNX can tell. Empty when it cannot."""
    import onnx

    light = model.clone()
    for value in list(light.graph.initializers.values()):
        tensor = value.const_value
        if tensor is not None and tensor.nbytes > LARGE_BYTES and not value.is_graph_input():
            light.graph.initializers.pop(str(value.name))
            value.const_value = None
            value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
            light.graph.inputs.append(value)
    try:
        graph = onnx.shape_inference.infer_shapes(ir.to_proto(light), data_prop=True).graph
    except (onnx.shape_inference.InferenceError, ValueError):  # a graph that it cannot infer is left as it was
        return {}
    return {
        info.name: (
            ir.serde.deserialize_type_proto_for_type(info.type),
            ir.serde.deserialize_type_proto_for_shape(info.type),
        )
        for info in (*graph.value_info, *graph.output)
    }


def missing(graph: ir.Graph) -> int:
    """How many results of nodes have no type, or no shape where their type has one."""
    return sum(
        value.type is None or (value.shape is None and isinstance(value.type, ir.TensorType))
        for node in graph
        for value in node.outputs
        if value.name
    )
