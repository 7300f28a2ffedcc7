"""What steps of movement operators are made of: a move between views of two tensors, a take by tables, a fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.program.tensor import Array, Shape, Tensor
from bitwright.runtime.steps.step import Step
from bitwright.runtime.steps.storage import TYPES, stored


@dataclass(frozen=True)
class View:
    """Elements of a tensor as nested loops go through them.

    Args:
        begin: the element that is first, one index an axis.
        loops: (axis, step) of each loop, in elements. Several loops may go along one axis; a step of 0 stays in place.
    """

    begin: tuple[int, ...]
    loops: tuple[tuple[int, int], ...]


def whole(shape: Shape) -> View:
    """All elements, one loop an axis.

    >>> whole((2, 3))
    View(begin=(0, 0), loops=((0, 1), (1, 1)))
    """
    return View((0,) * len(shape), tuple((axis, 1) for axis in range(len(shape))))


def part(begin: Sequence[int]) -> View:
    """The elements from `begin` on, one loop an axis."""
    return View(tuple(begin), tuple((axis, 1) for axis in range(len(begin))))


def move(x: Tensor, y: Tensor, dims: Shape, x_view: View, y_view: View) -> Step:
    """Elements of x, along loops of `dims`, become elements of y."""
    return Step(
        "move",
        {"x": x.name, "y": y.name},
        arguments={"dims": list(dims), "x_view": _option(x_view), "y_view": _option(y_view)},
        strided=frozenset({"x", "y"}),
        anywhere=frozenset({"x", "y"}),
    )


def _option(view: View) -> tuple[list[int], list[int], list[int]]:
    return list(view.begin), [axis for axis, _ in view.loops], [step for _, step in view.loops]


def take(x: Tensor, y: Tensor, tables: Sequence[Array]) -> Step:
    """Along each axis of x, the positions that its table names, in y's order."""
    return Step(
        "take",
        {"x": x.name, "y": y.name},
        arguments={"tables": [table.ravel().tolist() for table in tables]},
        strided=frozenset({"x", "y"} if len(x.shape) == len(y.shape) else {"x"}),
        anywhere=frozenset({"x"}),
    )


def pad(x: Tensor, y: Tensor, pads: Sequence[tuple[int, int]], value: Array) -> tuple[Step, ...]:
    """Puts x into y, with (before, after) elements of `value` around it along each axis.

    Args:
        value: one element as the Program has it, of the tensors' type.
    """
    moved = move(x, y, x.shape, whole(x.shape), part([before for before, _ in pads]))
    padded = [axis for axis, sides in enumerate(pads) if any(sides)]
    arguments: dict[str, object] = {"value": stored(value.reshape(1)).tobytes()}
    if not padded:
        return (moved,)
    rank = len(pads)
    if rank in (3, 4) and set(padded) <= {rank - 3, rank - 2}:
        arguments["margin"] = (*pads[rank - 3], *pads[rank - 2])
        return Step("fill_margin", {"y": y.name}, arguments=arguments), moved
    return Step("fill", {"y": y.name}, arguments=arguments), moved


def positions(size: int) -> Array:
    """The table that takes an axis as it is."""
    return np.arange(size)


def storage_reason(tensor: Tensor) -> str:
    """Why the engine cannot hold such a tensor."""
    return "" if tensor.dtype in TYPES else f"the engine stores no {tensor.dtype}"


def computed_reason(*tensors: Tensor) -> str:
    """Why positions or shapes are not known beforehand."""
    return next((f"{t.name!r} is computed while the model runs" for t in tensors if t.data is None), "")
