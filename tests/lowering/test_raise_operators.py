"""Every operator, alone: what LiteRT makes of the file, what ONNX Runtime makes of the raised graph; and back again.

Long because it has a row for every operator, and for what is particular about some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bitwright.formats.tflite.write import write_tflite
from bitwright.graph.execution import Execution
from bitwright.lowering.lower import lower
from bitwright.lowering.raise_program import raise_program
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import quantize
from bitwright.program.definition import Call
from bitwright.program.operator import Activation, MirrorPadMode, Operator, Options, Padding
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
    L2NormOptions,
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
    UnidirectionalSequenceLSTMOptions,
    UnpackOptions,
)
from bitwright.program.program import Port, Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import Tensor
from bitwright.program.verify import verify
from bitwright.quantization.plan import Compute

Feeds = dict[str, np.ndarray]


class Maker:
    """A Program under construction, its activations float32 or int8."""

    def __init__(self, integer: bool = False, seed: int = 0) -> None:
        self.integer = integer
        self.rng = np.random.default_rng(seed)
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []
        self.inputs: list[str] = []
        self.low = -3.0

    def add(self, tensor: Tensor) -> str:
        self.tensors[tensor.name] = tensor
        return tensor.name

    def name(self, stem: str) -> str:
        return f"{stem}{len(self.tensors)}"

    def real(self, *shape: int, scale: float = 0.03, point: int = 4) -> str:
        """An input of reals."""
        name = self.name("x")
        self.inputs.append(name)
        if self.integer:
            return self.add(Tensor(name, shape, "i8", QuantParams(scale, point)))
        return self.add(Tensor(name, shape))

    def drawn(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(np.float32)

    def reals(self, array: Any, scale: float = 0.02, point: int = 0) -> str:
        """A constant of reals that is no weight."""
        array = np.asarray(array, np.float32)
        if self.integer:
            qparams = QuantParams(scale, point)
            return self.add(Tensor(self.name("c"), array.shape, "i8", qparams, quantize(array, qparams)))
        return self.add(Tensor(self.name("c"), array.shape, data=array))

    def weight(self, *shape: int, axis: int = 0) -> str:
        array = self.drawn(*shape) * 0.3
        if self.integer:
            qparams = QuantParams(np.linspace(0.004, 0.011, shape[axis]), 0, "i8", axis, narrow_range=True)
            return self.add(Tensor(self.name("w"), shape, "i8", qparams, quantize(array, qparams)))
        return self.add(Tensor(self.name("w"), shape, data=array))

    def bias(self, weight: str, data: str) -> str:
        w, x = self.tensors[weight], self.tensors[data]
        if self.integer:
            assert w.qparams is not None
            scale = np.float32(x.scale) * w.qparams.scale
            numbers = self.rng.integers(-3000, 3000, scale.size).astype(np.int32)
            return self.add(Tensor(self.name("b"), numbers.shape, "i32", QuantParams(scale, 0, "i32", 0), numbers))
        axis = 3 if w.shape[0] == 1 and len(w.shape) == 4 else 0
        array = self.drawn(w.shape[axis])
        return self.add(Tensor(self.name("b"), array.shape, data=array))

    def numbers(self, values: Any, dtype: str = "i32") -> str:
        array = np.asarray(values, {"i32": np.int32, "i64": np.int64, "bool": np.bool_}[dtype])
        return self.add(Tensor(self.name("n"), array.shape, dtype, data=array))

    def op(
        self,
        kind: str,
        inputs: list[str | None],
        options: Options | None = None,
        *,
        dtype: str | None = None,
        scale: float | None = None,
        point: int | None = None,
        results: int = 1,
    ) -> list[str]:
        """An operator; results have the first real operand's parameters unless others are given."""
        operands = tuple(None if n is None else self.tensors[n] for n in inputs)
        made = DEFINITIONS[kind].options() if options is None else options
        like = next(t for t in operands if t is not None and (t.dtype == "f32" or t.dtype == "i8"))
        qparams = None
        if self.integer and dtype is None:
            qparams = like.qparams if scale is None else QuantParams(scale, point or 0)
        drafts = tuple(Tensor(f"{self.name('y')}_{i}", ()) for i in range(results))
        operator = Operator(kind, tuple(inputs), tuple(t.name for t in drafts), made)
        shapes = DEFINITIONS[kind].infer(Call(operator, operands, drafts))
        storage = dtype or ("i8" if self.integer else "f32")
        for draft, shape in zip(drafts, shapes, strict=True):
            self.add(Tensor(draft.name, shape, storage, qparams))
        self.operators.append(operator)
        return list(operator.outputs)

    def program(self, *outputs: str) -> Program:
        given = outputs or self.operators[-1].outputs
        program = Program(
            self.tensors,
            tuple(self.operators),
            tuple(Port(n, n) for n in self.inputs),
            tuple(Port(n, n) for n in given),
        )
        verify(program)
        return program

    def feeds(self, program: Program, seed: int = 1) -> Feeds:
        rng = np.random.default_rng(seed)
        found = {}
        for port in program.inputs:
            tensor = program.tensors[port.tensor]
            if tensor.dtype == "i8":
                found[port.name] = rng.integers(-128, 128, tensor.shape).astype(np.int8)
            elif tensor.dtype in ("i32", "i64"):
                found[port.name] = rng.integers(0, 3, tensor.shape).astype(tensor.dtype.replace("i", "int"))
            elif tensor.dtype == "bool":
                found[port.name] = rng.integers(0, 2, tensor.shape).astype(np.bool_)
            else:
                found[port.name] = np.asarray(np.maximum(rng.standard_normal(tensor.shape), self.low), np.float32)
        return found


