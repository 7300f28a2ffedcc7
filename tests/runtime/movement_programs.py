"""What tests of movement operators share: Programs of one operator whose result shapes follow from its operands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from bitwright.numerics.qparams import QuantParams
from bitwright.program.definition import Call
from bitwright.program.operator import Operator, Options
from bitwright.program.program import Port, Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import DTYPES, Array, Tensor

EXAMPLES = settings(max_examples=25, deadline=None, derandomize=True)
TYPES = ("f32", "i8", "u8", "i16", "i32", "i64", "bool")
#: Sizes at which kernels change their ways.
SIZES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65])

shapes = st.lists(SIZES, min_size=1, max_size=5).filter(lambda s: np.prod(s) < 30000).map(tuple)


def tensor(name: str, shape: Sequence[int], dtype: str, *, scale: float = 0.1, zero_point: int | None = None) -> Tensor:
    """A tensor that is fed or computed; quantized where its type may be."""
    if dtype not in ("i8", "u8", "i16"):
        return Tensor(name, tuple(shape), dtype)
    default = {"i8": -7, "u8": 130, "i16": 0}[dtype]
    zero_point = default if zero_point is None else zero_point
    qparams = QuantParams((scale,), (zero_point,), dtype)
    return Tensor(name, tuple(shape), dtype, qparams)


def numbers(name: str, values: object, dtype: str = "i32") -> Tensor:
    """A constant of plain integers."""
    array: Array = np.asarray(values, DTYPES[dtype])
    return Tensor(name, array.shape, dtype, data=array)


def one_operator(
    kind: str,
    operands: Sequence[Tensor],
    options: Options | None = None,
    *,
    results: int = 1,
    like: Tensor | None = None,
) -> Program:
    """A Program of one operator.

    Args:
        kind: of the operator.
        operands: those without data are the Program's inputs.
        options: of the operator; None for those without fields.
        results: how many it has.
        like: whose type and parameters results have; None: the first operand without data.
    """
    fed = [operand for operand in operands if operand.data is None]
    like = like or fed[0]
    names = tuple(f"y{index}" for index in range(results))
    operator = Operator(kind, tuple(operand.name for operand in operands), names, options or Options())
    undeclared = tuple(Tensor(name, (), like.dtype, like.qparams) for name in names)
    shapes = DEFINITIONS[kind].infer(Call(operator, tuple(operands), undeclared))
    made = [Tensor(name, shape, like.dtype, like.qparams) for name, shape in zip(names, shapes, strict=True)]
    return Program(
        {t.name: t for t in (*operands, *made)},
        (operator,),
        tuple(Port(t.name, t.name) for t in fed),
        tuple(Port(name, name) for name in names),
    )
