"""Session: what `bitwright.compile` gives: a compiled model with the face of an ONNX Runtime session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import _engine
from bitwright.errors import SampleError, UsageError
from bitwright.lowering.layout import PortLayouts, inverse
from bitwright.program.program import Port, Program
from bitwright.program.tensor import DTYPES, Shape
from bitwright.runtime.executable import Executable, Placed, Timed
from bitwright.runtime.ports import run_rows

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Argument:
    """An input or output: its name, its shape as the caller gives or gets it, its numpy type."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def type(self) -> str:
        """As ONNX Runtime names it, such as "tensor(int8)"."""
        return f"tensor({_TYPE_NAMES.get(self.dtype.name, self.dtype.name)})"


_TYPE_NAMES = {"float32": "float", "float64": "double"}


class Session:
    """A compiled model. Any number of threads may call it at the same time.

    Args:
        program: verified; its `rounding` says how it requantizes.
        layouts: how its ports lie against the caller's arrays.
        isa: the best instruction set that kernels may use.
        threads: that divide each step.
    """

    def __init__(self, program: Program, *, layouts: PortLayouts | None = None, isa: str, threads: int) -> None:
        self._layouts = layouts or PortLayouts()
        self.program, self.isa, self.threads = program, isa, threads
        inputs = [_placed(program, port, self._layouts.inputs.get(port.name)) for port in program.inputs]
        outputs = [_placed(program, port, self._layouts.outputs.get(port.name)) for port in program.outputs]
        self._executable = Executable(program, inputs, outputs, isa=isa, threads=threads)
        self._inputs = _arguments(program, program.inputs, inputs)
        self._outputs = _arguments(program, program.outputs, outputs)
        self._expected = tuple((a.name, a.shape, a.dtype) for a in self._inputs)
        self._names = tuple(a.name for a in self._outputs)
        plan = self._executable.plan
        self._face = None if plan is None else _engine.Face(plan, _ports(self._inputs), _ports(self._outputs))

    def get_inputs(self) -> list[Argument]:
        """Inputs in order."""
        return list(self._inputs)

    def get_outputs(self) -> list[Argument]:
        """Outputs in order."""
        return list(self._outputs)

    @property
    def arena_bytes(self) -> int:
        """Memory that the values of one run take, weights not counted."""
        return self._executable.arena_bytes

    @property
    def left(self) -> dict[str, str]:
        """What the engine does not run itself: the name of an operator's first result, and why."""
        operators = self.program.operators
        return {
            f"{operators[index].kind} {operators[index].outputs[0]}": reason
            for index, reason in self._executable.left.items()
        }

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[NDArray[Any]]:
        """Outputs in order, or those that are named.

        Args:
            outputs: names; None for all.
            feeds: arrays by input name. Floats where the model takes integers are quantized; several rows where it
                takes one are run one by one.

        Raises:
            SampleError: an input is missing or unknown, or does not fit.
            UsageError: there is no output of that name.
        """
        if outputs is None and self._face is not None and type(feeds) is dict:
            whole = self._face.run(feeds)
            if whole is not None:
                return whole
        arrays = []
        for name, shape, dtype in self._expected:
            array = feeds.get(name)
            if type(array) is not np.ndarray or array.dtype != dtype or array.shape != shape:
                return self._choose(outputs, self._run_rows(feeds))
            arrays.append(array if array.flags.c_contiguous else np.ascontiguousarray(array))
        if len(feeds) != len(arrays):
            self._refuse_unknown(feeds)
        made = self._executable.run(tuple(arrays))
        return made if outputs is None else self._choose(outputs, dict(zip(self._names, made, strict=True)))

    def __call__(self, *arrays: Any) -> Any:
        """The output for arrays in the order of the inputs; a list when there are several outputs.

        Raises:
            SampleError: as `run`.
        """
        if len(arrays) != len(self._expected):
            raise SampleError(
                f"{len(arrays)} arrays for {len(self._expected)} inputs",
                next=f"give {', '.join(name for name, _, _ in self._expected)}",
            )
        made = self.run(None, dict(zip((name for name, _, _ in self._expected), arrays, strict=True)))
        return made[0] if len(made) == 1 else made

    def profile(self, feeds: Mapping[str, Any]) -> list[Timed]:
        """One run, step by step.

        Raises:
            SampleError: an input does not fit exactly.
        """
        arrays = []
        for name, shape, dtype in self._expected:
            array = np.asarray(feeds.get(name))
            if array.dtype != dtype or array.shape != shape:
                raise SampleError(f"input {name!r} is {array.dtype}{list(array.shape)}, not {dtype}{list(shape)}")
            arrays.append(np.ascontiguousarray(array))
        return self._executable.profile(tuple(arrays))

    def _run_rows(self, feeds: Mapping[str, Any]) -> Arrays:
        """Whatever is not exactly what the ports take: floats, rows, arrays of other kinds."""
        self._refuse_unknown(feeds)

        def one(row: Arrays) -> Arrays:
            arrays = tuple(port.to_caller(row[p.name]) for p, port in self._ports())
            made = self._executable.run(arrays)
            outputs = zip(self.program.outputs, self._executable.outputs, made, strict=True)
            return {p.name: port.from_caller(array) for p, port, array in outputs}

        given = {name: np.asarray(array) for name, array in feeds.items()}
        return run_rows(self.program, one, given, layouts=self._layouts)

    def _ports(self) -> list[tuple[Port, Placed]]:
        return list(zip(self.program.inputs, self._executable.inputs, strict=True))

    def _refuse_unknown(self, feeds: Mapping[str, Any]) -> None:
        names = [name for name, _, _ in self._expected]
        if unknown := sorted(set(feeds) - set(names)):
            raise SampleError(f"no input is named {', '.join(unknown)}", next=f"the model has {', '.join(names)}")

    def _choose(self, outputs: Sequence[str] | None, made: Arrays) -> list[NDArray[Any]]:
        names = self._names if outputs is None else outputs
        if unknown := [name for name in names if name not in made]:
            raise UsageError(f"no output is named {unknown[0]!r}", next=f"the model has {', '.join(self._names)}")
        return [made[name] for name in names]


def _ports(arguments: Sequence[Argument]) -> list[_engine.Port]:
    return [_engine.Port(a.name, a.dtype.char, a.shape, a.dtype) for a in arguments]


def _placed(program: Program, port: Port, permutation: tuple[int, ...] | None) -> Placed:
    shape = program.tensors[port.tensor].shape
    if permutation is None:
        return Placed(port.tensor, shape, None)
    return Placed(port.tensor, tuple(shape[i] for i in inverse(permutation)), permutation)


def _arguments(program: Program, ports: Sequence[Port], placed: Sequence[Placed]) -> tuple[Argument, ...]:
    return tuple(
        Argument(port.name, place.shape, DTYPES[program.tensors[port.tensor].dtype])
        for port, place in zip(ports, placed, strict=True)
    )
