"""History: what a training did, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """One pass over the data.

    Args:
        number: from 1 on.
        loss: mean over its steps.
        held_out: the loss on what was held out; None where nothing was.
        accuracy: top-1 on what was held out, where there are labels.
    """

    number: int
    loss: float
    held_out: float | None = None
    accuracy: float | None = None


@dataclass
class History:
    """What a training did.

    Args:
        epochs: in order.
        best: the number of the one whose weights the network has.
        stopped: whether it ended early.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    stopped: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"epochs": [vars(e) for e in self.epochs], "best": self.best, "stopped": self.stopped}
