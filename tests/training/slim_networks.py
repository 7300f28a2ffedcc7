"""What tests of pruning and clustering share: networks of a text, images, a short training."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
import torch

from bitwright.graph.text import parse
from bitwright.training.network import Network
from bitwright.transforms.pipeline import prepare

HEADER = '<ir_version: 10, opset_import: ["": 21]>\n'


def network_of(text: str, *, seed: int = 0) -> Network:
    """A network of a text: its inputs but x become random constants, variances positive ones; _ is a dot."""
    model, rng = parse(HEADER + text.replace("\n", " ")), np.random.default_rng(seed)
    for value in list(model.graph.inputs)[1:]:
        shape = value.shape.numpy()
        array = rng.standard_normal(shape) / math.sqrt(max(1, math.prod(shape[1:])))
        array = array**2 + 0.5 if value.name in ("var", "scale") else array
        value.name = value.name.replace("_", ".")
        value.const_value = ir.Tensor(array.astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return Network(prepare(model, keep_trainable=True))


def images(seed: int, count: int = 4) -> torch.Tensor:
    return torch.randn((count, 4, 6, 6), generator=torch.Generator().manual_seed(seed))


def optimizer_of(network: Network) -> torch.optim.Optimizer:
    """Momentum and decay, which move weights that have no gradient."""
    return torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-3)


def train(network: Network, steps: int, *, begin: int = 0, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Towards outputs that it does not give yet."""
    optimizer = optimizer or optimizer_of(network)
    network.train()
    for step in range(begin, begin + steps):
        loss = (network(images(step)) - 1.0).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
