"""SignatureRunner: a model called with inputs by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.compat.tflite.details import Details
from bitwright.compat.tflite.refusals import TensorError
from bitwright.program.program import Program

if TYPE_CHECKING:
    from bitwright.compat.tflite.interpreter import Interpreter


class SignatureRunner:
    """What Interpreter.get_signature_runner gives.

    Args:
        interpreter: that runs the model.
        program: the model.
    """

    def __init__(self, interpreter: Interpreter, program: Program) -> None:
        self._interpreter, self._program = interpreter, program

    def __call__(self, **kwargs: Any) -> dict[str, NDArray[Any]]:
        """Outputs by name, for inputs by name; inputs of other shapes resize the model.

        Raises:
            TensorError: an input is missing or unknown, or not of its type.
            SampleError: the model does not take such shapes.
        """
        inputs = self.get_input_details()
        if set(kwargs) != set(inputs):
            wrong = sorted(set(kwargs) ^ set(inputs))
            raise TensorError(
                f"inputs that are missing or unknown: {', '.join(wrong)}", next=f"the model takes {', '.join(inputs)}"
            )
        given = {name: np.asarray(value) for name, value in kwargs.items()}
        for name, array in given.items():
            self._interpreter.resize_tensor_input(inputs[name]["index"], array.shape)
        self._interpreter.allocate_tensors()
        for name, array in given.items():
            self._interpreter.set_tensor(inputs[name]["index"], array)
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(detail["index"]) for name, detail in self.get_output_details().items()
        }

    def get_input_details(self) -> dict[str, Details]:
        """As Interpreter.get_input_details, by name."""
        names = [port.name for port in self._program.inputs]
        return dict(zip(names, self._interpreter.get_input_details(), strict=True))

    def get_output_details(self) -> dict[str, Details]:
        """As Interpreter.get_output_details, by name."""
        names = [port.name for port in self._program.outputs]
        return dict(zip(names, self._interpreter.get_output_details(), strict=True))