def conv(m: Maker, options: Conv2DOptions, group: int = 1) -> None:
    x = m.real(1, 9, 10, 4)
    w = m.weight(6, 3, 2, 4 // group)
    m.op("CONV_2D", [x, w, m.bias(w, x)], options, scale=0.06, point=-3)


def depthwise(m: Maker, multiplier: int, options: DepthwiseConv2DOptions) -> None:
    x = m.real(1, 8, 7, 3)
    w = m.weight(1, 3, 3, 3 * multiplier, axis=3)
    m.op("DEPTHWISE_CONV_2D", [x, w, m.bias(w, x)], options, scale=0.05, point=6)


def transpose_conv(m: Maker, padding: Padding, stride: int, result: tuple[int, int], bias: bool = True) -> None:
    x, w = m.real(1, 4, 5, 3), m.weight(6, 3, 3, 3)
    last = [m.bias(w, x)] if bias else []
    options = TransposeConvOptions(padding, stride, stride)
    m.op("TRANSPOSE_CONV", [m.numbers([1, *result, 6]), w, x, *last], options, scale=0.05, point=1)


def dense(m: Maker, shape: tuple[int, ...], *, bias: bool = True, **options: Any) -> None:
    x, w = m.real(*shape), m.weight(6, 8)
    last = m.bias(w, x) if bias else None
    m.op("FULLY_CONNECTED", [x, w, last], FullyConnectedOptions(**options), scale=0.05, point=2)


def binary(
    kind: str,
    options: Options | None = None,
    left: tuple[int, ...] = (1, 4, 5, 6),
    right: Any = (1, 4, 5, 6),
    **out: Any,
) -> Callable[[Maker], None]:
    def make(m: Maker) -> None:
        x = m.real(*left)
        y = m.real(*right, scale=0.03, point=4) if isinstance(right, tuple) else m.reals(right)
        m.op(kind, [x, y], options, **out)

    return make


def unary(kind: str, options: Options | None = None, *, positive: bool = False, **out: Any) -> Callable[[Maker], None]:
    def make(m: Maker) -> None:
        m.low = 0.25 if positive else -3.0
        x = m.real(1, 3, 4, 5, point=-128) if positive else m.real(1, 3, 4, 5)
        m.op(kind, [x], options, **out)

    return make


def after_conv(kind: str, rest: Callable[[Maker], list[str | None]], options: Options | None = None, **out: Any) -> Any:
    """The operator on a value that lies channels-first in the graph: behind a convolution."""

    def make(m: Maker) -> None:
        x, w = m.real(1, 6, 8, 4), m.weight(8, 1, 1, 4)
        (y,) = m.op("CONV_2D", [x, w, m.bias(w, x)], Conv2DOptions(), scale=0.05, point=3)
        m.op(kind, [y, *rest(m)], options, **out)

    return make


def on(
    kind: str,
    shape: tuple[int, ...],
    rest: Callable[[Maker], list[str | None]],
    options: Options | None = None,
    **out: Any,
) -> Any:
    def make(m: Maker) -> None:
        m.op(kind, [m.real(*shape), *rest(m)], options, **out)

    return make


def nothing(m: Maker) -> list[str | None]:
    return []


def ints(*groups: Any) -> Callable[[Maker], list[str | None]]:
    return lambda m: [m.numbers(values) for values in groups]


def strided(begin: Any, end: Any, strides: Any, *, lying: bool = False, **masks: Any) -> Any:
    make = after_conv if lying else on
    arguments = (ints(begin, end, strides), StridedSliceOptions(**masks))
    return make("STRIDED_SLICE", *arguments) if lying else make("STRIDED_SLICE", (1, 5, 6, 4), *arguments)


def split(m: Maker) -> None:
    m.op("SPLIT", [m.numbers(-1), m.real(1, 3, 4, 6)], SplitOptions(3), results=3)


def split_v(m: Maker) -> None:
    inputs = [m.real(1, 3, 7, 2), m.numbers([2, 4, 1]), m.numbers(2)]
    m.op("SPLIT_V", inputs, SplitVOptions(3), results=3)


def pack(m: Maker) -> None:
    m.op("PACK", [m.real(3, 4), m.real(3, 4)], PackOptions(2, -1))


def pack_lying(m: Maker) -> None:
    x, w = m.real(1, 6, 8, 4), m.weight(8, 1, 1, 4)
    (y,) = m.op("CONV_2D", [x, w, m.bias(w, x)], Conv2DOptions(), scale=0.05, point=3)
    m.op("PACK", [y, y], PackOptions(2, 2))


def unpack(m: Maker) -> None:
    m.op("UNPACK", [m.real(2, 3, 4)], UnpackOptions(3, 1), results=3)


def concatenation(m: Maker) -> None:
    x, w = m.real(1, 6, 8, 4), m.weight(4, 1, 1, 4)
    (y,) = m.op("CONV_2D", [x, w, m.bias(w, x)], Conv2DOptions(), scale=0.03, point=4)
    m.op("CONCATENATION", [x, y, y], ConcatenationOptions(-1))


def gather(axis: int, indices: Any, batch: int = 0) -> Any:
    return on("GATHER", (3, 4, 5), ints(indices), GatherOptions(axis, batch))


def lookup(m: Maker) -> None:
    ids = m.add(Tensor("ids", (4,), "i32"))
    m.inputs.append(ids)
    m.op("EMBEDDING_LOOKUP", [ids, m.reals(m.drawn(3, 5))])


def prelu(m: Maker) -> None:
    x, w = m.real(1, 6, 8, 4), m.weight(8, 1, 1, 4)
    (y,) = m.op("CONV_2D", [x, w, m.bias(w, x)], Conv2DOptions(), scale=0.05, point=3)
    m.op("PRELU", [y, m.reals(m.drawn(1, 1, 8))], scale=0.05, point=3)


def lstm(m: Maker, *, time_major: bool = False, coupled: bool = False, peephole: bool = False) -> None:
    times, rows, width, hidden = 5, 2, 3, 4
    x = m.real(*((times, rows, width) if time_major else (rows, times, width)))

    def gates(*shape: int) -> list[str | None]:
        made: list[str | None] = [m.reals(m.drawn(*shape) * 0.5) for _ in range(4)]
        return [None, *made[1:]] if coupled else made

    peepholes = [*gates(hidden)[:2], m.reals(m.drawn(hidden) * 0.5)] if peephole else [None] * 3
    states = [m.add(Tensor(f"{n}_state", (rows, hidden), variable=True)) for n in ("output", "cell")]
    inputs = [x, *gates(hidden, width), *gates(hidden, hidden), *peepholes]
    inputs += [*gates(hidden), None, None, *states]
    m.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        inputs,
        UnidirectionalSequenceLSTMOptions(Activation.TANH, time_major=time_major),
    )


