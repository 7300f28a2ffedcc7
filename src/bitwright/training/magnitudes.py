"""Magnitudes of weights: which are the smallest, one by one, in blocks, or in patterns."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bitwright.training.weights import Layout


@torch.no_grad()
def kept(
    weight: Tensor,
    layout: Layout,
    sparsity: float,
    *,
    block_shape: tuple[int, int] = (1, 1),
    n_m: tuple[int, int] | None = None,
    pooling: str = "mean",
) -> Tensor:
    """Which elements of one weight stay at a sparsity, for a network that is none of ours.

    Args:
        weight: as it is now.
        layout: of it.
        sparsity: share of elements, or of blocks, that are zero.
        block_shape, n_m: see `pruning.Pruner`.
        pooling: blocks are compared by the mean or by the max of their magnitudes.

    Returns:
        bool, of the weight's shape.
    """
    scores = scores_of(layout, weight, block_shape, n_m, pooling)
    zeros = smallest(scores.flatten(), round(sparsity * scores.numel()))
    return ~spread(layout, zeros.reshape(scores.shape), block_shape, n_m)


def scores_of(
    layout: Layout, weight: Tensor, block_shape: tuple[int, int], n_m: tuple[int, int] | None, pooling: str = "mean"
) -> Tensor:
    """What is compared: magnitudes, or those of blocks; infinite where a pattern keeps a weight."""
    magnitudes = weight.float().abs()
    if n_m is not None:
        n, m = n_m
        channels_last = layout.view(magnitudes).movedim(layout.rows, -1)
        groups = channels_last.reshape(-1, m)
        order = groups.argsort(dim=1, stable=True)
        groups = groups.scatter(1, order[:, m - n :], math.inf)
        return groups.reshape(channels_last.shape).movedim(-1, layout.rows)
    matrix = layout.matrix(magnitudes)
    if block_shape == (1, 1):
        return matrix
    if pooling == "max":
        return _blocks(matrix, block_shape).amax(dim=(1, 3))
    sums, elements = (_blocks(of, block_shape).sum(dim=(1, 3)) for of in (matrix, torch.ones_like(matrix)))
    return sums / elements


def spread(layout: Layout, chosen: Tensor, block_shape: tuple[int, int], n_m: tuple[int, int] | None) -> Tensor:
    """What was chosen of the scores, as the weight is stored."""
    if n_m is None and block_shape != (1, 1):
        (height, width), rows = block_shape, layout.outputs
        columns = math.prod(layout.seen) // rows
        chosen = chosen.repeat_interleave(height, 0)[:rows].repeat_interleave(width, 1)[:, :columns]
    return layout.restored(chosen)


def smallest(scores: Tensor, count: int) -> Tensor:
    """Which are the `count` smallest, of equal ones those that come first.

    Args:
        scores: f32[N].
        count: from 0 to N.

    >>> smallest(torch.tensor([3.0, 1.0, 2.0, 1.0, 1.0]), 2).tolist()
    [False, True, False, True, False]
    """
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = scores.kthvalue(count).values
    below, equal = scores < threshold, scores == threshold
    return below | (equal & (equal.cumsum(0) <= count - below.sum()))


def _blocks(matrix: Tensor, block_shape: tuple[int, int]) -> Tensor:
    """The blocks of a matrix, [ceil(rows / height), height, ceil(columns / width), width], zeros at the edges."""
    (rows, columns), (height, width) = matrix.shape, block_shape
    padded = nn.functional.pad(matrix, (0, -columns % width, 0, -rows % height))
    return padded.unflatten(1, (-1, width)).unflatten(0, (-1, height))
