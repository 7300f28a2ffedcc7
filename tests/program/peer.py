"""The real LiteRT beside the numpy references: a Program written to a file, run, and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from bitwright.formats.tflite.write import write_tflite
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.program.operator import Operator, Options
from bitwright.program.program import Port, Program
from bitwright.program.reference import Reference
from bitwright.program.tensor import Tensor
from bitwright.program.verify import verify

Arrays = Mapping[str, np.ndarray]

#: What LiteRT's resolvers are called here; "DEFAULT" has XNNPACK.
RESOLVERS = {
    "BUILTIN_REF": OpResolverType.BUILTIN_REF,
    "BUILTIN": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "DEFAULT": OpResolverType.AUTO,
}


def litert_run(program: Program, feeds: Arrays, resolver: str = "BUILTIN_REF") -> dict[str, np.ndarray]:
    """The outputs of LiteRT by port name, one thread.

    Args:
        program: written to a file as it is.
        feeds: by port name, of the shape and storage type the Program declares.
        resolver: a key of RESOLVERS.
    """
    interpreter = Interpreter(
        model_content=write_tflite(program), experimental_op_resolver_type=RESOLVERS[resolver], num_threads=1
    )
    interpreter.allocate_tensors()
    for port, detail in zip(program.inputs, interpreter.get_input_details(), strict=True):
        interpreter.set_tensor(detail["index"], feeds[port.name])
    interpreter.invoke()
    details = interpreter.get_output_details()
    return {p.name: interpreter.get_tensor(d["index"]) for p, d in zip(program.outputs, details, strict=True)}


def reference_run(program: Program, feeds: Arrays) -> dict[str, np.ndarray]:
    """The outputs of the numpy references, of a verified Program."""
    verify(program)
    return Reference(program).run(feeds)


def one_operator(
    kind: str,
    operands: Sequence[Tensor | None],
    results: Tensor | Sequence[Tensor],
    options: Options | None = None,
    **fields: Any,
) -> Program:
    """A Program of one operator; operands without data are its inputs."""
    outputs = (results,) if isinstance(results, Tensor) else tuple(results)
    given = list({t.name: t for t in operands if t is not None}.values())
    return Program(
        {t.name: t for t in (*given, *outputs)},
        (
            Operator(
                kind,
                tuple(None if t is None else t.name for t in operands),
                tuple(t.name for t in outputs),
                Options() if options is None else options,
            ),
        ),
        tuple(Port(t.name, t.name) for t in given if t.data is None and not t.variable),
        tuple(Port(t.name, t.name) for t in outputs),
        **fields,
    )


def quantized(
    name: str,
    shape: Sequence[int],
    dtype: str = "i8",
    *,
    scale: Any = 1.0,
    zero_point: Any = 0,
    axis: int | None = None,
    data: np.ndarray | None = None,
) -> Tensor:
    """A tensor whose integers stand for reals."""
    return Tensor(name, tuple(shape), dtype, QuantParams(scale, zero_point, dtype, axis), data)


def constant(name: str, data: np.ndarray, dtype: str, qparams: QuantParams | None = None) -> Tensor:
    """A constant of its own shape."""
    return Tensor(name, data.shape, dtype, qparams, data)


def differing(wanted: Arrays, got: Arrays) -> int:
    """How many elements of all outputs differ; shapes and types must be the same."""
    count = 0
    for name, array in wanted.items():
        assert (array.shape, array.dtype) == (got[name].shape, got[name].dtype)
        count += int(np.count_nonzero(array != got[name]))
    return count


class Numbers:
    """Random tensors of an operator with weights, their scales fit for each other.

    Args:
        scheme: the types of data and weights: "i8 i4".
        seed: of everything.
        is_even: whether scales are powers of two, which makes ties of every second sum; else any.
    """

    def __init__(self, scheme: str, seed: int, *, is_even: bool = False) -> None:
        self.data_type, self.weights_type = scheme.split()
        self.rng = np.random.default_rng(seed)
        self.is_even = is_even
        self.is_float = self.data_type == "f32"

    def integers(self, dtype: str, shape: Sequence[int]) -> np.ndarray:
        """Anything the type holds; weights of float data stay off the lowest integer."""
        bounds = STORAGES[dtype]
        lowest = bounds.qmin + (self.is_float or (dtype == "i16" and self.is_even))
        return self.rng.integers(lowest, bounds.qmax, shape, endpoint=True).astype(bounds.dtype)

    def values(self, tensor: Tensor) -> np.ndarray:
        """What is fed."""
        if tensor.dtype != "f32":
            return self.integers(tensor.dtype, tensor.shape)
        return (self.rng.standard_normal(tensor.shape) * self.rng.choice([0.1, 1, 5])).astype(np.float32)

    def data(self, shape: Sequence[int], name: str = "x") -> Tensor:
        """Activations; the zero_point is the lowest, the highest or any."""
        dtype = self.data_type
        if self.is_float:
            return Tensor(name, tuple(shape))
        bounds = STORAGES[dtype]
        ends = [bounds.qmin, bounds.qmax, int(self.rng.integers(bounds.qmin, bounds.qmax))]
        zero_point = 0 if dtype == "i16" else int(self.rng.choice(ends))
        scale = self._scale(0.01, 0.2) / (256 if dtype == "i16" else 1)
        return quantized(name, shape, dtype, scale=scale, zero_point=zero_point)

    def weights(self, shape: Sequence[int], *, axis: int | None = None, name: str = "w") -> Tensor:
        """A constant with a scale for every index of the axis."""
        dtype = self.weights_type
        if dtype == "f32":
            return constant(name, self.rng.standard_normal(shape).astype(np.float32), "f32")
        scale = self._scale(0.001, 0.02, None if axis is None else shape[axis])
        zero_point = int(self.rng.integers(0, 256)) if dtype == "u8" else 0
        held = self.integers(dtype, shape)
        return quantized(name, shape, dtype, scale=scale, zero_point=zero_point, axis=axis, data=held)

    def bias(self, channels: int, data: Tensor, weights: Tensor, dtype: str | None = None) -> Tensor:
        """One value a channel, on the scale of the products; i64 for int16 data unless told otherwise."""
        if self.is_float:
            return constant("b", self.rng.standard_normal(channels).astype(np.float32), "f32")
        assert data.qparams is not None and weights.qparams is not None
        wide = self.data_type == "i16"
        dtype, size = dtype or ("i64" if wide else "i32"), 1 << (20 if wide else 12)
        scale = data.qparams.scale * weights.qparams.scale
        held = self.rng.integers(-size, size, channels).astype(STORAGES[dtype].dtype)
        axis = None if weights.qparams.axis is None else 0
        return quantized("b", (channels,), dtype, scale=scale, axis=axis, data=held)

    def result(self, shape: Sequence[int], data: Tensor, weights: Tensor, terms: float) -> Tensor:
        """What sums of so many products fit into, or nearly."""
        if self.is_float:
            return Tensor("y", tuple(shape))
        assert data.qparams is not None and weights.qparams is not None
        largest = [t.qparams.kind.qmax * float(t.qparams.scale.mean()) for t in (data, weights) if t.qparams]
        spread = np.sqrt(terms) * largest[0] * largest[1] * self.rng.choice([0.3, 1, 3])
        scale = spread / STORAGES[self.data_type].qmax
        if self.is_even:
            scale = 2.0 ** np.round(np.log2(scale))
        zero_point = self.data(shape).zero_point
        return quantized("y", shape, self.data_type, scale=scale, zero_point=zero_point)

    def _scale(self, low: float, high: float, size: int | None = None) -> Any:
        exponents = self.rng.uniform(np.log2(low), np.log2(high), size)
        return np.exp2(np.round(exponents) if self.is_even else exponents)


def litert_tensors(data: bytes, program: Program, feeds: Arrays) -> dict[str, np.ndarray]:
    """Every tensor of a file after a run on LiteRT's reference kernels, by name.

    Args:
        data: the file.
        program: read from it.
        feeds: by port name.
    """
    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    for port, detail in zip(program.inputs, interpreter.get_input_details(), strict=True):
        interpreter.set_tensor(detail["index"], feeds[port.name])
    interpreter.invoke()
    held = {d["name"]: d["index"] for d in interpreter.get_tensor_details() if d["name"] in program.tensors}
    return {
        name: tensor.data if tensor.data is not None else interpreter.get_tensor(held[name])
        for name, tensor in program.tensors.items()
    }
