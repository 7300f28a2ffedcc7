"""Executable: a Program compiled for this machine: segments that the engine runs, and operators that it leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from bitwright import _engine
from bitwright.lowering.layout import inverse
from bitwright.program.definition import Call
from bitwright.program.program import Program
from bitwright.program.reference import Reference
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import DTYPES, Array, Shape
from bitwright.runtime.segment import Outside, Segment, Strides, compile_segment, dense_strides
from bitwright.runtime.steps.registry import steps_of
from bitwright.runtime.steps.step import Alias, Steps


@dataclass(frozen=True)
class Left:
    """Operators that the engine has no kernel for: they run on the numpy references.

    Args:
        operators: their indices.
    """

    operators: tuple[int, ...]


@dataclass(frozen=True)
class Placed:
    """A port as the caller has it.

    Args:
        tensor: behind it.
        shape: the caller's.
        permutation: dimension i of the tensor is dimension permutation[i] of the caller's array; None: the same.
    """

    tensor: str
    shape: Shape
    permutation: tuple[int, ...] | None

    @property
    def strides(self) -> Strides | None:
        """Of the caller's array, in the tensor's order."""
        if self.permutation is None:
            return None
        strides = dense_strides(self.shape)
        return tuple(strides[i] for i in self.permutation)

    def from_caller(self, array: Array) -> Array:
        """The caller's array as the tensor has it."""
        return array if self.permutation is None else np.ascontiguousarray(array.transpose(self.permutation))

    def to_caller(self, array: Array) -> Array:
        """The tensor's array as the caller has it."""
        return array if self.permutation is None else np.ascontiguousarray(array.transpose(inverse(self.permutation)))


@dataclass(frozen=True)
class Timed:
    """A step of one run: the operator behind it (-1: a copy at the border), its kernel, its time."""

    operator: int
    kernel: str
    microseconds: float


class Executable:
    """Runs a Program on arrays as the caller has them.

    Args:
        program: verified; its `rounding` says how it requantizes.
        inputs, outputs: its ports, in order.
        isa: the best instruction set that kernels may use.
        threads: that divide each step.
    """

    def __init__(
        self, program: Program, inputs: Sequence[Placed], outputs: Sequence[Placed], *, isa: str, threads: int
    ) -> None:
        self.program, self.inputs, self.outputs = program, tuple(inputs), tuple(outputs)
        steps = steps_of(program)
        #: The operators that the engine leaves, with reasons.
        self.left = {index: made for index, made in enumerate(steps) if isinstance(made, str)}
        taken = [(index, made) for index, made in enumerate(steps) if not isinstance(made, str)]
        read = {name for operator in program.operators for name in operator.inputs}
        computed = {name for operator in program.operators for name in operator.outputs}
        self._whole: Segment | None = None
        if (
            not self.left
            and self.outputs
            and all(port.tensor in read for port in self.inputs)
            and all(port.tensor in computed for port in self.outputs)
            and len({port.tensor for port in self.outputs}) == len(self.outputs)
        ):
            given = [Outside(port.tensor, port.strides) for port in self.inputs]
            wanted = [Outside(port.tensor, port.strides) for port in self.outputs]
            self._whole = compile_segment(program, taken, given, wanted, isa=isa, threads=threads)
        self._stages = () if self._whole else _stages(program, steps, self.outputs, isa=isa, threads=threads)
        self._made = [(port.shape, DTYPES[program.tensors[port.tensor].dtype]) for port in self.outputs]
        self._state = Reference(program).state  # its operators are left: the engine keeps none
        self._state_lock = threading.Lock()

    @property
    def plan(self) -> _engine.Plan | None:
        """What takes the inputs and then the outputs as they are; None where there is more than one segment."""
        return None if self._whole is None else self._whole.plan

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the engine runs."""
        if self._whole is not None:
            return (self._whole,)
        return tuple(stage for stage in self._stages if isinstance(stage, Segment))

    @property
    def arena_bytes(self) -> int:
        """Of one run: the largest of its segments."""
        return max((segment.arena_bytes for segment in self.segments), default=0)

    def run(self, arrays: tuple[Array, ...]) -> list[Array]:
        """Outputs in order, for inputs in order: C-contiguous, of the ports' types and shapes."""
        if self._whole is None:
            return self._run_stages(arrays, None)
        outputs = [np.empty(shape, dtype) for shape, dtype in self._made]
        self._whole.plan.run(arrays, outputs)
        return outputs

    def reset(self) -> None:
        """State as it was before the first run."""
        with self._state_lock:
            self._state = Reference(self.program).state

    def profile(self, arrays: tuple[Array, ...]) -> list[Timed]:
        """The time of each step of one run."""
        times: list[Timed] = []
        if self._whole is None:
            self._run_stages(arrays, times)
        else:
            _run_segment(self._whole, arrays, [np.empty(shape, dtype) for shape, dtype in self._made], times)
        return times

    def _run_stages(self, arrays: tuple[Array, ...], times: list[Timed] | None) -> list[Array]:
        with self._state_lock if self._state else nullcontext():
            return self._run_in_order(arrays, times)

    def _run_in_order(self, arrays: tuple[Array, ...], times: list[Timed] | None) -> list[Array]:
        program = self.program
        values = {name: tensor.data for name, tensor in program.tensors.items() if tensor.data is not None}
        values |= self._state
        values |= {port.tensor: port.from_caller(array) for port, array in zip(self.inputs, arrays, strict=True)}
        for stage in self._stages:
            if isinstance(stage, Left):
                _run_left(program, stage, values, self._state, times)
                continue
            results = {}
            for outside in stage.outputs:
                tensor = program.tensors[outside.tensor]
                results[outside.tensor] = np.empty(tensor.shape, DTYPES[tensor.dtype])
            inputs = tuple(values[outside.tensor] for outside in stage.inputs)
            _run_segment(stage, inputs, list(results.values()), times)
            values |= results
        return [port.to_caller(values[port.tensor]) for port in self.outputs]


