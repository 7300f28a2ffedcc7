"""Clustering in Keras's own training: layers whose weights share few values, which are what trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from bitwright.compat.tfmot.centroids import (
    CentroidInitialization,
    GradientAggregation,
    check_aggregation,
    init_name,
)
from bitwright.compat.tfmot.layer_weights import LayerWeight, weights_of
from bitwright.compat.tfmot.wrapping import LayerAround, changed, copied, is_graph
from bitwright.errors import UsageError
from bitwright.training.clustering import ZEROS, clustered

#: Layers whose weights may have values of their own for each output channel.
_PER_CHANNEL = frozenset({"Conv2D"})


class ClusterableLayer:
    """A layer of the user's own that says which of its variables are clustered."""

    def get_clusterable_weights(self) -> list[tuple[str, Any]]:
        """Names and variables."""
        raise NotImplementedError("give a list of pairs (name, variable)")


@keras.saving.register_keras_serializable("bitwright")
class ClusterWeights(LayerAround):
    """A layer whose weights share values while it trains. See `cluster_weights`."""

    def __init__(
        self,
        layer: Any,
        number_of_clusters: int,
        cluster_centroids_init: Any = CentroidInitialization.KMEANS_PLUS_PLUS,
        preserve_sparsity: bool = False,
        cluster_per_channel: bool = False,
        cluster_gradient_aggregation: Any = GradientAggregation.SUM,
        **kwargs: Any,
    ) -> None:
        if isinstance(number_of_clusters, bool) or not isinstance(number_of_clusters, int) or number_of_clusters < 2:
            raise UsageError(f"number_of_clusters cannot be {number_of_clusters!r}", next="a whole number from 2 on")
        check_aggregation(cluster_gradient_aggregation)
        init_name(cluster_centroids_init)
        super().__init__(layer, "cluster", **kwargs)
        self.number_of_clusters, self.cluster_centroids_init = number_of_clusters, cluster_centroids_init
        self.preserve_sparsity, self.cluster_per_channel = preserve_sparsity, cluster_per_channel
        self._held: _Held | None = None

    def build(self, input_shape: Any = None) -> None:
        """Build the layer, and the shared values of each weight that is clustered."""
        super().build(input_shape)
        weights = weights_of(self.layer, "get_clusterable_weights")
        #: Gives a weight when it is called; Keras knows its shared values as variables.
        self.clusters = [keras.layers.TorchModuleWrapper(self._clustered(one), name=one.name) for one in weights]
        self._held = _Held(list(zip(weights, self.clusters, strict=True)), [one.variable.trainable for one in weights])
        for one in weights:
            one.variable.trainable = False

    def _clustered(self, weight: LayerWeight) -> Any:
        values = keras.ops.convert_to_numpy(weight.variable)
        zeros = float(np.mean(values == 0))
        return clustered(
            weight.variable.value,
            self.number_of_clusters,
            init_name(self.cluster_centroids_init),
            np.random.default_rng(0),
            has_zero=zeros > (0 if self.preserve_sparsity else ZEROS),
            layout=weight.layout() if self.cluster_per_channel and weight.kind in _PER_CHANNEL else None,
        )

    def call(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """What the layer gives with its shared values."""
        with self._shared():
            return self.layer(inputs, *args, **kwargs)

    @contextmanager
    def _shared(self) -> Iterator[None]:
        """While it lasts, the layer reads what its weights share; what else it changes of its variables, it changes."""
        pairs = [] if self._held is None else self._held.pairs
        shared = {id(one.variable) for one, _ in pairs}
        scope = keras.StatelessScope([(one.variable, cluster.module()) for one, cluster in pairs])
        with scope:
            yield
        for variable in self.layer.variables:
            value = None if id(variable) in shared else scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)

    def stripped(self) -> Any:
        """The layer, its weights holding the values they shared, and trained one by one again."""
        if self._held is not None:
            for (one, cluster), trainable in zip(self._held.pairs, self._held.trainable, strict=True):
                one.variable.assign(cluster.module())
                one.variable.trainable = trainable
        return self.layer

    def get_config(self) -> dict[str, Any]:
        """What makes it anew."""
        return {
            **super().get_config(),
            "number_of_clusters": self.number_of_clusters,
            "cluster_centroids_init": str(getattr(self.cluster_centroids_init, "value", self.cluster_centroids_init)),
            "preserve_sparsity": self.preserve_sparsity,
            "cluster_per_channel": self.cluster_per_channel,
        }


class _Held:
    """Weights and what gives them, held so that Keras does not count the layer's own variables twice."""

    def __init__(self, pairs: list[tuple[LayerWeight, Any]], trainable: list[bool]) -> None:
        self.pairs, self.trainable = pairs, trainable


def cluster_weights(
    to_cluster: Any,
    number_of_clusters: int,
    cluster_centroids_init: Any = CentroidInitialization.KMEANS_PLUS_PLUS,
    cluster_per_channel: bool = False,
    **kwargs: Any,
) -> Any:
    """A layer or model in whose weights few different values are left, which train.

    Which weights belong together is settled here, by k-means on the weights as they are: give a trained model, and
    train it on with a low learning rate. Weights of which more than a fifth are zero keep their zeros. Depthwise
    kernels, biases and normalizations are not clustered.

    Args:
        to_cluster: a Sequential or Functional model, which stays as it is; or a layer or list of layers, which are held
            by what is given back.
        number_of_clusters: values of a weight, 2 or more.
        cluster_centroids_init: where k-means begins: one of CentroidInitialization.
        cluster_per_channel: so many values for each output channel of a Conv2D.
        **kwargs: `cluster_gradient_aggregation`, of which SUM is offered; and of the wrapping layer (name), where one
            layer is given.

    Returns:
        The same kind, not compiled.

    Raises:
        UsageError: an argument cannot be, or a layer of the user's own does not say what of it is clustered.
    """
    return with_clusters(
        to_cluster,
        number_of_clusters,
        cluster_centroids_init=cluster_centroids_init,
        cluster_per_channel=cluster_per_channel,
        **kwargs,
    )


def with_clusters(
    to_cluster: Any, number_of_clusters: int, *, cluster_gradient_aggregation: Any = "SUM", **options: Any
) -> Any:
    """`cluster_weights` with all that ClusterWeights takes."""
    check_aggregation(cluster_gradient_aggregation)
    in_model = is_graph(to_cluster)
    if (in_model or isinstance(to_cluster, list)) and "name" in options:
        raise UsageError("name is for a single layer", next="leave it out")
    if in_model:
        to_cluster = copied(to_cluster)

    def wrapped(layer: Any) -> Any:
        if isinstance(layer, ClusterWeights):
            return layer
        if in_model and layer.built and not weights_of(layer, "get_clusterable_weights"):
            return layer
        return ClusterWeights(layer, number_of_clusters, **options)

    return changed(to_cluster, wrapped, "cluster_weights")


def strip_clustering(to_strip: Any) -> Any:
    """A model of the layers that were clustered, their weights holding the values that they shared.

    Args:
        to_strip: what `cluster_weights` gave, trained; it shares its layers with what is given back.

    Returns:
        The same kind, not compiled: a model for `save`, for `quantize_model`.
    """

    def stripped(layer: Any) -> Any:
        return layer.stripped() if isinstance(layer, ClusterWeights) else layer

    return changed(to_strip, stripped, "strip_clustering")


def cluster_scope() -> Any:
    """A scope in which a clustered model is loaded; needed by nothing here, since the class is registered."""
    return keras.utils.custom_object_scope({"ClusterWeights": ClusterWeights})
