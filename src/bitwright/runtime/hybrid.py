"""Hybrid: a model in parts: those that lower run on the engine, the others in ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import SampleError
from bitwright.graph.execution import Execution
from bitwright.runtime.face import Argument, Arrays, by_order, chosen, refuse_unknown
from bitwright.runtime.layers import Layer
from bitwright.runtime.litert import cannot_run
from bitwright.runtime.session import Session

ONNX_RUNTIME = "ONNX Runtime"


@dataclass(frozen=True)
class Stage:
    """A part that is ready to run.

    Args:
        session: of the engine, or of ONNX Runtime.
        inputs, outputs: names of values of the whole model.
    """

    session: Session | Execution
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, values: Arrays) -> None:
        """Take inputs from the values, and put outputs there."""
        feeds = {name: values[name] for name in self.inputs}
        if isinstance(self.session, Session):
            values |= zip(self.outputs, self.session.run(None, feeds), strict=True)
            return
        try:
            values |= self.session.run(feeds)
        except Exception as error:  # ONNX Runtime raises bare RuntimeError subclasses of its own
            raise cannot_run(ONNX_RUNTIME, error) from error

    def layers(self, values: Arrays) -> list[Layer]:
        """The same, step by step."""
        if isinstance(self.session, Session):
            found = self.session.profile({name: values[name] for name in self.inputs})
            self.run(values)
            return found
        started = time.perf_counter()
        self.run(values)
        spent = 1e6 * (time.perf_counter() - started)
        shapes = [tuple(tuple(values[name].shape) for name in names) for names in (self.inputs, self.outputs)]
        return [Layer(ONNX_RUNTIME, self.outputs[0], ONNX_RUNTIME, shapes[0], shapes[1], 0, spent)]


class HybridSession:
    """A model of several parts, with the face of a Session. Any number of threads may call it at the same time.

    Args:
        stages: the parts in order.
        inputs, outputs: of the whole.
        constants: values that no part computes, by name: outputs that do not depend on inputs.
        outside: the nodes that ONNX Runtime runs, and why.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        inputs: Sequence[Argument],
        outputs: Sequence[Argument],
        constants: Mapping[str, NDArray[Any]],
        outside: Mapping[str, str],
    ) -> None:
        self.stages = tuple(stages)
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self._constants, self._outside = dict(constants), dict(outside)
        last = {name: index for index, stage in enumerate(stages) for name in stage.inputs}
        kept = {argument.name for argument in outputs}
        #: Values that nobody reads after each stage.
        self._done = [
            [name for name, at in last.items() if at == index and name not in kept] for index in range(len(stages))
        ]

    def get_inputs(self) -> list[Argument]:
        """Inputs in order."""
        return list(self._inputs)

    def get_outputs(self) -> list[Argument]:
        """Outputs in order."""
        return list(self._outputs)

    @property
    def arena_bytes(self) -> int:
        """Memory that the engine's values of one run take, weights and what ONNX Runtime takes not counted."""
        return sum(session.arena_bytes for session in self._sessions)

    @property
    def left(self) -> dict[str, str]:
        """What the engine does not run itself, and why: nodes in ONNX Runtime, operators on the numpy references."""
        found = {node: f"{reason}; runs in {ONNX_RUNTIME}" for node, reason in self._outside.items()}
        for session in self._sessions:
            found |= session.left
        return found

    @property
    def _sessions(self) -> list[Session]:
        return [stage.session for stage in self.stages if isinstance(stage.session, Session)]

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[NDArray[Any]]:
        """Outputs in order, or those that are named.

        Args:
            outputs: names; None for all.
            feeds: arrays by input name; several rows where the model takes one are run one by one.

        Raises:
            SampleError: an input is missing or unknown, or does not fit.
            UsageError: there is no output of that name.
        """
        given = {argument.name: self._given(argument, feeds) for argument in self._inputs}
        refuse_unknown(self._inputs, feeds)
        rows = self._rows(given)
        if rows == 1:
            made = self._run(given)
        else:
            each = [self._run({name: array[row : row + 1] for name, array in given.items()}) for row in range(rows)]
            made = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
        return chosen(self._outputs, outputs, made)

    def __call__(self, *arrays: Any) -> Any:
        """The output for arrays in the order of the inputs; a list when there are several outputs.

        Raises:
            SampleError: as `run`.
        """
        made = self.run(None, by_order(self._inputs, arrays))
        return made[0] if len(made) == 1 else made

    def profile(self, feeds: Mapping[str, Any]) -> list[Layer]:
        """One run, step by step; a part in ONNX Runtime is one.

        Raises:
            SampleError: an input does not fit exactly.
        """
        values = self._constants | {argument.name: self._given(argument, feeds) for argument in self._inputs}
        if self._rows(values) != 1:
            raise SampleError("several rows cannot be profiled together", next="give one")
        return [layer for stage in self.stages for layer in stage.layers(values)]

    def _run(self, given: Arrays) -> Arrays:
        values = self._constants | given
        for stage, done in zip(self.stages, self._done, strict=True):
            stage.run(values)
            for name in done:
                del values[name]
        return {argument.name: values[argument.name] for argument in self._outputs}

    def _given(self, argument: Argument, feeds: Mapping[str, Any]) -> NDArray[Any]:
        if argument.name not in feeds:
            raise SampleError(
                f"input {argument.name!r} is missing", next=f"give {', '.join(a.name for a in self._inputs)}"
            )
        array = np.asarray(feeds[argument.name])
        if array.dtype != argument.dtype and not (array.dtype.kind == argument.dtype.kind == "f"):
            raise SampleError(f"input {argument.name!r} is {array.dtype}, the model takes {argument.dtype}")
        return np.asarray(array, argument.dtype, order="C")  # ascontiguousarray would give a scalar a dimension

    def _rows(self, given: Arrays) -> int:
        """How many rows were given: 1 when every shape is the input's own."""
        counts = set()
        for argument in self._inputs:
            shape = given[argument.name].shape
            if shape == argument.shape:
                counts.add(1)
            elif shape[1:] == argument.shape[1:] and argument.shape[:1] == (1,) and shape[0] > 0:
                counts.add(shape[0])
            else:
                raise SampleError(f"input {argument.name!r} is {list(shape)}, the model takes {list(argument.shape)}")
        if len(counts) > 1:
            raise SampleError(f"inputs have {' and '.join(map(str, sorted(counts)))} rows")
        return counts.pop() if counts else 1
