"""Small ONNX models, one TFLite operator each: what Hypothesis draws of shapes, strides, pads, groups and axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass
class Graph:
    """A model under construction: float inputs, constants, nodes; the last result is the output."""

    seed: int
    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    positive: bool = False
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    output_type: int = TensorProto.FLOAT

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def input(self, shape: Sequence[int], name: str = "x") -> str:
        self.inputs[name] = tuple(shape)
        return name

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def scaled(self, *shape: int) -> str:
        """Weights whose sums of products are as large as the data: all dimensions but the first are summed over."""
        fan = max(int(np.prod(shape[1:])), 1)
        return self.constant((self.rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32))

    def scaled_columns(self, *shape: int) -> str:
        """The same where the last dimension is the one that is not summed over."""
        fan = max(int(np.prod(shape[:-1])), 1)
        return self.constant((self.rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32))

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.int64(values).reshape(-1))

    def node(self, op: str, *operands: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, operands, names, name=f"n{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def model(self, results: Sequence[str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "case",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in self.inputs.items()],
            [helper.make_tensor_value_info(name, self.output_type, None) for name in results],
            self.constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        return onnx.shape_inference.infer_shapes(made)

    def feeds(self, seed: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        made = {n: rng.standard_normal(s).astype(np.float32) * 2 for n, s in self.inputs.items()}
        return {n: np.abs(a) + np.float32(0.1) if self.positive else a for n, a in made.items()}


Build = Callable[[Draw, Graph], Any]


def size(low: int = 1, high: int = 7) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def shape(draw: Draw, low: int = 1, high: int = 4) -> tuple[int, ...]:
    """[1, ...] of rank low..high."""
    rank = draw(st.integers(low, high))
    return (1, *(draw(size(1, 6)) for _ in range(rank - 1)))


def image(draw: Draw, channels: int, least: int = 4) -> tuple[int, ...]:
    return (1, channels, draw(size(least, least + 5)), draw(size(least, least + 5)))


def pads(draw: Draw, most: int) -> list[int]:
    """None, all alike, or each its own."""
    kind = draw(st.sampled_from(["none", "alike", "uneven"]))
    if kind == "none":
        return [0] * 4
    if kind == "alike":
        return [draw(st.integers(0, most))] * 4
    return [draw(st.integers(0, most)) for _ in range(4)]


def conv(draw: Draw, g: Graph) -> str:
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    channels, results = groups * draw(size(1, 5)), groups * draw(size(1, 6))
    kernel = [draw(size(1, 3)), draw(size(1, 3))]
    weights = g.weights(results, channels // groups, *kernel)
    extra = [g.weights(results)] if draw(st.booleans()) else []
    made = g.node(
        "Conv", g.input(image(draw, channels, 6)), weights, *extra,
        group=groups, strides=[draw(size(1, 3)), draw(size(1, 3))], pads=pads(draw, 2),
        dilations=[draw(size(1, 2)), draw(size(1, 2))],
    )  # fmt: skip
    return activation(draw, g, made)


def activation(draw: Draw, g: Graph, value: str) -> str:
    kind = draw(st.sampled_from(["none", "relu", "relu6"]))
    if kind == "relu":
        return str(g.node("Relu", value))
    if kind == "relu6":
        return str(g.node("Clip", value, g.constant(np.float32(0)), g.constant(np.float32(6))))
    return value


def conv_1d(draw: Draw, g: Graph) -> str:
    channels, results, kernel = draw(size(1, 5)), draw(size(1, 5)), draw(size(1, 3))
    x = g.input((1, channels, draw(size(6, 12))))
    return str(
        g.node("Conv", x, g.weights(results, channels, kernel), g.weights(results), strides=[draw(size(1, 2))],
               pads=[draw(size(0, 1)), draw(size(0, 1))])
    )  # fmt: skip


def depthwise(draw: Draw, g: Graph) -> str:
    channels, multiplier = draw(size(2, 6)), draw(size(1, 2))
    kernel = [draw(size(1, 3)), draw(size(1, 3))]
    stride = draw(size(1, 2))
    made = g.node(
        "Conv", g.input(image(draw, channels, 6)), g.weights(channels * multiplier, 1, *kernel),
        g.weights(channels * multiplier), group=channels, strides=[stride, stride], pads=pads(draw, 2),
    )  # fmt: skip
    return activation(draw, g, made)


def conv_transpose(draw: Draw, g: Graph) -> str:
    channels, results, kernel, stride = draw(size(1, 4)), draw(size(1, 4)), draw(size(2, 3)), draw(size(1, 2))
    extra = [g.weights(results)] if draw(st.booleans()) else []
    return str(
        g.node(
            "ConvTranspose", g.input(image(draw, channels)), g.weights(channels, results, kernel, kernel), *extra,
            strides=[stride, stride], pads=pads(draw, 1),
        )
    )  # fmt: skip


def gemm(draw: Draw, g: Graph) -> str:
    depth, results, flip = draw(size(1, 9)), draw(size(1, 7)), draw(st.booleans())
    weights = g.weights(results, depth) if flip else g.weights(depth, results)
    extra = [g.weights(results)] if draw(st.booleans()) else []
    return activation(draw, g, g.node("Gemm", g.input((1, depth)), weights, *extra, transB=int(flip)))


def matmul(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    return str(g.node("MatMul", g.input(x), g.weights(x[-1], draw(size()))))


def batch_matmul(draw: Draw, g: Graph) -> str:
    rank = draw(st.integers(2, 4))
    batch = tuple(draw(size(1, 3)) for _ in range(rank - 2))
    rows, depth, columns = draw(size()), draw(size()), draw(size())
    right = batch if draw(st.booleans()) else tuple(1 for _ in batch)
    return str(g.node("MatMul", g.input((*batch, rows, depth)), g.input((*right, depth, columns), "y")))


def binary(op: str) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        x = shape(draw)
        y = tuple(n if draw(st.booleans()) else 1 for n in x)[draw(st.integers(0, len(x) - 1)) :]
        operands = [g.input(x)]
        if op == "Div":
            operands.append(g.constant((np.abs(g.rng.standard_normal(y)) + 0.5).astype(np.float32)))
        elif draw(st.booleans()):
            operands.append(g.weights(*y))
        else:
            operands.append(g.input(y, "y"))
        if draw(st.booleans()) and op != "Div":
            operands.reverse()
        made = g.node(op, *operands)
        return activation(draw, g, made) if op in ("Add", "Sub", "Mul") else str(made)

    return build


def squared_difference(draw: Draw, g: Graph) -> str:
    x = shape(draw)
    difference = g.node("Sub", g.input(x), g.input(x, "y") if draw(st.booleans()) else g.weights(*x))
    return str(g.node("Mul", difference, difference))


def pool(op: str) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        kernel = [draw(size(1, 3)), draw(size(1, 3))]
        edges = [min(p, k - 1) for p, k in zip(pads(draw, 2), (*kernel, *kernel), strict=True)]
        options: dict[str, Any] = {"count_include_pad": draw(st.sampled_from([0, 1]))} if op == "AveragePool" else {}
        return str(
            g.node(op, g.input(image(draw, draw(size(1, 5)))), kernel_shape=kernel, pads=edges,
                   strides=[draw(size(1, 2)), draw(size(1, 2))], ceil_mode=draw(st.sampled_from([0, 1])), **options)
        )  # fmt: skip

    return build


def reduction(op: str) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        x = shape(draw, 2, 4)
        axes = sorted(draw(st.sets(st.integers(1, len(x) - 1), min_size=1)))
        given = [a - len(x) for a in axes] if draw(st.booleans()) else axes
        return str(g.node(op, g.input(x), g.ints(*given), keepdims=draw(st.sampled_from([0, 1]))))

    return build


def global_pool(op: str) -> Build:
    return lambda draw, g: str(g.node(op, g.input(image(draw, draw(size(1, 6))))))


def concat(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    axis = draw(st.integers(1, len(x) - 1))
    others = [tuple(draw(size(1, 4)) if i == axis else n for i, n in enumerate(x)) for _ in range(draw(size(1, 2)))]
    names = [g.input(x), *(g.input(s, f"y{i}") for i, s in enumerate(others))]
    return str(g.node("Concat", *names, axis=axis - len(x) if draw(st.booleans()) else axis))


def split(draw: Draw, g: Graph) -> list[str]:
    x = list(shape(draw, 2, 4))
    axis = draw(st.integers(1, len(x) - 1))
    parts = [draw(size(1, 3)) for _ in range(draw(size(2, 3)))]
    x[axis] = sum(parts)
    return list(g.node("Split", g.input(x), g.ints(*parts), outputs=len(parts), axis=axis))


def pack(draw: Draw, g: Graph) -> str:
    x = shape(draw, 1, 3)
    axis = draw(st.integers(0, len(x)))
    parts = [g.node("Unsqueeze", g.input(x, f"x{i}"), g.ints(axis)) for i in range(draw(size(2, 3)))]
    return str(g.node("Concat", *parts, axis=axis))


def unpack(draw: Draw, g: Graph) -> list[str]:
    x = shape(draw, 2, 4)
    axis = draw(st.integers(1, len(x) - 1))
    count = x[axis]
    if count == 1:
        return [g.node("Squeeze", g.input(x), g.ints(axis))]
    parts = g.node("Split", g.input(x), outputs=count, axis=axis, num_outputs=count)
    return [g.node("Squeeze", part, g.ints(axis)) for part in parts]


def pad(mode: str, fill: float | None = None) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        x = (1, draw(size(1, 4)), draw(size(3, 6)), draw(size(3, 6)))
        edges = [0, 0, draw(size(0, 2)), draw(size(0, 2)), 0, 0, draw(size(0, 2)), draw(size(0, 2))]
        extra = [] if fill is None else [g.constant(np.float32(fill))]
        return str(g.node("Pad", g.input(x), g.ints(*edges), *extra, mode=mode))

    return build


def reshape(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    rest = int(np.prod(x))
    wanted = draw(st.sampled_from([(1, -1), (1, 1, rest), (-1,), (1, rest, 1, 1), (*x, 1)]))
    return str(g.node("Reshape", g.input(x), g.ints(*wanted)))


def squeeze(draw: Draw, g: Graph) -> str:
    x = (1, draw(size()), 1, draw(size()))
    return str(g.node("Squeeze", g.input(x), g.ints(draw(st.sampled_from([2, -2])))))


def unsqueeze(draw: Draw, g: Graph) -> str:
    x = shape(draw, 1, 3)
    return str(g.node("Unsqueeze", g.input(x), g.ints(draw(st.integers(0, len(x))))))


def transpose(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    return str(g.node("Transpose", g.input(x), perm=draw(st.permutations(range(len(x))))))


def slices(draw: Draw, g: Graph) -> str:
    x = (1, draw(size(2, 6)), draw(size(2, 6)), draw(size(1, 6)))
    axes = sorted(draw(st.sets(st.integers(1, 3), min_size=1)))
    starts = [draw(st.integers(0, x[a] - 1)) for a in axes]
    ends = [draw(st.sampled_from([x[a], s + 1, 1 << 31])) for a, s in zip(axes, starts, strict=True)]
    steps = [draw(st.sampled_from([1, 1, 2])) for _ in axes]
    return str(g.node("Slice", g.input(x), g.ints(*starts), g.ints(*ends), g.ints(*axes), g.ints(*steps)))


def gather(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    axis = draw(st.integers(1, len(x) - 1))
    count = draw(st.integers(0, 3))
    picked = [draw(st.integers(0, x[axis] - 1)) for _ in range(max(count, 1))]
    indices = g.constant(np.int64(picked if count else picked[0]))
    return str(g.node("Gather", g.input(x), indices, axis=axis))


def resize(mode: str) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        x = image(draw, draw(size(1, 4)), 2)
        kinds = ["asymmetric", "align_corners", "half_pixel"] if mode == "linear" else ["asymmetric", "half_pixel"]
        kind = draw(st.sampled_from(kinds))
        rounding = {"nearest_mode": "floor" if kind == "asymmetric" else "round_prefer_ceil"}
        factors = (2, 3) if kind == "asymmetric" or mode == "nearest" else (1.5, 2, 3)
        out = [int(n * draw(st.sampled_from(factors))) for n in x[2:]]
        sizes = g.ints(1, x[1], *out)
        return str(
            g.node("Resize", g.input(x), "", "", sizes, mode=mode, coordinate_transformation_mode=kind,
                   **(rounding if mode == "nearest" else {}))
        )  # fmt: skip

    return build


def depth_to_space(draw: Draw, g: Graph) -> str:
    block = draw(size(2, 3))
    return str(g.node("DepthToSpace", g.input((1, draw(size(1, 3)) * block**2, 2, 3)), blocksize=block))


def space_to_depth(draw: Draw, g: Graph) -> str:
    block = draw(size(2, 3))
    return str(g.node("SpaceToDepth", g.input((1, draw(size(1, 3)), 2 * block, 3 * block)), blocksize=block))


def unary(op: str, *, positive: bool = False, **attributes: Any) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        g.positive = positive
        return str(g.node(op, g.input(shape(draw)), **attributes))

    return build


def rsqrt(draw: Draw, g: Graph) -> str:
    g.positive = True
    return str(g.node("Reciprocal", g.node("Sqrt", g.input(shape(draw)))))


def clip(low: float, high: float) -> Build:
    return lambda draw, g: str(
        g.node("Clip", g.input(shape(draw)), g.constant(np.float32(low)), g.constant(np.float32(high)))
    )


def leaky_relu(draw: Draw, g: Graph) -> str:
    return str(g.node("LeakyRelu", g.input(shape(draw)), alpha=draw(st.sampled_from([0.01, 0.2, 0.75]))))


def prelu(draw: Draw, g: Graph) -> str:
    x = image(draw, draw(size(1, 5)), 2)
    return str(g.node("PRelu", g.input(x), g.weights(x[1], 1, 1)))


def along_axis(op: str, **attributes: Any) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        x = shape(draw, 2, 4)
        return str(g.node(op, g.input(x), axis=draw(st.integers(-1, len(x) - 1)), **attributes))

    return build


def last_axis(op: str, **attributes: Any) -> Build:
    return lambda draw, g: str(g.node(op, g.input((1, draw(size(2, 9)))), axis=-1, **attributes))


def arg_max(draw: Draw, g: Graph) -> str:
    g.output_type = TensorProto.INT64
    x = shape(draw, 2, 4)
    axis = draw(st.integers(1, len(x) - 1))
    return str(g.node("ArgMax", g.input(x), axis=axis, keepdims=draw(st.sampled_from([0, 1]))))


def cast(draw: Draw, g: Graph) -> str:
    g.output_type = TensorProto.INT32
    return str(g.node("Cast", g.input(shape(draw)), to=TensorProto.INT32))


def lstm(draw: Draw, g: Graph) -> str:
    steps, width, hidden = draw(size(2, 5)), draw(size(1, 5)), draw(size(1, 5))
    made = g.node(
        "LSTM", g.input((steps, 1, width)), g.weights(1, 4 * hidden, width), g.weights(1, 4 * hidden, hidden),
        g.weights(1, 8 * hidden), hidden_size=hidden,
    )  # fmt: skip
    return str(g.node("Squeeze", made, g.ints(1)))


def embedding(draw: Draw, g: Graph) -> str:
    x = g.input((1, 3))
    clipped = g.node("Clip", x, g.constant(np.float32(0)), g.constant(np.float32(4)))
    return str(g.node("Gather", g.weights(5, draw(size())), g.node("Cast", clipped, to=TensorProto.INT32), axis=0))


#: The TFLite operator that a model is there for -> how it is drawn.
CASES: dict[str, Build] = {
    "CONV_2D": conv,
    "CONV_2D 1-D": conv_1d,
    "DEPTHWISE_CONV_2D": depthwise,
    "TRANSPOSE_CONV": conv_transpose,
    "FULLY_CONNECTED": gemm,
    "FULLY_CONNECTED of any rank": matmul,
    "BATCH_MATMUL": batch_matmul,
    "ADD": binary("Add"),
    "SUB": binary("Sub"),
    "MUL": binary("Mul"),
    "DIV": binary("Div"),
    "SQUARED_DIFFERENCE": squared_difference,
    "MINIMUM": binary("Min"),
    "MAXIMUM": binary("Max"),
    "AVERAGE_POOL_2D": pool("AveragePool"),
    "MAX_POOL_2D": pool("MaxPool"),
    "MEAN": reduction("ReduceMean"),
    "MEAN global": global_pool("GlobalAveragePool"),
    "SUM": reduction("ReduceSum"),
    "REDUCE_MAX": reduction("ReduceMax"),
    "REDUCE_MAX global": global_pool("GlobalMaxPool"),
    "CONCATENATION": concat,
    "SPLIT_V": split,
    "PACK": pack,
    "UNPACK": unpack,
    "PAD": pad("constant"),
    "PADV2": pad("constant", 1.5),
    "MIRROR_PAD": pad("reflect"),
    "RESHAPE": reshape,
    "SQUEEZE": squeeze,
    "EXPAND_DIMS": unsqueeze,
    "TRANSPOSE": transpose,
    "STRIDED_SLICE": slices,
    "GATHER": gather,
    "RESIZE_BILINEAR": resize("linear"),
    "RESIZE_NEAREST_NEIGHBOR": resize("nearest"),
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_DEPTH": space_to_depth,
    "RELU": unary("Relu"),
    "RELU6": clip(0, 6),
    "RELU_N1_TO_1": clip(-1, 1),
    "MINIMUM and MAXIMUM": clip(-0.7, 1.9),
    "LEAKY_RELU": leaky_relu,
    "PRELU": prelu,
    "HARD_SWISH": unary("HardSwish"),
    "LOGISTIC": unary("Sigmoid"),
    "TANH": unary("Tanh"),
    "GELU": unary("Gelu"),
    "GELU approximate": unary("Gelu", approximate="tanh"),
    "EXP": unary("Exp"),
    "RSQRT": rsqrt,
    "SQRT": unary("Sqrt", positive=True),
    "ABS": unary("Abs"),
    "NEG": unary("Neg"),
    "SOFTMAX": along_axis("Softmax"),
    "LOG_SOFTMAX": along_axis("LogSoftmax"),
    "L2_NORMALIZATION": last_axis("LpNormalization", p=2),
    "ARG_MAX": arg_max,
    "CAST": cast,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
    "EMBEDDING_LOOKUP": embedding,
}
