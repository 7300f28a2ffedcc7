"""The runtimes that are measured, behind one face: a file is loaded; one call gives an input and takes the output.

Each is called in the fastest way that its Python interface was found to have. A runtime is imported when its first
file is loaded, so one that is not installed is missed there alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Face:
    """How a loaded file is called.

    Args:
        run: one inference: an array of `shape` in, an array of the runtime's making out.
        shape: of the only input.
        input_scale, output_scale: (scale, zero_point) where the file takes or gives int8; None where floats.
    """

    run: Callable[[Array], Array]
    shape: Shape
    input_scale: tuple[float, int] | None = None
    output_scale: tuple[float, int] | None = None

    def feed(self, sample: NDArray[np.float32]) -> Array:
        """A sample as the file takes it: one row f32[1, ...], NCHW or NHWC, in its layout and integers."""
        if sample.shape != self.shape:
            last, first = (0, 2, 3, 1), (0, 3, 1, 2)
            turned = next(axes for axes in (last, first) if tuple(sample.shape[axis] for axis in axes) == self.shape)
            sample = sample.transpose(turned)
        if self.input_scale is not None:
            scale, zero_point = self.input_scale
            integers: Array = np.clip(np.rint(sample / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
            return integers
        return np.ascontiguousarray(sample)

    def real(self, output: Array) -> NDArray[np.float64]:
        """An output as real values."""
        scale, zero_point = self.output_scale or (1.0, 0)
        real: NDArray[np.float64] = (output.astype(np.float64) - zero_point) * scale
        return real


@dataclass(frozen=True)
class Runtime:
    """A runtime.

    Args:
        load: what is timed as loading: path, shape of a sample (that of an .onnx file's input), threads -> session.
        face: session, path, shape of a sample -> how to call it.
    """

    load: Callable[[Path, Shape, int], Any]
    face: Callable[[Any, Path, Shape], Face]

    def open(self, path: Path, shape: Shape, threads: int) -> Face:
        """Load a file."""
        return self.face(self.load(path, shape, threads), path, shape)


def _load_onnxruntime(path: Path, shape: Shape, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _face_onnxruntime(session: Any, path: Path, shape: Shape) -> Face:
    name, outputs = session.get_inputs()[0].name, [session.get_outputs()[0].name]
    return Face(lambda x: session.run(outputs, {name: x})[0], shape)


def _load_litert(path: Path, shape: Shape, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    session = Interpreter(str(path), num_threads=threads)
    session.allocate_tensors()
    return session


def _face_litert(session: Any, path: Path, shape: Shape) -> Face:
    taken, given = session.get_input_details()[0], session.get_output_details()[0]
    source, destination = taken["index"], given["index"]

    def run(x: Array) -> Array:
        session.set_tensor(source, x)
        session.invoke()
        output: Array = session.get_tensor(destination)
        return output

    scales = [port["quantization"] if port["dtype"] == np.int8 else None for port in (taken, given)]
    return Face(run, tuple(taken["shape"].tolist()), *scales)


@cache
def _openvino_core() -> Any:
    import openvino

    return openvino.Core()


def _load_openvino(path: Path, shape: Shape, threads: int, *, precision: str) -> Any:
    core = _openvino_core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise NotImplementedError("this processor has no bfloat16 instructions")
    model = core.read_model(path)
    model.reshape(shape)
    hints = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
    compiled = core.compile_model(model, "CPU", hints | {"INFERENCE_PRECISION_HINT": precision})
    return compiled.create_infer_request()


def _face_openvino(session: Any, path: Path, shape: Shape) -> Face:
    source = session.get_input_tensor()

    def run(
        x: Array,
    ) -> Array:  # infer(x, share_inputs=True) takes as long for an image and 12 us longer for 640 floats
        source.data[...] = x
        session.infer(share_outputs=True)
        output: Array = session.get_output_tensor().data
        return output

    return Face(run, shape)


def _load_bitwright(path: Path, shape: Shape, threads: int) -> Any:
    import bitwright as bw

    return bw.compile(path, threads=threads, requantization="fp32_even", strict=True)


def _face_bitwright(session: Any, path: Path, shape: Shape) -> Face:
    from bitwright.reading import read_program

    program = read_program(path)
    taken, given = (program.tensors[ports[0].tensor] for ports in (program.inputs, program.outputs))
    name = program.inputs[0].name
    scales = [(tensor.scale, tensor.zero_point) if tensor.dtype == "i8" else None for tensor in (taken, given)]
    return Face(lambda x: session.run(None, {name: x})[0], taken.shape, *scales)


RUNTIMES = {
    "onnxruntime": Runtime(_load_onnxruntime, _face_onnxruntime),
    "litert": Runtime(_load_litert, _face_litert),
    "openvino": Runtime(partial(_load_openvino, precision="f32"), _face_openvino),
    "openvino_bf16": Runtime(partial(_load_openvino, precision="bf16"), _face_openvino),
    "bitwright": Runtime(_load_bitwright, _face_bitwright),
}
