"""What pruning and clustering made of a file's weights outlasts quantization-aware training."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from small_networks import CNN, MLP, build, inputs_of

import bitwright as bw


def with_weights(text, change):
    """A graph whose weights of more than one dimension are changed."""
    model = build(text)
    for value in model.graph.initializers.values():
        array = value.const_value.numpy()
        if array.ndim > 1:
            value.const_value = ir.Tensor(change(array).astype(np.float32), name=value.name)
    return model


def trained(model):
    x = torch.from_numpy(inputs_of(model, 32))
    network = bw.prepare_qat(model, "int8", calibration=x.numpy()).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    for _ in range(5):
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()
    return network.eval()


def integers(network):
    made = bw.convert(network).graph.graph.initializers.values()
    return [
        v.const_value.integers for v in made if hasattr(v.const_value, "integers") and v.const_value.integers.ndim > 1
    ]


def test_zeros_of_a_file_stay():
    """Behind normalizations as well: a factor leaves zero zero."""
    zeros = {}

    def prune(array):
        kept = np.abs(array) >= np.quantile(np.abs(array), 0.6)
        zeros[array.shape] = ~kept
        return array * kept

    made = integers(trained(with_weights(CNN, prune)))
    assert len(made) == 3
    for array in made:
        assert (array[zeros[array.shape]] == 0).all() and (array != 0).any()


def test_values_that_a_file_shares_are_shared_on():
    """As many distinct integers at most, with one scale a tensor; the values themselves have moved."""
    model = with_weights(MLP, lambda array: np.round(array * 2) / 2)
    distinct = [len(np.unique(v.const_value.numpy())) for v in model.graph.initializers.values() if len(v.shape) > 1]
    network = trained(model)
    assert [name for name in network.weight_names() if network.shared(name) is not None] == ["w1", "w2"]
    made = integers(network)
    assert all(len(np.unique(array)) <= count for array, count in zip(made, distinct, strict=True))
    assert not np.array_equal(
        np.unique(network.tensor("w1").detach()), np.unique(model.graph.initializers["w1"].const_value.numpy())
    )


def test_weights_without_structure_train_freely():
    """And so do all of them where it is not asked."""
    network = bw.prepare_qat(build(MLP))
    assert all(network.shared(n) is None and network.mask_of(n) is None for n in network.weight_names())
    half = with_weights(MLP, lambda array: np.round(array))
    plain = bw.prepare_qat(half, preserve=False)
    assert all(plain.shared(n) is None and plain.mask_of(n) is None for n in plain.weight_names())
