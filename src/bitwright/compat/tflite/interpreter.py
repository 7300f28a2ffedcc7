"""Interpreter: TFLite's interpreter on bitwright's engine, or on its numpy references."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bitwright.compat.tflite.constants import OpResolverType
from bitwright.compat.tflite.details import Details, details_of
from bitwright.compat.tflite.refusals import ArgumentError, NotReadyError, TensorError, load_delegate
from bitwright.compat.tflite.resizing import resized, shape_of
from bitwright.compat.tflite.signature import SignatureRunner
from bitwright.compiling import compile
from bitwright.formats.tflite.read import read_tflite
from bitwright.numerics.requantize import Rounding
from bitwright.program.program import Program
from bitwright.program.reference import Reference
from bitwright.program.tensor import DTYPES, Array
from bitwright.reading import read_program
from bitwright.runtime.session import Session

#: How sums become integers, by resolver: what LiteRT's kernels of that resolver do.
_ROUNDINGS: dict[str, Rounding] = {
    "AUTO": "fp32_even",
    "BUILTIN": "fp32_even",
    "BUILTIN_REF": "tflite_double",
    "BUILTIN_WITHOUT_DEFAULT_DELEGATES": "tflite_double",
}


class _Runner(Protocol):
    """Runs a Program once: values by tensor name from inputs by port name."""

    def __call__(self, feeds: dict[str, Array], /) -> dict[str, NDArray[Any]]: ...


class Interpreter:
    """Runs a .tflite file.

    Args:
        model_path: the file, or one that `bitwright pack` wrote.
        model_content: its bytes, in place of the path.
        experimental_delegates: refused: the engine has its own kernels.
        num_threads: that divide each layer; 1 by default.
        experimental_op_resolver_type: AUTO and BUILTIN are the engine, rounding as XNNPACK does;
            BUILTIN_WITHOUT_DEFAULT_DELEGATES the engine, rounding as TFLite's own kernels do; BUILTIN_REF the numpy
            references, which give the integers of TFLite's reference kernels.
        experimental_preserve_all_tensors: every tensor can be read after invoke; runs on the references.
        experimental_disable_delegate_clustering, experimental_default_delegate_latest_features: there are no
            delegates: nothing changes.

    Raises:
        UsageError: no model, or two; an unknown resolver; threads below 1; delegates.
        ModelError, UnsupportedOpError: the file cannot be read.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        model_content: bytes | None = None,
        experimental_delegates: Sequence[Any] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: Any = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        experimental_disable_delegate_clustering: bool = False,
        experimental_default_delegate_latest_features: bool = False,
    ) -> None:
        resolver = getattr(experimental_op_resolver_type, "name", None)
        if resolver not in _ROUNDINGS:
            raise ArgumentError(
                f"unknown op resolver {experimental_op_resolver_type!r}", next=f"OpResolverType.{', '.join(_ROUNDINGS)}"
            )
        if num_threads is not None and (not isinstance(num_threads, int) or num_threads < 1):
            raise ArgumentError(f"num_threads is {num_threads!r}", next="a number from 1")
        if experimental_delegates:
            load_delegate(experimental_delegates)
        if (model_path is None) == (not model_content):
            raise ArgumentError("an interpreter runs one model", next="give model_path or model_content")
        if isinstance(model_path, bytes | bytearray | memoryview) or isinstance(model_content, str | os.PathLike):
            raise ArgumentError(
                "model_path is a file's name and model_content its bytes", next="Interpreter(model_content=...)"
            )
        if model_path is not None:
            read = read_program(model_path, mapped=True)
        else:
            read = read_tflite(model_content or b"", where="model_content")
        self._is_reference = resolver == "BUILTIN_REF" or experimental_preserve_all_tensors
        self._rounding: Rounding = "tflite_double" if self._is_reference else _ROUNDINGS[resolver]
        self._keeps_all = experimental_preserve_all_tensors
        self._threads = num_threads or 1
        self._program = replace(read, rounding=self._rounding)
        self._names = list(read.tensors)
        self._index = {name: i for i, name in enumerate(self._names)}
        self._asked: dict[str, tuple[int, ...]] = {}
        self._runner: _Runner | None = None
        self._resettable: Reference | Session | None = None
        self._values: dict[str, NDArray[Any]] = {}

    def allocate_tensors(self) -> None:
        """Compile for the shapes of the inputs. Needed before anything runs; inputs are zero.

        Raises:
            SampleError: the model does not take the shapes that were asked for.
        """
        if self._runner is not None and not self._asked:
            return
        if self._asked:
            self._program = resized(self._program, self._asked)
            self._asked = {}
        self._runner = self._made_runner(self._program)
        self._values = {}
        for port in self._program.inputs:
            tensor = self._program.tensors[port.tensor]
            self._values[port.tensor] = np.zeros(tensor.shape, DTYPES[tensor.dtype])

    def get_input_details(self) -> list[Details]:
        """The inputs in order: name, index, shape, shape_signature, dtype, quantization."""
        return [self._details(port.tensor) for port in self._program.inputs]

    def get_output_details(self) -> list[Details]:
        """The outputs in order, likewise."""
        return [self._details(port.tensor) for port in self._program.outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[Details]:
        """All tensors in the order of the file, constants too.

        Raises:
            TensorError: another subgraph than the first, the only one.
        """
        if subgraph_index != 0:
            raise TensorError(f"there is no subgraph {subgraph_index}", next="0: models of one are run")
        return [self._details(name) for name in self._names]

    def num_subgraphs(self) -> int:
        """1: models of several are not run."""
        return 1

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Give an input.

        Raises:
            NotReadyError: before allocate_tensors.
            TensorError: not an input, or not of its exact type and shape.
        """
        name = self._name(tensor_index)
        given, tensor = np.asarray(value), self._program.tensors[name]
        self._need_runner()
        if name not in {port.tensor for port in self._program.inputs}:
            raise TensorError(f"tensor {tensor_index} ({name}) is no input", next=self._inputs_text())
        if given.dtype != DTYPES[tensor.dtype]:
            how = "" if tensor.qparams is None else ", quantized by the scale and zero_point of its details"
            raise TensorError(
                f"input {name!r} (tensor {tensor_index}) takes {DTYPES[tensor.dtype]}, not {given.dtype}",
                next=f"value.astype({DTYPES[tensor.dtype]}){how}",
            )
        if given.shape != tensor.shape:
            raise TensorError(
                f"input {name!r} (tensor {tensor_index}) is {list(tensor.shape)}, not {list(given.shape)}",
                next="resize_tensor_input and allocate_tensors, or give that shape",
            )
        self._values[name][...] = given

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int], strict: bool = False) -> None:
        """Ask for another shape of an input; allocate_tensors makes it so.

        Args:
            input_index: of get_input_details.
            tensor_size: the whole shape.
            strict: only dimensions that the file leaves free (-1 in shape_signature) may change.

        Raises:
            TensorError: not an input, no shape, or with strict a dimension that is fixed.
        """
        name, size = self._name(input_index), shape_of(tensor_size)
        if name not in {port.tensor for port in self._program.inputs}:
            raise TensorError(f"tensor {input_index} ({name}) is no input", next=self._inputs_text())
        tensor = self._program.tensors[name]
        free = tensor.shape if tensor.shape_signature is None else tensor.shape_signature
        if strict and (len(size) != len(free) or any(f not in (-1, n) for f, n in zip(free, size, strict=True))):
            raise TensorError(f"input {name!r} is {list(free)}: {list(size)} changes what is fixed", next="-1 is free")
        if size == tensor.shape:
            self._asked.pop(name, None)
            return
        self._asked[name] = size

    def invoke(self) -> None:
        """Run the model once.

        Raises:
            NotReadyError: before allocate_tensors.
        """
        run = self._need_runner()
        feeds = {port.name: self._values[port.tensor] for port in self._program.inputs}
        self._values.update(run(feeds))

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> NDArray[Any]:
        """A copy of an input, an output or a constant; of any tensor with experimental_preserve_all_tensors.

        Raises:
            NotReadyError: before allocate_tensors, or an output before invoke.
            TensorError: what the engine keeps to itself.
        """
        return self._value(self._name(tensor_index)).copy()

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """A function that gives the current array of an input or an output: what is written into an input's is run.

        Raises:
            TensorError: there is no such tensor.
        """
        name = self._name(tensor_index)
        return lambda: self._value(name)

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """{signature: {"inputs": names, "outputs": names}}; empty for a file without one."""
        if self._program.signature is None:
            return {}
        sides = {"inputs": self._program.inputs, "outputs": self._program.outputs}
        return {self._program.signature: {side: sorted(port.name for port in ports) for side, ports in sides.items()}}

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A function that takes inputs by name and gives outputs by name.

        Args:
            signature_key: the signature; None for the only one.

        Raises:
            TensorError: the file has none, or none of that name.
        """
        known = self._program.signature
        if known is None or signature_key not in (None, known):
            raise TensorError(
                f"the file has no signature {signature_key!r}" if signature_key else "the file has no signature",
                next="it has none: use set_tensor, invoke, get_tensor" if known is None else f"it has {known!r}",
            )
        return SignatureRunner(self, self._program)

    def reset_all_variables(self) -> None:
        """State as it was before the first run."""
        if self._resettable is not None:
            self._resettable.reset()

    def _made_runner(self, program: Program) -> _Runner:
        outputs = [port.tensor for port in program.outputs]
        if self._is_reference:
            reference = Reference(program)
            wanted = outputs
            if self._keeps_all:
                wanted = [name for operator in program.operators for name in operator.outputs]
            self._resettable = reference
            return lambda feeds: reference.run(feeds, wanted)
        session = compile(program, threads=self._threads, requantization=self._rounding)
        assert isinstance(session, Session)  # what a Program compiles to
        self._resettable = session
        return lambda feeds: dict(zip(outputs, session.run(None, feeds), strict=True))

    def _need_runner(self) -> _Runner:
        if self._runner is None or self._asked:
            raise NotReadyError("the tensors have no memory yet", next="allocate_tensors()")
        return self._runner

    def _value(self, name: str) -> NDArray[Any]:
        self._need_runner()
        constant = self._program.tensors[name].data
        if constant is not None:
            return constant
        if name in self._values:
            return self._values[name]
        if self._keeps_all or name in {port.tensor for port in self._program.outputs}:
            raise NotReadyError(f"tensor {self._index[name]} ({name}) is not computed yet", next="invoke()")
        raise TensorError(
            f"tensor {self._index[name]} ({name}) is neither input nor output, and is not kept",
            next="Interpreter(..., experimental_preserve_all_tensors=True)",
        )

    def _details(self, name: str) -> Details:
        tensor = self._program.tensors[name]
        if name in self._asked:
            tensor = replace(tensor, shape=self._asked[name], data=None)
        return details_of(tensor, self._index[name])

    def _name(self, index: int) -> str:
        if not isinstance(index, int | np.integer):
            raise TensorError(f"an index is a whole number, not {type(index).__name__}", next='details["index"]')
        if not 0 <= index < len(self._names):
            raise TensorError(f"there is no tensor {index}", next=f"0..{len(self._names) - 1}: get_tensor_details()")
        return self._names[index]

    def _inputs_text(self) -> str:
        return "the inputs are " + ", ".join(f"{self._index[p.tensor]} ({p.name})" for p in self._program.inputs)
