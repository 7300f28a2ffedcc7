"""tfmot.sparsity.keras: pruning of the weights of smallest magnitude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.compat.tfmot.names import found
from bitwright.training.schedules import ConstantSparsity, PolynomialDecay

if TYPE_CHECKING:
    from bitwright.compat.tfmot.pruning import (
        PrunableLayer,
        PruningPolicy,
        prune_low_magnitude,
        prune_scope,
        strip_pruning,
    )
    from bitwright.compat.tfmot.pruning_step import PruningSummaries, UpdatePruningStep

__all__ = [
    "ConstantSparsity",
    "PolynomialDecay",
    "PrunableLayer",
    "PruningPolicy",
    "PruningSummaries",
    "UpdatePruningStep",
    "prune_low_magnitude",
    "prune_scope",
    "strip_pruning",
]


def __getattr__(name: str) -> Any:
    return found(__name__, __all__, name, "pruning", "pruning_step")
