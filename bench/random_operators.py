"""Operators as they are drawn: what each reads of a draft, its options, the parameters of its results.

Long because it has a function for every kind of operator, and they are nothing to one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.draft import Declined, Draft
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation, MirrorPadMode, Options, Padding
from bitwright.program.options import (
    AddOptions,
    ArgMaxOptions,
    ArgMinOptions,
    BatchMatMulOptions,
    CastOptions,
    ConcatenationOptions,
    Conv2DOptions,
    DepthToSpaceOptions,
    DepthwiseConv2DOptions,
    DivOptions,
    FullyConnectedOptions,
    GatherOptions,
    GeluOptions,
    LeakyReluOptions,
    MirrorPadOptions,
    MulOptions,
    PackOptions,
    Pool2DOptions,
    ReducerOptions,
    ReshapeOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    ShapeOptions,
    SoftmaxOptions,
    SpaceToDepthOptions,
    SplitOptions,
    SplitVOptions,
    SqueezeOptions,
    StridedSliceOptions,
    SubOptions,
    TransposeConvOptions,
    UnpackOptions,
)
from bitwright.program.tensor import DTYPES, Shape, Tensor

PAIRS = ("ADD", "SUB", "MUL", "DIV", "MINIMUM", "MAXIMUM", "SQUARED_DIFFERENCE", "POW", "FLOOR_DIV", "FLOOR_MOD")
COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
UNARY = (
    *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "NEG"),
    *("RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE", "TANH", "LOGISTIC"),
    *("SOFTMAX", "SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "HARD_SWISH", "RELU", "RELU6"),
)
_ACTIVATIONS = (Activation.NONE, Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)
#: (scale, zero_point) that an operator's results must have, by operator and type.
_FIXED = {
    "LOGISTIC": {"i8": (2.0**-8, -128), "u8": (2.0**-8, 0), "i16": (2.0**-15, 0)},
    "TANH": {"i8": (2.0**-7, 0), "u8": (2.0**-7, 128), "i16": (2.0**-15, 0)},
    "SOFTMAX": {"i8": (2.0**-8, -128), "u8": (2.0**-8, 0), "i16": (2.0**-15, 0)},
    "LOG_SOFTMAX": {"i8": (2.0**-4, 127), "u8": (2.0**-4, 255), "i16": (2.0**-11, 0)},
    "L2_NORMALIZATION": {"i8": (2.0**-7, 0), "u8": (2.0**-7, 128)},
}


def _act(d: Draft) -> Activation:
    made: Activation = d.one_of(*_ACTIVATIONS)
    return made


def _padding(d: Draft) -> Padding:
    made: Padding = d.one_of(Padding.SAME, Padding.VALID)
    return made


def _result(d: Draft, x: Tensor) -> QuantParams | None:
    return x.qparams if d.chance(0.4) else d.parameters(x.dtype)


# Functions of one value, and of two


def unary(d: Draft) -> None:
    kind, x = d.one_of(*UNARY), d.value()
    options: dict[str, Callable[[], Options]] = {
        "GELU": lambda: GeluOptions(d.chance(0.5)),
        "LEAKY_RELU": lambda: LeakyReluOptions(d.random.uniform(-1.5, 1.5)),
        "SOFTMAX": lambda: SoftmaxOptions(1.0 if d.chance(0.6) else d.random.uniform(0.01, 3)),
    }
    qparams = _result(d, x)
    if x.dtype in _FIXED.get(kind, {}):
        qparams = QuantParams(*_FIXED[kind][x.dtype], x.dtype)
    d.apply(kind, [x], options[kind]() if kind in options else None, dtype=x.dtype, qparams=qparams)


def _partner(d: Draft, x: Tensor) -> Tensor:
    """A second operand that broadcasts against x."""
    if d.chance(0.12):
        return x
    shape = tuple(1 if d.chance(0.3) else size for size in x.shape)
    return d.like(x, x.shape if d.chance(0.5) else shape[d.random.randint(0, len(shape)) :])


def pair(d: Draft) -> None:
    kind, x = d.one_of(*PAIRS, "ADD", "ADD", "MUL", "SUB"), d.value()
    operands = [x, _partner(d, x)]
    if d.chance(0.4):
        operands.reverse()
    options: Options | None = None
    if kind in ("ADD", "SUB"):
        options = (AddOptions if kind == "ADD" else SubOptions)(_act(d), d.chance(0.5))
    elif kind in ("MUL", "DIV"):
        options = (MulOptions if kind == "MUL" else DivOptions)(_act(d))
    d.apply(kind, operands, options, dtype=x.dtype, qparams=_result(d, x))


def prelu(d: Draft) -> None:
    x = d.value(2, 3, 4)
    dtype = "i8" if x.dtype == "i16" else x.dtype
    slope = d.new(tuple(1 if d.chance(0.4) else s for s in x.shape[1:]), dtype, d.parameters(dtype), constant=0.8)
    d.apply("PRELU", [x, slope], dtype=x.dtype, qparams=_result(d, x))


def compare(d: Draft) -> None:
    x = d.value()
    d.apply(d.one_of(*COMPARISONS), [x, _partner(d, x)], dtype="bool")


def logical(d: Draft) -> None:
    x, kind = d.value(dtypes=["bool"]), d.one_of("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT")
    d.apply(kind, [x] if kind == "LOGICAL_NOT" else [x, _partner(d, x)], dtype="bool")


def select(d: Draft) -> None:
    condition, x = d.value(dtypes=["bool"]), d.value()
    d.apply("SELECT_V2", [condition, x, _partner(d, x)], like=x)


def convert(d: Draft) -> None:
    """QUANTIZE, DEQUANTIZE, CAST."""
    kind, x = d.one_of("QUANTIZE", "QUANTIZE", "DEQUANTIZE", "CAST"), d.value()
    if kind == "DEQUANTIZE":
        d.apply(kind, [x], dtype="f32")
        return
    dtype = d.one_of("i8", "u8", "i16") if kind == "QUANTIZE" else d.one_of("f32", "i32", "i64", "bool", "u8", "i8")
    options = CastOptions(x.dtype, dtype) if kind == "CAST" else None
    d.apply(kind, [x], options, dtype=dtype, qparams=d.parameters(dtype) if kind == "QUANTIZE" else None)


# Products


def _scales(d: Draft, count: int) -> Any:
    return np.exp2(d.numbers.uniform(-10, -4, count))


def _weights(d: Draft, x: Tensor, shape: Shape, axis: int) -> Tensor:
    """A constant for data of x's type, per tensor or per channel; now and then an input."""
    dtype = x.dtype if x.dtype in ("f32", "u8") else "i8"
    if x.dtype != "f32" and x.qparams is None:
        raise Declined("plain integers")
    if dtype == "f32":
        if d.chance(0.2):
            scales = _scales(d, shape[axis])
            return d.constant(d.numbers.integers(-127, 128, shape), "i8", QuantParams(scales, 0, "i8", axis))
        return d.constant(d.array(shape, "f32"), "f32")
    if dtype == "u8":
        qparams = QuantParams(d.scale(), d.random.randint(0, 255), "u8")
    elif d.chance(0.6):
        qparams = QuantParams(_scales(d, shape[axis]), 0, "i8", axis)
    else:
        qparams = QuantParams(d.scale(), 0, "i8")
    if d.chance(0.04):
        return d.new(shape, dtype, qparams, constant=0)
    lowest = -127 if dtype == "i8" and d.chance(0.5) else int(np.iinfo(DTYPES[dtype]).min)
    data = d.numbers.integers(lowest, np.iinfo(DTYPES[dtype]).max, shape, endpoint=True)
    return d.constant(data, dtype, qparams)


