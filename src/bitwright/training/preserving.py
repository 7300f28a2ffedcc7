"""Preserving: zeros and shared values that a file's weights have stay while it trains again."""

from __future__ import annotations

import numpy as np
import torch

from bitwright.training.clustering import ZEROS
from bitwright.training.clusters import Clusters
from bitwright.training.folding import folds
from bitwright.training.network import Network
from bitwright.training.pruning import Mask

#: Weights share values where they have at most so many, and at least so many elements for each.
MOST_VALUES, FEWEST_MEMBERS = 256, 4


@torch.no_grad()
def preserve(network: Network) -> Network:
    """Keep what pruning and clustering made of the weights before.

    Weights of few different values share them; weights of which more than a fifth are zero keep these.

    Args:
        network: of a file; neither pruned nor clustered here.

    Returns:
        The network, changed in place.
    """
    for name in network.weight_names():
        if not network.place(name).is_parameter():
            continue
        weight = network.tensor(name)
        values = np.unique(weight.cpu().numpy())
        if len(values) <= min(MOST_VALUES, weight.numel() // FEWEST_MEMBERS) and not folds(network, name):
            has_zero = bool((values == 0).any())
            ordered = torch.from_numpy(np.concatenate([[0.0] * has_zero, values[values != 0]]).astype(np.float32))
            sorted_values, order = ordered.sort()
            places = torch.searchsorted(sorted_values, weight.cpu().contiguous())
            network.share(name, Clusters(ordered[int(has_zero) :], order[places], has_zero=has_zero))
        elif float((weight == 0).float().mean()) > ZEROS:
            network.mask(name, Mask(weight != 0))
    return network