def argument(kind: str, axis: int, dtype: str = "i32", *, lying: bool = False) -> Any:
    options = ArgMaxOptions(dtype) if kind == "ARG_MAX" else ArgMinOptions(dtype)
    if lying:
        return after_conv(kind, ints(axis), options, dtype=dtype)
    return on(kind, (2, 3, 4), ints(axis), options, dtype=dtype)


def matmul(left: tuple[int, ...], right: tuple[int, ...], constant: bool = False, **options: Any) -> Any:
    def make(m: Maker) -> None:
        x = m.real(*left)
        y = m.reals(m.drawn(*right)) if constant else m.real(*right)
        m.op("BATCH_MATMUL", [x, y], BatchMatMulOptions(**options), scale=0.06, point=1)

    return make


def softmax_lying(m: Maker) -> None:
    x, w = m.real(1, 6, 8, 4), m.weight(8, 1, 1, 4)
    (y,) = m.op("CONV_2D", [x, w, m.bias(w, x)], Conv2DOptions(), scale=0.05, point=3)
    m.op("SOFTMAX", [y], SoftmaxOptions(1.0), scale=1 / 256, point=-128)


def dense_behind_conv(m: Maker) -> None:
    x, w = m.real(1, 3, 2, 4), m.weight(8, 1, 1, 4)
    (y,) = m.op("CONV_2D", [x, w, m.bias(w, x)], Conv2DOptions(), scale=0.05, point=3)
    (z,) = m.op("RESHAPE", [y, m.numbers([1, 48])], ReshapeOptions((1, 48)))
    v = m.weight(5, 48)
    m.op("FULLY_CONNECTED", [z, v, m.bias(v, z)], scale=0.1, point=2)


