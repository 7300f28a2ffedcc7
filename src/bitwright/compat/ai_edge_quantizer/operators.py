"""The nodes of a graph as TFLite's operators: what each is lowered to, and the names that it goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir

#: TFLite operators by the ONNX operator that they are lowered from. Names of one operator's variants are one.
OPERATORS: dict[str, tuple[str, ...]] = {
    "Conv": ("CONV_2D", "DEPTHWISE_CONV_2D"),
    "ConvTranspose": ("CONV_2D_TRANSPOSE",),
    "Gemm": ("FULLY_CONNECTED",),
    "MatMul": ("FULLY_CONNECTED", "BATCH_MATMUL"),
    "AveragePool": ("AVERAGE_POOL_2D",),
    "MaxPool": ("MAX_POOL_2D",),
    "Reshape": ("RESHAPE",),
    "Flatten": ("RESHAPE",),
    "Squeeze": ("RESHAPE",),
    "Unsqueeze": ("RESHAPE",),
    "Softmax": ("SOFTMAX",),
    "Tanh": ("TANH",),
    "Transpose": ("TRANSPOSE",),
    "Gelu": ("GELU",),
    "Add": ("ADD",),
    "Sum": ("ADD",),
    "Sub": ("SUB",),
    "Mul": ("MUL",),
    "Div": ("DIV",),
    "ReduceMean": ("MEAN",),
    "GlobalAveragePool": ("MEAN",),
    "ReduceSum": ("SUM",),
    "ReduceMin": ("REDUCE_MIN",),
    "Max": ("MAXIMUM",),
    "Concat": ("CONCATENATION",),
    "Slice": ("SLICE", "STRIDED_SLICE"),
    "Split": ("SPLIT",),
    "Sigmoid": ("LOGISTIC",),
    "Where": ("SELECT", "SELECT_V2"),
    "Pad": ("PAD", "PADV2", "MIRROR_PAD"),
    "Resize": ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    "GatherND": ("GATHER_ND",),
    "Expand": ("BROADCAST_TO",),
    "Sqrt": ("SQRT",),
    "Gather": ("GATHER", "EMBEDDING_LOOKUP"),
    "HardSwish": ("HARD_SWISH",),
    "SpaceToDepth": ("SPACE_TO_DEPTH",),
    "Relu": ("RELU",),
}
_CLAMPS = ("Relu", "Clip")


@dataclass
class Operator:
    """A node and the clamp behind it, as one operator of TFLite.

    Args:
        names: of the nodes.
        kinds: what TFLite may call it.
        scope: what an entry's regular expression is searched in.
        elements: of its constant weight; 0 without one.
    """

    names: list[str]
    kinds: tuple[str, ...]
    scope: str
    elements: int


def operators_of(graph: ir.Graph) -> list[Operator]:
    """The nodes as TFLite's operators, in order; a clamp belongs to what only it reads."""
    made: dict[Any, Operator] = {}
    for node in graph:
        names = [str(value.name) for value in node.outputs if value.name]
        before = node.inputs[0].producer() if node.op_type in _CLAMPS and node.inputs[0] is not None else None
        if before in made and _is_only_reader(node, before):
            made[node] = made[before]
            made[before].names.append(str(node.name))
            made[before].scope += "".join(f"{name};" for name in (node.name, *names))
        else:
            scope = "".join(f"{name};" for name in (node.name, *names))
            made[node] = Operator([str(node.name)], _kinds(node), scope, _elements(node))
    return list({id(one): one for one in made.values()}.values())


def _is_only_reader(clamp: ir.Node, before: ir.Node | None) -> bool:
    if before is None or len(before.outputs) != 1 or before.op_type in _CLAMPS:
        return False
    result = before.outputs[0]
    return not result.is_graph_output() and list(result.consumers()) == [clamp]


def _kinds(node: ir.Node) -> tuple[str, ...]:
    """What TFLite may call a node: convolutions and products by their constants."""
    from bitwright.graph.attributes import int_attribute
    from bitwright.graph.constants import constant_of

    if node.op_type == "Conv":
        return ("DEPTHWISE_CONV_2D",) if _is_depthwise(node) else ("CONV_2D",)
    if node.op_type == "MatMul":
        weight = constant_of(node.inputs[1])
        return ("FULLY_CONNECTED",) if weight is not None and len(weight.shape) == 2 else ("BATCH_MATMUL",)
    if node.op_type == "Gather" and constant_of(node.inputs[0]) is not None and int_attribute(node, "axis", 0) == 0:
        return ("EMBEDDING_LOOKUP", "GATHER")
    return ("GATHER",) if node.op_type == "Gather" else OPERATORS.get(node.op_type, ())


def _is_depthwise(node: ir.Node) -> bool:
    """A convolution whose groups have one input channel each, and are more than one."""
    from bitwright.graph.attributes import int_attribute

    weight = node.inputs[1]
    one_channel = weight is not None and weight.shape is not None and weight.shape[1] == 1
    return one_channel and int_attribute(node, "group", 1) > 1


def _elements(node: ir.Node) -> int:
    """Elements of the node's constant weight, 0 without one."""
    from bitwright.graph.constants import constant_of
    from bitwright.quantization.rules import rule_of, weight_operand

    rule = rule_of(node)
    operand = None if rule is None else weight_operand(node, rule)
    tensor = None if operand is None or operand >= len(node.inputs) else constant_of(node.inputs[operand])
    return 0 if tensor is None else int(tensor.size)
