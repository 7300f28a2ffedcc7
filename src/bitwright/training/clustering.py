"""Clustering: the elements of every weight come to share a few values, which training then moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from bitwright.errors import UsageError
from bitwright.training.clusters import Clusters
from bitwright.training.folding import folds
from bitwright.training.kmeans import INITS, kmeans, nearest
from bitwright.training.network import Network
from bitwright.training.placement import weights_of
from bitwright.training.pruning import Mask
from bitwright.training.weights import Layout, chosen_weights, layouts, matching
from bitwright.training.written import written_graph
from bitwright.transforms.pipeline import prepare

#: Share of exact zeros from which on zero is one of the shared values though nothing was masked.
ZEROS = 0.2
#: How many values a weight may share: indices are at most 16 bits wide.
COUNTS = (2, 32767)


def cluster_weights(
    network: Network,
    number_of_clusters: int | Mapping[str, int],
    *,
    cluster_centroids_init: str = "kmeans++",
    per_channel: bool = False,
    exclude: Sequence[str] = (),
    seed: int = 0,
) -> Network:
    """Let the elements of each weight share a few values, those of k-means, which are trained from then on.

    Normalizations are folded first, for good: folded later, each channel would get a factor of its own. Pruned weights
    stay zero, and so do those of a weight of which more than a fifth are zero: zero is one of the shared values then,
    which training leaves alone. Pruning ends with the masks as they are.

    Optimizers are made after this: the network has other parameters.

    Args:
        network: training or trained; pruned or not.
        number_of_clusters: values a weight, zero included, 2 to 32767; or regular expressions and the number for the
            weights that they are found in, the first that matches, others not clustered.
        cluster_centroids_init: where k-means begins: linear, kmeans++, density or random.
        per_channel: as many values for each output channel.
        exclude: regular expressions; weights whose name matches are not clustered.
        seed: of what is drawn at random.

    Returns:
        The network to go on with: the same where nothing is folded, else a new one; the old one is of no use then.

    Raises:
        UsageError: an argument is out of its bounds, or the network is quantized so that clustered values would part.
    """
    if cluster_centroids_init not in INITS:
        raise UsageError(
            f"cluster_centroids_init cannot be {cluster_centroids_init!r}", next=f"one of {', '.join(INITS)}"
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed cannot be {seed!r}", next="a whole number from 0 on")
    counts = _counts(number_of_clusters, chosen_weights(network, exclude))
    _check_quantized(network, list(counts), per_channel=per_channel)
    places = _weight_places(network)
    network, before = _folded(network), network
    if network is not before:
        named = _weight_places(network).items()
        counts = {name: counts[places[place]] for place, name in named if places.get(place) in counts}
    del network.pruners[:]
    known, rng = layouts(network.graph), np.random.default_rng(seed)
    for name, count in counts.items():
        with torch.no_grad():
            weight = network.tensor(name).detach()
        zeros = network.mask_of(name) is not None or float((weight == 0).float().mean()) > ZEROS
        layout = known[name] if per_channel else None
        network.share(name, clustered(weight, count, cluster_centroids_init, rng, has_zero=zeros, layout=layout))
    return network


def clustered(
    weight: Tensor,
    count: int,
    init: str,
    rng: np.random.Generator,
    *,
    has_zero: bool = False,
    layout: Layout | None = None,
) -> Clusters:
    """A weight as clusters.

    Args:
        weight: finite.
        count: values, zero included.
        init: see `cluster_weights`.
        rng: draws.
        has_zero: zeros stay zero, as one of the values, which no other element takes.
        layout: of the weight: each output channel has values of its own.

    Raises:
        UsageError: a weight is not finite.
    """
    seen = weight.detach().reshape(1, -1) if layout is None else layout.matrix(weight.detach())
    values = seen.cpu().float().numpy()
    if not np.isfinite(values).all():
        raise UsageError("a weight is not finite", next="train with a lower learning rate, and start again")
    indices = np.zeros(values.shape, np.int32)
    tables = []
    for row, taken in zip(values, indices, strict=True):
        kept = row != 0 if has_zero else np.ones(row.shape, bool)
        table = kmeans(row[kept], count - has_zero, init, rng) if kept.any() else row[:0]
        taken[kept] = nearest(row[kept], table) + has_zero
        tables.append(table)
    width = max(table.size for table in tables)
    filled = [np.pad(table, (0, width - table.size), mode="edge" if table.size else "constant") for table in tables]
    centroids = torch.from_numpy(np.stack(filled)).to(weight.device, weight.dtype)
    chosen = torch.from_numpy(indices).to(weight.device)
    if layout is None:
        return Clusters(centroids[0].contiguous(), chosen.reshape(weight.shape), has_zero=has_zero)
    return Clusters(centroids, layout.restored(chosen), has_zero=has_zero, layout=layout)


def strip_clustering(network: Network) -> Network:
    """End clustering: weights have the values they shared, and train one by one from now on.

    Returns:
        The network, changed in place.
    """
    for name in network.weight_names():
        if isinstance(network.shared(name), Clusters):
            network.share(name, None)
    return network


def _counts(given: int | Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    """How many values each weight shares."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(names, _checked(given))
    asked: dict[str, int] = {}
    for pattern, count in given.items():
        for name in matching(pattern, names):
            asked.setdefault(name, _checked(count))
    if not asked:
        raise UsageError("number_of_clusters names no weight", next='a number, or {"regular expression": number}')
    return {name: asked[name] for name in names if name in asked}


def _checked(count: object) -> int:
    least, most = COUNTS
    if isinstance(count, bool) or not isinstance(count, int) or not least <= count <= most:
        raise UsageError(f"number_of_clusters cannot be {count!r}", next=f"a whole number from {least} to {most}")
    return count


def _check_quantized(network: Network, names: Sequence[str], *, per_channel: bool) -> None:
    """Refuse to cluster what quantization would take apart."""
    placement = network.placement
    if placement is None:
        return
    if folds(network):
        raise UsageError(
            "the network is quantized, and folds normalizations into weights, which clustered values would not survive",
            next="cluster first, then prepare_qat",
        )
    parted = {
        name
        for place, name in _weight_places(network).items()
        if name in names
        and place in placement.weights
        and network.weight_quantizer(placement.weights[place]).start.axis is not None
    }
    if parted and not per_channel:
        raise UsageError(
            f"{len(parted)} weights have a scale a channel, under which shared values would part",
            where=", ".join(sorted(parted)[:8]), next="cluster first, then prepare_qat; or cluster with per_channel",
        )  # fmt: skip


def _weight_places(network: Network) -> dict[tuple[str, int], str]:
    """The weights by the nodes and operands that they are read at, which keep their names when normalizations fold."""
    return {
        (str(node.name), operand): str(value.name)
        for node in network.graph.graph
        for operand in weights_of(node)
        if (value := node.inputs[operand]) is not None
    }


def _folded(network: Network) -> Network:
    """The network with normalizations in weights and biases; itself where there are none. What is masked stays so."""
    if not folds(network):
        return network
    made = Network(prepare(written_graph(network)), network.source, teacher=network.teacher)
    made.to(cast(Tensor, next(network.buffers())).device).train(network.training)
    before = _weight_places(network)
    for place, name in _weight_places(made).items():
        if place in before and network.mask_of(before[place]) is not None:
            made.mask(name, Mask(made.tensor(name).detach() != 0))
    return made
