"""Small networks as text, with random constants, that tests train."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bitwright.graph.text import parse

HEADER = '<ir_version: 10, opset_import: ["": 21]>\n'

#: Two convolutions with normalizations, a product behind them. A text has no dots in names: "__" stands for one.
CNN = """
cnn (float[N,3,8,8] x, float[8,3,3,3] c1__weight, float[8] n1__weight, float[8] n1__bias, float[8] n1__mean,
     float[8] n1__var, float[12,8,3,3] c2__weight, float[12] c2__bias, float[12] n2__weight, float[12] n2__bias,
     float[12] n2__mean, float[12] n2__var, float[5,12] fc__weight, float[5] fc__bias) => (float[N,5] scores) {
  a = Conv <pads=[1,1,1,1]> (x, c1__weight)
  b = BatchNormalization (a, n1__weight, n1__bias, n1__mean, n1__var)
  c = Relu (b)
  d = Conv <pads=[1,1,1,1], strides=[2,2]> (c, c2__weight, c2__bias)
  e = BatchNormalization (d, n2__weight, n2__bias, n2__mean, n2__var)
  f = Relu (e)
  g = MaxPool <kernel_shape=[4,4]> (f)
  h = Flatten (g)
  scores = Gemm <transB=1> (h, fc__weight, fc__bias)
}
"""

#: A depthwise layer, a residual, a clamp.
RESIDUAL = """
residual (float[N,4,8,8] x, float[8,4,1,1] w1, float[8] b1, float[8,1,3,3] w2, float[8] b2, float[8,8,1,1] w3,
          float[8] b3, float low, float high, float[3,8] w4) => (float[N,3] y) {
  a = Conv (x, w1, b1)
  b = Clip (a, low, high)
  c = Conv <group=8, pads=[1,1,1,1]> (b, w2, b2)
  d = Relu (c)
  e = Conv (d, w3, b3)
  f = Add (e, b)
  g = Relu (f)
  h = MaxPool <kernel_shape=[8,8]> (g)
  i = Flatten (h)
  y = Gemm <transB=1> (i, w4)
}
"""

#: Products alone.
MLP = """
mlp (float[N,10] x, float[16,10] w1, float[16] b1, float[4,16] w2, float[4] b2) => (float[N,4] y) {
  a = Gemm <transB=1> (x, w1, b1)
  b = Relu (a)
  y = Gemm <transB=1> (b, w2, b2)
}
"""

#: Convolutions alone, whose result is an image: what is compared is integers.
IMAGES = """
images (float[N,3,8,8] x, float[8,3,3,3] w1, float[8] b1, float[4,8,3,3] w2, float[4] b2) => (float[N,4,6,6] y) {
  a = Conv <pads=[1,1,1,1]> (x, w1, b1)
  b = Relu (a)
  y = Conv (b, w2, b2)
}
"""


def build(text: str, *, seed: int = 0) -> ir.Model:
    """A graph of a text whose inputs but x are constants: kernels scaled by their fan-in, variances positive."""
    model = parse(HEADER + text)
    rng = np.random.default_rng(seed)
    for value in list(model.graph.inputs):
        name = value.name = str(value.name).replace("__", ".")
        if name == "x":
            continue
        assert value.shape is not None
        shape = value.shape.numpy() if len(value.shape) else ()
        array = rng.standard_normal(shape)
        if len(shape) > 1:
            array *= np.sqrt(2 / max(1, np.prod(shape[1:])))
        elif name.endswith("var") or (name.startswith("n") and name.endswith("weight")):
            array = np.abs(array) + 0.5
        elif shape:
            array *= 0.1
        if name in ("low", "high"):
            array = np.float32(0.0 if name == "low" else 6.0)
        value.const_value = ir.Tensor(np.asarray(array, np.float32), name=name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def inputs_of(model: ir.Model, count: int = 8, *, seed: int = 0) -> np.ndarray:
    """Standard-normal rows for x."""
    shape = model.graph.inputs[0].shape
    assert shape is not None
    sizes = [int(d) for d in shape.dims[1:] if isinstance(d, int)]
    return np.random.default_rng(seed).standard_normal((count, *sizes)).astype(np.float32)
