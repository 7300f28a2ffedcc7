"""Versions: which version of an operator has the kernel that a call needs.

Each rule is a function of a call's types, shapes and options. The facts are those of TFLite's
`tools/versioning/op_version.cc`; where it leaves int16 activations with int8 weights at version 1, the version that
brought int16 kernels is given instead (release 2.3).
"""

from __future__ import annotations

from collections.abc import Callable

from bitwright.program.definition import Call
from bitwright.program.operator import Activation
from bitwright.program.options import (
    AddOptions,
    BatchMatMulOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    GatherOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    StridedSliceOptions,
    SubOptions,
    TransposeConvOptions,
    UnidirectionalSequenceLSTMOptions,
)

Rule = Callable[[Call], int]


def only_one(call: Call) -> int:
    """Operators that have one version."""
    return 1


def by_type(index: int = 0, /, **versions: int) -> Rule:
    """By the storage type of one operand; 1 for every other type."""

    def rule(call: Call) -> int:
        return versions.get(call.input(index).dtype, 1)

    return rule


def by_result_type(**versions: int) -> Rule:
    """By the storage type of the first result; 1 for every other type."""

    def rule(call: Call) -> int:
        return versions.get(call.output.dtype, 1)

    return rule


def conv_2d(call: Call) -> int:
    """CONV_2D."""
    if call.input(0).shape[-1:] != call.input(1).shape[-1:]:
        return 6  # groups
    per_axis = 5 if _is_per_axis(call, 1) else 2
    return _by_signature(call, {"i16 i8 i16": 4, "i8 i8 i8": 3, "i8 i4 i8": 7, "f32 i8 f32": per_axis})


def depthwise_conv_2d(call: Call) -> int:
    """DEPTHWISE_CONV_2D."""
    options = call.options(DepthwiseConv2DOptions)
    dilated = options.dilation_w_factor != 1 or options.dilation_h_factor != 1
    per_axis = 6 if _is_per_axis(call, 1) else 4
    return _by_signature(
        call, {"i16 i8 i16": 5, "i8 i8 i8": 3, "i8 i4 i8": 7, "f32 i8 f32": per_axis}, 2 if dilated else 1
    )


def transpose_conv(call: Call) -> int:
    """TRANSPOSE_CONV."""
    if call.options(TransposeConvOptions).fused_activation_function != Activation.NONE:
        return 4
    if call.has(3) or call.input(2).dtype == "i16":
        return 3
    return 2 if call.input(1).dtype == "i8" else 1


def fully_connected(call: Call) -> int:
    """FULLY_CONNECTED."""
    options = call.options(FullyConnectedOptions)
    signature = _signature(call)
    if call.input(1).dtype == "i2":
        return 14
    first = {"i16 i4 i16": 13, "i16 i8 i16": 7, "i16 i16 i16": 7}
    if signature in first:
        return first[signature]
    if signature == "f32 i8 f32" and _is_per_axis(call, 1):
        return 12
    if len(call.inputs) == 2:
        return 6
    if options.keep_num_dims:
        return 5
    hybrid = 9 if options.asymmetric_quantize_inputs else 3
    return _by_signature(call, {"i8 i8 i8": 4, "i8 i4 i8": 10, "f32 i8 f32": hybrid})


def batch_matmul(call: Call) -> int:
    """BATCH_MATMUL."""
    hybrid = 4 if call.options(BatchMatMulOptions).asymmetric_quantize_inputs else 1
    return {"i16": 3, "i8": 2}.get(call.input(0).dtype, _by_signature(call, {"f32 i8 f32": hybrid}))


def embedding_lookup(call: Call) -> int:
    """EMBEDDING_LOOKUP."""
    table = call.input(1)
    if table.dtype == "i4" or _is_per_axis(call, 1):
        return 4
    return {"i2": 5, "i8": 3}.get(table.dtype, 1)


def add(call: Call) -> int:
    """ADD."""
    first = call.input(0)
    if first.dtype == "i16":
        if first.qparams is None:
            return 5
        return 1 if call.options(AddOptions).pot_scale_int16 else 3
    return {"f16": 6, "i64": 4, "i8": 2}.get(first.dtype, 1)


def sub(call: Call) -> int:
    """SUB."""
    first = call.input(0)
    if first.dtype == "i16" and not call.options(SubOptions).pot_scale_int16:
        return 5
    if first.dtype == "i64":
        return 4
    if _broadcasts_beyond_four(call):
        return 3
    return 2 if first.dtype == "i8" else 1


def mul(call: Call) -> int:
    """MUL."""
    first = call.input(0)
    if first.dtype == "i16" and first.qparams is None:
        return 7
    if first.dtype in ("f16", "u32", "i64", "i16"):
        return {"f16": 8, "u32": 7, "i64": 5, "i16": 4}[first.dtype]
    tensors = (first, call.input(1), call.output)
    if all(tensor.qparams is not None for tensor in tensors):
        left, right, result = (tensor.scale for tensor in tensors)
        if left * right / result >= 1.0:
            return 3
    return 2 if first.dtype == "i8" else 1


def div(call: Call) -> int:
    """DIV."""
    return 2 if _broadcasts_beyond_four(call) else 1


def maximum_minimum(call: Call) -> int:
    """MAXIMUM and MINIMUM."""
    if call.input(0).dtype == "i16":
        return 4
    if _broadcasts_beyond_four(call):
        return 3
    return 2 if call.input(0).dtype == "i8" else 1


