"""Orders: how the dimensions of a value in the graph lie against those of the tensor that it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from bitwright.numerics.qparams import QuantParams
from bitwright.program.tensor import Shape, Tensor

#: order[i] is the dimension of the stored tensor that dimension i of the value is: value = tensor.transpose(order).
Order = tuple[int, ...]

#: A stored NHWC tensor as ONNX wants it.
NCHW: Order = (0, 3, 1, 2)

#: The end of a slice that goes backwards to the first element; ONNX's Slice counts other negative ends from the last.
BEFORE_FIRST = -(2**31)


def as_stored(rank: int) -> Order:
    """The order of a value that lies as its tensor does."""
    return tuple(range(rank))


def placed(shape: Sequence[int], order: Order) -> Shape:
    """The shape of a value of that order.

    >>> placed((1, 8, 9, 3), NCHW)
    (1, 3, 8, 9)
    """
    return tuple(shape[i] for i in order)


def between(held: Order, wanted: Order) -> Order:
    """The permutation that takes a value of one order to another.

    >>> between(NCHW, (0, 1, 2, 3))
    (0, 2, 3, 1)
    """
    return tuple(held.index(i) for i in wanted)


def without(order: Order, dropped: Iterable[int]) -> Order:
    """The order that is left when dimensions of the stored tensor are gone.

    >>> without(NCHW, (1, 2))
    (0, 1)
    """
    gone = set(dropped)
    kept = [i for i in order if i not in gone]
    return tuple(sorted(kept).index(i) for i in kept)


def with_new(order: Order, added: Iterable[int]) -> Order:
    """The order when dimensions of length 1 appear at these places of the result, in the value at the same places.

    >>> with_new((0, 1), (1,)), with_new(NCHW, (0,))
    ((0, 1, 2), (0, 1, 4, 2, 3))
    """
    new = sorted(added)
    stored = [i for i in range(len(order) + len(new)) if i not in new]
    held = [stored[i] for i in order]
    for place in new:
        held.insert(place, place)
    return tuple(held)


def composed(order: Order, permutation: Sequence[int]) -> Order:
    """The order of the same value for the tensor that TRANSPOSE by `permutation` gives.

    >>> composed((0, 1, 2, 3), (0, 3, 1, 2))
    (0, 2, 3, 1)
    """
    places = [int(i) for i in permutation]
    return tuple(places.index(i) for i in order)


def permuted(tensor: Tensor, order: Order) -> Tensor:
    """The constant with its dimensions in another order; its axis goes along, its integers stay what they are."""
    assert tensor.data is not None
    qparams = tensor.qparams
    if qparams is not None and qparams.axis is not None:
        qparams = on_axis(qparams, order.index(qparams.axis))
    data = np.asarray(tensor.data.transpose(order), order="C")  # a scalar stays one
    return replace(tensor, shape=data.shape, data=data, qparams=qparams, shape_signature=None)


def padded(tensor: Tensor, rank: int) -> Tensor:
    """The constant with dimensions of length 1 in front, as broadcasting means it."""
    assert tensor.data is not None
    more, qparams = rank - len(tensor.shape), tensor.qparams
    if qparams is not None and qparams.axis is not None:
        qparams = on_axis(qparams, qparams.axis + more)
    shape = (1,) * more + tensor.shape
    return replace(tensor, shape=shape, data=tensor.data.reshape(shape), qparams=qparams, shape_signature=None)


def on_axis(qparams: QuantParams, axis: int) -> QuantParams:
    """The same parameters along another axis."""
    return QuantParams(
        qparams.scale, qparams.zero_point, qparams.storage, axis, qparams.block_shape, qparams.narrow_range
    )