def _run_segment(segment: Segment, inputs: tuple[Array, ...], outputs: list[Array], times: list[Timed] | None) -> None:
    if times is None:
        segment.plan.run(inputs, outputs)
        return
    spent = segment.plan.profile(inputs, outputs)
    times.extend(map(Timed, segment.operators, segment.plan.step_names, spent))


def _run_left(
    program: Program, left: Left, values: dict[str, Array], state: dict[str, Array], times: list[Timed] | None
) -> None:
    for index in left.operators:
        started = time.perf_counter()
        operator = program.operators[index]
        arrays = tuple(None if name is None else values[name] for name in operator.inputs)
        call = Call(operator, program.operands(operator), program.results(operator), arrays, program.rounding, state)
        made = DEFINITIONS[operator.kind].reference(call)
        values |= zip(operator.outputs, (np.asarray(array, order="C") for array in made), strict=True)
        values |= state
        if times is not None:
            times.append(Timed(index, "numpy reference", 1e6 * (time.perf_counter() - started)))


def _stages(
    program: Program, steps: Sequence[Steps | str], outputs: Sequence[Placed], *, isa: str, threads: int
) -> tuple[Segment | Left, ...]:
    """Runs of consecutive operators that the engine takes, and of those that it leaves."""
    runs: list[list[int]] = []
    for index, made in enumerate(steps):
        if not runs or isinstance(steps[runs[-1][0]], str) != isinstance(made, str):
            runs.append([])
        runs[-1].append(index)
    stages: list[Segment | Left] = []
    for run in runs:
        taken = [(index, made) for index in run if not isinstance(made := steps[index], str)]
        if not taken:
            stages.append(Left(tuple(run)))
            continue
        before, after = _crossing(program, steps, run, outputs)
        if after:  # else nobody reads what they compute
            stages.append(compile_segment(program, taken, before, after, isa=isa, threads=threads))
    return tuple(stages)


def _crossing(
    program: Program, steps: Sequence[Steps | str], run: Sequence[int], outputs: Sequence[Placed]
) -> tuple[tuple[Outside, ...], tuple[Outside, ...]]:
    """What consecutive operators read from before, and what of theirs is read after."""
    made = dict.fromkeys(name for index in run for name in program.operators[index].outputs)
    read = dict.fromkeys(name for index in run for name in _read(program, steps, index))
    wanted = {port.tensor for port in outputs}
    for index in range(run[-1] + 1, len(steps)):
        wanted.update(_read(program, steps, index))
    before = [n for n in read if n not in made and n in program.tensors and program.tensors[n].data is None]
    return tuple(map(Outside, before)), tuple(Outside(n) for n in made if n in wanted)


def _read(program: Program, steps: Sequence[Steps | str], index: int) -> list[str]:
    """The values that an operator reads: what its steps read, which pads that they absorbed come before."""
    mine = steps[index]
    if isinstance(mine, str):
        return [name for name in program.operators[index].inputs if name is not None]
    found: list[str] = []
    for step in mine:
        if isinstance(step, Alias):
            found.append(step.of)
        else:
            found += [name for argument, name in step.tensors.items() if argument not in step.writes]
    return found
