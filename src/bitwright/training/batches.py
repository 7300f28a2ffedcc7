"""Batches: samples in whatever form people have them, as shuffled batches of tensors for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bitwright.calibration.feeds import InputSpec
from bitwright.calibration.files import open_source
from bitwright.calibration.samples import Samples
from bitwright.errors import SampleError

#: Samples are held in memory up to so many bytes.
MOST_BYTES = 8 << 30


@dataclass(frozen=True)
class Batch:
    """Some samples.

    Args:
        inputs: by name, the first axis counts samples.
        labels: [N,...]; None where there are none.
    """

    inputs: dict[str, Tensor]
    labels: Tensor | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        moved = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        return Batch(moved, None if self.labels is None else self.labels.to(device))


@dataclass(frozen=True)
class Table:
    """Samples in memory."""

    whole: Batch

    def __len__(self) -> int:
        return len(self.whole)

    def rows(self, indices: Tensor) -> Batch:
        """The samples of these indices."""
        labels = self.whole.labels
        inputs = {name: tensor[indices] for name, tensor in self.whole.inputs.items()}
        return Batch(inputs, None if labels is None else labels[indices])

    def epoch(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """All samples once, shuffled; a last part of fewer than `size` is left out where there is a whole one."""
        order = torch.randperm(len(self), generator=generator)
        whole = max(len(self) // size, 1)
        for first in range(0, whole * size, size):
            yield self.rows(order[first : first + size])

    def in_order(self, size: int) -> Iterator[Batch]:
        """All samples once, in order."""
        for first in range(0, len(self), size):
            yield self.rows(torch.arange(first, min(first + size, len(self))))

    def steps(self, size: int) -> int:
        """How many batches an epoch has."""
        return max(len(self) // size, 1)

    def split(self, share: float, seed: int) -> tuple[Table, Table]:
        """A part to train on and a part of `share` that is held out, drawn evenly."""
        held = max(round(share * len(self)), 1)
        if held >= len(self):
            raise SampleError(f"{len(self)} samples are too few to hold some of them out", next="give more samples")
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return Table(self.rows(order[held:].sort().values)), Table(self.rows(order[:held].sort().values))


def open_table(
    source: Any,
    inputs: Sequence[InputSpec],
    *,
    preprocess: str | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> Table:
    """All samples of a source, in memory.

    Args:
        source: in any form that calibration takes: a path, arrays, a pair (arrays, labels), a list, a DataLoader.
        inputs: what the network takes.
        preprocess: for files.
        samples: take only so many, drawn evenly.
        seed: of the draw.

    Raises:
        SampleError: a sample does not fit, or all of them do not fit into memory.
    """
    if isinstance(source, Table):
        return source
    return _table_of(open_source(source, inputs, preprocess=preprocess, samples=samples, seed=seed))


def _table_of(opened: Samples) -> Table:
    rows: dict[str, list[np.ndarray]] = {spec.name: [] for spec in opened.inputs}
    total = 0
    for _, feeds in opened:
        for name, array in feeds.items():
            rows[name].append(array)
            total += array.nbytes
        if total > MOST_BYTES:
            raise SampleError(
                f"the samples take more than {MOST_BYTES >> 30} GiB",
                next="take fewer with samples=, or train in a loop of your own: the network is a torch module",
            )
    try:
        arrays = {name: np.concatenate([np.asarray(one) for one in found]) for name, found in rows.items()}
    except ValueError as error:
        raise SampleError(
            "samples are of different shapes, which make no batches",
            next="bring them to one shape, or train in a loop of your own: the network is a torch module",
        ) from error
    labels = opened.labels
    held = None
    if labels is not None:
        flat = np.concatenate([np.atleast_1d(np.asarray(label)) for label in labels])
        count = len(next(iter(arrays.values())))
        if len(flat) != count:
            raise SampleError(f"{len(flat)} labels for {count} samples", next="give one label a sample")
        if flat.dtype.kind in "US":
            flat = np.unique(flat, return_inverse=True)[1]
        held = torch.from_numpy(flat.astype(np.int64) if flat.dtype.kind in "iub" else flat.astype(np.float32))
    return Table(Batch({name: torch.from_numpy(array) for name, array in arrays.items()}, held))
