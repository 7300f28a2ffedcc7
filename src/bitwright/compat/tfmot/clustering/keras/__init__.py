"""tfmot.clustering.keras: weights of a layer that share few values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.compat.tfmot.centroids import CentroidInitialization, GradientAggregation
from bitwright.compat.tfmot.clustering.keras import experimental
from bitwright.compat.tfmot.names import found

if TYPE_CHECKING:
    from bitwright.compat.tfmot.clusters import ClusterableLayer, cluster_scope, cluster_weights, strip_clustering

__all__ = [
    "CentroidInitialization",
    "ClusterableLayer",
    "GradientAggregation",
    "cluster_scope",
    "cluster_weights",
    "experimental",
    "strip_clustering",
]


def __getattr__(name: str) -> Any:
    return found(__name__, __all__, name, "clusters")
