"""Bytes of a .tflite file by kind: constants by storage type, scales and zero points, and the rest of the file."""

from __future__ import annotations

from bitwright.program.program import Program
from bitwright.report.sizes import GRAPH, QPARAMS, Sizes

SCALE_BYTES = 4
ZERO_POINT_BYTES = 8


def sizes_of_program(program: Program, total: int) -> Sizes:
    """The bytes of a file by kind; equal scales and zero points count once, as the files written here hold them.

    Args:
        program: what the file spells.
        total: bytes of the file.
    """
    found: dict[str, int] = {}
    vectors: dict[bytes, int] = {}
    for tensor in program.tensors.values():
        if tensor.data is not None:
            found[tensor.dtype] = found.get(tensor.dtype, 0) + tensor.nbytes
        if tensor.qparams is not None:
            scale, point = tensor.qparams.scale, tensor.qparams.zero_point
            vectors[b"scale" + scale.tobytes()] = SCALE_BYTES * scale.size
            vectors[b"point" + point.tobytes()] = ZERO_POINT_BYTES * point.size
    if vectors:
        found[QPARAMS] = sum(vectors.values())
    found[GRAPH] = max(total - sum(found.values()), 0)
    return Sizes(dict(sorted(found.items(), key=lambda item: -item[1])), total)
