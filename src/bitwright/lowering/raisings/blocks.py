"""Operators that lay blocks of a plane into channels or batches and back."""

from __future__ import annotations

import math

import onnx_ir as ir

from bitwright.lowering.raisings.order import NCHW
from bitwright.lowering.raisings.step import Step
from bitwright.program.options import DepthToSpaceOptions, SpaceToDepthOptions
from bitwright.program.tensor import Shape


def space_to_depth(step: Step) -> None:
    """SPACE_TO_DEPTH."""
    size = step.options(SpaceToDepthOptions).block_size
    step.give("SpaceToDepth", [step.operand(0, NCHW)], order=NCHW, blocksize=size)


def depth_to_space(step: Step) -> None:
    """DEPTH_TO_SPACE: the channels of a block lie apart, ONNX's mode DCR."""
    size = step.options(DepthToSpaceOptions).block_size
    step.give("DepthToSpace", [step.operand(0, NCHW)], order=NCHW, blocksize=size, mode="DCR")


def space_to_batch(step: Step) -> None:
    """SPACE_TO_BATCH_ND: Pad, each dimension cut into blocks, the places in a block put before the batch."""
    sizes, pads, value = _sizes(step), step.numbers(2), step.operand(0)
    batch, *space, depth = step.input(0).shape
    count = len(sizes)
    if pads.any():
        before, after = [0, *pads[:, 0].tolist(), 0], [0, *pads[:, 1].tolist(), 0]
        space = [n + int(low) + int(high) for n, (low, high) in zip(space, pads, strict=True)]
        value = step.node("Pad", [value, step.integers([*before, *after], "pads")], (batch, *space, depth), moves=True)
    parts = [part for n, block in zip(space, sizes, strict=True) for part in (n // block, block)]
    cut = step.reshaped(value, (batch, *parts, depth))
    order = (*range(2, 2 * count + 1, 2), 0, *range(1, 2 * count, 2), 2 * count + 1)
    step.give("Reshape", [_transposed(step, cut, order), step.integers(step.output.shape, "shape")])


def batch_to_space(step: Step) -> None:
    """BATCH_TO_SPACE_ND: the inverse, with Slice in the place of Pad."""
    sizes, crops = _sizes(step), step.numbers(2)
    batch, *space, depth = step.input(0).shape
    count, left = len(sizes), batch // math.prod(sizes)
    cut = step.reshaped(step.operand(0), (*sizes, left, *space, depth))
    order = (count, *(axis for i in range(count) for axis in (count + 1 + i, i)), 2 * count + 1)
    whole = [n * block for n, block in zip(space, sizes, strict=True)]
    joined = step.reshaped(_transposed(step, cut, order), (left, *whole, depth))
    starts = [int(low) for low in crops[:, 0]]
    ends = [n - int(high) for n, high in zip(whole, crops[:, 1], strict=True)]
    columns = zip((starts, ends, range(1, count + 1)), ("starts", "ends", "axes"), strict=True)
    step.give("Slice", [joined, *(step.integers(numbers, name) for numbers, name in columns)])


def _sizes(step: Step) -> list[int]:
    return [int(size) for size in step.numbers(1)]


def _transposed(step: Step, value: ir.Value, order: Shape) -> ir.Value:
    assert value.shape is not None
    shape = tuple(value.shape.numpy()[i] for i in order)
    return step.node("Transpose", [value], shape, moves=True, attributes={"perm": order})


RAISINGS = {
    "SPACE_TO_DEPTH": space_to_depth,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_BATCH_ND": space_to_batch,
    "BATCH_TO_SPACE_ND": batch_to_space,
}
