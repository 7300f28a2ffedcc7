"""Slimming: networks of fewer weights: pruned, clustered, with channels removed; `retraining` trains them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.errors import UsageError
from bitwright.retraining import trainable
from bitwright.transforms.pipeline import prepare

if TYPE_CHECKING:
    from bitwright.training.network import Network
    from bitwright.training.pruning import Sparsity
    from bitwright.training.schedules import Schedule


def prune_low_magnitude(
    model: Any,
    schedule: Schedule,
    *,
    block_shape: tuple[int, int] = (1, 1),
    n_m: tuple[int, int] | None = None,
    scope: str = "layer",
    exclude: Sequence[str] = (),
    example_inputs: Any = None,
) -> Network:
    """A network whose weights of smallest magnitude become zero while it trains.

    The zeros hold through training, quantization and clustering; `strip_pruning` makes them the weights' own.

    Args:
        model: what `load` takes, or a network.
        schedule: ConstantSparsity or PolynomialDecay.
        block_shape: what is zero together, over weights seen as [outputs, inputs * kernel].
        n_m: (2, 4): two of four consecutive input channels stay.
        scope: "layer": each weight has the sparsity; "global": all of them together.
        exclude: regular expressions of names of weights that are not pruned.
        example_inputs: for an nn.Module, what its forward takes.

    Raises:
        UsageError: a choice that cannot be, or nothing to prune.
    """
    network = trainable(model, example_inputs=example_inputs)
    from bitwright.training.pruning import prune_low_magnitude as prune

    return prune(network, schedule, block_shape=block_shape, n_m=n_m, scope=scope, exclude=exclude)


def strip_pruning(network: Network) -> Network:
    """The network with the zeros of pruning as its weights' own."""
    from bitwright.training.pruning import strip_pruning as strip

    return strip(network)


def sparsity(model: Any) -> Sparsity:
    """The share of zeros in each weight of a model or network, and in all of them."""
    from bitwright.training.pruning import sparsity as count

    return count(trainable(model))


def cluster_weights(
    model: Any,
    number_of_clusters: int | Mapping[str, int],
    *,
    cluster_centroids_init: str = "kmeans++",
    per_channel: bool = False,
    exclude: Sequence[str] = (),
    seed: int = 0,
    example_inputs: Any = None,
) -> Network:
    """A network in which the weights of a layer share few values, which are what trains.

    Normalizations are folded first: one behind a layer would undo the sharing. Zeros of pruning stay zeros.

    Args:
        model: what `load` takes, or a network.
        number_of_clusters: values of a weight, zero counted where it is one of them; or regular expressions of names
            -> such numbers.
        cluster_centroids_init: linear, kmeans++, density or random.
        per_channel: so many values an output channel.
        exclude: regular expressions of names of weights that stay as they are.
        seed: of the choices that are random.
        example_inputs: for an nn.Module, what its forward takes.

    Returns:
        The network to go on with: another one where normalizations were folded.

    Raises:
        UsageError: a choice that cannot be, or nothing to cluster.
    """
    network = trainable(model, example_inputs=example_inputs)
    from bitwright.training.clustering import cluster_weights as cluster

    return cluster(
        network,
        number_of_clusters,
        cluster_centroids_init=cluster_centroids_init,
        per_channel=per_channel,
        exclude=exclude,
        seed=seed,
    )


def strip_clustering(network: Network) -> Network:
    """The network with the shared values as its weights' own."""
    from bitwright.training.clustering import strip_clustering as strip

    return strip(network)


def prune_channels(
    model: Any, *, keep: float, criterion: str = "magnitude", exclude: Sequence[str] = (), example_inputs: Any = None
) -> Network:
    """A smaller network: whole channels are removed, so that so many of its multiplications are left.

    Train it afterwards: with `fit`, what it came from is its teacher.

    Args:
        model: what `load` takes, or a network that is not quantized, clustered or being pruned.
        keep: the share of multiplications that is left.
        criterion: how channels are compared.
        exclude: regular expressions of names of layers that keep their channels.
        example_inputs: for an nn.Module, what its forward takes.

    Raises:
        UsageError: a choice that cannot be, or fewer channels cannot give so few multiplications.
    """
    network = trainable(model, example_inputs=example_inputs)
    from bitwright.training.network import Network
    from bitwright.training.written import written_graph
    from bitwright.transforms.channels.prune import prune_channels as remove

    if network.placement is not None:
        raise UsageError("the network is quantized", next="remove channels first, then prepare_qat")
    names = network.weight_names()
    if any(network.shared(name) is not None or network.mask_of(name) is not None for name in names):
        raise UsageError(
            "the network is clustered or being pruned, which does not outlast the removal of channels",
            next="remove channels first, or strip_clustering and strip_pruning",
        )
    graph = written_graph(network)
    removal = remove(graph, keep=keep, criterion=criterion, exclude=exclude)
    made = Network(prepare(removal.model, keep_trainable=True), network.source, teacher=network.teacher)
    return made.to(network.place(names[0]).tensor.device)
