"""LiteRT as a runtime: a .tflite file's own, where the `litert` extra is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import MissingDependencyError, ModelError, SampleError
from bitwright.program.program import Program


def has_litert() -> bool:
    """Whether it is installed."""
    return find_spec("ai_edge_litert") is not None


def cannot_run(runtime: str, error: Exception) -> SampleError:
    """What a runtime's own error on its inputs is told as."""
    return SampleError(
        f"{runtime} cannot run the model on this data: {str(error).strip().splitlines()[0][:300]}",
        next="look at the shapes with `bitwright inspect`",
    )


class LiteRT:
    """A session of LiteRT's interpreter.

    Args:
        data: bytes of a .tflite file.
        program: what the file spells.
        threads: threads inside one run.

    Raises:
        MissingDependencyError: LiteRT is not installed.
        ModelError: it refuses the model.
    """

    def __init__(self, data: bytes, program: Program, *, threads: int = 1) -> None:
        if not has_litert():
            raise MissingDependencyError("LiteRT is not installed", next="`pip install bitwright[litert]`")
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_content=data, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"LiteRT cannot load the model: {str(error).strip().splitlines()[0][:300]}",
                next="look at its operators with `bitwright inspect`",
            ) from error
        # The interpreter lists ports in the file's order, which is the Program's.
        inputs = [detail["index"] for detail in self._interpreter.get_input_details()]
        outputs = [detail["index"] for detail in self._interpreter.get_output_details()]
        self._inputs = dict(zip((port.name for port in program.inputs), inputs, strict=True))
        self._outputs = dict(zip((port.name for port in program.outputs), outputs, strict=True))

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by port name, for inputs by port name as the ports hold them.

        Raises:
            SampleError: LiteRT refuses the inputs, or gives up on them.
        """
        try:
            for name, index in self._inputs.items():
                self._interpreter.set_tensor(index, np.ascontiguousarray(feeds[name]))
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise cannot_run("LiteRT", error) from error
        return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}
