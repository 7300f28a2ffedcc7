"""Operations: how many multiplications and additions an operator's products take."""

from __future__ import annotations

import math
from collections.abc import Callable

from bitwright.program.operator import Operator
from bitwright.program.program import Program
from bitwright.program.tensor import Tensor

#: Multiply-accumulates of an operator with operands x and result y; kinds that are not here have none.
MULTIPLY_ACCUMULATES: dict[str, Callable[[tuple[Tensor, ...], Tensor], int]] = {
    "CONV_2D": lambda x, y: y.elements * math.prod(x[1].shape[1:]),
    "DEPTHWISE_CONV_2D": lambda x, y: y.elements * math.prod(x[1].shape[1:3]),
    "TRANSPOSE_CONV": lambda x, y: x[2].elements * math.prod(x[1].shape[:3]),
    "FULLY_CONNECTED": lambda x, y: y.elements * x[1].shape[1],
    "BATCH_MATMUL": lambda x, y: y.elements * x[0].elements // math.prod(y.shape[:-1]),
}


def operations(program: Program, operator: Operator) -> int:
    """Of one run: a multiply-accumulate is two; elementwise operators, moves and tables count as none."""
    count = MULTIPLY_ACCUMULATES.get(operator.kind)
    if count is None:
        return 0
    operands = tuple(tensor for tensor in program.operands(operator) if tensor is not None)
    return 2 * count(operands, program.results(operator)[0])
