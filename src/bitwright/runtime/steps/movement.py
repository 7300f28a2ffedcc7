"""Steps of operators that give elements another shape or order: RESHAPE, TRANSPOSE, TILE, PAD, SPACE_TO_DEPTH ...."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bitwright.program.definition import Call
from bitwright.program.families.blocks import block_sides
from bitwright.program.families.movement import permutation, reversed_axes
from bitwright.program.families.padding import paddings
from bitwright.program.operands import integers
from bitwright.program.operator import MirrorPadMode
from bitwright.program.options import DepthToSpaceOptions, MirrorPadOptions, SpaceToDepthOptions
from bitwright.program.tensor import DTYPES, Shape, Tensor
from bitwright.runtime.steps.moving import (
    View,
    computed_reason,
    move,
    pad,
    part,
    positions,
    storage_reason,
    take,
    whole,
)
from bitwright.runtime.steps.step import Alias, MakeSteps, Step, Steps


def _reshape(call: Call) -> Steps | str:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the elements stay where they are."""
    x, y = call.input(0), call.output
    reason = storage_reason(x)
    if reason or (call.has(1) and (reason := computed_reason(call.input(1)))):
        return reason
    if x.data is None:
        return (Alias(x.name, y.name),)
    return "it gives a constant another shape"


def _transpose(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    order = permutation(call)
    view = View((0,) * len(order), tuple((axis, 1) for axis in order))
    return (move(x, y, y.shape, view, whole(y.shape)),)


def _tile(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    times = integers(call, 1, "the multiples")
    dims, of_x, of_y = [], [], []
    for axis, (size, time) in enumerate(zip(x.shape, times, strict=True)):
        dims += [time, size]
        of_x += [(axis, 0), (axis, 1)]
        of_y += [(axis, size), (axis, 1)]
    begin = (0,) * len(x.shape)
    return (move(x, y, tuple(dims), View(begin, tuple(of_x)), View(begin, tuple(of_y))),)


def _broadcast_to(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x) or computed_reason(call.input(1)):
        return reason
    added = len(y.shape) - len(x.shape)
    loops = [(0, 0)] * added + [(axis, int(size != 1)) for axis, size in enumerate(x.shape)]
    return (move(x, y, y.shape, View((0,) * len(x.shape), tuple(loops)), whole(y.shape)),)


def _reverse(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    axes = reversed_axes(call)
    begin = tuple(size - 1 if axis in axes else 0 for axis, size in enumerate(x.shape))
    loops = tuple((axis, -1 if axis in axes else 1) for axis in range(len(x.shape)))
    return (move(x, y, y.shape, View(begin, loops), whole(y.shape)),)


def _pad(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    if not call.has(2):
        return pad(x, y, paddings(call), np.asarray(y.zero_point, DTYPES[y.dtype]))
    value = call.input(2).data
    return computed_reason(call.input(2)) if value is None else pad(x, y, paddings(call), value)


def _mirror_pad(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    reflect = call.options(MirrorPadOptions).mode is MirrorPadMode.REFLECT
    sides = zip(x.shape, paddings(call), strict=True)
    return (take(x, y, [np.pad(positions(size), pads, "reflect" if reflect else "symmetric") for size, pads in sides]),)


def _space_to_depth(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    block, channels = call.options(SpaceToDepthOptions).block_size, x.shape[3]
    n, h, w, _ = y.shape
    planes = View((0,) * 4, ((0, 1), (1, block), (2, block), (1, 1), (2, 1), (3, 1)))
    depths = View((0,) * 4, ((0, 1), (1, 1), (2, 1), (3, block * channels), (3, channels), (3, 1)))
    return (move(x, y, (n, h, w, block, block, channels), planes, depths),)


def _depth_to_space(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    block, channels = call.options(DepthToSpaceOptions).block_size, y.shape[3]
    n, h, w, _ = x.shape
    planes = View((0,) * 4, ((0, 1), (1, block), (2, block), (1, 1), (2, 1), (3, 1)))
    depths = View((0,) * 4, ((0, 1), (1, 1), (2, 1), (3, block * channels), (3, channels), (3, 1)))
    return (move(x, y, (n, h, w, block, block, channels), depths, planes),)


def _batch_views(images: int, space: Sequence[int], blocks: Sequence[int], depth: int) -> tuple[Shape, View, View]:
    """Loops over blocks of `space`, and over the same pixels with each place of a block as images of their own.

    Args:
        images: with whole blocks.
        space: how many blocks along each dimension of the plane.
        blocks: pixels of a block.
        depth: channels.

    Returns:
        (dims, view of the planes, view of the batches).
    """
    spatial = range(1, len(space) + 1)
    strides = [images * math.prod(blocks[axis:]) for axis in spatial]
    begin = (0,) * (len(space) + 2)
    dims = (*blocks, images, *space, depth)
    last = (len(space) + 1, 1)
    planes = (*((axis, 1) for axis in spatial), (0, 1), *zip(spatial, blocks, strict=True), last)
    batches = (*((0, stride) for stride in strides), (0, 1), *((axis, 1) for axis in spatial), last)
    return dims, View(begin, planes), View(begin, batches)


def _between(y: Tensor, what: str, shape: Shape) -> Tensor:
    return Tensor(f"{y.name} ({what})", shape, y.dtype, y.qparams)


def _space_to_batch(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    blocks, pads = block_sides(call, "the paddings")
    dims, planes, batches = _batch_views(x.shape[0], y.shape[1:-1], blocks, x.shape[-1])
    if not any(side for sides in pads for side in sides):
        return (move(x, y, dims, planes, batches),)
    space = (before + size + after for size, (before, after) in zip(x.shape[1:-1], pads, strict=True))
    padded = _between(y, "padded", (x.shape[0], *space, x.shape[-1]))
    first, *others = pad(x, padded, ((0, 0), *pads, (0, 0)), np.asarray(y.zero_point, DTYPES[y.dtype]))
    return _making(first, padded), *others, move(padded, y, dims, planes, batches)


def _batch_to_space(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    blocks, crops = block_sides(call, "the crops")
    dims, planes, batches = _batch_views(y.shape[0], x.shape[1:-1], blocks, x.shape[-1])
    if not any(side for sides in crops for side in sides):
        return (move(x, y, dims, batches, planes),)
    space = (size * block for size, block in zip(x.shape[1:-1], blocks, strict=True))
    joined = _between(y, "with its crops", (y.shape[0], *space, x.shape[-1]))
    begin = part((0, *(before for before, _ in crops), 0))
    return _making(move(x, joined, dims, batches, planes), joined), move(joined, y, y.shape, begin, whole(y.shape))


def _making(step: Step, tensor: Tensor) -> Step:
    """The step with a tensor that it is the first to write."""
    return replace(step, made=(tensor,))


STEPS: dict[str, MakeSteps] = {
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "TRANSPOSE": _transpose,
    "TILE": _tile,
    "BROADCAST_TO": _broadcast_to,
    "REVERSE_V2": _reverse,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "SPACE_TO_DEPTH": _space_to_depth,
    "DEPTH_TO_SPACE": _depth_to_space,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _batch_to_space,
}