def cast(m: Maker) -> None:
    ids = m.add(Tensor("ids", (2, 3), "i32"))
    m.inputs.append(ids)
    m.operators.append(Operator("CAST", (ids,), ("y",), CastOptions("i32", "f32")))
    m.add(Tensor("y", (2, 3)))


def shape_of(m: Maker) -> None:
    """The shape decides another operator's, as converters write it; nothing of it is left."""
    x, y = m.real(2, 6), m.real(3, 4)
    (shape,) = m.op("SHAPE", [y], ShapeOptions("i32"), dtype="i32")
    m.add(Tensor("z", (3, 4)))
    m.operators.append(Operator("RESHAPE", (x, shape), ("z",), ReshapeOptions()))


def plain(m: Maker, dtype: str, *shape: int) -> str:
    """An input of plain numbers."""
    name = m.add(Tensor(m.name("p"), shape, dtype))
    m.inputs.append(name)
    return name


def whole(kind: str, dtype: str = "i32") -> Callable[[Maker], None]:
    def make(m: Maker) -> None:
        left, right = plain(m, "i32", 3, 4), m.numbers([-2, 2, 1, -1])
        m.operators.append(Operator(kind, (left, right), ("y",), Options()))
        m.add(Tensor("y", (3, 4), dtype))

    return make


def truths(kind: str, count: int) -> Callable[[Maker], None]:
    def make(m: Maker) -> None:
        inputs = tuple(plain(m, "bool", 3, 4) for _ in range(count))
        m.operators.append(Operator(kind, inputs, ("y",), Options()))
        m.add(Tensor("y", (3, 4), "bool"))

    return make


def select(m: Maker) -> None:
    m.op("SELECT_V2", [plain(m, "bool", 1, 4, 1), m.real(2, 4, 3), m.real(3)])


SAME, VALID = Padding.SAME, Padding.VALID
RELU, RELU6, N1 = Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1

