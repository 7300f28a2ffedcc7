"""Operators that multiply matrices or look up their rows: FULLY_CONNECTED, BATCH_MATMUL, EMBEDDING_LOOKUP.

Source: LiteRT tflite/kernels/fully_connected.cc, batch_matmul.cc, embedding_lookup.cc and the reference kernels they
call.
"""

from __future__ import annotations

import math

import numpy as np

from bitwright.errors import ModelError, SampleError
from bitwright.program.broadcasting import broadcast_shape
from bitwright.program.convolve import matrix_product
from bitwright.program.definition import Call, Definition
from bitwright.program.fixed_point import Requantization, requantization
from bitwright.program.hybrid import quantize_rows, scaled_sums
from bitwright.program.operands import need_rank, parameters_reason
from bitwright.program.operator import Activation
from bitwright.program.options import BatchMatMulOptions, FullyConnectedOptions
from bitwright.program.pairs import clamp_plain
from bitwright.program.tensor import Array, Shape
from bitwright.program.weights import (
    Mode,
    activation_reason,
    array_of,
    bias_scale_reason,
    centred,
    channel_scales,
    factors_reason,
    is_packable,
    mode_of,
    need_bias,
    optional,
    scheme_reason,
    wide_bias,
    with_bias,
)

# FULLY_CONNECTED


