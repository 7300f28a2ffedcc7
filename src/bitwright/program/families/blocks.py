"""Operators that lay blocks of a plane into channels or batches and back: SPACE_TO_DEPTH, BATCH_TO_SPACE_ND and kin.

Source: LiteRT tflite/kernels/space_to_depth.cc, depth_to_space.cc, space_to_batch_nd.cc, batch_to_space_nd.cc.
"""

from __future__ import annotations

import math

import numpy as np

from bitwright.errors import ModelError
from bitwright.program.definition import Call, Definition
from bitwright.program.operands import MOVABLE, integers, need_rank, parameters_reason, type_reason
from bitwright.program.options import DepthToSpaceOptions, SpaceToDepthOptions
from bitwright.program.tensor import DTYPES, Array, Shape


def _depth_shape(call: Call) -> tuple[Shape, ...]:
    n, h, w, c = need_rank(call.input(0), 4)
    block = call.options(SpaceToDepthOptions).block_size
    if block < 1 or h % block or w % block:
        raise ModelError(f"[{h}, {w}] does not divide into blocks of {block}")
    return ((n, h // block, w // block, c * block * block),)


def _space_to_depth(call: Call) -> tuple[Array, ...]:
    block = call.options(SpaceToDepthOptions).block_size
    n, h, w, c = call.output.shape
    blocks = call.array(0).reshape(n, h, block, w, block, c // block**2)
    return (blocks.transpose(0, 1, 3, 2, 4, 5).reshape(call.output.shape),)


def _space_shape(call: Call) -> tuple[Shape, ...]:
    n, h, w, c = need_rank(call.input(0), 4)
    block = call.options(DepthToSpaceOptions).block_size
    if block < 1 or c % block**2:
        raise ModelError(f"{c} channels do not divide into blocks of {block} x {block}")
    return ((n, h * block, w * block, c // block**2),)


def _depth_to_space(call: Call) -> tuple[Array, ...]:
    block = call.options(DepthToSpaceOptions).block_size
    n, h, w, c = call.input(0).shape
    blocks = call.array(0).reshape(n, h, w, block, block, c // block**2)
    return (blocks.transpose(0, 1, 3, 2, 4, 5).reshape(call.output.shape),)


def _refuse_blocks(call: Call) -> str:
    return type_reason(call, "f32", "i8", "u8", "i32", "i64")


def block_sides(call: Call, what: str) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Block size and (before, after) for each spatial dimension: all but the first and the last, or all but the
    first of three.
    """
    spatial = len(need_rank(call.input(0), 3, 4)) - 2
    sizes = integers(call, 1, "the block shape", length=spatial)
    sides = integers(call, 2, what, length=2 * spatial)
    if any(size < 1 for size in sizes) or any(side < 0 for side in sides):
        raise ModelError(f"blocks are positive, {what[4:]} are not negative (got {list(sizes)}, {list(sides)})")
    return sizes, tuple(zip(sides[::2], sides[1::2], strict=True))


def _to_batch_shape(call: Call) -> tuple[Shape, ...]:
    sizes, pads = block_sides(call, "the paddings")
    batch, *space, depth = call.input(0).shape
    padded = [before + size + after for size, (before, after) in zip(space, pads, strict=True)]
    if any(size % block for size, block in zip(padded, sizes, strict=True)):
        raise ModelError(f"{padded} does not divide into blocks of {list(sizes)}")
    return ((batch * math.prod(sizes), *(n // b for n, b in zip(padded, sizes, strict=True)), depth),)


def _space_to_batch(call: Call) -> tuple[Array, ...]:
    sizes, pads = block_sides(call, "the paddings")
    zero = np.asarray(call.output.zero_point, DTYPES[call.output.dtype])
    x = np.pad(call.array(0), ((0, 0), *pads, (0, 0)), constant_values=zero)
    batch, spatial = x.shape[0], len(sizes)
    parts = [part for n, block in zip(x.shape[1:-1], sizes, strict=True) for part in (n // block, block)]
    blocks = x.reshape(batch, *parts, x.shape[-1])
    inner, outer = range(2, 2 * spatial + 1, 2), range(1, 2 * spatial, 2)
    return (blocks.transpose(*inner, 0, *outer, 2 * spatial + 1).reshape(call.output.shape),)


def _from_batch_shape(call: Call) -> tuple[Shape, ...]:
    sizes, crops = block_sides(call, "the crops")
    batch, *space, depth = call.input(0).shape
    if batch % math.prod(sizes):
        raise ModelError(f"a batch of {batch} does not divide into blocks of {list(sizes)}")
    whole = [n * block - before - after for n, block, (before, after) in zip(space, sizes, crops, strict=True)]
    if any(size < 0 for size in whole):
        raise ModelError(f"crops {crops} leave nothing of {space} x {list(sizes)}")
    return ((batch // math.prod(sizes), *whole, depth),)


def _batch_to_space(call: Call) -> tuple[Array, ...]:
    sizes, crops = block_sides(call, "the crops")
    batch, *space, depth = call.input(0).shape
    spatial = len(sizes)
    blocks = call.array(0).reshape(*sizes, batch // math.prod(sizes), *space, depth)
    order = [axis for i in range(spatial) for axis in (spatial + 1 + i, i)]
    whole = [n * block for n, block in zip(space, sizes, strict=True)]
    joined = blocks.transpose(spatial, *order, 2 * spatial + 1).reshape(call.output.shape[0], *whole, depth)
    kept = [slice(before, n - after) for n, (before, after) in zip(whole, crops, strict=True)]
    return (np.ascontiguousarray(joined[(slice(None), *kept)]),)


def _refuse_batches(call: Call) -> str:
    return type_reason(call, *MOVABLE) or parameters_reason(call.input(0), call.output)


DEFINITIONS: dict[str, Definition] = {
    definition.kind: definition
    for definition in (
        Definition("SPACE_TO_DEPTH", _depth_shape, _space_to_depth, (1, 1), SpaceToDepthOptions, _refuse_blocks),
        Definition("DEPTH_TO_SPACE", _space_shape, _depth_to_space, (1, 1), DepthToSpaceOptions, _refuse_blocks),
        Definition("SPACE_TO_BATCH_ND", _to_batch_shape, _space_to_batch, (3, 3), refuse=_refuse_batches),
        Definition("BATCH_TO_SPACE_ND", _from_batch_shape, _batch_to_space, (3, 3), refuse=_refuse_batches),
    )
}