#: Operators that have a float and an int8 form.
BOTH: dict[str, Callable[[Maker], None]] = {
    "conv-same": lambda m: conv(m, Conv2DOptions(SAME)),
    "conv-same-strided": lambda m: conv(m, Conv2DOptions(SAME, 2, 2, RELU)),
    "conv-valid-relu6": lambda m: conv(m, Conv2DOptions(VALID, 2, 1, RELU6)),
    "conv-dilated": lambda m: conv(m, Conv2DOptions(SAME, 1, 1, N1, 3, 2)),
    "conv-groups": lambda m: conv(m, Conv2DOptions(SAME), group=2),
    "depthwise": lambda m: depthwise(m, 1, DepthwiseConv2DOptions(SAME, 2, 2, 1, RELU6)),
    "depthwise-multiplied": lambda m: depthwise(m, 2, DepthwiseConv2DOptions(VALID, 1, 1, 2)),
    "transpose-conv-same": lambda m: transpose_conv(m, SAME, 2, (8, 10)),
    "transpose-conv-odd": lambda m: transpose_conv(m, SAME, 2, (7, 9)),
    "transpose-conv-valid": lambda m: transpose_conv(m, VALID, 2, (9, 11)),
    "transpose-conv-no-bias": lambda m: transpose_conv(m, SAME, 1, (4, 5), bias=False),
    "dense": lambda m: dense(m, (3, 8)),
    "dense-relu": lambda m: dense(m, (3, 8), fused_activation_function=RELU),
    "dense-without-bias": lambda m: dense(m, (3, 8), bias=False),
    "dense-flattens": lambda m: dense(m, (1, 2, 3, 8)),
    "dense-kept": lambda m: dense(m, (2, 3, 8), keep_num_dims=True),
    "dense-kept-relu": lambda m: dense(m, (2, 3, 8), keep_num_dims=True, fused_activation_function=RELU),
    "dense-kept-without-bias": lambda m: dense(m, (2, 3, 8), keep_num_dims=True, bias=False),
    "dense-behind-conv": dense_behind_conv,
    "batch-matmul": matmul((2, 3, 4), (2, 4, 5)),
    "batch-matmul-adjoints": matmul((2, 4, 3), (1, 5, 4), adj_x=True, adj_y=True),
    "batch-matmul-constant": matmul((2, 3, 4), (4, 5), constant=True),
    "add": binary("ADD", scale=0.07, point=-2),
    "add-relu": binary("ADD", AddOptions(RELU), scale=0.07, point=-2),
    "add-constant": binary("ADD", None, (1, 4, 5, 6), np.linspace(-1, 1, 6), scale=0.05),
    "add-broadcast": binary("ADD", None, (2, 4, 5, 6), (4, 1, 6), scale=0.07),
    "add-lying": after_conv("ADD", lambda m: [m.reals(m.drawn(8) * 0.5)], scale=0.07),
    "add-lying-rows": after_conv("ADD", lambda m: [m.reals(m.drawn(6, 1, 1) * 0.5)], scale=0.07),
    "sub": binary("SUB", SubOptions(), (3, 4), (4,), scale=0.07),
    "mul": binary("MUL", MulOptions(RELU6), scale=0.07),
    "mul-lying": after_conv("MUL", lambda m: [m.real(1, 1, 8)], scale=0.07),
    "minimum": binary("MINIMUM"),
    "maximum": binary("MAXIMUM"),
    "squared-difference": binary("SQUARED_DIFFERENCE", scale=0.1, point=-128),
    "average-pool": on("AVERAGE_POOL_2D", (1, 7, 6, 3), nothing, Pool2DOptions(SAME, 2, 2, 3, 3)),
    "average-pool-valid": on("AVERAGE_POOL_2D", (1, 7, 6, 3), nothing, Pool2DOptions(VALID, 1, 2, 6, 7, RELU)),
    "max-pool": on("MAX_POOL_2D", (1, 7, 6, 3), nothing, Pool2DOptions(SAME, 2, 2, 3, 3)),
    "mean": on("MEAN", (1, 5, 4, 3), ints([1, 2]), ReducerOptions(False), scale=0.02, point=5),
    "mean-lying": after_conv("MEAN", ints([1, 2]), ReducerOptions(False), scale=0.02, point=5),
    "mean-lying-kept": after_conv("MEAN", ints([-1]), ReducerOptions(True), scale=0.02, point=5),
    "reduce-max": after_conv("REDUCE_MAX", ints([1]), ReducerOptions(False)),
    "concatenation": concatenation,
    "split": split,
    "split-v": split_v,
    "pack": pack,
    "pack-lying": pack_lying,
    "unpack": unpack,
    "unpack-lying": after_conv("UNPACK", nothing, UnpackOptions(6, 1), results=6),
    "pad": after_conv("PAD", ints([[0, 0], [1, 2], [0, 3], [0, 1]])),
    "mirror-pad-reflect": on("MIRROR_PAD", (3, 4), ints([[1, 2], [3, 0]]), MirrorPadOptions(MirrorPadMode.REFLECT)),
    "mirror-pad-symmetric": on("MIRROR_PAD", (3, 4), ints([[3, 2], [0, 4]]), MirrorPadOptions(MirrorPadMode.SYMMETRIC)),
    "reshape": on("RESHAPE", (2, 3, 4), ints([6, 4]), ReshapeOptions((6, 4))),
    "reshape-lying": after_conv("RESHAPE", ints([1, 48, 8]), ReshapeOptions((1, 48, 8))),
    "reshape-lying-ones": after_conv("RESHAPE", ints([1, 48, 1, 8]), ReshapeOptions((1, 48, 1, 8))),
    "reshape-lying-mixes": after_conv("RESHAPE", ints([1, 384]), ReshapeOptions((1, 384))),
    "squeeze": on("SQUEEZE", (1, 3, 1, 4), nothing, SqueezeOptions((2,))),
    "squeeze-lying": after_conv("SQUEEZE", nothing, SqueezeOptions((0,))),
    "expand-dims": on("EXPAND_DIMS", (3, 4), ints(-1)),
    "expand-dims-lying": after_conv("EXPAND_DIMS", ints(1)),
    "transpose": on("TRANSPOSE", (2, 3, 4), ints([2, 0, 1])),
    "transpose-lying": after_conv("TRANSPOSE", ints([0, 2, 1, 3])),
    "slice": on("SLICE", (4, 5, 6), ints([1, 0, 2], [2, -1, 3])),
    "slice-lying": after_conv("SLICE", ints([0, 1, 0, 2], [-1, 3, -1, 5])),
    "strided-slice": strided([0, 1, 0, 3], [1, 5, 6, 0], [1, 2, 3, -1]),
    "strided-slice-masks": strided([0, 1, 2, 0], [0, 3, 0, 2], [1, 1, 2, 1], begin_mask=5, end_mask=5),
    "strided-slice-shrinks": strided([0, -2, 0, 1], [1, 5, 6, 2], [1, 1, 1, 1], shrink_axis_mask=10, end_mask=4),
    "strided-slice-reverses": strided([0, 0, 5, 0], [1, 5, -9, 4], [1, 1, -2, 1]),
    "strided-slice-lying": strided([0, 1, 0, 1], [1, 5, 8, 7], [1, 2, 1, 3], lying=True, shrink_axis_mask=1),
    "gather": gather(1, [3, 0, 0]),
    "gather-matrix": gather(0, [[2, 0], [1, 1]]),
    "gather-lying": after_conv("GATHER", ints([5, 1, 1]), GatherOptions(3)),
    "resize-bilinear": after_conv("RESIZE_BILINEAR", ints([9, 5]), ResizeBilinearOptions(False, True)),
    "resize-bilinear-corners": on("RESIZE_BILINEAR", (1, 4, 5, 2), ints([7, 9]), ResizeBilinearOptions(True, False)),
    "resize-bilinear-plain": on("RESIZE_BILINEAR", (1, 4, 5, 2), ints([8, 3]), ResizeBilinearOptions()),
    "resize-nearest": on("RESIZE_NEAREST_NEIGHBOR", (1, 4, 5, 2), ints([7, 11]), ResizeNearestNeighborOptions()),
    "resize-nearest-centres": on(
        "RESIZE_NEAREST_NEIGHBOR", (1, 4, 5, 2), ints([6, 3]), ResizeNearestNeighborOptions(False, True)
    ),
    "resize-nearest-corners": on(
        "RESIZE_NEAREST_NEIGHBOR", (1, 4, 5, 2), ints([7, 11]), ResizeNearestNeighborOptions(True, False)
    ),
    "space-to-depth": on("SPACE_TO_DEPTH", (1, 4, 6, 3), nothing, SpaceToDepthOptions(2)),
    "depth-to-space": on("DEPTH_TO_SPACE", (1, 2, 3, 12), nothing, DepthToSpaceOptions(2)),
    "relu": unary("RELU"),
    "relu6": unary("RELU6"),
    "relu-n1-to-1": unary("RELU_N1_TO_1"),
    "leaky-relu": unary("LEAKY_RELU", LeakyReluOptions(0.2), scale=0.03, point=-3),
    "prelu": prelu,
    "hard-swish": unary("HARD_SWISH", scale=0.03, point=-3),
    "logistic": unary("LOGISTIC", scale=1 / 256, point=-128),
    "tanh": unary("TANH", scale=1 / 128),
    "abs": unary("ABS"),
    "softmax": unary("SOFTMAX", SoftmaxOptions(1.0), scale=1 / 256, point=-128),
    "softmax-lying": softmax_lying,
    "log-softmax": unary("LOG_SOFTMAX", scale=16 / 256, point=127),
    "l2-normalization": unary("L2_NORMALIZATION", L2NormOptions(), scale=1 / 128),
    "arg-max": argument("ARG_MAX", 1),
    "arg-max-lying": argument("ARG_MAX", 3, "i64", lying=True),
    "pad-v2": lambda m: m.op("PADV2", [m.real(2, 3), m.numbers([[1, 0], [0, 2]]), m.reals(0.5, 0.03, 4)]) and None,
    "gelu-tanh": unary("GELU", GeluOptions(True)),
    "embedding-lookup": lookup,
    "log": unary("LOG", positive=True),
    "relu-0-to-1": unary("RELU_0_TO_1"),
    "reduce-min": after_conv("REDUCE_MIN", ints([2]), ReducerOptions(True)),
    "arg-min": argument("ARG_MIN", 2),
    "tile": after_conv("TILE", ints([2, 1, 1, 3])),
    "broadcast-to": on("BROADCAST_TO", (3, 1), ints([2, 3, 4])),
    "broadcast-to-lying": after_conv("BROADCAST_TO", ints([2, 6, 8, 8])),
    "reverse": after_conv("REVERSE_V2", ints([1])),
    "space-to-batch": on("SPACE_TO_BATCH_ND", (1, 5, 6, 3), ints([2, 3], [[1, 0], [0, 3]])),
    "batch-to-space": on("BATCH_TO_SPACE_ND", (6, 3, 2, 3), ints([2, 3], [[1, 0], [0, 2]])),
    "fill": lambda m: m.op("FILL", [m.numbers([2, 3]), m.real()]) and None,
    "gelu": unary("GELU", GeluOptions(False), scale=0.03, point=-3),
    "exp": unary("EXP", scale=0.4, point=-128),
    "rsqrt": unary("RSQRT", positive=True, scale=0.02, point=-128),
}

