"""A network computes what its graph computes, under the graph's names, and behaves as a torch module does."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import CNN, MLP, RESIDUAL, build, inputs_of

import bitwright as bw
from bitwright.errors import UnsupportedOpError, UsageError
from bitwright.graph.execution import Execution
from bitwright.graph.text import parse

SHARED = Path(__file__).parents[2] / ".." / "shared" / "models"


@pytest.mark.parametrize("text", [CNN, RESIDUAL, MLP], ids=["cnn", "residual", "products"])
def test_a_network_computes_its_graph(text):
    """The same floats as ONNX Runtime, in eval mode."""
    model = build(text)
    x = inputs_of(model)
    wanted = next(iter(Execution(model).run({"x": x}).values()))
    made = bw.trainable(model).eval()(torch.from_numpy(x))
    np.testing.assert_allclose(wanted, made.detach().numpy(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["resnet20_cifar10", "vgg_cifar10", "mobilenetv2_cifar10"])
def test_a_trained_file_without_its_source_computes_as_before(name):
    """Files whose code is lost become modules."""
    path = SHARED / f"{name}.onnx"
    if not path.exists():
        pytest.skip("the shared models are not here")
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    network = bw.trainable(str(path)).eval()
    wanted = next(iter(Execution(bw.load(str(path)).graph).run({"input": x}).values()))
    np.testing.assert_allclose(wanted, network(torch.from_numpy(x)).detach().numpy(), atol=1e-4, rtol=1e-4)


def test_constants_are_parameters_and_buffers_under_their_own_names():
    """state_dict reads as that of the module which the file was written from."""
    network = bw.trainable(build(CNN))
    assert {"c1.weight", "n1.weight", "n1.bias", "c2.weight", "c2.bias", "fc.weight"} <= dict(
        network.named_parameters()
    ).keys()
    assert {"n1.mean", "n1.var"} <= dict(network.named_buffers()).keys()
    assert network.weight_names() == ["c1.weight", "c2.weight", "fc.weight"]


def test_a_module_of_torch_is_taken_as_it_is():
    """An nn.Module with example inputs; the same outputs."""
    module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    x = torch.randn(3, 4)
    network = bw.trainable(module, example_inputs=x).eval()
    torch.testing.assert_close(module(x), network(x))
    assert {"0.weight", "0.bias", "2.weight", "2.bias"} == dict(network.named_parameters()).keys()


def test_inputs_go_in_order_or_by_name():
    """Wrong ones are refused by name."""
    network = bw.trainable(build(MLP)).eval()
    x = torch.randn(2, 10)
    torch.testing.assert_close(network(x), network(x=x))
    with pytest.raises(UsageError, match="takes x"):
        network(x, x)
    with pytest.raises(UsageError, match="takes x"):
        network(z=x)


def test_a_copy_trains_apart():
    """Deepcopy shares the graph, which nobody changes, and no parameter."""
    network = bw.trainable(build(MLP))
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.w1.add_(1.0)
    assert not torch.equal(network.w1, other.w1)
    assert network.graph is other.graph


def test_normalizations_of_a_float_network_train_as_torch_trains_them():
    """Batch statistics, and running ones that move by 1 - momentum."""
    network = bw.trainable(build(CNN)).train()
    before = network.n1.mean.clone()
    x = torch.from_numpy(inputs_of(network.graph, 16))
    network(x)
    convolved = torch.nn.functional.conv2d(x, network.c1.weight, padding=1)
    wanted = 0.9 * before + 0.1 * convolved.mean((0, 2, 3))
    torch.testing.assert_close(wanted, network.n1.mean)
    network.freeze_norms()
    network(x)
    torch.testing.assert_close(wanted, network.n1.mean)


def test_a_converted_float_network_is_the_graph_with_new_weights(tmp_path):
    """Names of inputs and outputs stay; what was trained is there."""
    network = bw.trainable(build(CNN))
    with torch.no_grad():
        network.fc.bias.add_(1.0)
    bw.convert(network).save(tmp_path / "m.onnx")
    x = inputs_of(network.graph)
    made = bw.run(str(tmp_path / "m.onnx"), {"x": x}, runtime="onnxruntime")
    np.testing.assert_allclose(
        network.eval()(torch.from_numpy(x)).detach().numpy(), made["scores"], atol=1e-5, rtol=1e-4
    )


def test_nodes_that_cannot_be_trained_are_refused_all_at_once():
    """Each with its name and reason."""
    model = parse(
        '<ir_version: 10, opset_import: ["": 21, "mine": 1]>\n'
        "g (float[2] x) => (float[2] y) { a = mine.Strange (x) \n b = NonSense (a) \n y = Relu (b) }"
    )
    for node, name in zip(model.graph, ("first", "second", "third"), strict=True):
        node.name = name
    with pytest.raises(UnsupportedOpError, match=r"2 nodes") as error:
        bw.trainable(model)
    assert "first: mine::Strange" in str(error.value) and "second: NonSense" in str(error.value)


def test_a_quantized_model_is_refused():
    """Training starts from floats."""
    model = build(MLP)
    small = bw.quantize(model, "int8", calibration=inputs_of(model, 16))
    with pytest.raises(UsageError, match="quantized already"):
        bw.trainable(small)
