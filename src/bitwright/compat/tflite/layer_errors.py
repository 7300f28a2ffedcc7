"""Layer errors: what each quantized operator of a Program does to its own operands, against the same in floats.

    error = dequantize(operator(q)) - float_operator(dequantize(q))

q are the operands that reach the operator in the quantized model: errors of earlier layers are not counted again. This
is what TFLite's NumericVerify measures; any quantized file will do, no operators are put into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import dequantize
from bitwright.program.definition import Call
from bitwright.program.operator import Operator
from bitwright.program.program import Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import Array, Tensor

#: Operators that are the border between integers and floats.
_BORDERS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class LayerError:
    """One result of one operator on one sample.

    Args:
        tensor: the result.
        floats: what the operator gives in float32.
        integers: what it gives in the quantized model.
        qparams: how these stand for reals.
    """

    tensor: str
    floats: NDArray[np.float32]
    integers: Array
    qparams: QuantParams

    @property
    def errors(self) -> NDArray[np.float32]:
        """Of each element."""
        return dequantize(self.integers, self.qparams) - self.floats


def quantized_operators(program: Program) -> list[Operator]:
    """The operators whose results are integers that stand for reals; those that keep state are left out."""
    return [
        operator
        for operator in program.operators
        if operator.kind not in _BORDERS
        and all(tensor.qparams is not None for tensor in program.results(operator))
        and not any(tensor is not None and tensor.variable for tensor in program.operands(operator))
    ]


def values_needed(program: Program) -> list[str]:
    """Names of the values that `layer_errors` reads: computed operands and results."""
    names = [name for o in quantized_operators(program) for name in (*o.inputs, *o.outputs) if name is not None]
    names += [port.tensor for port in program.outputs]
    return [name for name in dict.fromkeys(names) if program.tensors[name].data is None]


def layer_errors(program: Program, values: Mapping[str, Array]) -> Iterator[LayerError]:
    """The error of every quantized operator.

    Args:
        program: verified.
        values: of a run, by tensor name: those that `values_needed` names.
    """
    for operator in quantized_operators(program):
        operands = [None if t is None else _as_floats(t, values) for t in program.operands(operator)]
        results = program.results(operator)
        call = Call(
            operator,
            tuple(None if pair is None else pair[0] for pair in operands),
            tuple(replace(tensor, dtype="f32", qparams=None) for tensor in results),
            tuple(None if pair is None else pair[1] for pair in operands),
            program.rounding,
        )
        for tensor, floats in zip(results, DEFINITIONS[operator.kind].reference(call), strict=True):
            assert tensor.qparams is not None
            yield LayerError(tensor.name, floats, values[tensor.name], tensor.qparams)


def _as_floats(tensor: Tensor, values: Mapping[str, Array]) -> tuple[Tensor, Array]:
    """An operand in floats, where its integers stand for reals."""
    array = tensor.data if tensor.data is not None else values[tensor.name]
    if tensor.qparams is None:
        return tensor, array
    floats = dequantize(array, tensor.qparams)
    return replace(tensor, dtype="f32", qparams=None, data=None if tensor.data is None else floats), floats
