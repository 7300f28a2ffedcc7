"""Attention: what queries find among keys, as a weighted sum of values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from bitwright.training.operators.devices import on_one_device
from bitwright.training.operators.types import torch_type


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    past_key: torch.Tensor | None = None,
    past_value: torch.Tensor | None = None,
    nonpad_kv_seqlen: torch.Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
    outputs: int = 1,
) -> Any:
    """`y` = softmax(softcap(scale * q k') + bias) v for each head; a query that no key is open to gives 0.

    Args:
        q, k, v: [N, heads, T, width], or [N, T, heads * width] with the numbers of heads as attributes.
        attn_mask: bool, true where a key is open, or an addend; broadcast to [N, heads, T, keys].
        past_key, past_value: keys and values that come before k and v.
        nonpad_kv_seqlen: [N], how many of the keys are real.

    Returns:
        y as q lies; then the keys and values with their past, and the products at the stage `qk_matmul_output_mode`:
        0 the products, 1 after the cap, 2 with the bias, 3 after Softmax.

    Source: ONNX Attention-25.
    """
    flat = q.dim() == 3
    if flat:
        q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    q, k, v, attn_mask, past_key, past_value = on_one_device(q, k, v, attn_mask, past_key, past_value)
    k = k if past_key is None else torch.cat([past_key, k], 2)
    v = v if past_value is None else torch.cat([past_value, v], 2)
    shared = q.shape[1] // k.shape[1]
    keys, values = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)

    factor = math.sqrt(1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    stages = [torch.matmul(q * factor, (keys * factor).transpose(-1, -2))]
    stages.append(softcap * torch.tanh(stages[0] / softcap) if softcap else stages[0])
    lengths = None if nonpad_kv_seqlen is None else nonpad_kv_seqlen.to(q.device)
    before = 0 if past_key is None else past_key.shape[2]
    open_keys = _open_keys(q, keys, lengths, before, is_causal, left_window_size, right_window_size)
    bias = torch.zeros_like(open_keys, dtype=q.dtype).masked_fill(~open_keys, -math.inf)
    if attn_mask is not None:
        bias = bias + _addend(attn_mask, keys.shape[2], q.dtype)
    stages.append(stages[1] + bias)
    precision = q.dtype if softmax_precision is None else torch_type(softmax_precision)
    # A row without an open key would be 0 / 0; it is made finite before Softmax, so that its gradient is 0 too.
    none_open = torch.isneginf(bias).all(-1, keepdim=True)
    weights = torch.softmax(stages[2].masked_fill(none_open, 0).to(precision), -1)
    stages.append(weights.masked_fill(none_open, 0).to(q.dtype))

    y = torch.matmul(stages[3], values)
    if flat:
        y = y.transpose(1, 2).flatten(2)
    return y if outputs == 1 else (y, k, v, stages[qk_matmul_output_mode])[:outputs]


def _heads(x: torch.Tensor, count: int | None) -> torch.Tensor:
    """[N, T, heads * width] -> [N, heads, T, width]."""
    return x.unflatten(2, (count or 1, -1)).transpose(1, 2)


def _open_keys(
    q: torch.Tensor, k: torch.Tensor, lengths: torch.Tensor | None, before: int, causal: int, left: int, right: int
) -> torch.Tensor:
    """Which keys each query may see, bool [1 or N, 1, T, keys]: query i stands at place i + offset among the keys."""
    rows = torch.arange(q.shape[2], device=q.device)[:, None]
    places = torch.arange(k.shape[2], device=q.device)
    offset: Any = before if lengths is None or before else (lengths - q.shape[2]).reshape(-1, 1, 1, 1)
    ahead = places - (rows + offset)
    found = torch.ones_like(ahead, dtype=torch.bool)
    if causal:
        found = found & (ahead <= 0)
    if left >= 0:
        found = found & (ahead >= -left)
    if right >= 0:
        found = found & (ahead <= right)
    if lengths is not None:
        found = found & (places < lengths.reshape(-1, 1, 1, 1))
    return found


def _addend(mask: torch.Tensor, keys: int, kind: torch.dtype) -> torch.Tensor:
    """The mask as an addend for every key; keys beyond its end are closed."""
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=kind).masked_fill(~mask, -math.inf)
    return torch.nn.functional.pad(mask, (0, keys - mask.shape[-1]), value=-math.inf)


OPERATORS: dict[str, Callable[..., Any]] = {"Attention": attention}
