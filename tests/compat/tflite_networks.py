"""A small network that tests of compat.tflite share, and its samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx.parser

#: Two convolutions, a pool, a matrix product and Softmax on images of 8 x 8.
TEXT = """<ir_version: 10, opset_import: ["" : 21]>
net (float[N, 3, 8, 8] image) => (float[N, 4] scores)
{{
    a = Conv <pads = [1, 1, 1, 1]> (image, w1, b1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1]> (b, w2, b2)
    d = {middle} (c)
    e = {pool} (d)
    f = Flatten (e)
    g = Gemm (f, w3, b3)
    scores = Softmax (g)
}}
"""
_SHAPES = {
    "w1": (16, 3, 3, 3),
    "b1": (16,),
    "w2": (16, 16, 3, 3),
    "b2": (16,),
    "w3": (16, 4),
    "b3": (4,),
}


def network(middle: str = "Relu", *, flattens: bool = False) -> onnx.ModelProto:
    """The network.

    Args:
        middle: the operator after the second convolution.
        flattens: whether the matrix product reads an image of 4 x 4, and not its mean.
    """
    pool = "MaxPool <kernel_shape = [2, 2], strides = [2, 2]>" if flattens else "GlobalAveragePool"
    model = onnx.parser.parse_model(TEXT.format(middle=middle, pool=pool))
    rng = np.random.default_rng(7)
    for name, shape in (_SHAPES | ({"w3": (256, 4)} if flattens else {})).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(rng.normal(0, 0.2, shape).astype(np.float32), name))
    return model


def images(count: int = 4, seed: int = 3, *, channels_last: bool = False) -> Iterator[list[Any]]:
    """Samples as a representative_dataset yields them."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        image = rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
        yield [np.ascontiguousarray(image.transpose(0, 2, 3, 1)) if channels_last else image]
