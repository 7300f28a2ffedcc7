"""How many multiplications and additions an operator takes."""

from __future__ import annotations

import pytest

from bitwright.program.operations import operations
from bitwright.program.operator import Operator
from bitwright.program.program import Program
from bitwright.program.tensor import Tensor


@pytest.mark.parametrize(
    ("kind", "operands", "result", "expected"),
    [
        pytest.param("CONV_2D", [(1, 8, 8, 3), (16, 3, 3, 3)], (1, 4, 4, 16), 2 * 4 * 4 * 16 * 27, id="convolution"),
        pytest.param("CONV_2D", [(1, 8, 8, 4), (6, 1, 1, 2)], (1, 8, 8, 6), 2 * 8 * 8 * 6 * 2, id="grouped"),
        pytest.param("DEPTHWISE_CONV_2D", [(1, 8, 8, 5), (1, 3, 3, 5)], (1, 6, 6, 5), 2 * 36 * 5 * 9, id="depthwise"),
        pytest.param(
            "TRANSPOSE_CONV", [(4,), (6, 2, 2, 3), (1, 4, 4, 3)], (1, 8, 8, 6), 2 * 48 * 6 * 4, id="transposed"
        ),
        pytest.param("FULLY_CONNECTED", [(2, 5, 7), (3, 7)], (10, 3), 2 * 10 * 3 * 7, id="dense"),
        pytest.param("BATCH_MATMUL", [(4, 2, 7), (4, 7, 3)], (4, 2, 3), 2 * 4 * 2 * 3 * 7, id="products"),
        pytest.param("ADD", [(1, 8), (1, 8)], (1, 8), 0, id="elementwise"),
    ],
)
def test_operations_count_products(kind, operands, result, expected):
    """A multiply-accumulate is two; operators without products have none."""
    names = tuple(f"t{index}" for index in range(len(operands)))
    tensors = {name: Tensor(name, shape) for name, shape in zip(names, operands, strict=True)}
    operator = Operator(kind, names, ("y",))

    assert operations(Program(tensors | {"y": Tensor("y", result)}, (operator,), (), ()), operator) == expected
