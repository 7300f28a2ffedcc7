"""Operators one by one, float: forms of theirs that networks seldom have, in shapes that Hypothesis draws.

Each case gives a graph's body; x (and y) are its inputs, every other operand is a constant of its header.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitwright.graph.execution import random_feeds
from bitwright.lowering.lower import lower

Draw = Callable[[st.SearchStrategy[Any]], Any]
DRAWN = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def size(low: int = 1, high: int = 6) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def shape(draw: Draw, low: int = 1, high: int = 4) -> list[int]:
    return [draw(size()) for _ in range(draw(st.integers(low, high)))]


def typed(dims: list[int], kind: str = "float") -> str:
    return f"{kind}[{', '.join(map(str, dims))}]"


def ints(name: str, values: list[int]) -> str:
    return f"int64[{len(values)}] {name} = {{{', '.join(map(str, values))}}}"


def graph(x: list[int], body: str, *, inputs: str = "", constants: str = "", result: str = "float[] y") -> str:
    """A graph; `result` is a type and y, whose shape inference replaces."""
    header = f" <{constants}>" if constants else ""
    return f"g ({typed(x)} x{inputs}) => ({result}){header} {{ {body} }}"


def grouped_conv(draw: Draw) -> str:
    groups, own, out = draw(size(2, 3)), draw(size(1, 3)), draw(size(1, 3))
    x = [1, groups * own, draw(size(5, 8)), draw(size(5, 8))]
    options = f"group = {groups}, strides = [{draw(size(1, 2))}, 1], pads = [{draw(size(0, 2))}, 1, 0, 1]"
    return graph(
        x,
        f"y = Conv <{options}> (x, w, b)",
        inputs=f", {typed([groups * out, own, 3, 2])} w, {typed([groups * out])} b",
    )


def conv_auto_pad(draw: Draw) -> str:
    x = [1, 2, draw(size(5, 9)), draw(size(5, 9))]
    auto = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    options = f'auto_pad = "{auto}", strides = [{draw(size(1, 3))}, {draw(size(1, 3))}]'
    return graph(x, f"y = Conv <{options}> (x, w)", inputs=f", {typed([3, 2, draw(size(1, 4)), draw(size(1, 4))])} w")


def padded_conv(draw: Draw) -> str:
    x = [1, 2, draw(size(5, 8)), draw(size(5, 8))]
    pads = [0, 0, draw(size(0, 2)), draw(size(0, 2)), 0, 0, draw(size(0, 2)), draw(size(0, 2))]
    body = f"p = Pad(x, pads) y = Conv <strides = [{draw(size(1, 2))}, 1], pads = [{draw(size(0, 1))}, 0, 0, 0]> (p, w)"
    return graph(x, body, inputs=f", {typed([3, 2, 3, 3])} w", constants=ints("pads", pads))


def depthwise_1d(draw: Draw) -> str:
    channels = draw(size(2, 5))
    x = [1, channels, draw(size(6, 10))]
    return graph(
        x,
        f"y = Conv <group = {channels}, dilations = [{draw(size(1, 2))}]> (x, w)",
        inputs=f", {typed([channels, 1, 3])} w",
    )


def conv_transpose(draw: Draw) -> str:
    group, own, out, stride = draw(size(1, 3)), draw(size(1, 2)), draw(size(1, 2)), draw(size(1, 3))
    x = [1, group * own, draw(size(2, 5)), draw(size(2, 5))]
    extra = draw(st.integers(0, stride - 1))
    options = f"group = {group}, strides = [{stride}, {stride}], dilations = [{draw(size(1, 2))}, 1]"
    options += f", pads = [{draw(size(0, 1))}, 0, {draw(size(0, 1))}, 1], output_padding = [{extra}, 0]"
    return graph(x, f"y = ConvTranspose <{options}> (x, w)", inputs=f", {typed([group * own, out, 3, 3])} w")


def conv_transpose_1d(draw: Draw) -> str:
    x = [1, 3, draw(size(2, 6))]
    auto = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "NOTSET"]))
    return graph(x, f'y = ConvTranspose <strides = [2], auto_pad = "{auto}"> (x, w)', inputs=f", {typed([3, 2, 3])} w")


def gemm(draw: Draw) -> str:
    n, k, o = draw(size()), draw(size()), draw(size())
    ta, tb = draw(st.booleans()), draw(st.booleans())
    bias = draw(st.sampled_from([[o], [1, o], [1], [n, o], [n, 1]]))
    alpha = draw(st.sampled_from([1.0, 0.5]))
    body = f"y = Gemm <transA = {int(ta)}, transB = {int(tb)}, alpha = {alpha}, beta = 2.0> (x, w, b)"
    return graph([k, n] if ta else [n, k], body, inputs=f", {typed([o, k] if tb else [k, o])} w, {typed(bias)} b")


def matmul_of_ranks(draw: Draw) -> str:
    k = draw(size())
    left, right = draw(st.sampled_from([([k], [k, 3]), ([2, k], [k]), ([4, 2, k], [k, 3]), ([2, 1, 3, k], [5, k, 2])]))
    return graph(left, "y = MatMul(x, w)", inputs=f", {typed(right)} w")


def constant_left(draw: Draw) -> str:
    x = shape(draw, 2, 4)
    return graph(x, "y = MatMul(w, x)", inputs=f", {typed([draw(size()), x[-2]])} w")


def many_operands(draw: Draw) -> str:
    x = shape(draw, 2, 4)
    op = draw(st.sampled_from(["Sum", "Max", "Min", "Mean"]))
    return graph(x, f"y = {op}(x, a, b, x)", inputs=f", {typed(x[1:])} a, {typed([1] * len(x))} b")


def power(draw: Draw) -> str:
    exponent = draw(st.sampled_from(["2", "0.5", "1", "-0.5"]))
    return graph(
        shape(draw),
        "a = Abs(x) b = Add(a, one) y = Pow(b, e)",
        constants=f"float one = {{1}}, float e = {{{exponent}}}",
    )


def odd_clip(draw: Draw) -> str:
    low, high = draw(st.sampled_from([("-0.5", "0.25"), ("0", "0.75"), ("0.25", "1"), ("-1", "1"), ("0", "6")]))
    return graph(shape(draw), "y = Clip(x, low, high)", constants=f"float low = {{{low}}}, float high = {{{high}}}")


def pool_1d(draw: Draw) -> str:
    op = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    options = f"kernel_shape = [3], strides = [{draw(size(1, 2))}], pads = [{draw(size(0, 1))}, {draw(size(0, 2))}]"
    return graph([1, 2, draw(size(5, 9))], f"y = {op} <{options}> (x)")


def reduction(draw: Draw) -> str:
    x = shape(draw, 2, 4)
    op = draw(st.sampled_from(["ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceMean"]))
    axes = sorted(draw(st.sets(st.integers(0, len(x) - 1), min_size=1)))
    return graph(x, f"y = {op} <keepdims = {draw(st.integers(0, 1))}> (x, axes)", constants=ints("axes", axes))


def whole_reduction(draw: Draw) -> str:
    return graph(shape(draw, 1, 3), f"y = ReduceSum <keepdims = {draw(st.integers(0, 1))}> (x)")


def arg(draw: Draw) -> str:
    x = shape(draw, 1, 4)
    op, axis = draw(st.sampled_from(["ArgMax", "ArgMin"])), draw(st.integers(-len(x), len(x) - 1))
    return graph(x, f"y = {op} <axis = {axis}, keepdims = {draw(st.integers(0, 1))}> (x)", result="int64[] y")


def backward_slice(draw: Draw) -> str:
    x = [draw(size(2, 6)) for _ in range(3)]
    starts, ends, steps = draw(
        st.sampled_from([([-1], [-99], [-1]), ([-1], [0], [-2]), ([3], [-99], [-3]), ([1], [99], [2])])
    )
    axes = [draw(st.integers(-3, 2))]
    constants = ", ".join(ints(n, v) for n, v in (("s", starts), ("e", ends), ("a", axes), ("t", steps)))
    return graph(x, "y = Slice(x, s, e, a, t)", constants=constants)


def reversed_sequences(draw: Draw) -> str:
    x, time = [draw(size()), draw(size()), draw(size())], draw(st.integers(0, 1))
    lengths = ints("n", [x[time]] * x[1 - time])
    return graph(x, f"y = ReverseSequence <time_axis = {time}, batch_axis = {1 - time}> (x, n)", constants=lengths)


def gather_table(draw: Draw) -> str:
    x = [draw(size(2, 6)) for _ in range(3)]
    axis = draw(st.integers(0, 2))
    picks = [draw(st.integers(-x[axis], x[axis] - 1)) for _ in range(4)]
    constants = f"{ints('flat', picks)}, {ints('square', [2, 2])}"
    return graph(x, f"i = Reshape(flat, square) y = Gather <axis = {axis}> (x, i)", constants=constants)


def tile(draw: Draw) -> str:
    x = shape(draw, 1, 4)
    return graph(x, "y = Tile(x, r)", constants=ints("r", [draw(size(1, 3)) for _ in x]))


def expand(draw: Draw) -> str:
    x = [n if draw(st.booleans()) else 1 for n in shape(draw, 1, 3)]
    return graph(x, "y = Expand(x, s)", constants=ints("s", [2, *(n if n > 1 else 3 for n in x)]))


def negative_pad(draw: Draw) -> str:
    x = [draw(size(4, 6)) for _ in range(3)]
    return graph(x, "y = Pad(x, p)", constants=ints("p", [-1, 0, 2, draw(size(0, 2)), -2, -1]))


def nearest(draw: Draw) -> str:
    x = [1, 2, draw(size(2, 5)), draw(size(2, 5))]
    where = draw(st.sampled_from(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]))
    rounding = draw(st.sampled_from(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]))
    options = f'mode = "nearest", coordinate_transformation_mode = "{where}", nearest_mode = "{rounding}"'
    sizes = ints("s", [1, 2, draw(size(2, 9)), draw(size(2, 9))])
    return graph(x, f"y = Resize <{options}> (x, , , s)", constants=sizes)


def linear_1d(draw: Draw) -> str:
    x = [1, 2, draw(size(2, 5))]
    return graph(x, 'y = Resize <mode = "linear"> (x, , , s)', constants=ints("s", [1, 2, draw(size(2, 9))]))


def columns_first(draw: Draw) -> str:
    block = draw(size(2, 3))
    return graph([1, block**2 * draw(size(1, 3)), 2, 3], f'y = DepthToSpace <blocksize = {block}, mode = "CRD"> (x)')


def softmax_anywhere(draw: Draw) -> str:
    x = shape(draw, 1, 4)
    op = draw(st.sampled_from(["Softmax", "LogSoftmax", "LpNormalization"]))
    return graph(x, f"y = {op} <axis = {draw(st.integers(-len(x), len(x) - 1))}> (x)")


def layer_normalization(draw: Draw) -> str:
    x = [draw(size(2, 5)) for _ in range(draw(st.integers(2, 4)))]
    first = draw(st.integers(1, len(x) - 1))
    return graph(
        x, f"y = LayerNormalization <axis = {first}> (x, g, s)", inputs=f", {typed(x[first:])} g, {typed(x[first:])} s"
    )


def batch_normalization(draw: Draw) -> str:
    x = [2, draw(size()), *shape(draw, 0, 2)]
    inputs = "".join(f", {typed([x[1]])} {name}" for name in "gsm")
    body = "q = Mul(m, m) v = Add(q, one) r = Relu(x) y = BatchNormalization(r, g, s, m, v)"
    return graph(x, body, inputs=inputs, constants="float one = {1}")


def simple(*ops: str, positive: bool = False) -> Callable[[Draw], str]:
    def build(draw: Draw) -> str:
        op = draw(st.sampled_from(ops))
        if positive:
            return graph(shape(draw), f"a = Abs(x) b = Add(a, one) y = {op}(b)", constants="float one = {1}")
        return graph(shape(draw), f"y = {op}(x)")

    return build


def gelu_of_erf(draw: Draw) -> str:
    """The three orders that exporters write the products in."""
    products = draw(
        st.sampled_from(
            ["m = Mul(x, a) y = Mul(m, half)", "h = Mul(half, x) y = Mul(h, a)", "m = Mul(a, half) y = Mul(m, x)"]
        )
    )
    body = f"u = Div(x, root) e = Erf(u) a = Add(e, one) {products}"
    constants = "float root = {1.4142135}, float one = {1}, float half = {0.5}"
    return graph(shape(draw), body, constants=constants)


def cast_and_back(draw: Draw) -> str:
    return graph(shape(draw), "i = Cast <to = 7> (x) y = Cast <to = 1> (i)")


def reshapes(draw: Draw) -> str:
    """Transposed, cut anew, transposed again."""
    perm = draw(st.permutations(range(4)))
    wanted = draw(st.sampled_from([[4, 6, 2], [8, 6], [2, 2, 2, 6], [3, 4, 4], [6, 8], [48]]))
    again = draw(st.permutations(range(len(wanted))))
    body = (
        f"a = Transpose <perm = {list(perm)}> (x) b = Reshape(a, s) c = Transpose <perm = {list(again)}> (b) y = Neg(c)"
    )
    return graph([2, 3, 4, 2], body, constants=ints("s", wanted))


def recurrent(op: str, gates: int) -> Callable[[Draw], str]:
    def build(draw: Draw) -> str:
        steps, rows, width, hidden = draw(size(1, 4)), draw(size(1, 2)), draw(size(1, 4)), draw(size(1, 3))
        direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
        n = 2 if direction == "bidirectional" else 1
        shapes = [[n, gates * hidden, width], [n, gates * hidden, hidden], [n, 2 * gates * hidden], [n, rows, hidden]]
        inputs = "".join(f", {typed(dims)} {name}" for dims, name in zip(shapes, "wrbh", strict=True))
        options = f'hidden_size = {hidden}, direction = "{direction}"'
        options += f", linear_before_reset = {draw(st.integers(0, 1))}" if op == "GRU" else ""
        results = ", ".join(["float[] y", "float[] last", *(["float[] cell"] if op == "LSTM" else [])])
        names = "y, last, cell" if op == "LSTM" else "y, last"
        return graph(
            [steps, rows, width], f"{names} = {op} <{options}> (x, w, r, b, , h)", inputs=inputs, result=results
        )

    return build


CASES: dict[str, Callable[[Draw], str]] = {
    "Conv, grouped": grouped_conv,
    "Conv, auto_pad": conv_auto_pad,
    "Conv behind a Pad": padded_conv,
    "Conv, depthwise in one dimension": depthwise_1d,
    "ConvTranspose, grouped and dilated": conv_transpose,
    "ConvTranspose, one dimension": conv_transpose_1d,
    "Gemm": gemm,
    "MatMul of vectors and batches": matmul_of_ranks,
    "MatMul with a constant on the left": constant_left,
    "Sum, Max, Min, Mean": many_operands,
    "Pow": power,
    "Clip": odd_clip,
    "pools of one dimension": pool_1d,
    "reductions": reduction,
    "ReduceSum of everything": whole_reduction,
    "ArgMax, ArgMin": arg,
    "Slice, backwards": backward_slice,
    "ReverseSequence": reversed_sequences,
    "Gather by a table": gather_table,
    "Tile": tile,
    "Expand": expand,
    "Pad, negative": negative_pad,
    "Resize, nearest": nearest,
    "Resize, linear in one dimension": linear_1d,
    "DepthToSpace, columns first": columns_first,
    "Softmax and norms along any axis": softmax_anywhere,
    "LayerNormalization": layer_normalization,
    "BatchNormalization": batch_normalization,
    "elementwise": simple("Exp", "Floor", "Sin", "Cos", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Neg"),
    "elementwise, positive": simple("Log", "Sqrt", "Reciprocal", positive=True),
    "Gelu of Erf": gelu_of_erf,
    "Cast": cast_and_back,
    "Reshape and Transpose": reshapes,
    "LSTM": recurrent("LSTM", 4),
    "GRU": recurrent("GRU", 3),
}


@pytest.mark.parametrize("name", CASES)
def test_lower_operator_computes_what_onnx_runtime_does(name, network, on_onnx_runtime, on_litert):
    """Within 1e-5 of the largest value, on LiteRT's reference kernels."""

    @DRAWN
    @given(st.data())
    def check(data):
        model = network(CASES[name](data.draw))
        feeds = random_feeds(model, 1)
        wanted = on_onnx_runtime(model, feeds)

        made = on_litert(lower(model, None), feeds)

        for output, array in wanted.items():
            assert array.shape == made[output].shape
            largest = max(float(np.abs(array).max()), 1e-6)
            assert np.abs(array.astype(np.float64) - made[output]).max() <= 1e-5 * largest

    check()


@pytest.mark.parametrize(("op", "function"), [("Ceil", np.ceil), ("Round", np.round)], ids=["ceil", "round"])
def test_lower_rounding_computes_what_onnx_says(op, function, network, on_litert):
    """CEIL and ROUND are among LiteRT's default kernels, not among its reference ones."""
    model = network(f"g (float[2, 5] x) => (float[2, 5] y) {{ y = {op}(x) }}")
    feeds = {"x": np.float32([[-2.5, -1.5, -0.5, 0.5, 1.5], [0.2, -0.2, 3, 2.5, 7.9]])}

    made = on_litert(lower(model, None), feeds, "AUTO")

    assert np.array_equal(function(feeds["x"]), made["y"])
