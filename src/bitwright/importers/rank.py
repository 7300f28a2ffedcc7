"""The rank and type of a value where the file says nothing, from the operators that lead to it."""

from __future__ import annotations

import onnx_ir as ir

#: Output has the rank and type of the first input.
_LIKE_FIRST = frozenset(
    (
        *("AveragePool", "BatchNormalization", "Cast", "Clip", "Conv", "ConvTranspose"),
        *("Dropout", "Elu", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish"),
        *("Identity", "InstanceNormalization", "LRN", "LeakyRelu", "LogSoftmax", "MaxPool"),
        *("Mod", "Neg", "PRelu", "Pad", "Relu", "Resize"),
        *("Selu", "Sigmoid", "Slice", "Softmax", "Softplus", "Sqrt"),
        *("Exp", "Log", "Abs", "Tanh", "Transpose", "Upsample"),
    )
)
_BROADCAST = frozenset(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean"))
_DEEPEST = 64


def rank_of(value: ir.Value | None, depth: int = 0) -> int | None:
    """Number of dimensions, or None when it cannot be told."""
    if value is None or depth > _DEEPEST:
        return None
    if value.shape is not None:
        return len(value.shape)
    node = value.producer()
    if node is None or node.domain:
        return None
    if node.op_type in ("Gemm", "Flatten"):
        return 2
    if node.op_type == "Reshape":
        target = node.inputs[1].shape if len(node.inputs) > 1 and node.inputs[1] is not None else None
        return target[0] if target is not None and len(target) == 1 and isinstance(target[0], int) else None
    if node.op_type in _BROADCAST or node.op_type == "MatMul":
        ranks = [rank_of(operand, depth + 1) for operand in node.inputs]
        known = [rank for rank in ranks if rank is not None]
        if len(known) < len(ranks) or (node.op_type == "MatMul" and min(known, default=0) < 2):
            return None
        return max(known, default=None)
    if node.op_type in _LIKE_FIRST and node.inputs:
        return rank_of(node.inputs[0], depth + 1)
    return None


def element_type_of(value: ir.Value | None, depth: int = 0) -> ir.DataType:
    """Element type of a float value; float32 when it cannot be told."""
    if value is None or depth > _DEEPEST:
        return ir.DataType.FLOAT
    if value.dtype is not None and value.dtype is not ir.DataType.UNDEFINED:
        return value.dtype
    node = value.producer()
    if node is None or node.domain or not node.inputs:
        return ir.DataType.FLOAT
    if node.op_type == "Cast":
        return ir.DataType(node.attributes.get_int("to", int(ir.DataType.FLOAT)))
    return element_type_of(node.inputs[0], depth + 1)
