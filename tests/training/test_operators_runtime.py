"""Windows and recurrences of training against ONNX Runtime, in shapes and settings that Hypothesis draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from bitwright.training.operators.registry import OPERATORS  # noqa: E402

DRAWN = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def on_onnx_runtime(op: str, operands: list[np.ndarray | None], attributes: dict[str, Any], outputs: int) -> list[Any]:
    """A model of one node, run."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(operands)]
    results = [f"y{i}" for i in range(outputs)]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(op, names, results, **attributes)],
        "one",
        [onnx.helper.make_tensor_value_info(n, 1, x.shape) for n, x in zip(names, operands, strict=True) if n],
        [onnx.helper.make_value_info(n, onnx.TypeProto()) for n in results],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {n: x for n, x in zip(names, operands, strict=True) if n})


def assert_same(op: str, operands: list[np.ndarray | None], attributes: dict[str, Any], outputs: int = 1) -> None:
    """Every output is within 1e-5 of its largest value."""
    wanted = on_onnx_runtime(op, operands, attributes, outputs)
    counted = {"outputs": outputs} if op == "MaxPool" else {}
    made = OPERATORS[op](*(None if x is None else torch.from_numpy(x) for x in operands), **attributes, **counted)
    for one, other in zip(wanted, made if isinstance(made, tuple) else (made,), strict=True):
        assert one.shape == tuple(other.shape)
        assert np.abs(one - other.numpy()).max(initial=0) <= 1e-5 * max(np.abs(one).max(initial=0), 1)


def drawn_windows(draw: Any, rank: int) -> dict[str, Any]:
    """Kernel, strides, dilations and pads: pads smaller than the kernel; SAME without dilations or steps beyond it.

    ONNX Runtime takes no others, or computes them in ways of its own.
    """

    def numbers(low: int, high: int, count: int = rank) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    kernel = numbers(1, 3)
    made: dict[str, Any] = {"kernel_shape": kernel, "strides": numbers(1, 3)}
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto_pad.startswith("SAME"):
        made["strides"] = [min(n) for n in zip(made["strides"], kernel, strict=True)]
    else:
        made["dilations"] = numbers(1, 2)
    if auto_pad == "NOTSET":
        made["pads"] = [min(pad, size - 1) for pad, size in zip(numbers(0, 2, 2 * rank), kernel * 2, strict=True)]
    else:
        made["auto_pad"] = auto_pad
    return made


def drawn_image(draw: Any, channels: int, rank: int, low: int = 5) -> np.ndarray:
    shape = (draw(st.integers(1, 2)), channels, *(draw(st.integers(low, 8)) for _ in range(rank)))
    return normal(draw, *shape)


def normal(draw: Any, *shape: int) -> np.ndarray:
    return np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape).astype(np.float32)


@DRAWN
@given(st.data())
def test_conv_agrees_with_onnx_runtime(data):
    """One to three dimensions, groups, strides, dilations, uneven pads, with and without bias."""
    rank, group = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    attributes = drawn_windows(data.draw, rank) | {"group": group}
    x = drawn_image(data.draw, 2 * group, rank)
    w = normal(data.draw, 3 * group, 2, *attributes["kernel_shape"])

    assert_same("Conv", [x, w, *([normal(data.draw, 3 * group)] if data.draw(st.booleans()) else [])], attributes)


@DRAWN
@given(st.data())
def test_conv_transpose_agrees_with_onnx_runtime(data):
    """Pads, padding of the result, or the shape of the result."""
    rank, group = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    attributes = drawn_windows(data.draw, rank) | {"group": group}
    x = drawn_image(data.draw, 2 * group, rank, low=3)
    w = normal(data.draw, 2 * group, 3, *attributes["kernel_shape"])
    if "auto_pad" not in attributes and data.draw(st.booleans()):
        attributes["output_padding"] = [data.draw(st.integers(0, stride - 1)) for stride in attributes["strides"]]
    elif attributes.pop("pads", None):
        names = ("strides", "kernel_shape", "dilations")
        spans = zip(x.shape[2:], *(attributes[name] for name in names), strict=True)
        full = [s * (n - 1) + (k - 1) * d + 1 for n, s, k, d in spans]
        attributes["output_shape"] = [n - data.draw(st.integers(0, min(3, n - 1))) for n in full]

    assert_same("ConvTranspose", [x, w, normal(data.draw, 3 * group)], attributes)


@DRAWN
@given(st.data())
def test_max_pool_agrees_with_onnx_runtime(data):
    """Values, and where they are in the data."""
    rank = data.draw(st.integers(1, 3))
    attributes = drawn_windows(data.draw, rank) | {"ceil_mode": data.draw(st.integers(0, 1))}
    x = drawn_image(data.draw, 2, rank)

    assert_same("MaxPool", [x], attributes, data.draw(st.integers(1, 2)))


@DRAWN
@given(st.data())
def test_average_pool_agrees_with_onnx_runtime(data):
    """Padding counted or not, windows that reach beyond it, dilated ones."""
    rank = data.draw(st.integers(1, 3))
    attributes = drawn_windows(data.draw, rank)
    attributes |= {"ceil_mode": data.draw(st.integers(0, 1)), "count_include_pad": data.draw(st.integers(0, 1))}

    assert_same("AveragePool", [drawn_image(data.draw, 2, rank)], attributes)


@DRAWN
@given(st.data())
@pytest.mark.parametrize(("op", "gates", "states"), [("LSTM", 4, 2), ("GRU", 3, 1), ("RNN", 1, 1)])
def test_recurrent_agrees_with_onnx_runtime(op, gates, states, data):
    """Any direction, with and without bias, initial states and peepholes."""
    direction = data.draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    steps, batch, width, hidden = (data.draw(st.integers(1, 4)) for _ in range(4))
    d = 2 if direction == "bidirectional" else 1
    operands: list[np.ndarray | None] = [
        normal(data.draw, steps, batch, width),
        normal(data.draw, d, gates * hidden, width),
        normal(data.draw, d, gates * hidden, hidden),
        normal(data.draw, d, 2 * gates * hidden) if data.draw(st.booleans()) else None,
        None,
        *(normal(data.draw, d, batch, hidden) if data.draw(st.booleans()) else None for _ in range(states)),
    ]
    attributes: dict[str, Any] = {"direction": direction, "hidden_size": hidden}
    if op == "LSTM" and data.draw(st.booleans()):
        operands.append(normal(data.draw, d, 3 * hidden))
    if op == "GRU":
        attributes["linear_before_reset"] = data.draw(st.integers(0, 1))
    if op == "RNN":
        attributes["activations"] = [data.draw(st.sampled_from(["Tanh", "Relu"]))] * d

    assert_same(op, operands, attributes, 1 + states)
