"""Clusters: a weight whose elements share few values, which are trained in their place."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from bitwright.training.weights import Layout


class Clusters(nn.Module):
    """A weight of shared values.

        w[i] = centroids[indices[i]]
        gradient of centroids[j] = sum of the gradients of all w[i] with indices[i] == j

    Args:
        centroids: [k], or [outputs, k] with a layout.
        indices: whole numbers, of the weight's shape. Where zero is one of the values it is index 0, and centroid j is
            index j + 1.
        has_zero: whether zero is one of the values. It stays zero.
        layout: of the weight, where each output channel has centroids of its own.

    Source: Han 2015, section 3.3 and equation 3.
    """

    def __init__(
        self, centroids: Tensor | nn.Parameter, indices: Tensor, *, has_zero: bool, layout: Layout | None = None
    ) -> None:
        super().__init__()
        self.has_zero, self.layout = has_zero, layout
        self.centroids = centroids if isinstance(centroids, nn.Parameter) else nn.Parameter(centroids)
        self.register_buffer("indices", indices.to(index_type(self.values_at_most)))

    @property
    def values_at_most(self) -> int:
        """How many different values there are at most, zero included; of each channel, where it has its own."""
        return int(self.centroids.shape[-1]) + self.has_zero

    def forward(self) -> Tensor:
        """The weight."""
        table, indices = self.centroids, cast(Tensor, self.indices)
        if self.has_zero:
            table = nn.functional.pad(table, (1, 0))
        if self.layout is None:
            gathered: Tensor = _Gather.apply(table, indices.int())
            return gathered
        starts = torch.arange(0, table.numel(), table.shape[1], device=table.device, dtype=torch.int32)
        gathered = _Gather.apply(table.flatten(), self.layout.matrix(indices).int() + starts[:, None])
        return self.layout.restored(gathered)

    def with_zeros(self, zero: Tensor) -> Clusters:
        """The same values, trained on, with zero where a mask of the weight's shape says so."""
        indices = cast(Tensor, self.indices).int() + (not self.has_zero)
        return Clusters(self.centroids, indices.masked_fill(zero, 0), has_zero=True, layout=self.layout)


class _Gather(torch.autograd.Function):
    """Elements of a table; the gradient of an entry is summed in double precision, in the order of elements."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, indices: Tensor) -> Tensor:
        """Table [T] and i32 indices of any shape, each below T."""
        ctx.save_for_backward(indices)
        ctx.entries = table.numel()
        return table.index_select(0, indices.flatten()).reshape(indices.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Sums of gradients by index."""
        (indices,) = ctx.saved_tensors
        sums = torch.bincount(indices.flatten(), gradient.flatten().double(), minlength=ctx.entries)
        return sums.to(gradient.dtype), None


def index_type(count: int) -> torch.dtype:
    """The narrowest type for as many indices."""
    return torch.uint8 if count <= 256 else torch.int16