def _bias(d: Draft, x: Tensor, weights: Tensor, count: int) -> Tensor:
    if x.dtype == "f32":
        return d.constant(d.array((count,), "f32"), "f32")
    dtype = "i64" if x.dtype == "i16" else "i32"
    assert weights.qparams is not None
    with np.errstate(all="ignore"):
        scale = np.clip(np.float32(x.scale) * weights.qparams.scale, 1e-37, 1e37)
    largest = 2 ** d.random.choice([4, 12, 20, 30])
    qparams = QuantParams(scale, 0, dtype, None if scale.size == 1 else 0)
    return d.constant(d.numbers.integers(-largest, largest, count), dtype, qparams)


def _sums(d: Draft, x: Tensor, weights: Tensor, terms: int) -> QuantParams | None:
    """Parameters that sums of so many products fit into, or nearly; or any."""
    if x.qparams is None or d.chance(0.15):
        return d.parameters(x.dtype)
    assert weights.qparams is not None
    largest = np.iinfo(DTYPES[x.dtype]).max
    scale = math.sqrt(terms) * largest * x.scale * float(weights.qparams.scale.mean()) * 100
    scale *= d.random.choice([0.1, 0.3, 1, 3]) / largest
    drawn = d.parameters(x.dtype)
    assert drawn is not None
    return QuantParams(min(max(scale, 1e-37), 1e37), int(drawn.zero_point[0]), x.dtype)


