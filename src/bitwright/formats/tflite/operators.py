"""Operators: one row for each operator of the vocabulary: its options, its versions, the runtimes that know them.

A row's kind is the name in the schema's BuiltinOperator, the name of its options class that of a table in the
schema's BuiltinOptions. To add an operator, add a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitwright.formats.tflite import versions as v
from bitwright.program import options as o
from bitwright.program.operator import Options


@dataclass(frozen=True)
class Row:
    """How a file spells one operator.

    Args:
        kind: its name in the schema's BuiltinOperator.
        runtimes: the TFLite release that brought version 1, 2, ... of it (`tools/versioning/runtime_version.cc`).
        options: its options; `Options` itself when they have no field.
        version: which version a call needs.
    """

    kind: str
    runtimes: str
    options: type[Options] = Options
    version: v.Rule = v.only_one

    def runtime(self, version: int) -> tuple[int, ...]:
        """The release that brought a version; () where the table does not say."""
        known = self.runtimes.split()
        return tuple(map(int, known[version - 1].split("."))) if version <= len(known) else ()


_I8_I16 = v.by_type(i8=2, i16=3)
_I8 = v.by_type(i8=2)

ROWS: dict[str, Row] = {
    row.kind: row
    for row in (
        Row("ABS", "1.13.0 2.4.0 2.5.0 2.6.0 2.12.0", version=v.abs_),
        Row("ADD", "1.5.0 1.14.0 2.4.0 2.6.0 2.13.0 2.23.0", o.AddOptions, v.add),
        Row("ARG_MAX", "1.9.0 1.14.0 2.9.0", o.ArgMaxOptions, v.by_type(i8=2, bool=3)),
        Row("ARG_MIN", "1.9.0 1.14.0 2.9.0", o.ArgMinOptions, v.by_type(i8=2, bool=3)),
        Row("AVERAGE_POOL_2D", "1.5.0 1.14.0 2.3.0", o.Pool2DOptions, _I8_I16),
        Row("BATCH_MATMUL", "2.3.0 2.3.0 2.4.0 2.5.0", o.BatchMatMulOptions, v.batch_matmul),
        Row("BATCH_TO_SPACE_ND", "1.6.0 1.14.0 2.3.0 2.12.0", version=v.spaces_and_batches),
        Row("BROADCAST_TO", "2.5.0 2.5.0 2.5.0", version=v.broadcast_to),
        Row("CAST", "1.5.0 2.7.0 2.8.0 2.9.0 2.12.0 2.15.0 2.17.0 2.21.0", o.CastOptions, v.cast),
        Row("CEIL", "1.14.0"),
        Row(
            "CONCATENATION",
            "1.5.0 1.14.0 2.3.0 2.14.0 2.21.0 2.23.0",
            o.ConcatenationOptions,
            v.by_type(i8=2, i16=3, u32=4, i4=5, f16=6),
        ),
        Row("CONV_2D", "1.5.0 1.14.0 1.14.0 2.3.0 2.4.0 2.9.0 2.11.0 2.15.0", o.Conv2DOptions, v.conv_2d),
        Row("COS", "1.14.0 2.23.0", version=v.by_type(f16=2)),
        Row(
            "DEPTHWISE_CONV_2D",
            "1.5.0 1.12.0 1.14.0 2.2.0 2.3.0 2.3.0 2.11.0",
            o.DepthwiseConv2DOptions,
            v.depthwise_conv_2d,
        ),
        Row("DEPTH_TO_SPACE", "2.1.0 2.5.0", o.DepthToSpaceOptions, _I8),
        Row("DEQUANTIZE", "1.13.1 1.14.0 1.15.0 2.2.0 2.7.0 2.18.0 2.21.0 2.22.0", version=v.dequantize),
        Row("DIV", "1.6.0 2.3.0", o.DivOptions, v.div),
        Row("ELU", "1.14.0"),
        Row("EMBEDDING_LOOKUP", "1.13.0 1.14.0 1.14.0 2.18.0 2.21.0", version=v.embedding_lookup),
        Row("EQUAL", "1.14.0 1.14.0 2.3.0 2.13.0 2.21.0", version=v.by_type(i8=2, i16=5)),
        Row("EXP", "1.7.0 2.12.0", version=v.by_type(i8=2, i16=2)),
        Row("EXPAND_DIMS", "1.10.0"),
        Row("FILL", "1.13.0 2.3.0 2.5.0 2.12.0", version=v.by_type(1, bool=2, i8=3, i16=3, f16=4)),
        Row("FLOOR", "1.9.0"),
        Row("FLOOR_DIV", "1.14.0 1.14.0 2.13.0", version=v.by_type(f32=2, i8=3, i16=3)),
        Row("FLOOR_MOD", "1.13.0 2.13.0", version=v.by_type(i8=2, i16=2)),
        Row(
            "FULLY_CONNECTED",
            "1.5.0 1.10.0 1.14.0 1.14.0 2.0.0 2.1.0 2.3.0 2.3.0 2.3.0 2.11.0 2.15.0 2.17.0 2.18.0 2.21.0",
            o.FullyConnectedOptions,
            v.fully_connected,
        ),
        Row("GATHER", "1.6.0 1.14.0 1.15.0 2.4.0 2.5.0 2.13.0 2.15.0", o.GatherOptions, v.gather),
        Row("GATHER_ND", "1.14.0 2.3.0 2.5.0 2.13.0 2.16.0", version=v.gather_nd),
        Row("GELU", "2.9.0 2.9.0", o.GeluOptions, v.by_type(i8=2, u8=2)),
        Row("GREATER", "1.14.0 1.14.0", version=_I8),
        Row("GREATER_EQUAL", "1.14.0 1.14.0 2.13.0", version=_I8_I16),
        Row("HARD_SWISH", "1.15.0"),
        Row("L2_NORMALIZATION", "1.5.0 1.14.0", o.L2NormOptions, v.by_result_type(i8=2)),
        Row("LEAKY_RELU", "1.13.1 2.3.0", o.LeakyReluOptions, v.by_type(i16=2)),
        Row("LESS", "1.14.0 1.14.0 2.13.0", version=_I8_I16),
        Row("LESS_EQUAL", "1.14.0 1.14.0", version=_I8),
        Row("LOG", "1.14.0 2.15.0", version=v.by_type(i8=2, i16=2)),
        Row("LOGICAL_AND", "1.11.0"),
        Row("LOGICAL_NOT", "1.11.0"),
        Row("LOGICAL_OR", "1.11.0"),
        Row("LOGISTIC", "1.14.0 1.14.0 2.3.0", version=_I8_I16),
        Row("LOG_SOFTMAX", "1.14.0 1.14.0", version=_I8),
        Row("MAXIMUM", "1.14.0 1.14.0 2.3.0 2.3.0", version=v.maximum_minimum),
        Row("MAX_POOL_2D", "1.5.0 1.14.0 2.3.0", o.Pool2DOptions, _I8_I16),
        Row("MEAN", "1.6.0 1.14.0 2.4.0", o.ReducerOptions, _I8_I16),
        Row("MINIMUM", "1.14.0 1.14.0 2.3.0 2.3.0", version=v.maximum_minimum),
        Row("MIRROR_PAD", "1.13.1 2.3.0 2.12.0", o.MirrorPadOptions, _I8_I16),
        Row("MUL", "1.5.0 1.14.0 1.15.0 2.3.0 2.6.0 2.11.0 2.13.0 2.23.0", o.MulOptions, v.mul),
        Row("NEG", "1.9.0"),
        Row("NOT_EQUAL", "1.14.0 1.14.0 2.3.0 2.21.0", version=v.by_type(i8=2, i16=4)),
        Row("PACK", "1.11.0 1.14.0 2.3.0 2.13.0", o.PackOptions, v.by_type(i8=2, i16=3, u32=4)),
        Row("PAD", "1.5.0 1.14.0 2.4.0 2.6.0 2.20.0", version=v.pad),
        Row("PADV2", "1.9.0 1.14.0 2.4.0 2.6.0 2.20.0", version=v.pad),
        Row("POW", "1.10.0"),
        Row("PRELU", "1.8.0"),
        Row("QUANTIZE", "1.14.0 1.15.0 2.7.0 2.21.0 2.21.0", version=v.quantize),
        Row("REDUCE_MAX", "1.11.0 1.14.0 2.5.0", o.ReducerOptions, _I8_I16),
        Row("REDUCE_MIN", "1.11.0 1.14.0 2.5.0", o.ReducerOptions, _I8_I16),
        Row("REDUCE_PROD", "1.11.0 2.6.0", o.ReducerOptions, v.by_type(i8=2, i16=2)),
        Row("RELU", "1.5.0 2.1.0 2.5.0", version=v.by_type(i8=2, u8=2, i16=3)),
        Row("RELU_0_TO_1", "2.10.0"),
        Row("RELU6", "1.5.0 1.14.0 2.5.0", version=_I8_I16),
        Row("RELU_N1_TO_1", "1.5.0"),
        Row("RESHAPE", "1.5.0", o.ReshapeOptions),
        Row("RESIZE_BILINEAR", "1.7.0 1.14.0 2.2.0 2.5.0", o.ResizeBilinearOptions, v.resize_bilinear),
        Row(
            "RESIZE_NEAREST_NEIGHBOR",
            "1.13.1 1.14.0 2.3.0 2.4.0",
            o.ResizeNearestNeighborOptions,
            v.resize_nearest_neighbor,
        ),
        Row("REVERSE_V2", "1.14.0 2.2.0 2.5.0", version=v.by_type(bool=2, i8=3)),
        Row("ROUND", "1.14.0"),
        Row("RSQRT", "1.10.0 2.5.0 2.15.0", version=_I8_I16),
        Row("SELECT_V2", "2.2.0 2.12.0", version=v.by_type(u32=2)),
        Row("SHAPE", "1.10.0", o.ShapeOptions),
        Row("SIN", "1.9.0 2.23.0", version=v.by_type(f16=2)),
        Row("SLICE", "1.14.0 1.14.0 1.14.0 2.4.0 2.5.0 2.14.0 2.21.0 2.23.0", version=v.slice_),
        Row("SOFTMAX", "1.5.0 1.14.0 2.3.0 2.23.0", o.SoftmaxOptions, v.by_type(i8=2, i16=3, f16=4)),
        Row("SPACE_TO_BATCH_ND", "1.6.0 1.14.0 2.3.0 2.12.0", version=v.spaces_and_batches),
        Row("SPACE_TO_DEPTH", "1.5.0 1.14.0", o.SpaceToDepthOptions, _I8),
        Row("SPLIT", "1.5.0 1.14.0 1.14.0 2.3.0", o.SplitOptions, v.by_type(1, i8=2, i32=3, i16=4)),
        Row("SPLIT_V", "1.13.1 2.3.0", o.SplitVOptions, _I8),
        Row("SQRT", "1.10.0 2.21.0", version=v.by_type(i8=2, i16=2)),
        Row("SQUARE", "1.12.0"),
        Row("SQUARED_DIFFERENCE", "1.13.1 2.5.0", version=_I8),
        Row("SQUEEZE", "1.6.0 2.5.0", o.SqueezeOptions),
        Row(
            "STRIDED_SLICE",
            "1.6.0 1.14.0 2.1.0 2.2.0 2.5.0 2.6.0 2.14.0 2.14.0",
            o.StridedSliceOptions,
            v.strided_slice,
        ),
        Row("SUB", "1.6.0 1.14.0 2.3.0 2.4.0 2.4.0", o.SubOptions, v.sub),
        Row("SUM", "1.10.0 1.15.0", o.ReducerOptions, _I8),
        Row("TANH", "1.14.0 1.14.0 2.3.0", version=_I8_I16),
        Row("TILE", "1.10.1 2.2.0 2.8.0", version=v.by_type(i8=3)),
        Row("TRANSPOSE", "1.6.0 1.14.0 1.15.0 2.3.0 2.4.0 2.12.0 2.14.4 2.22.0 2.23.0", version=v.transpose),
        Row("TRANSPOSE_CONV", "1.9.0 2.2.0 2.3.0 2.13.0 2.15.0", o.TransposeConvOptions, v.transpose_conv),
        Row(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            "1.13.1 1.14.0 2.3.0 2.12.0",
            o.UnidirectionalSequenceLSTMOptions,
            v.unidirectional_sequence_lstm,
        ),
        Row("UNPACK", "1.11.0 1.14.0 2.2.0 2.3.0 2.22.0", o.UnpackOptions, v.by_type(i8=2, u8=2, bool=3, i16=4, f16=5)),
    )
}
