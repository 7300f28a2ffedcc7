"""tfmot.clustering.keras.experimental: `cluster_weights` with `preserve_sparsity`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.compat.tfmot.names import found

if TYPE_CHECKING:
    from bitwright.compat.tfmot.clusters import cluster_weights

__all__ = ["cluster_weights"]


def __getattr__(name: str) -> Any:
    return found(__name__, __all__, name, "clusters_experimental")