#: Float forms of operators, and those without an int8 form there and back.
FLOAT: dict[str, Callable[[Maker], None]] = {
    "div": binary("DIV", DivOptions(RELU6), (3, 4), np.linspace(0.5, 2, 4)),
    "softmax-beta": unary("SOFTMAX", SoftmaxOptions(0.5)),
    "lstm": lstm,
    "lstm-time-major": lambda m: lstm(m, time_major=True),
    "lstm-coupled": lambda m: lstm(m, coupled=True),
    "lstm-peephole": lambda m: lstm(m, peephole=True),
    "cast": cast,
    "sum": on("SUM", (2, 3, 4), ints([1]), ReducerOptions(True), scale=0.1),
    "ceil": unary("CEIL"),
    "cos": unary("COS"),
    "elu": unary("ELU"),
    "floor": unary("FLOOR"),
    "round": unary("ROUND"),
    "sin": unary("SIN"),
    "square": unary("SQUARE"),
    "reduce-prod": on("REDUCE_PROD", (2, 3, 4), ints([0, 2]), ReducerOptions(False)),
    "gather-nd": on("GATHER_ND", (3, 4, 5), ints([[2, 0], [1, 3]])),
    "shape": shape_of,
    "pow": lambda m: m.op("POW", [m.reals([[0.5], [1.5], [2.0]]), m.real(3, 4)]) and None,
    "floor-div": binary("FLOOR_DIV", None, (3, 4), np.linspace(-0.4, 0.3, 4)),
    "floor-div-integers": whole("FLOOR_DIV"),
    "floor-mod": binary("FLOOR_MOD", None, (3, 4), np.linspace(-0.4, 0.3, 4)),
    "floor-mod-integers": whole("FLOOR_MOD"),
    **{
        kind.lower().replace("_", "-"): binary(kind, None, (3, 4), (1, 4), dtype="bool")
        for kind in ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
    },
    "equal-integers": whole("EQUAL", "bool"),
    **{
        kind.lower().replace("_", "-"): truths(kind, count)
        for kind, count in (("LOGICAL_AND", 2), ("LOGICAL_OR", 2), ("LOGICAL_NOT", 1))
    },
    "select": select,
    "gather-batch": gather(1, [[1, 0], [3, 3], [0, 2]], batch=1),
    "sqrt": unary("SQRT", positive=True),
    "neg": unary("NEG"),
}


