"""Details: a tensor of a Program as TFLite's interpreter describes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from bitwright.program.tensor import DTYPES, Tensor

Details = dict[str, Any]


def details_of(tensor: Tensor, index: int) -> Details:
    """Name, index, shape, type and quantization.

    Args:
        tensor: any.
        index: its position in the file.

    >>> details_of(Tensor("x", (1, 4)), 3)["quantization"]
    (0.0, 0)
    """
    qparams = tensor.qparams
    scales = np.empty(0, np.float32) if qparams is None else np.array(qparams.scale).ravel()
    zero_points = np.empty(0, np.int32) if qparams is None else np.array(qparams.zero_point).ravel()
    has_one = scales.size == 1
    signature = tensor.shape if tensor.shape_signature is None else tensor.shape_signature
    return {
        "name": tensor.name,
        "index": index,
        "shape": np.array(tensor.shape, np.int32),
        "shape_signature": np.array(signature, np.int32),
        "dtype": DTYPES[tensor.dtype].type,
        "quantization": (float(scales[0]), int(zero_points[0])) if has_one else (0.0, 0),
        "quantization_parameters": {
            "scales": scales,
            "zero_points": zero_points,
            "quantized_dimension": 0 if qparams is None or qparams.axis is None else qparams.axis,
            "block_size": 0,
        },
        "sparsity_parameters": {},
    }
