"""The file against numpy: ONNX Runtime's integers are those that the equation gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.graph.text import parse
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import quantize
from bitwright.numerics.requantize import requantize

#: What an 8-bit integer layer computes, in int32: accumulator [N, O, ...] of (x - zero_point), w and b.
LAYERS: dict[str, tuple[str, Callable[..., np.ndarray]]] = {
    "Conv": (
        "g (float[N, 6, 9, 9] x, float[8, 6, 3, 3] w, float[8] b) => (float[N, 8, 7, 7] y) { ACT Conv(x, w, b) END }",
        lambda x, w, b: convolve(x, w) + b[:, None, None],
    ),
    "Conv-depthwise": (
        "g (float[N, 8, 9, 9] x, float[8, 1, 3, 3] w, float[8] b) => (float[N, 8, 7, 7] y)"
        " { ACT Conv <group = 8> (x, w, b) END }",
        lambda x, w, b: (
            np.concatenate([convolve(x[:, i : i + 1], w[i : i + 1]) for i in range(8)], 1) + b[:, None, None]
        ),
    ),
    "Gemm": (
        "g (float[N, 24] x, float[24, 8] w, float[8] b) => (float[N, 8] y, float[N, 8] z)"
        " { ACT Gemm(x, w, b) END z = Gemm(y, v) }",
        lambda x, w, b: x @ w + b,
    ),
}


def convolve(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """[N, I, H, W] * [O, I, kH, kW], no padding."""
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nihwkl,oikl->nohw", windows, w)


@pytest.mark.parametrize("act", ["none", "Relu"])
@pytest.mark.parametrize("mode", ["int8", "uint8"])
@pytest.mark.parametrize("kind", LAYERS)
def test_integers_of_a_layer_are_within_one_step(kind, mode, act, run):
    """round_half_to_even(accumulator * sx * sw / sy) + zero_point, clamped, is what ONNX Runtime gives (+-1)."""
    text, accumulate = LAYERS[kind]
    text = text.replace("ACT", "y =" if act == "none" else "a =").replace("END", "" if act == "none" else "y = Relu(a)")
    text = text.replace("float[8] b)", "float[8] b, float[8, 8] v)") if "(y, v)" in text else text
    model = parse('<ir_version: 10, opset_import: ["": 21]>\n' + text)
    rng = np.random.default_rng(2)
    constants = {}
    for value in list(model.graph.inputs)[1:]:
        array = (rng.standard_normal(value.shape.numpy()) * 0.3).astype(np.float32)
        constants[value.name] = array
        value.const_value = ir.Tensor(array, name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    shape = [4 if not isinstance(d, int) else d for d in model.graph.inputs[0].shape]
    feeds = [{"x": (rng.standard_normal(shape) + 0.5).astype(np.float32)} for _ in range(3)]

    made = bw.quantize(model, mode, calibration=feeds, bias_correction=False)
    x, w, b, y = (made.plan.qparams_of(name) for name in "xwby")
    got = recover(run(made, feeds[0])["y"], y)

    channels = (1, -1, *[1] * (len(shape) - 2))
    integers = quantize(constants["w"], w).astype(np.int64)
    point = w.zero_point.astype(np.int64).reshape(expanded(w, integers.ndim))
    accumulator = accumulate(
        quantize(feeds[0]["x"], x).astype(np.int64) - int(x.zero_point[0]),
        integers - point,
        quantize(constants["b"], b).astype(np.int64),
    )
    multiplier = (x.scale.astype(np.float64) * w.scale / y.scale).reshape(channels if w.axis is not None else ())
    expected = requantize(
        accumulator.astype(np.int32), multiplier, rounding="fp32_even", zero_point=int(y.zero_point[0]), storage="u8"
    )
    if act == "Relu":
        expected = np.maximum(expected, y.zero_point[0])
    difference = np.abs(expected.astype(int) - got.astype(int))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.99
    assert expected.std() > 10  # the whole range is used: a constant would pass otherwise


def expanded(qparams: QuantParams, rank: int) -> tuple[int, ...]:
    """The shape in which per-channel values broadcast."""
    return tuple(-1 if i == qparams.axis else 1 for i in range(rank)) if qparams.axis is not None else (1,) * rank


def recover(real: np.ndarray, qparams: QuantParams) -> np.ndarray:
    """The integers behind dequantized reals."""
    q = np.rint(real / qparams.scale[0]) + qparams.zero_point[0]
    np.testing.assert_allclose((q - qparams.zero_point[0]) * qparams.scale[0], real, atol=float(qparams.scale[0]) / 100)
    return q.astype(np.uint8)
