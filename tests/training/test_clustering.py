"""Clustering: shared values that train by summed gradients, and stay few through everything that follows."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from slim_networks import images, network_of, optimizer_of, train  # noqa: E402

from bitwright.errors import UsageError  # noqa: E402
from bitwright.training.clustering import cluster_weights, clustered, strip_clustering  # noqa: E402
from bitwright.training.clusters import Clusters  # noqa: E402
from bitwright.training.convert import converted  # noqa: E402
from bitwright.training.kmeans import INITS  # noqa: E402
from bitwright.training.network import Network  # noqa: E402
from bitwright.training.prepare import quantization_aware  # noqa: E402
from bitwright.training.pruning import prune_low_magnitude, sparsity, strip_pruning  # noqa: E402
from bitwright.training.schedules import ConstantSparsity, PolynomialDecay  # noqa: E402
from bitwright.training.weights import Layout, layouts  # noqa: E402
from bitwright.training.written import written_graph  # noqa: E402
from bitwright.transforms.pipeline import prepare  # noqa: E402

#: Two convolutions and a Gemm; NORM stands for what is behind the first.
IMAGES = """g (float[N, 4, 6, 6] x, float[8, 4, 3, 3] first_weight, float[8] scale, float[8] shift, float[8] mean,
    float[8] var, float[8, 8, 3, 3] second_weight, float[8] second_bias, float[8, 10] head_weight, float[10] head_bias)
    => (float[N, 10] y) {
    [first] a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, first_weight)
    [norm] n = NORM
    [relu] r = Relu (n)
    [second] b = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r, second_weight, second_bias)
    [relu2] s = Relu (b)
    [pool] p = GlobalAveragePool (s)
    [flat] f = Flatten (p)
    [head] y = Gemm (f, head_weight, head_bias) }"""
NORMALIZED = IMAGES.replace("NORM", "BatchNormalization (a, scale, shift, mean, var)")
PLAIN = IMAGES.replace("NORM", "Neg (a)")
WEIGHTS = ["first.weight", "second.weight", "head.weight"]


def value_counts(network: Network) -> dict[str, int]:
    return {name: len(network.tensor(name).unique()) for name in network.weight_names()}


def pruned(text: str, target: float = 0.5) -> Network:
    """A network with masks."""
    network = prune_low_magnitude(network_of(text), ConstantSparsity(target, 0, end_step=0))
    train(network, 1)
    return network


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("text", [PLAIN, NORMALIZED], ids=["plain", "normalized"])
def test_cluster_leaves_few_values(text, init):
    """Each weight has no more values than asked, and is what it was, but for the distance to the nearest of them."""
    network = network_of(text).eval()
    folded = prepare(written_graph(network)).graph.initializers
    made = cluster_weights(network, 8, cluster_centroids_init=init)
    assert min(value_counts(made).values()) >= 7  # a centroid of linear may have no members
    assert max(value_counts(made).values()) <= 8
    for name in WEIGHTS:
        weight, values = folded[name].const_value.numpy(), made.tensor(name).detach().numpy()
        nearest = np.abs(weight[..., None] - np.unique(values)).min(axis=-1)
        assert np.abs(weight - values) == pytest.approx(nearest, abs=1e-7)


def test_cluster_folds_normalizations():
    """The network to go on with has none, and gives what the old one gave, up to what was shared."""
    network = network_of(NORMALIZED).eval()
    made = cluster_weights(network, 200)
    assert made is not network
    assert not made.training
    assert "BatchNormalization" not in [node.op_type for node in made.graph.graph]
    expected = network(images(0)).detach()
    assert (made(images(0)) - expected).abs().max() < 0.03 * expected.abs().max()


def test_cluster_keeps_a_network_without_normalizations():
    """It is changed in place."""
    network = network_of(PLAIN)
    assert network is cluster_weights(network, 8)


@pytest.mark.parametrize("per_channel", [False, True], ids=["per-tensor", "per-channel"])
@pytest.mark.parametrize("has_zero", [False, True], ids=["all", "zero"])
def test_centroid_gradient_is_the_sum_over_members(per_channel, has_zero):
    """Of the gradients of all elements that have the value; zero has none."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 50, generator=generator)
    weight[:, ::3] = 0
    layout = Layout((6, 50), (6, 50), (0, 1), rows=1) if per_channel else None
    clusters = clustered(weight, 5, "linear", np.random.default_rng(0), has_zero=has_zero, layout=layout)
    gradient = torch.randn(6, 50, generator=generator)
    clusters().backward(gradient)
    expected = torch.zeros_like(clusters.centroids)
    for row in range(6):
        for column in range(50):
            index = int(clusters.indices[row, column]) - has_zero
            if index >= 0:
                expected[(row, index) if per_channel else index] += gradient[row, column]
    assert expected.flatten().tolist() == pytest.approx(clusters.centroids.grad.flatten().tolist(), abs=1e-5)


