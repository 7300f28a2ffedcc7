"""Augmentation: changes of images, by name: "flip shift=4 mix"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bitwright.errors import UsageError

Augment = Callable[[Tensor], Tensor]
#: How many channels images have.
CHANNELS = (1, 3)


@dataclass(frozen=True)
class Changes:
    """Changes of a batch, one after another.

    Args:
        each: in order, on [N,C,H,W].
        blends: whether images lose what their labels say: only another network can say then what they show.
    """

    each: tuple[Augment, ...]
    blends: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """The batch, changed; what is no batch of images as it is."""
        if x.dim() != 4:
            return x
        channels_last = x.shape[1] not in CHANNELS and x.shape[3] in CHANNELS
        x = x.movedim(3, 1) if channels_last else x
        for change in self.each:
            x = change(x)
        return x.movedim(1, 3) if channels_last else x


def augmentation(text: str) -> Changes:
    """What a text asks for, on batches [N,C,H,W]; or [N,H,W,C], where only the last axis has as few as channels are.

        flip      half of the images are mirrored, left to right
        shift=N   each image is moved by up to N pixels; edges are reflected
        mix       each image is blended with another of the batch, in any proportion: for distillation alone, where it
                  shows the teacher more than the images that there are

    Raises:
        UsageError: another word, or a shift that is no number.

    Source of mix: Beyer et al. 2021, "Knowledge distillation: A good teacher is patient and consistent", section 3.
    """
    changes: list[Augment] = []
    for word in text.split():
        name, _, value = word.partition("=")
        if name == "flip" and not value:
            changes.append(_flip)
        elif name == "shift" and value.isdigit() and int(value) > 0:
            changes.append(_shift_by(int(value)))
        elif name == "mix" and not value:
            changes.append(_mix)
        else:
            raise UsageError(f"augmentation cannot be {word!r}", next='"flip", "shift=4", "mix", or some of them')

    return Changes(tuple(changes), _mix in changes)


def _flip(x: Tensor) -> Tensor:
    mirrored = (torch.rand(len(x), device=x.device) < 0.5).reshape(-1, 1, 1, 1)
    return torch.where(mirrored, x.flip(3), x)


def _mix(x: Tensor) -> Tensor:
    share = torch.rand(len(x), 1, 1, 1, device=x.device, dtype=x.dtype)
    return share * x + (1 - share) * x[torch.randperm(len(x), device=x.device)]


def _shift_by(most: int) -> Augment:
    def shift(x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        if most >= min(h, w):
            raise UsageError(f"images of {h}x{w} cannot be shifted by {most}", next="shift by less")
        padded = functional.pad(x, (most,) * 4, mode="reflect")
        down, right = torch.randint(0, 2 * most + 1, (2, n), device=x.device)
        rows = (down[:, None] + torch.arange(h, device=x.device))[:, None, :, None]
        columns = (right[:, None] + torch.arange(w, device=x.device))[:, None, None, :]
        images = torch.arange(n, device=x.device)[:, None, None, None]
        channels = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
        return padded[images, channels, rows, columns]

    return shift