def _window(d: Draft, x: Tensor, most: int = 4) -> tuple[int, int]:
    """Mostly no larger than the image."""
    over = 2 if d.chance(0.1) else 0
    height, width = (d.random.randint(1, max(1, min(most, size + over))) for size in x.shape[1:3])
    return (height, width)


def conv(d: Draft, x: Tensor | None = None) -> None:
    x = d.value(4, dtypes=["i8", "u8", "i16", "f32"], constant=0.02) if x is None else x
    channels = max(x.shape[3], 1)
    groups = d.random.choice([g for g in range(1, channels + 1) if channels % g == 0]) if d.chance(0.2) else 1
    results = groups * (d.size(40) if groups == 1 else d.size(4))
    weights = _weights(d, x, (results, *_window(d, x), channels // groups), 0)
    bias = _bias(d, x, weights, results)
    dilations = (d.size(3), d.size(3)) if d.chance(0.25) else (1, 1)
    options = Conv2DOptions(_padding(d), d.size(3), d.size(3), _act(d), *dilations)
    d.apply(
        "CONV_2D",
        [x, weights, bias],
        options,
        dtype=x.dtype,
        qparams=_sums(d, x, weights, math.prod(weights.shape[1:])),
    )


def depthwise(d: Draft, x: Tensor | None = None) -> None:
    x = d.value(4, dtypes=["i8", "u8", "i16", "f32"], constant=0.02) if x is None else x
    times = d.size(3) if d.chance(0.3) else 1
    results = x.shape[3] * times
    weights = _weights(d, x, (1, *_window(d, x), results), 3)
    bias = _bias(d, x, weights, results)
    dilations = (d.size(3), d.size(3)) if d.chance(0.25) else (1, 1)
    options = DepthwiseConv2DOptions(_padding(d), d.size(3), d.size(3), times, _act(d), *dilations)
    qparams = _sums(d, x, weights, math.prod(weights.shape[1:3]))
    d.apply("DEPTHWISE_CONV_2D", [x, weights, bias], options, dtype=x.dtype, qparams=qparams)


def padded(d: Draft) -> None:
    """A PAD that one or two convolutions read, and now and then something else."""
    x = d.value(4, dtypes=["i8", "u8", "i16", "f32"], constant=0.02)
    sides = [[0, 0], *([d.random.randint(0, 3), d.random.randint(0, 3)] for _ in range(2)), [0, 0]]
    if d.chance(0.1):
        sides[d.one_of(0, 3)] = [0, 1]
    operands, kind = [x, d.constant(sides)], "PAD"
    if d.chance(0.2):
        value = x.zero_point if d.chance(0.7) else 1
        operands, kind = [*operands, d.constant(value, x.dtype, x.qparams)], "PADV2"
    (y,) = d.apply(kind, operands, like=x)
    for _ in range(d.one_of(1, 1, 1, 2, 3)):
        d.one_of(conv, conv, depthwise)(d, y)


def transpose_conv(d: Draft) -> None:
    x = d.value(4, dtypes=["i8", "u8", "i16", "f32"], constant=0.02)
    batch, height, width, channels = x.shape
    results, padding, strides = d.size(12), _padding(d), (d.size(3), d.size(3))
    window = (d.size(4), d.size(4))
    sizes = [
        size * stride if padding is Padding.SAME else (size - 1) * stride + k
        for size, stride, k in zip((height, width), strides, window, strict=True)
    ]
    sizes = [size + d.one_of(0, 0, 0, 0, 1, -1) for size in sizes]
    shape = d.constant([batch, *sizes, results])
    weights = _weights(d, x, (results, *window, channels), 0)
    bias = [_bias(d, x, weights, results)] if d.chance(0.7) else []
    options = TransposeConvOptions(padding, strides[1], strides[0], _act(d))
    qparams = _sums(d, x, weights, channels)
    d.apply("TRANSPOSE_CONV", [shape, weights, x, *bias], options, dtype=x.dtype, qparams=qparams)


def dense(d: Draft) -> None:
    x = d.value(dtypes=["i8", "u8", "i16", "f32"], constant=0.02)
    if not x.shape or not x.elements:
        raise Declined("a scalar")
    depth = x.shape[-1] if d.chance(0.7) else math.prod(x.shape[1:])
    results = d.size(40)
    weights = _weights(d, x, (results, depth), 0)
    bias = _bias(d, x, weights, results) if d.chance(0.7) else None
    options = FullyConnectedOptions(_act(d), d.chance(0.4), d.chance(0.3))
    qparams = _sums(d, x, weights, depth)
    d.apply("FULLY_CONNECTED", [x, weights, bias], options, dtype=x.dtype, qparams=qparams)


def matmul(d: Draft) -> None:
    x = d.value(2, 3, 4, dtypes=["i8", "i16", "f32"])
    options = BatchMatMulOptions(d.chance(0.3), d.chance(0.3))
    depth, columns = x.shape[-2 if options.adj_x else -1], d.size()
    inner = (columns, depth) if options.adj_y else (depth, columns)
    y = d.like(x, (*x.shape[: -2 if d.chance(0.8) else 0], *inner), constant=0.5)
    d.apply("BATCH_MATMUL", [x, y], options, dtype=x.dtype, qparams=_sums(d, x, y, depth))


# Windows and axes


def pool(d: Draft) -> None:
    x = d.value(4, dtypes=["i8", "u8", "i16", "f32"])
    height, width = _window(d, x, 7)
    options = Pool2DOptions(_padding(d), d.size(4), d.size(4), width, height, _act(d))
    kind = d.one_of("AVERAGE_POOL_2D", "MAX_POOL_2D")
    d.apply(kind, [x], options, dtype=x.dtype, qparams=x.qparams if d.chance(0.85) else d.parameters(x.dtype))


def _axis(d: Draft, rank: int) -> int:
    return d.random.randint(-rank, rank - 1) if rank else 0


def reduce(d: Draft) -> None:
    kind, x = d.one_of("MEAN", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"), d.value()
    rank = len(x.shape)
    axes = [1, 2] if rank == 4 and d.chance(0.4) else [_axis(d, rank) for _ in range(d.random.randint(0, 3))]
    qparams = x.qparams if "MAX" in kind or "MIN" in kind else _result(d, x)
    axes_operand = d.constant(axes if len(axes) != 1 or d.chance(0.5) else axes[0])
    d.apply(kind, [x, axes_operand], ReducerOptions(d.chance(0.5)), dtype=x.dtype, qparams=qparams)


def position(d: Draft) -> None:
    x, dtype = d.value(), d.one_of("i32", "i64")
    axis = d.constant(_axis(d, len(x.shape)))
    if d.chance(0.5):
        d.apply("ARG_MAX", [x, axis], ArgMaxOptions(dtype), dtype=dtype)
    else:
        d.apply("ARG_MIN", [x, axis], ArgMinOptions(dtype), dtype=dtype)


# Joins and parts


def concatenate(d: Draft) -> None:
    x = d.value()
    axis = _axis(d, len(x.shape))
    operands = [x]
    for _ in range(d.random.randint(0, 3)):
        shape = list(x.shape)
        if shape and d.chance(0.5):
            shape[axis] = d.size()
        operands.append(x if d.chance(0.15) else d.like(x, tuple(shape)))
    d.random.shuffle(operands)
    d.apply("CONCATENATION", operands, ConcatenationOptions(axis), like=x)


def pack(d: Draft) -> None:
    x = d.value()
    operands = [x, *(x if d.chance(0.2) else d.like(x) for _ in range(d.random.randint(0, 3)))]
    d.apply("PACK", operands, PackOptions(len(operands), _axis(d, len(x.shape) + 1)), like=x)


def split(d: Draft) -> None:
    """SPLIT, SPLIT_V, UNPACK."""
    kind, x = d.one_of("SPLIT", "SPLIT_V", "UNPACK"), d.value()
    axis = _axis(d, len(x.shape))
    size = x.shape[axis] if x.shape else 1
    if kind == "UNPACK":
        if size > 6:
            raise Declined("many")
        d.apply(kind, [x], UnpackOptions(size, axis), like=x, results=size)
    elif kind == "SPLIT":
        parts = d.random.choice([n for n in range(1, 7) if size % n == 0])
        d.apply(kind, [d.constant(axis), x], SplitOptions(parts), like=x, results=parts)
    else:
        cuts = sorted(d.random.randint(0, size) for _ in range(d.random.randint(0, 3)))
        sizes = np.diff([0, *cuts, size])
        if d.chance(0.3):
            sizes[d.random.randrange(len(sizes))] = -1
        operands = [x, d.constant(sizes), d.constant(axis)]
        d.apply(kind, operands, SplitVOptions(len(sizes)), like=x, results=len(sizes))


# Moves


def reshape(d: Draft) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: other names of the same elements."""
    kind, x = d.one_of("RESHAPE", "RESHAPE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"), d.value()
    if kind == "SQUEEZE":
        d.apply(kind, [x], SqueezeOptions(tuple(i for i, n in enumerate(x.shape) if n == 1 and d.chance(0.6))), like=x)
    elif kind == "EXPAND_DIMS":
        d.apply(kind, [x, d.constant(_axis(d, len(x.shape) + 1))], like=x)
    else:
        shape = _factors(d, x.elements)
        if d.chance(0.3) and shape:
            shape[d.random.randrange(len(shape))] = -1
        operand = [d.constant(np.asarray(shape, np.int32))] if d.chance(0.8) else []
        d.apply(kind, [x, *operand], ReshapeOptions(tuple(shape)), like=x)


def _factors(d: Draft, elements: int) -> list[int]:
    """A shape of so many elements, images more often than not."""
    shape, rest = [], elements
    for _ in range(d.one_of(0, 1, 2, 3, 3, 3, 3, 4)):
        divisors = [n for n in range(1, min(rest, 20) + 1) if rest % n == 0] or [1]
        shape.append(d.random.choice(divisors))
        rest //= shape[-1]
    return [*shape, rest] if shape or d.chance(0.8) else []


def move(d: Draft) -> None:
    """TRANSPOSE, TILE, BROADCAST_TO, REVERSE_V2, SPACE_TO_DEPTH, DEPTH_TO_SPACE."""
    kind = d.one_of("TRANSPOSE", "TRANSPOSE", "TILE", "BROADCAST_TO", "REVERSE_V2", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
    x = d.value(*(4,) if "DEPTH" in kind else ())
    rank = len(x.shape)
    if kind == "TRANSPOSE":
        d.apply(kind, [x, d.constant(np.asarray(d.random.sample(range(rank), rank), np.int32))], like=x)
    elif kind == "TILE":
        d.apply(kind, [x, d.constant(np.asarray([d.one_of(1, 1, 2, 3) for _ in x.shape], np.int32))], like=x)
    elif kind == "BROADCAST_TO":
        shape = [d.size() if n == 1 and d.chance(0.6) else n for n in x.shape]
        d.apply(kind, [x, d.constant(np.asarray([*([d.size(4)] if d.chance(0.3) else []), *shape], np.int32))], like=x)
    elif kind == "REVERSE_V2":
        first = d.random.randrange(rank) if rank else 0
        axes = range(first, min(rank, first + d.size(2)))
        d.apply(kind, [x, d.constant(np.asarray(axes, np.int32))], like=x)
    elif kind == "SPACE_TO_DEPTH":
        d.apply(kind, [x], SpaceToDepthOptions(d.size(4)), like=x)
    else:
        d.apply(kind, [x], DepthToSpaceOptions(d.size(3)), like=x)


def batches(d: Draft) -> None:
    """SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, mostly of images."""
    x = d.value(4, 4, 4, 3)
    rank = len(x.shape) - 2
    blocks = [d.size(3) for _ in range(rank)]
    if d.chance(0.5):
        pads = []
        for size, block in zip(x.shape[1:], blocks, strict=False):
            before = d.random.randint(0, 2)
            pads.append([before, -(before + size) % block])
        d.apply("SPACE_TO_BATCH_ND", [x, d.constant(blocks), d.constant(pads)], like=x)
    else:
        crops = [[d.random.randint(0, 1), d.random.randint(0, 1)] for _ in range(rank)]
        d.apply("BATCH_TO_SPACE_ND", [x, d.constant(blocks), d.constant(crops)], like=x)


def pad(d: Draft) -> None:
    kind, x = d.one_of("PAD", "PADV2", "MIRROR_PAD"), d.value()
    sides = [[d.random.randint(0, 2), d.random.randint(0, 2)] for _ in x.shape]
    operands, options = [x, d.constant(np.asarray(sides, np.int32).reshape(len(x.shape), 2))], None
    if kind == "PADV2":
        operands.append(d.constant(d.array((), x.dtype), x.dtype, x.qparams))
    if kind == "MIRROR_PAD":
        options = MirrorPadOptions(d.one_of(*MirrorPadMode))
    d.apply(kind, operands, options, like=x)


def resize(d: Draft) -> None:
    x, flags = d.value(4), d.one_of((False, False), (True, False), (False, True))
    size = d.constant([d.size(), d.size()])
    if d.chance(0.6):
        d.apply("RESIZE_BILINEAR", [x, size], ResizeBilinearOptions(*flags), like=x)
    else:
        d.apply("RESIZE_NEAREST_NEIGHBOR", [x, size], ResizeNearestNeighborOptions(*flags), like=x)


def take(d: Draft) -> None:
    """SLICE, STRIDED_SLICE, GATHER, GATHER_ND, EMBEDDING_LOOKUP."""
    kind = d.one_of("SLICE", "STRIDED_SLICE", "STRIDED_SLICE", "GATHER", "GATHER", "GATHER_ND", "EMBEDDING_LOOKUP")
    x = d.value()
    rank = len(x.shape)
    if kind == "SLICE":
        begins = [d.random.randint(0, size) if d.chance(0.3) else 0 for size in x.shape]
        sizes = [-1 if d.chance(0.3) else d.random.randint(0, n - b) for n, b in zip(x.shape, begins, strict=True)]
        d.apply(kind, [x, *(d.constant(np.asarray(v, np.int32)) for v in (begins, sizes))], like=x)
    elif kind == "STRIDED_SLICE":
        _strided_slice(d, x)
    elif kind == "GATHER":
        axis = _axis(d, rank)
        indices = _indices(d, x.shape[axis] if rank else 1, tuple(d.size(5) for _ in range(d.random.randint(0, 2))))
        d.apply(kind, [x, indices], GatherOptions(axis), like=x)
    elif kind == "GATHER_ND":
        depth = d.random.randint(1, max(rank, 1))
        d.apply(kind, [x, _indices(d, min(x.shape[:depth], default=1), (d.size(5), depth))], like=x)
    else:
        d.apply(kind, [_indices(d, x.shape[0] if rank else 1, (d.size(5),)), x], like=x)


def _indices(d: Draft, size: int, shape: Sequence[int]) -> Tensor:
    """A constant within bounds, or an input, whose values may lie outside."""
    if d.chance(0.2):
        return d.new(tuple(shape), "i32", None, constant=0)
    return d.constant(d.numbers.integers(0, max(size, 1), tuple(shape)))


def _strided_slice(d: Draft, x: Tensor) -> None:
    begins, ends, strides = [], [], []
    for size in x.shape[: len(x.shape) - (d.chance(0.2) and len(x.shape) > 1)]:
        step = d.one_of(1, 1, 1, 2, 3, -1, -2)
        low, high = sorted((d.random.randint(0, size), d.random.randint(0, size)))
        begin, end = (low, high) if step > 0 else (high - 1, low - 1 if low else -size - 1)
        begins.append(begin - size if d.chance(0.2) and begin > 0 else begin)
        ends.append(end)
        strides.append(step)
    masks = [d.random.getrandbits(len(begins)) if d.chance(0.3) and begins else 0 for _ in range(3)]
    new_axis = 1 << d.random.randrange(len(begins)) if d.chance(0.1) and begins else 0
    ellipsis = 1 << d.random.randrange(len(begins)) if d.chance(0.1) and begins else 0
    options = StridedSliceOptions(masks[0], masks[1], ellipsis, new_axis, masks[2] if d.chance(0.5) else 0)
    operands = [d.constant(np.asarray(v, np.int32)) for v in (begins, ends, strides)]
    d.apply("STRIDED_SLICE", [x, *operands], options, like=x)


def fill(d: Draft) -> None:
    """FILL and SHAPE."""
    if d.chance(0.5):
        d.apply("FILL", [d.constant(np.asarray(d.shape(), np.int32)), d.value(0)], dtype="f32")
    else:
        d.apply("SHAPE", [d.value()], ShapeOptions("i32"), dtype="i32")


#: What draws an operator (or a few), and how often.
DRAWS: dict[Callable[[Draft], None], float] = {
    unary: 22,
    pair: 22,
    prelu: 1,
    compare: 0.6,
    logical: 0.3,
    select: 0.3,
    convert: 4,
    conv: 8,
    depthwise: 6,
    padded: 4,
    transpose_conv: 2,
    dense: 4,
    matmul: 1,
    pool: 4,
    reduce: 4,
    position: 0.5,
    concatenate: 5,
    pack: 2,
    split: 3,
    reshape: 7,
    move: 8,
    batches: 2,
    pad: 3,
    resize: 3,
    take: 8,
    fill: 0.4,
}