def test_clusters_train():
    """Values move, and what shared one goes on sharing it."""
    network = cluster_weights(network_of(PLAIN), 8)
    before = {name: network.tensor(name).detach().clone() for name in WEIGHTS}
    train(network, 5)
    for name in WEIGHTS:
        after = network.tensor(name).detach()
        assert not torch.equal(before[name], after)
        for value in before[name].unique():
            assert len(after[before[name] == value].unique()) == 1


@pytest.mark.parametrize("layer", ["conv", "transposed", "matmul", "lstm"])
def test_cluster_per_channel_gives_each_output_its_values(layer):
    """Along the output channels of every kind of layer, which have others together."""
    text = {
        "conv": "g (float[N, 8, 5, 5] x, float[6, 8, 3, 3] w) => (y) { y = Conv (x, w) }",
        "transposed": "g (float[N, 8, 5, 5] x, float[8, 3, 3, 3] w) => (y) { [n] y = ConvTranspose <group=2> (x, w) }",
        "matmul": "g (float[N, 40] x, float[40, 6] w) => (y) { [n] y = MatMul (x, w) }",
        "lstm": "g (float[T, N, 9] x, float[1, 8, 9] w, float[1, 8, 2] r) => (y) { y = LSTM<hidden_size=2> (x, w, r) }",
    }[layer]
    network = cluster_weights(network_of(text), 4, per_channel=True)
    weight = network.tensor("w")
    outputs = layouts(network.graph)["w"].matrix(weight)
    assert {4} == {len(row.unique()) for row in outputs}
    assert len(weight.unique()) > 4
    assert not network.nodes_of_shared()


def test_cluster_counts_may_differ_by_layer():
    """The first expression that matches counts; others are not clustered."""
    network = cluster_weights(network_of(PLAIN), {"^second": 16, "first|second": 4})
    assert value_counts(network) == {"first.weight": 4, "second.weight": 16, "head.weight": 80}


def test_cluster_leaves_out_what_matches():
    """Regular expressions are searched in names; what is left out trains as it did."""
    network = cluster_weights(network_of(NORMALIZED), 8, exclude=("head",))
    assert network.place("head.weight").is_parameter()
    assert value_counts(network) == {"first.weight": 8, "second.weight": 8, "head.weight": 80}


@pytest.mark.parametrize("text", [PLAIN, NORMALIZED], ids=["plain", "normalized"])
def test_cluster_keeps_pruned_weights_zero(text):
    """Zero is one of the values, and is what was zero, through training with momentum and decay."""
    network = pruned(text)
    zeros = {name: one.zeros for name, one in sparsity(network).weights.items()}
    network = cluster_weights(network, 8, exclude=("head",))
    before = {name: network.tensor(name) == 0 for name in WEIGHTS}
    train(network, 5)
    assert zeros == {name: one.zeros for name, one in sparsity(network).weights.items()}
    assert all(torch.equal(before[name], network.tensor(name) == 0) for name in WEIGHTS)
    assert {8} == {len(network.tensor(name).unique()) for name in WEIGHTS[:2]}
    strip_pruning(network)
    train(network, 2)
    assert all(torch.equal(before[name], network.tensor(name) == 0) for name in WEIGHTS[:2])


