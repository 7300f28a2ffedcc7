"""Operators that are composed of simpler ones or choose among values: activations, truths, GatherND."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from bitwright.graph.execution import random_feeds
from bitwright.lowering.lower import lower

ACTIVATIONS = {
    "Softplus": "Softplus(a)",
    "Mish": "Mish(a)",
    "Softsign": "Softsign(a)",
    "Selu": "Selu(a)",
    "Selu of other constants": "Selu <alpha = 0.5, gamma = 2.0> (a)",
    "Celu": "Celu(a)",
    "Celu of another alpha": "Celu <alpha = 0.4> (a)",
    "Elu of another alpha": "Elu <alpha = 2.5> (a)",
}
WIDE = "<float wide = {30}>"


def assert_close(wanted, made) -> None:
    assert np.abs(wanted.astype(np.float64) - made).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_lower_composed_activation_computes_what_onnx_runtime_does(name, network, on_onnx_runtime, on_litert):
    """Also far from zero, where exp overflows; ELU is among LiteRT's default kernels alone."""
    body = f"c = Conv(x, w) a = Mul(c, wide) y = {ACTIVATIONS[name]}"
    model = network(f"g (float[1, 3, 5, 5] x, float[4, 3, 1, 1] w) => (float[1, 4, 5, 5] y) {WIDE} {{ {body} }}")
    feeds = random_feeds(model, 1)

    made = on_litert(lower(model, None), feeds, "AUTO")

    assert_close(on_onnx_runtime(model, feeds)["y"], made["y"])


@pytest.mark.parametrize("alpha", [1.0, 1.702])
def test_lower_swish_computes_what_onnx_says(alpha, on_litert):
    """The product of x and sigmoid(alpha * x), of the opset that has it."""
    node = onnx.helper.make_node("Swish", ["x"], ["y"], name="n", alpha=alpha)
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 9]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", ports[:1], ports[1:])
    model = ir.from_proto(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 24)]))
    x = np.linspace(-9, 9, 9, dtype=np.float32)[None]

    made = on_litert(lower(model, None), {"x": x})

    assert_close(x / (1 + np.exp(-alpha * x.astype(np.float64))), made["y"])


TRUTHS = {
    "Greater": "t = Greater(a, b)",
    "GreaterOrEqual": "t = GreaterOrEqual(a, a)",
    "Less": "t = Less(b, a)",
    "LessOrEqual": "t = LessOrEqual(b, a)",
    "Equal": "t = Equal(a, x)",
    "And": "p = Less(a, x) q = Less(b, a) t = And(p, q)",
    "Or": "p = Less(a, x) q = Less(b, a) t = Or(q, p)",
    "Not": "p = Less(a, b) t = Not(p)",
}


@pytest.mark.parametrize("name", TRUTHS)
def test_lower_where_chooses_what_onnx_runtime_does(name, network, on_onnx_runtime, on_litert):
    """Behind a convolution, with an operand that is broadcast along the channels."""
    body = f"c = Conv(x, w) a = Relu(c) {TRUTHS[name]} y = Where(t, a, b)"
    model = network(
        f"g (float[1, 3, 4, 5] x, float[3, 3, 1, 1] w, float[3, 1, 1] b) => (float[1, 3, 4, 5] y) {{ {body} }}"
    )
    feeds = random_feeds(model, 1)

    made = on_litert(lower(model, None), feeds)

    assert_close(on_onnx_runtime(model, feeds)["y"], made["y"])


@pytest.mark.parametrize(
    "points", ["int64[2, 1] i = {1, -1}", "int64[2, 3] i = {0, 1, -2, 0, -1, 3}"], ids=["rows", "numbers"]
)
def test_lower_gather_nd_counts_negative_indices_back(points, network, on_onnx_runtime, on_litert):
    """The kernel takes no negative indices."""
    body = "t = Transpose <perm = [0, 2, 1]> (x) n = Concat <axis = 0> (t, t) y = GatherND(n, i)"
    model = network(f"g (float[1, 4, 2] x) => (float[] y) <{points}> {{ {body} }}")
    feeds = random_feeds(model, 1)

    made = on_litert(lower(model, None), feeds)

    assert_close(on_onnx_runtime(model, feeds)["y"], made["y"])
