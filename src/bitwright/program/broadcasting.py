"""Broadcasting: the shape that operands of different shapes give together."""

from __future__ import annotations

from bitwright.errors import ModelError
from bitwright.program.definition import Call
from bitwright.program.tensor import Shape


def broadcast_shape(*shapes: Shape) -> Shape:
    """The shape of an elementwise result: aligned at the last dimension, 1 and nothing stretch.

    Raises:
        ModelError: a dimension that is neither equal nor 1.

    >>> broadcast_shape((1, 4, 1), (3,), ())
    (1, 4, 3)
    """
    rank = max(len(shape) for shape in shapes)
    result = []
    for dimensions in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        stretched = {d for d in dimensions if d != 1}
        if len(stretched) > 1:
            listed = " and ".join(str(list(shape)) for shape in shapes)
            raise ModelError(
                f"operands of shape {listed} do not broadcast: {' and '.join(map(str, sorted(stretched)))} meet",
                next="aligned at the last dimension, sizes must be equal or 1",
            )
        result.append(stretched.pop() if stretched else 1)
    return tuple(result)


def infer_broadcast(call: Call) -> tuple[Shape, ...]:
    """The shape rule of an elementwise operator: what all its operands give together."""
    return (broadcast_shape(*(tensor.shape for tensor in call.inputs if tensor is not None)),)
