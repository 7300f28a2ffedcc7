"""Shapes: a session of a model with free dimensions: a plan for each of the input shapes that it sees."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import SampleError
from bitwright.program.tensor import Shape
from bitwright.runtime.face import Argument, Runnable, by_order, refuse_unknown
from bitwright.runtime.layers import Layer

#: Plans that are kept; the one that was not used for longest goes first.
MOST_PLANS = 4


class ShapedSession:
    """A model that takes any sizes along its free dimensions. Any number of threads may call it at the same time.

    A shape that was not seen yet is compiled when it comes, which takes as long as compiling the model.

    Args:
        compile_for: a session for shapes of the inputs, by name.
        first: the session that is there already.
        inputs: the shapes that the model declares, in order; None where any number may stand.
        outputs: likewise.
    """

    def __init__(
        self,
        compile_for: Callable[[Mapping[str, Shape]], Runnable],
        first: Runnable,
        inputs: Sequence[tuple[int | None, ...]],
        outputs: Sequence[tuple[int | None, ...]],
    ) -> None:
        self._compile_for, self._first = compile_for, first
        given = first.get_inputs()
        self._inputs = [replace(a, shape=shape) for a, shape in zip(given, inputs, strict=True)]
        self._outputs = [replace(a, shape=shape) for a, shape in zip(first.get_outputs(), outputs, strict=True)]
        self._names = [argument.name for argument in given]
        self._plans: OrderedDict[tuple[Any, ...], Runnable] = OrderedDict([(tuple(a.shape for a in given), first)])
        self._lock = threading.Lock()  # of _plans
        self._compiling = threading.Lock()

    def get_inputs(self) -> list[Argument]:
        """Inputs in order."""
        return list(self._inputs)

    def get_outputs(self) -> list[Argument]:
        """Outputs in order."""
        return list(self._outputs)

    @property
    def arena_bytes(self) -> int:
        """Memory that the engine's values of one run take, of the largest shape that is kept; weights not counted."""
        with self._lock:
            plans = list(self._plans.values())
        return max(plan.arena_bytes for plan in plans)

    @property
    def left(self) -> dict[str, str]:
        """What the engine does not run itself, and why, at the shape that was compiled first."""
        return self._first.left

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[NDArray[Any]]:
        """Outputs in order, or those that are named; arrays by input name.

        Raises:
            SampleError: an input is missing or unknown, or does not fit.
            UsageError: there is no output of that name.
        """
        return self.at(feeds).run(outputs, feeds)

    def __call__(self, *arrays: Any) -> Any:
        """The output for arrays in the order of the inputs; a list when there are several outputs."""
        made = self.run(None, by_order(self._inputs, arrays))
        return made[0] if len(made) == 1 else made

    def profile(self, feeds: Mapping[str, Any]) -> list[Layer]:
        """One run, step by step."""
        return self.at(feeds).profile(feeds)

    def at(self, feeds: Mapping[str, Any]) -> Runnable:
        """The session for the shapes of these arrays, compiled where it is not there.

        Raises:
            SampleError: an input is missing or unknown, or does not fit.
        """
        key = tuple(np.shape(feeds[name]) if name in feeds else None for name in self._names)
        if (found := self._known(key)) is not None:
            return found
        refuse_unknown(self._inputs, feeds)
        shapes = {a.name: self._checked(a, shape) for a, shape in zip(self._inputs, key, strict=True)}
        with self._compiling:
            if (found := self._known(key)) is None:
                found = self._compile_for(shapes)
                with self._lock:
                    self._plans[key] = found
                    while len(self._plans) > MOST_PLANS:
                        self._plans.popitem(last=False)
        return found

    def _known(self, key: tuple[Any, ...]) -> Runnable | None:
        with self._lock:
            found = self._plans.get(key)
            if found is not None:
                self._plans.move_to_end(key)
        return found

    def _checked(self, argument: Argument, shape: Shape | None) -> Shape:
        if shape is None:
            raise SampleError(f"input {argument.name!r} is missing", next=f"give {', '.join(self._names)}")
        fits = len(shape) == len(argument.shape) and all(
            size > 0 and wanted in (None, size) for size, wanted in zip(shape, argument.shape, strict=True)
        )
        if not fits:
            told = ", ".join("any" if size is None else str(size) for size in argument.shape)
            raise SampleError(f"input {argument.name!r} is {list(shape)}, the model takes [{told}]")
        return shape