def run_litert(program: Program, feeds: Feeds) -> list[np.ndarray]:
    """What LiteRT's own kernels give for the file, without XNNPACK."""
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")
    resolver = interpreter_module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    session = interpreter_module.Interpreter(
        model_content=write_tflite(program), experimental_op_resolver_type=resolver
    )
    session.allocate_tensors()
    for detail, port in zip(session.get_input_details(), program.inputs, strict=True):
        session.set_tensor(detail["index"], feeds[port.name])
    session.invoke()
    return [session.get_tensor(detail["index"]) for detail in session.get_output_details()]


def made(case: Callable[[Maker], None], *, integer: bool = False) -> tuple[Program, Feeds]:
    maker = Maker(integer)
    case(maker)
    program = maker.program()
    return program, maker.feeds(program)


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in (BOTH | FLOAT).items()])
def test_raise_float_operator_computes_what_litert_does(case):
    """Within 1e-5 of the largest number, on ONNX Runtime."""
    program, feeds = made(case)

    model, plan = raise_program(program)
    got = Execution(model).run(feeds)

    assert plan is None
    for expected, port in zip(run_litert(program, feeds), program.outputs, strict=True):
        assert expected.shape == got[port.name].shape and expected.dtype == got[port.name].dtype
        assert np.abs(expected.astype(float) - got[port.name].astype(float)).max() <= 1e-5 * max(
            1.0, np.abs(expected).max()
        )


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in BOTH.items()])
def test_raise_int8_operator_is_lowered_to_the_same_integers(case):
    """Raised and lowered again, LiteRT computes the same integers from the file."""
    program, feeds = made(case, integer=True)
    expected = run_litert(program, feeds)

    model, plan = raise_program(program)
    again = lower(model, plan, input_type="int8", output_type="int8")

    assert plan is not None and plan.mode == "int8" and Compute.INTEGER in {n.compute for n in plan.nodes.values()}
    for first, second in zip(expected, run_litert(again, feeds), strict=True):
        np.testing.assert_array_equal(first, second)


def test_raise_every_operator_is_tried():
    """Each kind of the vocabulary is in the tables above; QUANTIZE and DEQUANTIZE are in the plan's tests."""
    tried = {op.kind for case in (BOTH | FLOAT).values() for op in made(case)[0].operators}

    assert set(DEFINITIONS) - {"QUANTIZE", "DEQUANTIZE"} == tried
