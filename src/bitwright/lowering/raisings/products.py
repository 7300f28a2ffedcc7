"""FULLY_CONNECTED and BATCH_MATMUL: Gemm and MatMul."""

from __future__ import annotations

import math

from bitwright.lowering.raisings.order import as_stored
from bitwright.lowering.raisings.reshaping import reshape_operand
from bitwright.lowering.raisings.step import Step
from bitwright.program.options import BatchMatMulOptions, FullyConnectedOptions


def fully_connected(step: Step) -> None:
    """FULLY_CONNECTED: data [..., I], weights [O, I]: Gemm, between Reshapes where there are more dimensions than two.

    So one node has the bias, whatever the rank: MatMul and Add would be two to the planner and to kernels.
    """
    activation = step.options(FullyConnectedOptions).fused_activation_function
    outputs, inputs = step.input(1).shape
    shape = step.output.shape
    rows = math.prod(shape[:-1])
    operands = [reshape_operand(step, 0, (rows, inputs)), step.operand(1), *step.bias(2, outputs)]
    if shape == (rows, outputs):
        step.give("Gemm", operands, activation=activation, transB=1)
        return
    matrix = step.node("Gemm", operands, (rows, outputs), attributes={"transB": 1})
    matrix = step.activated(matrix, activation)
    step.has_parameters(matrix)
    step.give("Reshape", [matrix, step.integers(shape, "shape")])


def batch_matmul(step: Step) -> None:
    """BATCH_MATMUL: matrices in the last two dimensions, either of them read transposed."""
    o = step.options(BatchMatMulOptions)
    factors = []
    for index, adjoint in ((0, o.adj_x), (1, o.adj_y)):
        rank = len(step.input(index).shape)
        stored = as_stored(rank)
        factors.append(step.operand(index, (*stored[:-2], rank - 1, rank - 2) if adjoint else stored))
    step.give("MatMul", factors)


RAISINGS = {"FULLY_CONNECTED": fully_connected, "BATCH_MATMUL": batch_matmul}
