"""tfmot's experimental `cluster_weights`, whose zeros may be kept whatever their number."""

from __future__ import annotations

from typing import Any

from bitwright.compat.tfmot.centroids import CentroidInitialization
from bitwright.compat.tfmot.clusters import with_clusters


def cluster_weights(
    to_cluster: Any,
    number_of_clusters: int,
    cluster_centroids_init: Any = CentroidInitialization.KMEANS_PLUS_PLUS,
    preserve_sparsity: bool = False,
    cluster_per_channel: bool = False,
    **kwargs: Any,
) -> Any:
    """`tfmot.clustering.keras.cluster_weights`, with zeros that stay zero and are one of the values.

    Args:
        to_cluster, number_of_clusters, cluster_centroids_init, cluster_per_channel, **kwargs: as there.
        preserve_sparsity: keep zeros however few they are; more than a fifth of a weight are kept anyway.
    """
    return with_clusters(
        to_cluster,
        number_of_clusters,
        cluster_centroids_init=cluster_centroids_init,
        preserve_sparsity=preserve_sparsity,
        cluster_per_channel=cluster_per_channel,
        **kwargs,
    )
