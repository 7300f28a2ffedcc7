"""RotaryEmbedding: pairs of features turned by an angle that grows with the position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bitwright.training.operators.devices import on_one_device


def rotary_embedding(
    x: torch.Tensor,
    cosines: torch.Tensor,
    sines: torch.Tensor,
    position_ids: torch.Tensor | None = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> torch.Tensor:
    """(a, b) -> (cos * a - sin * b, sin * a + cos * b) for every pair of features.

    Args:
        x: [N, heads, T, width], or [N, T, heads * width] with `num_heads`.
        cosines, sines: [positions, pairs] with `position_ids` [N, T], else [N, T, pairs].
        interleaved: pairs are neighbours, else one is of the first half, the other of the second.
        rotary_embedding_dim: how many features are turned; all by default.

    Source: ONNX RotaryEmbedding-23.
    """
    flat = x.dim() == 3
    heads = x.unflatten(2, (num_heads, -1)) if flat else x.transpose(1, 2)
    turned, rest = heads.tensor_split([rotary_embedding_dim or heads.shape[-1]], -1)
    x, cosines, sines, position_ids = on_one_device(x, cosines, sines, position_ids)
    if position_ids is not None:
        cosines, sines = cosines[position_ids], sines[position_ids]
    cosines, sines = cosines.unsqueeze(2), sines.unsqueeze(2)
    a, b = (turned[..., 0::2], turned[..., 1::2]) if interleaved else turned.chunk(2, -1)
    pairs = cosines * a - sines * b, sines * a + cosines * b
    turned = torch.stack(pairs, -1).flatten(-2) if interleaved else torch.cat(pairs, -1)
    y = torch.cat([turned, rest], -1)
    return y.flatten(2) if flat else y.transpose(1, 2)


OPERATORS: dict[str, Callable[..., Any]] = {"RotaryEmbedding": rotary_embedding}
