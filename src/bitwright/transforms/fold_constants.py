"""fold_constants: what depends on constants alone is computed now."""

from __future__ import annotations

import math

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from bitwright.errors import TransformError
from bitwright.graph.attributes import has_subgraph
from bitwright.graph.constants import HalfTensor, QuantizedTensor, constant_of
from bitwright.transforms.lift_constants import lift_constants
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import is_op

#: Never folded: quantization is kept as it is spelled, a constant stays one, chance stays chance.
KEPT = (
    *("Constant", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
)


def fold_constants(model: ir.Model, *, growth_limit_bytes: int = 1 << 20) -> Outcome:
    """Compute nodes whose inputs are all constant, and Shape of known shapes; onnxscript's optimizer does the work.

    Args:
        model: changed in place.
        growth_limit_bytes: a result stays a node when it is larger than its inputs by more than this.

    The result keeps its name as an initializer. Dequantized weights, nodes with subgraphs, what decides which of them
    run, and results that the graph gives out are left as they are.
    """
    lifted = lift_constants(model).modified
    if not has_foldable(model):
        return Outcome(model, lifted, "nothing to fold")
    before = len(model.graph)
    graph, deciding = model.graph, deciding_nodes(model.graph)
    from onnxscript.optimizer._constant_folding import FoldConstantsPass

    class MainGraphFolder(FoldConstantsPass):  # type: ignore[misc]
        """The pass, without the inlining of branches."""

        def visit_node(self, node: ir.Node, root: ir.Graph | ir.Function) -> None:
            if root is graph and node not in deciding and not has_subgraph(node):
                super().visit_node(node, root)

    def should_fold(node: ir.Node) -> bool:
        return is_foldable(node) and grown_bytes(node) <= growth_limit_bytes

    folder = MainGraphFolder(
        shape_inference=True, input_size_limit=1 << 40, output_size_limit=growth_limit_bytes, should_fold=should_fold
    )
    unnamed = [(node, node.name) for node in model.graph.all_nodes() if not node.name]
    try:
        modified = folder(model).modified
    except Exception as error:  # an operator's reference implementation may raise anything
        cause = error.__cause__ or error
        raise TransformError(
            f"a constant could not be computed: {str(cause).strip().splitlines()[0][:200]}",
            next="leave the nodes as they are with `fold_constants(ignore_errors=true)`",
        ) from error
    for node, name in unnamed:  # the pass names them all alike
        node.name = name
    for node in model.graph:
        for value in node.outputs:
            value.metadata_props.pop("pkg.onnxscript.optimizer.folded_from", None)
    for value in model.graph.initializers.values():
        value.metadata_props.pop("pkg.onnxscript.optimizer.folded_from", None)
    lift_constants(model)
    if modified:
        RemoveUnusedNodesPass()(model)
    return Outcome(model, bool(modified or lifted), f"{before - len(model.graph)} nodes folded")


def has_foldable(model: ir.Model) -> bool:
    """True when some node of the main graph depends on constants or on known shapes alone."""
    found = [node for node in model.graph if is_foldable(node) or is_known_shape(node)]
    return bool(found) and not deciding_nodes(model.graph).issuperset(found)


def deciding_nodes(graph: ir.Graph) -> set[ir.Node]:
    """The nodes that a branch's condition or a loop's length comes from.

    A runtime that sees a constant there inlines the branch, and may then refuse what it never had to look at.
    """
    found: set[ir.Node] = set()
    deciding = {"If": 1, "Loop": 2}
    ahead = [value for node in graph if has_subgraph(node) for value in node.inputs[: deciding.get(node.op_type, 0)]]
    while ahead:
        value = ahead.pop()
        node = value.producer() if value is not None else None
        if node is not None and node not in found and not has_subgraph(node):
            found.add(node)
            ahead.extend(node.inputs)
    return found


def is_foldable(node: ir.Node) -> bool:
    """True when all inputs are plain constants and the operator always computes the same."""
    if node.domain not in ("", "ai.onnx") or node.op_type in KEPT or not any(node.inputs) or has_subgraph(node):
        return False
    if len(node.outputs) != 1 or node.outputs[0].is_graph_output():
        return False
    tensors = [constant_of(value) for value in node.inputs if value is not None]
    return all(tensor is not None and not isinstance(tensor, (QuantizedTensor, HalfTensor)) for tensor in tensors)


def is_known_shape(node: ir.Node) -> bool:
    """True for Shape and Size of a value whose dimensions are all numbers."""
    shape = node.inputs[0].shape if is_op(node, "Shape", "Size") and node.inputs and node.inputs[0] else None
    return shape is not None and shape.is_static()


def grown_bytes(node: ir.Node) -> float:
    """Bytes of the result, where its shape is known, over the bytes of the inputs that nobody else reads."""
    value = node.outputs[0]
    if value.shape is None or not value.shape.is_static() or value.dtype is None or value.dtype.is_string():
        return 0.0
    freed = [constant_of(source) for source in node.inputs if source is not None and len(source.uses()) == 1]
    made = math.prod(value.shape.numpy()) * value.dtype.itemsize
    return made - sum(tensor.nbytes for tensor in freed if tensor is not None)
