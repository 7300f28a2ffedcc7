"""What the ONNX spelling adds to a graph: names of values, metadata keys. For the writer and the reader."""

from __future__ import annotations

from bitwright.numerics.qparams import QuantParams

MICROSOFT = "com.microsoft"

#: Suffixes of added values. The value `t` of the graph keeps its name.
QUANTIZED = "_quantized"
DEQUANTIZED = "_dequantized"
UNQUANTIZED = "_unquantized"  # a graph output before its Q/DQ pair: the DequantizeLinear gives the output's name
SCALE = "_scale"
ZERO_POINT = "_zero_point"
HALF = "_float16"

#: Metadata key of the model: mode, target and reasons, which the integers do not say.
PLAN_KEY = "bitwright.plan"


def blocked_axis(qparams: QuantParams) -> tuple[int, int] | None:
    """(axis, block_size) of per-block parameters: ONNX knows blocks along one axis."""
    if qparams.block_shape is None:
        return None
    size = max(qparams.block_shape)
    return qparams.block_shape.index(size), size
