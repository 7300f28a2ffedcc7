"""Rarer forms of operators, and blocks of several as networks have them: drawn as `litert_cases` draws single ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from litert_cases import Build, Draw, Graph, activation, image, shape, size


def relu6(g: Graph, value: str) -> str:
    return str(g.node("Clip", value, g.constant(np.float32(0)), g.constant(np.float32(6))))


def convolved(g: Graph, value: str, channels: int, results: int, kernel: int = 1, stride: int = 1) -> str:
    border = [kernel // 2] * 4
    weights = g.scaled(results, channels, kernel, kernel)
    return str(g.node("Conv", value, weights, g.weights(results), strides=[stride, stride], pads=border))


def auto_conv(draw: Draw, g: Graph) -> str:
    channels, depthwise = draw(size(1, 4)), draw(st.booleans())
    results, group = (channels, channels) if depthwise else (draw(size(1, 4)), 1)
    weights = g.weights(results, channels // group, draw(size(1, 4)), draw(size(1, 4)))
    made = g.node(
        "Conv", g.input(image(draw, channels, 5)), weights,
        group=group, strides=[draw(size(1, 3)), draw(size(1, 3))],
        auto_pad=draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"])),
    )  # fmt: skip
    return activation(draw, g, made)


def auto_pool(draw: Draw, g: Graph) -> str:
    op = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    kernel = [draw(size(1, 4)), draw(size(1, 4))]
    strides = [draw(size(1, n)) for n in kernel]  # ONNX Runtime pads by less than nothing for longer ones
    return str(
        g.node(op, g.input(image(draw, draw(size(1, 4)))), kernel_shape=kernel, strides=strides,
               auto_pad=draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"])))
    )  # fmt: skip


def conv_behind_pad(draw: Draw, g: Graph) -> str:
    x = g.input(image(draw, 2, 5))
    edges = [0, 0, draw(size(0, 2)), draw(size(0, 2)), 0, 0, draw(size(0, 2)), draw(size(0, 2))]
    padded = g.node("Pad", x, g.ints(*edges))
    return activation(
        draw, g, g.node("Conv", padded, g.weights(3, 2, 3, 3), g.weights(3), strides=[draw(size(1, 2)), 1])
    )


def grouped_transpose(draw: Draw, g: Graph) -> str:
    group, own, results, stride = draw(size(1, 3)), draw(size(1, 2)), draw(size(1, 2)), draw(size(1, 3))
    extra = [draw(st.integers(0, stride - 1)), draw(st.integers(0, stride - 1))]
    made = g.node(
        "ConvTranspose", g.input(image(draw, group * own, 2)), g.weights(group * own, results, 3, 3),
        g.weights(group * results), group=group, strides=[stride, stride], output_padding=extra,
        pads=[draw(size(0, 1)) for _ in range(4)],
    )  # fmt: skip
    return activation(draw, g, made)


def any_gemm(draw: Draw, g: Graph) -> str:
    rows, depth, results = draw(size(1, 4)), draw(size(1, 6)), draw(size(1, 6))
    a, b = draw(st.booleans()), draw(st.booleans())
    bias = draw(st.sampled_from([(results,), (1, results), (1,), (), (rows, 1), (rows, results)]))
    options = {"alpha": draw(st.sampled_from([1.0, 0.5, -1.5])), "beta": draw(st.sampled_from([1.0, 2.0, 0.0, -0.5]))}
    x = g.input((depth, rows) if a else (rows, depth))
    weights = g.weights(results, depth) if b else g.weights(depth, results)
    return activation(draw, g, g.node("Gemm", x, weights, g.weights(*bias), transA=int(a), transB=int(b), **options))


def constant_left(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    return str(g.node("MatMul", g.weights(draw(size()), x[-2]), g.input(x)))


def constant_batch(draw: Draw, g: Graph) -> str:
    batch, rows, depth, columns = draw(size(2, 3)), draw(size(1, 4)), draw(size(1, 5)), draw(size(1, 5))
    x, weights = g.input((1, batch, rows, depth)), g.weights(batch, depth, columns)
    if draw(st.booleans()):
        return str(g.node("MatMul", x, weights))
    return str(g.node("MatMul", g.weights(batch, columns, rows), x))


def vectors(draw: Draw, g: Graph) -> str:
    depth = draw(size(2, 6))
    left, right = draw(st.sampled_from([((depth,), (depth, 3)), ((1, 2, depth), (depth,)), ((depth,), (2, depth, 3))]))
    return str(g.node("MatMul", g.input(left), g.weights(*right)))


def batch_normalization(draw: Draw, g: Graph) -> str:
    x = image(draw, draw(size(1, 5)))
    scale, shift, mean = (g.weights(x[1]) for _ in range(3))
    variance = g.constant((g.rng.random(x[1]) + 0.5).astype(np.float32))
    before = g.node(draw(st.sampled_from(["Relu", "Neg"])), g.input(x))
    return activation(draw, g, g.node("BatchNormalization", before, scale, shift, mean, variance))


def normalization(op: str) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        if op == "LayerNormalization":
            x = (1, draw(size(1, 4)), draw(size(3, 8)))
            first = draw(st.sampled_from([-1, 2, 1]))
            own = x[first:]
            return str(g.node(op, g.input(x), g.weights(*own), g.weights(*own), axis=first))
        x = image(draw, 4)
        if op == "GroupNormalization":
            return str(g.node(op, g.input(x), g.weights(4), g.weights(4), num_groups=draw(st.sampled_from([1, 2, 4]))))
        return str(g.node(op, g.input(x), g.weights(4), g.weights(4)))

    return build


def recurrent(op: str, gates: int) -> Build:
    def build(draw: Draw, g: Graph) -> list[str]:
        steps, width, hidden = draw(size(1, 4)), draw(size(1, 5)), draw(size(1, 5))
        direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
        n = 2 if direction == "bidirectional" else 1
        options: dict[str, Any] = {"linear_before_reset": draw(st.integers(0, 1))} if op == "GRU" else {}
        weights = [g.scaled(n, gates * hidden, width), g.scaled(n, gates * hidden, hidden)]
        x, bias = g.input((steps, 1, width)), g.weights(n, 2 * gates * hidden)
        every, last = g.node(op, x, *weights, bias, outputs=2, hidden_size=hidden, direction=direction, **options)
        joined = g.node("Reshape", g.node("Transpose", every, perm=[0, 2, 1, 3]), g.ints(0, 0, -1))
        return [joined, last]

    return build


def expand(draw: Draw, g: Graph) -> str:
    x = shape(draw, 1, 4)
    wanted = [n if n > 1 else draw(st.sampled_from([1, 3])) for n in x]
    front = [draw(size(1, 2))] if len(x) < 4 and draw(st.booleans()) else []
    return str(g.node("Expand", g.input(x), g.ints(*front, 1 if front else wanted[0], *wanted[1:])))


def tile(draw: Draw, g: Graph) -> str:
    x = shape(draw, 1, 4)
    return str(g.node("Tile", g.input(x), g.ints(*(draw(size(1, 3)) for _ in x))))


def backward_slice(draw: Draw, g: Graph) -> str:
    x = (1, draw(size(2, 6)), draw(size(2, 6)), draw(size(2, 5)))
    axis = draw(st.integers(1, 3))
    start, end, step = draw(
        st.sampled_from([(-1, -(1 << 31), -1), (-1, 0, -2), (x[axis] - 1, -99, -3), (-2, 99, 1), (0, -1, 1)])
    )
    given = axis - 4 if draw(st.booleans()) else axis
    return str(g.node("Slice", g.input(x), g.ints(start), g.ints(end), g.ints(given), g.ints(step)))


def gather_back(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    axis = draw(st.integers(1, len(x) - 1))
    picked = np.int64([draw(st.integers(-x[axis], x[axis] - 1)) for _ in range(4)])
    table = picked.reshape(2, 2) if draw(st.booleans()) else picked
    return str(g.node("Gather", g.input(x), g.constant(table), axis=axis - len(x) if draw(st.booleans()) else axis))


def gather_nd(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    depth = draw(st.integers(1, len(x)))
    rows = [[draw(st.integers(-n, n - 1)) for n in x[:depth]] for _ in range(3)]
    return str(g.node("GatherND", g.input(x), g.constant(np.int64(rows))))


def resize_by_factors(draw: Draw, g: Graph) -> str:
    mode = draw(st.sampled_from(["linear", "nearest"]))
    kind = draw(st.sampled_from(["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"]))
    factors = [1, 1, draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 2, 4]))]
    options: dict[str, Any] = {}
    if mode == "nearest":
        options["nearest_mode"] = draw(st.sampled_from(["floor", "round_prefer_floor", "round_prefer_ceil", "ceil"]))
    return str(
        g.node("Resize", g.input(image(draw, draw(size(1, 4)), 2)), "", g.constant(np.float32(factors)), mode=mode,
               coordinate_transformation_mode=kind, **options)
    )  # fmt: skip


def split_evenly(draw: Draw, g: Graph) -> list[str]:
    x, parts = list(shape(draw, 2, 4)), draw(size(2, 4))
    axis = draw(st.integers(1, len(x) - 1))
    x[axis] = parts * draw(size(1, 3)) - draw(st.sampled_from([0, 0, 1])) if parts < 4 else parts * 2
    x[axis] = max(x[axis], parts)
    return list(g.node("Split", g.input(x), outputs=parts, axis=axis - len(x), num_outputs=parts))


def reshape_zero(draw: Draw, g: Graph) -> str:
    x = (1, 2, draw(size(1, 5)), 2 * draw(size(1, 3)))
    wanted = draw(st.sampled_from([(0, -1), (0, 0, -1), (0, 0, -1, 2), (-1, 0, 0, 2), (0, 2, -1)]))
    if wanted == (-1, 0, 0, 2):
        wanted = (-1, 0, x[2], 2)
    return str(g.node("Reshape", g.input(x), g.ints(*wanted)))


def flatten(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    return str(g.node("Flatten", g.input(x), axis=draw(st.integers(-len(x), len(x)))))


def many(draw: Draw, g: Graph) -> str:
    x = shape(draw, 2, 4)
    op = draw(st.sampled_from(["Sum", "Max", "Min", "Mean"]))
    return str(g.node(op, g.input(x), g.weights(*x[1:]), g.input(x, "y"), g.constant(np.float32(0.25))))


def power(draw: Draw, g: Graph) -> str:
    g.positive = True
    return str(g.node("Pow", g.input(shape(draw)), g.constant(np.float32(draw(st.sampled_from([2, 0.5, 1, -0.5]))))))


def composed(*ops: str) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        op = draw(st.sampled_from(ops))
        options = {"alpha": draw(st.sampled_from([0.3, 2.0]))} if op in ("Elu", "Celu") and draw(st.booleans()) else {}
        return str(g.node(op, g.input(shape(draw)), **options))

    return build


def computed_div(draw: Draw, g: Graph) -> str:
    g.positive = True
    x = shape(draw)
    return str(g.node("Div", g.input(x), g.input(x, "y")))


def chosen(draw: Draw, g: Graph) -> str:
    """Where, of a comparison of what was computed."""
    x = shape(draw)
    y = tuple(n if draw(st.booleans()) else 1 for n in x)[draw(st.integers(0, len(x) - 1)) :]
    a, b = g.node("Tanh", g.input(x)), g.weights(*y) if draw(st.booleans()) else g.input(y, "y")
    more = g.node(draw(st.sampled_from(["Greater", "GreaterOrEqual", "Less", "LessOrEqual"])), a, b)
    if draw(st.booleans()):
        more = g.node("Not", more)
    if draw(st.booleans()):
        more = g.node(draw(st.sampled_from(["And", "Or"])), more, g.node("Less", a, g.constant(np.float32(0))))
    return str(g.node("Where", more, a, g.constant(np.float32(0.5)) if draw(st.booleans()) else b))


def norm(op: str) -> Build:
    def build(draw: Draw, g: Graph) -> str:
        x = shape(draw, 2, 4)
        axes = sorted(draw(st.sets(st.integers(1, len(x) - 1), min_size=1)))
        return str(g.node(op, g.input(x), g.ints(*axes), keepdims=draw(st.integers(0, 1))))

    return build


# Blocks.


def classifier(draw: Draw, g: Graph) -> str:
    """Conv, BatchNormalization, Relu6, Conv, Add, GlobalAveragePool, Flatten, Gemm, Softmax."""
    x, c, o = image(draw, 3, 6), draw(size(4, 8)), draw(size(2, 6))
    scale, shift, mean = (g.weights(c) for _ in range(3))
    variance = g.constant((g.rng.random(c) + 0.5).astype(np.float32))
    a = g.node("Conv", g.input(x), g.scaled(c, 3, 3, 3), strides=[draw(size(1, 2))] * 2, pads=[1, 1, 1, 1])
    b = relu6(g, g.node("BatchNormalization", a, scale, shift, mean, variance))
    added = g.node("Add", b, convolved(g, b, c, c, 3))
    pooled = g.node("Flatten", g.node("GlobalAveragePool", added))
    return str(g.node("Softmax", g.node("Gemm", pooled, g.scaled(o, c), g.weights(o), transB=1), axis=-1))


def inverted_residual(draw: Draw, g: Graph) -> str:
    """Expanded by a pointwise, filtered by a depthwise, projected, added."""
    c, wide = draw(size(2, 5)), 2 * draw(size(2, 4))
    x = g.input(image(draw, c, 5))
    a = relu6(g, convolved(g, x, c, wide))
    b = g.node("Conv", a, g.scaled(wide, 1, 3, 3), g.weights(wide), group=wide, pads=[1, 1, 1, 1])
    return str(g.node("Add", convolved(g, relu6(g, b), wide, c), x))


def squeeze_and_excite(draw: Draw, g: Graph) -> str:
    """Channels weighted by a gate of their means."""
    c, narrow = draw(size(3, 7)), draw(size(1, 3))
    a = g.node("Relu", convolved(g, g.input(image(draw, 3, 5)), 3, c, 3))
    if draw(st.booleans()):
        means = g.node("GlobalAveragePool", a)
        gate = convolved(g, g.node("Relu", convolved(g, means, c, narrow)), narrow, c)
    else:  # as dense layers
        means = g.node("ReduceMean", a, g.ints(2, 3), keepdims=0)
        hidden = g.node("Relu", g.node("Gemm", means, g.scaled(narrow, c), g.weights(narrow), transB=1))
        dense = g.node("Gemm", hidden, g.scaled(c, narrow), g.weights(c), transB=1)
        gate = g.node("Reshape", dense, g.ints(0, -1, 1, 1))
    kind = draw(st.sampled_from(["Sigmoid", "HardSigmoid"]))
    return convolved(g, g.node("Mul", a, g.node(kind, gate)), c, 4)


def swish(draw: Draw, g: Graph) -> str:
    """X * sigmoid(x), and the same with a hard one, between convolutions."""
    c = draw(size(2, 5))
    a = convolved(g, g.input(image(draw, 3, 5)), 3, c, 3)
    kind = draw(st.sampled_from(["Sigmoid", "HardSigmoid", "HardSwish", "spelled"]))
    if kind == "HardSwish":
        b = g.node("HardSwish", a)
    elif kind == "spelled":
        line = relu6(g, g.node("Add", a, g.constant(np.float32(3))))
        b = g.node("Div", g.node("Mul", a, line), g.constant(np.float32(6)))
    else:
        options = {"alpha": 1 / 6, "beta": 0.5} if kind == "HardSigmoid" else {}
        b = g.node("Mul", a, g.node(kind, a, **options))
    return convolved(g, b, c, 3)


def channel_shuffle(draw: Draw, g: Graph) -> str:
    """Half of the channels convolved, then all interleaved."""
    half, n = draw(size(1, 4)), draw(size(4, 6))
    x = g.input((1, 2 * half, n, n))
    left, right = g.node("Split", x, outputs=2, axis=1, num_outputs=2)
    joined = g.node("Concat", left, g.node("Relu", convolved(g, right, half, half, 3)), axis=1)
    groups = g.node("Reshape", joined, g.ints(1, 2, half, n, n))
    turned = g.node("Transpose", groups, perm=[0, 2, 1, 3, 4])
    return convolved(g, g.node("Reshape", turned, g.ints(1, 2 * half, n, n)), 2 * half, 3)


def attention(draw: Draw, g: Graph) -> str:
    """Heads of scaled products of queries and keys, on values."""
    heads, own, words = draw(size(1, 3)), draw(size(2, 4)), draw(size(2, 5))
    wide = heads * own
    x = g.input((1, words, wide))

    def part(perm: list[int]) -> str:
        dense = g.node("Add", g.node("MatMul", x, g.scaled(wide, wide)), g.weights(wide))
        return str(g.node("Transpose", g.node("Reshape", dense, g.ints(0, 0, heads, own)), perm=perm))

    q, k, v = part([0, 2, 1, 3]), part([0, 2, 3, 1]), part([0, 2, 1, 3])
    scores = g.node("Mul", g.node("MatMul", q, k), g.constant(np.float32(own**-0.5)))
    mixed = g.node("Transpose", g.node("MatMul", g.node("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    out = g.node("MatMul", g.node("Reshape", mixed, g.ints(0, 0, wide)), g.scaled(wide, wide))
    added = g.node("Add", x, out)
    if draw(st.booleans()):
        return str(added)
    return str(g.node("LayerNormalization", added, g.weights(wide), g.weights(wide), axis=-1))


def skip_and_resize(draw: Draw, g: Graph) -> str:
    """Down and up again, with a skip connection."""
    c, n = draw(size(2, 5)), 2 * draw(size(2, 4))
    a = g.node("Relu", convolved(g, g.input((1, 3, n, n)), 3, c, 3))
    down = g.node("Relu", convolved(g, g.node("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2]), c, 2 * c, 3))
    kind = draw(st.sampled_from(["linear", "nearest", "transpose"]))
    if kind == "transpose":
        up = g.node("ConvTranspose", down, g.scaled(2 * c, 2 * c, 2, 2), g.weights(2 * c), strides=[2, 2])
    else:
        options = {"nearest_mode": "floor"} if kind == "nearest" else {}
        up = g.node(
            "Resize", down, "", g.constant(np.float32([1, 1, 2, 2])), mode=kind,
            coordinate_transformation_mode="asymmetric" if kind == "nearest" else "half_pixel", **options,
        )  # fmt: skip
    return convolved(g, g.node("Concat", up, a, axis=1), 3 * c, 2)


def dense_block(draw: Draw, g: Graph) -> str:
    """Every layer reads all before it; pooled by average at the end."""
    c, grow = draw(size(2, 4)), draw(size(1, 3))
    x = g.input(image(draw, c, 5))
    for _ in range(2):
        made = g.node("Relu", convolved(g, x, c, grow, 3))
        x, c = g.node("Concat", x, made, axis=1), c + grow
    return str(g.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]))


def detector_head(draw: Draw, g: Graph) -> list[str]:
    """Boxes and scores, their places in rows."""
    c, boxes = draw(size(2, 4)), draw(size(1, 3))
    x = g.node("Relu", convolved(g, g.input(image(draw, 3, 4)), 3, c, 3))

    def rows(own: int) -> str:
        turned = g.node("Transpose", convolved(g, x, c, boxes * own, 3), perm=[0, 2, 3, 1])
        return str(g.node("Reshape", turned, g.ints(1, -1, own)))

    return [rows(4), g.node("Sigmoid", rows(3))]


def sequence(draw: Draw, g: Graph) -> str:
    """Convolutions along time, then a dense layer on each step."""
    c, wide, steps = draw(size(2, 4)), draw(size(2, 6)), draw(size(5, 9))
    x = g.node("Transpose", g.input((1, steps, c)), perm=[0, 2, 1])
    a = g.node("Relu", g.node("Conv", x, g.scaled(wide, c, 3), g.weights(wide), pads=[2, 0]))
    b = g.node("Conv", a, g.scaled(wide, 1, 3), group=wide, pads=[1, 1])
    back = g.node("Transpose", g.node("Add", a, b), perm=[0, 2, 1])
    return str(g.node("Add", g.node("MatMul", back, g.scaled(wide, 3)), g.weights(3)))


def flattened_image(draw: Draw, g: Graph) -> str:
    """An image flattened in the order of ONNX into a dense layer."""
    c, o = draw(size(2, 4)), draw(size(2, 5))
    x = image(draw, 2, 4)
    a = g.node("MaxPool", g.node("Relu", convolved(g, g.input(x), 2, c, 3)), kernel_shape=[2, 2], strides=[2, 2])
    depth = c * (x[2] // 2) * (x[3] // 2)
    hidden = g.node("Gemm", g.node("Flatten", a), g.scaled(o, depth), g.weights(o), transB=1)
    return str(g.node(draw(st.sampled_from(["Relu", "LogSoftmax", "Tanh", "Identity"])), hidden))


CASES: dict[str, Build] = {
    "Conv, auto_pad": auto_conv,
    "pools, auto_pad": auto_pool,
    "Conv behind a Pad": conv_behind_pad,
    "ConvTranspose, grouped": grouped_transpose,
    "Gemm, every attribute": any_gemm,
    "MatMul, constant on the left": constant_left,
    "MatMul, constant batch": constant_batch,
    "MatMul of vectors": vectors,
    "BatchNormalization left over": batch_normalization,
    "InstanceNormalization": normalization("InstanceNormalization"),
    "LayerNormalization": normalization("LayerNormalization"),
    "GroupNormalization": normalization("GroupNormalization"),
    "LSTM, both directions": recurrent("LSTM", 4),
    "GRU": recurrent("GRU", 3),
    "Expand": expand,
    "Tile": tile,
    "Slice, backwards": backward_slice,
    "Gather, negative indices": gather_back,
    "GatherND": gather_nd,
    "Resize by factors": resize_by_factors,
    "Split evenly": split_evenly,
    "Reshape with 0 and -1": reshape_zero,
    "Flatten": flatten,
    "Sum, Max, Min, Mean of many": many,
    "Pow": power,
    "composed elementwise": composed("HardSigmoid", "Softplus", "Softsign", "Mish", "Selu", "Celu", "Elu"),
    "Where of a comparison": chosen,
    "Div of two inputs": computed_div,
    "ReduceL2": norm("ReduceL2"),
    "ReduceMin": norm("ReduceMin"),
    "classifier": classifier,
    "inverted residual": inverted_residual,
    "squeeze and excite": squeeze_and_excite,
    "swish": swish,
    "channel shuffle": channel_shuffle,
    "attention": attention,
    "skip connection and resize": skip_and_resize,
    "dense block": dense_block,
    "detector head": detector_head,
    "sequence": sequence,
    "flattened image": flattened_image,
}
