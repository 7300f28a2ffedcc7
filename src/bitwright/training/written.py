"""Written: a trained network as a graph again."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch

from bitwright.graph.constants import array_of
from bitwright.training.network import Network


def written_graph(network: Network) -> ir.Model:
    """The graph that a network was made from, with the constants that it has now.

    Weights that pruning or clustering made are written as the graph reads them; what was not trained is as it was.
    """
    made = network.graph.clone()
    with torch.no_grad():
        for name, value in made.graph.initializers.items():
            before = array_of(value)
            if before is None or name not in network.constants:
                continue
            array = network.tensor(name).detach().cpu().numpy().astype(before.dtype, copy=False)
            if not np.array_equal(array, before, equal_nan=before.dtype.kind == "f"):
                value.const_value = ir.Tensor(np.array(array), name=name)
    return made