@pytest.mark.parametrize("text", [PLAIN, NORMALIZED], ids=["plain", "normalized"])
def test_cluster_ends_pruning(text):
    """Masks stay as they are from then on, though their schedule has not ended."""
    network = prune_low_magnitude(network_of(text), PolynomialDecay(0.2, 0.8, 0, 5, frequency=1))
    train(network, 2)
    network = cluster_weights(network, 8)
    expected = {name: network.tensor(name) == 0 for name in WEIGHTS}
    train(network, 5)
    assert all(torch.equal(expected[name], network.tensor(name) == 0) for name in WEIGHTS)


def test_cluster_keeps_zeros_without_masks():
    """Of a weight of which more than a fifth is zero; of others zero is a number like any."""
    network = network_of(PLAIN)
    with torch.no_grad():
        network.place("second.weight").tensor[:2] = 0
        network.place("first.weight").tensor[:1] = 0
    cluster_weights(network, 4)
    train(network, 3)
    assert network.tensor("second.weight")[:2].unique().tolist() == [0]
    assert 0 not in network.tensor("first.weight")[:1].unique().tolist()
    assert {4} == set(value_counts(network).values())


def test_cluster_of_nothing_but_zeros():
    """It stays zero."""
    clusters = clustered(torch.zeros(3, 4), 4, "kmeans++", np.random.default_rng(0), has_zero=True)
    clusters().sum().backward()
    assert torch.equal(torch.zeros(3, 4), clusters())


def test_clusters_of_many_values_have_wide_indices():
    """One byte for 256 values, zero included; two for more."""
    weight = torch.arange(1.0, 401.0)
    for count, dtype in ((255, torch.uint8), (256, torch.uint8), (257, torch.int16)):
        clusters = clustered(weight, count, "linear", np.random.default_rng(0))
        assert dtype is clusters.indices.dtype
        assert len(clusters().unique()) == count
    assert clustered(weight, 257, "density", np.random.default_rng(0)).with_zeros(weight > 390)().eq(0).sum() == 10


def test_quantization_aware_training_keeps_clusters():
    """With one scale a weight there are as many integers at most; they train, and the converted model has them."""
    network = cluster_weights(pruned(NORMALIZED), 8)
    assert network.nodes_of_shared()
    quantization_aware(network, per_channel=False)
    centroids = {name: network.shared(name).centroids.detach().clone() for name in WEIGHTS}
    train(network, 4)
    assert all(not torch.equal(centroids[name], network.shared(name).centroids) for name in WEIGHTS)
    _, plan, deployed = converted(network.eval())
    for name in WEIGHTS:
        qparams = plan.tensors[name].qparams
        assert qparams.axis is None
        integers = np.round(deployed.graph.initializers[name].const_value.numpy() / qparams.scale)
        assert len(np.unique(integers)) <= 8
        assert (integers == 0).sum() >= integers.size // 2


def test_quantized_weights_are_clustered_where_they_stay_so():
    """One scale a weight and nothing to fold: clustering after quantization is as good."""
    network = quantization_aware(network_of(PLAIN), per_channel=False)
    assert network is cluster_weights(network, 8)
    train(network, 3)
    _, plan, deployed = converted(network.eval())
    for name in WEIGHTS:
        integers = np.round(deployed.graph.initializers[name].const_value.numpy() / plan.tensors[name].qparams.scale)
        assert len(np.unique(integers)) <= 8


@pytest.mark.parametrize(
    ("text", "per_channel", "said"),
    [
        pytest.param(NORMALIZED, False, "folds normalizations", id="normalized"),
        pytest.param(PLAIN, True, "have a scale a channel", id="per-channel"),
    ],
)
def test_cluster_refuses_a_quantized_network(text, per_channel, said):
    """Where quantization would take shared values apart; and says which order goes."""
    network = quantization_aware(network_of(text), per_channel=per_channel)
    with pytest.raises(UsageError, match=said) as refused:
        cluster_weights(network, 8)
    assert "cluster first, then prepare_qat" in refused.value.next


