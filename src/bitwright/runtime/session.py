"""Session: what `bitwright.compile` gives: a compiled model with the face of an ONNX Runtime session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import _engine
from bitwright.errors import SampleError
from bitwright.lowering.layout import PortLayouts, inverse
from bitwright.program.program import Port, Program
from bitwright.program.tensor import DTYPES
from bitwright.runtime.executable import Executable, Placed
from bitwright.runtime.face import Argument, Arrays, by_order, chosen, refuse_unknown
from bitwright.runtime.layers import Layer, layers_of
from bitwright.runtime.ports import run_rows


class Session:
    """A compiled model. Any number of threads may call it at the same time; one with state is run by one after another.

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
        plan = self._executable.plan
        ports = _ports(self._inputs, inputs), _ports(self._outputs, outputs)
        self._face = None if plan is None else _engine.Face(plan, *ports)

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

    @property
    def operators_left(self) -> tuple[int, ...]:
        """The same by index in the Program."""
        return tuple(self._executable.left)

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
                return chosen(self._outputs, outputs, self._run_rows(feeds))
            arrays.append(array if array.flags.c_contiguous else np.ascontiguousarray(array))
        if len(feeds) != len(arrays):
            refuse_unknown(self._inputs, feeds)
        made = self._executable.run(tuple(arrays))
        if outputs is None:
            return made
        return chosen(self._outputs, outputs, {a.name: array for a, array in zip(self._outputs, made, strict=True)})

    def run_ports(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Outputs by port name, for inputs by port name as the ports hold them: what the references' `run` gives.

        Raises:
            SampleError: as `run`.
        """
        return dict(zip((port.name for port in self.program.outputs), self.run(None, feeds), strict=True))

    def __call__(self, *arrays: Any) -> Any:
        """The output for arrays in the order of the inputs; a list when there are several outputs.

        Raises:
            SampleError: as `run`.
        """
        made = self.run(None, by_order(self._inputs, arrays))
        return made[0] if len(made) == 1 else made

    def reset(self) -> None:
        """State as it was before the first run: what an operator such as an LSTM keeps from run to run."""
        self._executable.reset()

    def profile(self, feeds: Mapping[str, Any]) -> list[Layer]:
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
        return layers_of(self.program, self._executable.profile(tuple(arrays)))

    def _run_rows(self, feeds: Mapping[str, Any]) -> Arrays:
        """Whatever is not exactly what the ports take: floats, rows, arrays of other kinds."""
        refuse_unknown(self._inputs, feeds)

        def one(row: Arrays) -> Arrays:
            inputs = zip(self.program.inputs, self._executable.inputs, strict=True)
            arrays = tuple(port.to_caller(row[p.name]) for p, port in inputs)
            made = self._executable.run(arrays)
            outputs = zip(self.program.outputs, self._executable.outputs, made, strict=True)
            return {p.name: port.from_caller(array) for p, port, array in outputs}

        given = {name: np.asarray(array) for name, array in feeds.items()}
        return run_rows(self.program, one, given, layouts=self._layouts)


def _ports(arguments: Sequence[Argument], placed: Sequence[Placed]) -> list[_engine.Port]:
    pairs = zip(arguments, placed, strict=True)
    return [_engine.Port(a.name, a.dtype.char, place.shape, a.dtype) for a, place in pairs]


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
