"""A short digest of a graph: what must be the same for statistics of one to serve the other."""

from __future__ import annotations

import zlib

import numpy as np
import onnx_ir as ir


def digest(model: ir.Model) -> str:
    """Eight hexadecimal digits over operators, names and constants. Not a defence against forgery.

    Args:
        model: a graph; constants on disk are read.
    """
    total = 0
    for node in model.graph:
        names = [node.domain, node.op_type, *(v.name if v is not None else "" for v in (*node.inputs, *node.outputs))]
        total = zlib.crc32("\0".join(map(str, names)).encode(), total)
    for name, value in model.graph.initializers.items():
        total = zlib.crc32(name.encode(), total)
        tensor = value.const_value
        if tensor is not None and tensor.dtype != ir.DataType.STRING:
            total = zlib.crc32(np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data, total)
    return f"{total:08x}"