def test_clustering_resumes_to_the_same_bits():
    """Values and indices are in the state."""

    def made() -> tuple[Network, torch.optim.Optimizer]:
        network = cluster_weights(pruned(NORMALIZED), 8)
        return network, optimizer_of(network)

    whole, optimizer = made()
    train(whole, 6, optimizer=optimizer)
    first, optimizer = made()
    train(first, 3, optimizer=optimizer)
    state = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    second, optimizer = made()
    second.load_state_dict(state[0])
    optimizer.load_state_dict(state[1])
    train(second, 3, begin=3, optimizer=optimizer)
    resumed = second.state_dict()
    for name, expected in whole.state_dict().items():
        assert torch.equal(expected, resumed[name]) if isinstance(expected, torch.Tensor) else expected == resumed[name]


def test_strip_clustering_frees_the_weights():
    """They have the values that they shared, are parameters again, and part when they train."""
    network = cluster_weights(network_of(PLAIN), 4)
    train(network, 2)
    network.eval()
    expected = network(images(9))
    assert network is strip_clustering(network)
    assert torch.equal(expected, network(images(9)))
    assert set(WEIGHTS) <= {name for name, _ in network.named_parameters()}
    assert not any("centroids" in name for name in network.state_dict())
    assert not network.nodes_of_shared()
    train(network, 2)
    assert min(value_counts(network).values()) > 4


def test_cluster_again_with_fewer_values():
    """A clustered weight is clustered like any other."""
    network = cluster_weights(cluster_weights(network_of(NORMALIZED), 32), 4)
    assert dict.fromkeys(WEIGHTS, 4) == value_counts(network)
    assert isinstance(network.shared("head.weight"), Clusters)


def test_cluster_draws_with_its_seed():
    """The same seed, the same network."""
    made = [
        cluster_weights(network_of(PLAIN), 6, cluster_centroids_init="random", seed=seed).tensor("first.weight")
        for seed in (3, 3, 4)
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"number_of_clusters": 1}, "number_of_clusters cannot be 1", id="one"),
        pytest.param({"number_of_clusters": 40_000}, "40000", id="too-many"),
        pytest.param({"number_of_clusters": 16.0}, "16.0", id="a-float"),
        pytest.param({"number_of_clusters": "16"}, "'16'", id="a-text"),
        pytest.param({"number_of_clusters": {}}, "names no weight", id="no-layer"),
        pytest.param({"number_of_clusters": {"third": 4}}, "'third' matches no weight", id="unknown-layer"),
        pytest.param({"number_of_clusters": {"(": 4}}, "not a regular expression", id="no-regex"),
        pytest.param({"number_of_clusters": {"first": 0}}, "number_of_clusters cannot be 0", id="none-for-a-layer"),
        pytest.param({"cluster_centroids_init": "kmeans"}, "one of linear, kmeans", id="init"),
        pytest.param({"exclude": (".*",)}, "no weight is left", id="nothing-left"),
        pytest.param({"seed": -1}, "seed cannot be -1", id="seed"),
    ],
)
def test_cluster_refuses(options, said):
    """What is wrong is named, and the network is as it was."""
    network = network_of(PLAIN)
    with pytest.raises(UsageError, match=said.replace("(", r"\(")) as refused:
        cluster_weights(network, **{"number_of_clusters": 8, **options})
    assert refused.value.next
    assert all(network.place(name).is_parameter() for name in WEIGHTS)


def test_cluster_refuses_weights_that_are_not_finite():
    """A training that diverged is said to have."""
    network = network_of(PLAIN)
    with torch.no_grad():
        network.place("head.weight").tensor[0, 0] = float("nan")
    with pytest.raises(UsageError, match="not finite"):
        cluster_weights(network, 8)