def _infer_fully_connected(call: Call) -> tuple[Shape, ...]:
    """[...,K] by [O,K]: [B,O], or with keep_num_dims [...,O]."""
    data = call.input(0)
    results, depth = need_rank(call.input(1), 2)
    keeps = call.options(FullyConnectedOptions).keep_num_dims
    if not data.shape or depth < 1 or data.elements % depth or (keeps and data.shape[-1] != depth):
        raise ModelError(
            f"{data.name!r} of {list(data.shape)} does not fit weights {list(call.input(1).shape)}",
            next="the last dimension of both is the one that is summed",
        )
    need_bias(call, 2, results)
    return ((*data.shape[:-1], results) if keeps else (data.elements // depth, results),)


def _fully_connected(call: Call) -> tuple[Array, ...]:
    """Data times weights transposed, plus bias.

    LiteRT's reference kernel multiplies sums by their scale in float64, ties away from zero (`tflite_double`), other
    than all its neighbours and than its own kernel for int16 weights. Float data beside integer weights is quantized
    row by row.
    """
    options = call.options(FullyConnectedOptions)
    activation = options.fused_activation_function
    data, weights = call.input(0), call.input(1)
    x, matrix = call.array(0).reshape(-1, weights.shape[1]), call.array(1)
    mode = mode_of(data, weights)
    if mode is Mode.INTEGER:
        sums = matrix_product(centred(x, data), centred(matrix, weights).T)
        result = fully_connected_requantization(call).apply(with_bias(sums, call, 2))
    elif mode is Mode.FLOAT:
        result = clamp_plain(with_bias(matrix_product(x, matrix.T), call, 2), activation, call)
    else:
        rows = quantize_rows(x, asymmetric=options.asymmetric_quantize_inputs)
        sums = matrix_product(rows.centred, matrix.T.astype(np.int64))
        reals = scaled_sums(sums, rows.scale[:, None], channel_scales(weights), array_of(call, 2))
        result = np.tanh(reals) if activation == Activation.TANH else clamp_plain(reals, activation, call)
    return (result.reshape(call.output.shape),)


def fully_connected_requantization(call: Call) -> Requantization:
    """How the sums of an integer FULLY_CONNECTED become integers."""
    options, weights = call.options(FullyConnectedOptions), call.input(1)
    return requantization(
        call,
        call.input(0),
        weights,
        activation=options.fused_activation_function,
        in_float32=weights.dtype == "i16" and channel_scales(weights).size == 1,
        in_float64=weights.dtype != "i16",
        in_int32=options.quantized_bias_type == "i32" and weights.dtype != "i16",
        on_xnnpack=is_packable(weights),
    )


def _refuse_fully_connected(call: Call) -> str:
    options = call.options(FullyConnectedOptions)
    wide = wide_bias(options.quantized_bias_type)
    schemes = {"f32 f32": "f32", "f32 i8": "f32", "f32 i4": "f32", "i8 i8": "i32", "i8 i4": "i32", "u8 u8": "i32"}
    schemes |= {"i16 i8": wide, "i16 i4": wide, "i16 i16": "i64" if options.quantized_bias_type == "i64" else "i32"}
    if reason := scheme_reason(call, 0, 1, 2, schemes):
        return reason
    data, weights, bias = call.input(0), call.input(1), optional(call, 2)
    mode, activation = mode_of(data, weights), options.fused_activation_function
    if mode is not Mode.HYBRID or activation != Activation.TANH:
        reason = activation_reason(activation)
    if reason or mode is Mode.FLOAT:
        return reason
    if reason := factors_reason(call, data, weights, bias, axis=0):
        return reason
    if weights.zero_point and (mode is Mode.HYBRID or weights.dtype == "i4"):
        return f"{weights.name!r} of {weights.dtype} has a zero_point"
    if mode is Mode.INTEGER and channel_scales(weights).size == 1:
        return bias_scale_reason(call, data, weights, bias)
    return ""


# BATCH_MATMUL


def _infer_batch_matmul(call: Call) -> tuple[Shape, ...]:
    """[...,M,K] by [...,K,N], either one transposed where the options say so: [...,M,N]."""
    options = call.options(BatchMatMulOptions)
    first, second = (need_rank(call.input(index), 2, 3, 4, 5) for index in range(2))
    rows, depth = reversed(first[-2:]) if options.adj_x else first[-2:]
    other_depth, columns = reversed(second[-2:]) if options.adj_y else second[-2:]
    if depth != other_depth:
        raise ModelError(
            f"{list(first)} and {list(second)} do not multiply: {depth} and {other_depth} meet",
            next="adj_x and adj_y say which operand is transposed",
        )
    return ((*broadcast_shape(first[:-2], second[:-2]), rows, columns),)


def _batch_matmul(call: Call) -> tuple[Array, ...]:
    """The product, leading dimensions broadcast. Float data beside integers is quantized row by row."""
    options = call.options(BatchMatMulOptions)
    first, second = call.input(0), call.input(1)
    a = np.swapaxes(call.array(0), -1, -2) if options.adj_x else call.array(0)
    b = np.swapaxes(call.array(1), -1, -2) if options.adj_y else call.array(1)
    mode = mode_of(first, second)
    if mode is Mode.FLOAT:
        return (matrix_product(a, b),)
    if mode is Mode.INTEGER:
        sums = matrix_product(centred(a, first), centred(b, second))
        return (requantization(call, first, second, in_float32=True, on_xnnpack=not second.zero_point).apply(sums),)
    rows = quantize_rows(a.reshape(math.prod(a.shape[:-1]), a.shape[-1]), asymmetric=options.asymmetric_quantize_inputs)
    sums = matrix_product(rows.centred.reshape(a.shape), b.astype(np.int64))
    return (scaled_sums(sums, rows.scale.reshape(*a.shape[:-1], 1), channel_scales(second), None),)


def _refuse_batch_matmul(call: Call) -> str:
    schemes = {"f32 f32": "", "f32 i8": "", "i8 i8": "", "i16 i16": "", "i16 i8": ""}
    if reason := scheme_reason(call, 0, 1, 2, schemes):
        return reason
    first, second = call.input(0), call.input(1)
    mode, options = mode_of(first, second), call.options(BatchMatMulOptions)
    if mode is Mode.FLOAT:
        return ""
    columns = len(second.shape) - (2 if options.adj_y else 1)
    if reason := factors_reason(call, first, second, None, axis=columns if mode is Mode.HYBRID else None):
        return reason
    if mode is Mode.HYBRID and second.zero_point:
        return f"{second.name!r} has a zero_point, beside float data LiteRT takes none"
    return _mixed_up_reason(call) if mode is Mode.HYBRID else ""


def _mixed_up_reason(call: Call) -> str:
    """Why LiteRT's kernel for float data beside integers takes the scale or zero_point of another row.

    It finds them by the sum of the leading indices, right for one leading dimension. It merges one of the first
    operand's into its rows where the second operand has it as 1.
    """
    options = call.options(BatchMatMulOptions)
    first, second = (call.input(index).shape[:-2] for index in range(2))
    is_merged = first and second and second[-1] == 1 and not options.adj_x
    rows = first[:-1] if is_merged else first
    if sum(size > 1 for size in rows) > 1:
        return f"LiteRT mixes up the scales of float rows with leading dimensions {list(rows)}"
    if options.asymmetric_quantize_inputs and (sum(s > 1 for s in second) > 1 or (len(second) == 3 and second[0] > 1)):
        return f"LiteRT mixes up the zero_points beside integers with leading dimensions {list(second)}"
    return ""


# EMBEDDING_LOOKUP


def _infer_embedding_lookup(call: Call) -> tuple[Shape, ...]:
    """[n] rows of [rows,...]: [n,...]."""
    (count,) = need_rank(call.input(0), 1)
    table = call.input(1)
    if len(table.shape) < 2:
        raise ModelError(f"table {table.name!r} of {list(table.shape)} has no rows", next="it is [rows, columns]")
    return ((count, *table.shape[1:]),)


def _embedding_lookup(call: Call) -> tuple[Array, ...]:
    """The rows of a table; of an integer table beside a float result, the reals they stand for.

    Raises:
        SampleError: a row that is not there.
    """
    rows, table = call.array(0), call.input(1)
    if rows.size and not 0 <= rows.min() <= rows.max() < table.shape[0]:
        raise SampleError(
            f"row {rows.min() if rows.min() < 0 else rows.max()} is not in a table of {table.shape[0]} rows",
            next=f"rows are 0..{table.shape[0] - 1}",
        )
    found = call.array(1)[rows]
    if call.output.dtype == table.dtype:
        return (found,)
    scale = channel_scales(table)
    by_row = scale[rows] if scale.size > 1 else scale
    return (found.astype(np.float32) * by_row.reshape(-1, *(1,) * (found.ndim - 1)),)


def _refuse_embedding_lookup(call: Call) -> str:
    rows, table = call.input(0), call.input(1)
    if rows.dtype != "i32":
        return f"{rows.name!r} is {rows.dtype}, rows are i32"
    if table.dtype == call.output.dtype:
        if table.dtype in ("i2", "i4", "u4"):
            return f"LiteRT has no kernel that copies rows of {table.dtype}"
        if table.qparams is not None and table.qparams.scale.size > 1:
            return f"{table.name!r} has several scales, rows that stay integers have one"
        return parameters_reason(table, call.output)
    if call.output.dtype != "f32" or table.dtype not in ("i8", "i4"):
        return f"LiteRT has no kernel that looks up {call.output.dtype} in {table.dtype}"
    if table.qparams is None or table.qparams.axis not in (None, 0) or not table.qparams.symmetric:
        return f"{table.name!r} needs one scale or one a row, and zero_point 0"
    if table.dtype == "i4" and math.prod(table.shape[1:]) % 2:
        return f"rows of {table.name!r} have an odd number of 4-bit integers, which LiteRT reads wrongly"
    return ""


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        Definition(
            "FULLY_CONNECTED",
            _infer_fully_connected,
            _fully_connected,
            (2, 3),
            FullyConnectedOptions,
            _refuse_fully_connected,
        ),
        Definition(
            "BATCH_MATMUL", _infer_batch_matmul, _batch_matmul, (2, 2), BatchMatMulOptions, _refuse_batch_matmul
        ),
        Definition(
            "EMBEDDING_LOOKUP",
            _infer_embedding_lookup,
            _embedding_lookup,
            (2, 2),
            refuse=_refuse_embedding_lookup,
        ),
    )
}