def spaces_and_batches(call: Call) -> int:
    """SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""
    first = call.input(0)
    if first.dtype == "i16":
        return 4
    return 3 if len(first.shape) != 4 else {"i8": 2}.get(first.dtype, 1)


def broadcast_to(call: Call) -> int:
    """BROADCAST_TO, whose version 1 was taken back."""
    return {"i8": 3, "i16": 3}.get(call.input(0).dtype, 2)


def gather_nd(call: Call) -> int:
    """GATHER_ND."""
    if call.input(0).dtype == "bool":
        return 5
    if call.input(1).dtype == "i16":
        return 4
    return 3 if call.input(0).dtype == "i16" else 1


def abs_(call: Call) -> int:
    """ABS."""
    if call.input(0).dtype == "i16":
        return 4 if call.input(0).qparams is None else 3
    return {"i32": 5, "i8": 2, "u8": 2}.get(call.input(0).dtype, 1)


def gather(call: Call) -> int:
    """GATHER."""
    if call.input(0).dtype == "i4":
        return 7
    if call.input(1).dtype == "i16":
        return 6
    if call.options(GatherOptions).batch_dims:
        return 5
    return {"i16": 4, "bool": 3, "i8": 2}.get(call.input(0).dtype, 1)


def transpose(call: Call) -> int:
    """TRANSPOSE."""
    first = call.input(0)
    by_rank = {5: 4, 6: 6}.get(len(first.shape), 8 if len(first.shape) > 6 else 1)
    return max(by_rank, {"f16": 9, "i4": 7, "i16": 5, "bool": 3, "i8": 2}.get(first.dtype, 1))


def pad(call: Call) -> int:
    """PAD and PADV2."""
    first = call.input(0)
    if first.dtype == "bool":
        return 5
    return 4 if len(first.shape) > 4 else {"i16": 3, "i8": 2}.get(first.dtype, 1)


def slice_(call: Call) -> int:
    """SLICE."""
    first = call.input(0)
    if first.dtype in ("f16", "i4", "u32"):
        return {"f16": 8, "i4": 7, "u32": 6}[first.dtype]
    return 5 if len(first.shape) > 4 else {"i16": 4, "i8": 2}.get(first.dtype, 1)


def strided_slice(call: Call) -> int:
    """STRIDED_SLICE."""
    options, first = call.options(StridedSliceOptions), call.input(0)
    if options.offset:
        return 8
    if first.dtype == "u32":
        return 7
    if options.ellipsis_mask or options.new_axis_mask:
        return 6
    return 4 if len(first.shape) > 4 else {"bool": 3, "i8": 2}.get(first.dtype, 1)


def resize_bilinear(call: Call) -> int:
    """RESIZE_BILINEAR."""
    if call.input(0).dtype == "i16":
        return 4
    if call.options(ResizeBilinearOptions).half_pixel_centers:
        return 3
    return 2 if call.input(0).dtype == "i8" else 1


def resize_nearest_neighbor(call: Call) -> int:
    """RESIZE_NEAREST_NEIGHBOR."""
    options = call.options(ResizeNearestNeighborOptions)
    if call.input(0).dtype == "i16":
        return 4
    if options.half_pixel_centers or options.align_corners:
        return 3
    return 2 if call.input(0).dtype == "i8" else 1


def quantize(call: Call) -> int:
    """QUANTIZE."""
    types = {call.input(0).dtype, call.output.dtype}
    if types & {"u4", "i4"}:
        return 5 if "u4" in types else 4
    qparams = call.output.qparams
    if qparams is not None and qparams.scale.size > 1:
        return 3
    return 2 if call.output.dtype == "i16" else 1


def dequantize(call: Call) -> int:
    """DEQUANTIZE."""
    qparams = call.input(0).qparams
    if call.input(0).dtype == "i8":
        return 5 if qparams is not None and qparams.scale.size > 1 else 2
    return {"u4": 8, "i2": 7, "i4": 6, "i16": 3, "f16": 3}.get(call.input(0).dtype, 1)


def cast(call: Call) -> int:
    """CAST."""
    types = {call.input(0).dtype, call.output.dtype}
    for version, dtypes in (
        (8, {"i2", "u4"}),
        (6, {"i4"}),
        (5, {"f64", "f16"}),
        (4, {"u16"}),
        (3, {"i8"}),
        (2, {"u32"}),
    ):
        if types & dtypes:
            return version
    return 1


def unidirectional_sequence_lstm(call: Call) -> int:
    """UNIDIRECTIONAL_SEQUENCE_LSTM."""
    options = call.options(UnidirectionalSequenceLSTMOptions)
    weights = call.input(2).dtype
    if call.input(0).dtype == "i16" and weights == "i8":
        return 5
    if options.diagonal_recurrent_tensors:
        return 4
    if call.input(0).dtype == "f32" and weights == "i8":
        return 3 if options.asymmetric_quantize_inputs else 2
    return 1


def _signature(call: Call) -> str:
    return f"{call.input(0).dtype} {call.input(1).dtype} {call.output.dtype}"


def _by_signature(call: Call, versions: dict[str, int], otherwise: int = 1) -> int:
    return versions.get(_signature(call), otherwise)


def _is_per_axis(call: Call, index: int) -> bool:
    qparams = call.input(index).qparams
    return qparams is not None and qparams.axis is not None


def _broadcasts_beyond_four(call: Call) -> bool:
    shapes = [call.input(0).shape, call.input(1).shape]
    return shapes[0] != shapes[1] and max(map(len, shapes)) > 4
