"""Pruning: exact sparsity in every shape and pattern, masks that hold, zeros that stay."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from slim_networks import images, network_of, optimizer_of, train  # noqa: E402

from bitwright.errors import UsageError  # noqa: E402
from bitwright.training.clustering import cluster_weights  # noqa: E402
from bitwright.training.convert import converted  # noqa: E402
from bitwright.training.network import Network  # noqa: E402
from bitwright.training.prepare import quantization_aware  # noqa: E402
from bitwright.training.pruning import Pruner, prune_low_magnitude, smallest, sparsity, strip_pruning  # noqa: E402
from bitwright.training.schedules import ConstantSparsity, PolynomialDecay  # noqa: E402
from bitwright.training.weights import layouts  # noqa: E402
from bitwright.training.written import written_graph  # noqa: E402

#: Two convolutions, the first with a BatchNormalization, and a Gemm.
IMAGES = """g (float[N, 4, 6, 6] x, float[8, 4, 3, 3] first_weight, float[8] scale, float[8] shift, float[8] mean,
    float[8] var, float[8, 8, 3, 3] second_weight, float[8] second_bias, float[10, 8] head_weight, float[10] head_bias)
    => (float[N, 10] y) {
    [first] a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, first_weight)
    [norm] n = BatchNormalization (a, scale, shift, mean, var)
    [relu] r = Relu (n)
    [second] b = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r, second_weight, second_bias)
    [relu2] s = Relu (b)
    [pool] p = GlobalAveragePool (s)
    [flat] f = Flatten (p)
    [head] y = Gemm <transB = 1> (f, head_weight, head_bias) }"""
WEIGHTS = ["first.weight", "second.weight", "head.weight"]


def zero_counts(network: Network) -> dict[str, int]:
    return {name: one.zeros for name, one in sparsity(network).weights.items()}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=40), st.floats(0, 1))
def test_smallest_is_the_beginning_of_a_stable_sort(scores, share):
    """Exactly as many as asked, ties by their place."""
    count = round(share * len(scores))
    expected = set(sorted(range(len(scores)), key=scores.__getitem__)[:count])
    assert expected == set(smallest(torch.tensor(scores), count).nonzero().flatten().tolist())


@pytest.mark.parametrize("target", [0.0, 0.3, 0.5, 0.87, 0.99])
def test_prune_gives_each_layer_its_exact_sparsity(target):
    """round(sparsity * elements) zeros in every weight; they are those of the smallest magnitudes."""
    network = prune_low_magnitude(network_of(IMAGES), ConstantSparsity(target, 0))
    network.train()
    before = {name: network.place(name).tensor.detach().clone() for name in WEIGHTS}
    network(images(0))
    assert {n: round(target * w.numel()) for n, w in before.items()} == zero_counts(network)
    for name, weight in before.items():
        kept = network.tensor(name) != 0
        if target > 0:
            assert weight[~kept].abs().max() <= weight[kept].abs().min()


def test_prune_counts_ties_exactly():
    """A weight of one value alone has exactly the asked zeros, in its first places."""
    network = network_of("g (float[N, 8] x, float[8, 5] w) => (float[N, 5] y) { [m] y = MatMul (x, w) }")
    with torch.no_grad():
        network.place("w").tensor.fill_(-0.25)
    prune_low_magnitude(network, ConstantSparsity(0.4, 0)).train()
    network(torch.zeros(1, 8))
    assert network.tensor("w").T.flatten().tolist() == [0.0] * 16 + [-0.25] * 24


def test_prune_globally_shares_zeros_out_by_magnitude():
    """All weights together have the sparsity; small ones have more of it."""
    network = network_of(IMAGES)
    with torch.no_grad():
        network.place("second.weight").tensor.mul_(0.0001)
    prune_low_magnitude(network, ConstantSparsity(0.7, 0), scope="global").train()
    network(images(0))
    found = sparsity(network)
    assert round(0.7 * found.total.elements) == found.total.zeros
    assert found.weights["second.weight"].share == 1.0
    assert found.weights["head.weight"].share < 0.7


LAYERS = {
    "conv": "g (float[N, 8, 5, 5] x, float[6, 8, 3, 3] w) => (y) { [n] y = Conv <kernel_shape = [3, 3]> (x, w) }",
    "grouped": "g (float[N, 8, 5, 5] x, float[6, 4, 2, 2] w) => (y) { [n] y = Conv <group = 2> (x, w) }",
    "transposed": "g (float[N, 8, 5, 5] x, float[8, 3, 2, 2] w) => (y) { [n] y = ConvTranspose (x, w) }",
    "transposed-groups": "g (float[N, 8, 5, 5] x, float[8, 3, 2, 2] w) => (y) { y = ConvTranspose <group=2> (x, w) }",
    "gemm": "g (float[N, 8] x, float[8, 6] w) => (y) { [n] y = Gemm (x, w) }",
    "gemm-transposed": "g (float[N, 8] x, float[6, 8] w) => (y) { [n] y = Gemm <transB = 1> (x, w) }",
    "matmul": "g (float[N, 8] x, float[8, 6] w) => (y) { [n] y = MatMul (x, w) }",
    "matmul-left": "g (float[8, N] x, float[6, 8] w) => (y) { [n] y = MatMul (w, x) }",
    "lstm": "g (float[T, N, 8] x, float[1, 16, 8] w, float[1, 16, 4] r) => (y) { y = LSTM <hidden_size=4> (x, w, r) }",
}


def as_seen(layer: str, weight: np.ndarray) -> np.ndarray:
    """[outputs, input channels of a group, kernel], written down once more."""
    if layer.startswith("transposed"):
        groups = 2 if layer.endswith("groups") else 1
        split = weight.reshape(groups, 8 // groups, 3, -1)
        return split.transpose(0, 2, 1, 3).reshape(groups * 3, 8 // groups, -1)
    if layer in ("gemm", "matmul"):
        weight = weight.T
    if layer == "lstm":
        weight = weight[0]
    return weight.reshape(weight.shape[0], weight.shape[1], -1)


@pytest.mark.parametrize("layer", LAYERS)
def test_layout_sees_outputs_then_inputs(layer):
    """Whatever the order in memory; and restores it."""
    network = network_of(LAYERS[layer])
    weight, layout = network.tensor("w").detach(), layouts(network.graph)["w"]
    seen = as_seen(layer, weight.numpy())
    assert np.array_equal(seen.reshape(seen.shape[0], -1), layout.matrix(weight).numpy())
    assert seen.shape[1] == layout.input_channels
    assert torch.equal(weight, layout.restored(layout.matrix(weight)))


@pytest.mark.parametrize("n_m", [(2, 4), (1, 4), (3, 4), (1, 2)], ids=lambda n_m: f"{n_m[0]}-of-{n_m[1]}")
@pytest.mark.parametrize("layer", LAYERS)
def test_prune_n_of_m_leaves_n_of_consecutive_input_channels(layer, n_m):
    """The largest n of every m input channels at a place of the kernel stay, in every kind of layer."""
    network, (n, m) = network_of(LAYERS[layer]), n_m
    before = as_seen(layer, network.tensor("w").detach().numpy())
    prune_low_magnitude(network, ConstantSparsity(1 - n / m, 0), n_m=n_m).pruners[0].next_step(network)
    after = as_seen(layer, network.tensor("w").detach().numpy())
    groups = np.moveaxis(after, 1, -1).reshape(-1, m)
    assert np.all((groups != 0).sum(axis=1) == n)
    magnitudes = np.sort(np.abs(np.moveaxis(before, 1, -1).reshape(-1, m)), axis=1)[:, m - n :]
    assert np.array_equal(magnitudes, np.sort(np.abs(groups), axis=1)[:, m - n :])


def test_prune_n_of_m_grows_with_its_schedule():
    """On the way no group has more zeros than it will have, and their number is exact."""
    network = network_of(LAYERS["conv"])
    prune_low_magnitude(network, PolynomialDecay(0.1, 0.5, 0, 4, power=1, frequency=1), n_m=(2, 4))
    for step in range(5):
        network.pruners[0].next_step(network)
        zeros = np.moveaxis(as_seen("conv", network.tensor("w").detach().numpy()), 1, -1).reshape(-1, 4) == 0
        assert round((0.1 + 0.1 * step) * 432) == zeros.sum()
        assert zeros.sum(axis=1).max() <= 2


def test_prune_n_of_m_leaves_other_widths_dense():
    """Three input channels have no groups of four."""
    text = """g (float[N, 3, 5, 5] x, float[4, 3, 1, 1] a, float[4, 4, 1, 1] b) => (y) {
        [one] t = Conv (x, a) [two] y = Conv (t, b) }"""
    network = prune_low_magnitude(network_of(text), ConstantSparsity(0.5, 0), n_m=(2, 4)).train()
    network(torch.zeros(1, 3, 5, 5))
    assert zero_counts(network) == {"a": 0, "b": 8}


@pytest.mark.parametrize("block_shape", [(1, 4), (4, 1), (2, 3), (5, 7), (64, 64)], ids=str)
@pytest.mark.parametrize("layer", LAYERS)
def test_prune_blocks_are_zero_or_whole(layer, block_shape):
    """round(sparsity * blocks) blocks of the smallest mean magnitude are zero; those at the edges are smaller."""
    network, (height, width) = network_of(LAYERS[layer]), block_shape
    weight = as_seen(layer, network.tensor("w").detach().numpy())
    matrix = weight.reshape(weight.shape[0], -1)
    corners = [(i, j) for i in range(0, matrix.shape[0], height) for j in range(0, matrix.shape[1], width)]
    means = [np.abs(matrix[i : i + height, j : j + width]).mean() for i, j in corners]
    expected = matrix.copy()
    for index in np.argsort(means)[: round(0.5 * len(corners))]:
        i, j = corners[index]
        expected[i : i + height, j : j + width] = 0
    prune_low_magnitude(network, ConstantSparsity(0.5, 0), block_shape=block_shape).pruners[0].next_step(network)
    after = as_seen(layer, network.tensor("w").detach().numpy())
    assert np.array_equal(expected, after.reshape(matrix.shape))


def test_prune_follows_its_schedule():
    """Masks are renewed before the steps that are due, and only there; after the last they stay."""
    network = prune_low_magnitude(network_of(IMAGES), PolynomialDecay(0.2, 0.8, 1, 5, power=1, frequency=2))
    found = []
    for step in range(8):
        train(network, 1, begin=step)
        found.append(sparsity(network).weights["second.weight"].zeros)
    assert [round(share * 576) for share in (0, 0.2, 0.2, 0.5, 0.5, 0.8, 0.8, 0.8)] == found
    kept = network.mask_of("second.weight").kept.clone()
    train(network, 5, begin=8)
    assert torch.equal(kept, network.mask_of("second.weight").kept)


def test_pruner_says_when_masks_are_full():
    """From the step on at which the schedule ends."""
    network = prune_low_magnitude(network_of(IMAGES), PolynomialDecay(0.2, 0.8, 0, 2, frequency=1))
    found = []
    for step in range(4):
        train(network, 1, begin=step)
        found.append(network.pruners[0].is_full)
    assert found == [False, False, True, True]


def test_pruned_weight_may_come_back():
    """What is masked keeps its value, and is compared at the next renewal."""
    network = prune_low_magnitude(network_of(IMAGES), ConstantSparsity(0.5, 0, frequency=1)).train()
    network(images(0))
    masked = (network.tensor("head.weight") == 0).nonzero()[0]
    with torch.no_grad():
        network.place("head.weight").tensor[tuple(masked)] = 9.0
    assert network.tensor("head.weight")[tuple(masked)].item() == 0.0
    network(images(0))
    assert network.tensor("head.weight")[tuple(masked)].item() == 9.0


def test_masked_weights_have_no_gradient():
    """The others have that of the masked network."""
    network = prune_low_magnitude(network_of(IMAGES), ConstantSparsity(0.5, 0)).train()
    network(images(0)).square().sum().backward()
    gradient, zero = network.place("second.weight").tensor.grad, network.tensor("second.weight") == 0
    assert not gradient[zero].any()
    assert gradient[~zero].any()


def test_zeros_survive_momentum_and_decay():
    """An optimizer moves masked weights; the network reads zeros."""
    network = network_of(IMAGES)
    optimizer = optimizer_of(network)
    train(network, 3, optimizer=optimizer)
    prune_low_magnitude(network, ConstantSparsity(0.5, 0, end_step=0))
    train(network, 1, optimizer=optimizer)
    zero = {name: network.tensor(name) == 0 for name in WEIGHTS}
    held = network.place("head.weight").tensor.detach().clone()
    train(network, 5, optimizer=optimizer)
    assert all(torch.equal(zero[name], network.tensor(name) == 0) for name in WEIGHTS)
    assert not torch.equal(held[zero["head.weight"]], network.place("head.weight").tensor[zero["head.weight"]])


def test_pruning_resumes_to_the_same_bits():
    """Masks and the count of steps are in the state: an interrupted schedule goes on as if it had not been."""

    def made() -> tuple[Network, torch.optim.Optimizer]:
        network = prune_low_magnitude(network_of(IMAGES), PolynomialDecay(0.1, 0.8, 1, 9, frequency=3))
        return network, optimizer_of(network)

    whole, optimizer = made()
    train(whole, 12, optimizer=optimizer)
    first, optimizer = made()
    train(first, 5, optimizer=optimizer)
    state = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    second, optimizer = made()
    second.load_state_dict(state[0])
    optimizer.load_state_dict(state[1])
    train(second, 7, begin=5, optimizer=optimizer)
    resumed = second.state_dict()
    for name, expected in whole.state_dict().items():
        assert torch.equal(expected, resumed[name]) if isinstance(expected, torch.Tensor) else expected == resumed[name]
    assert zero_counts(whole)["second.weight"] == round(0.8 * 576)


@pytest.mark.parametrize("bn", ["frozen", "correct"])
@pytest.mark.parametrize("per_channel", [True, False], ids=["per-channel", "per-tensor"])
def test_pruned_weights_are_zero_as_integers(bn, per_channel):
    """Folded, quantized and trained on: every masked weight is the integer 0 in the converted model."""
    network = prune_low_magnitude(network_of(IMAGES), ConstantSparsity(0.5, 0, end_step=0))
    train(network, 2)
    asked = zero_counts(network)
    quantization_aware(network, bn=bn, per_channel=per_channel)
    train(network, 4, begin=2)
    _, plan, deployed = converted(network.eval())
    for name in WEIGHTS:
        qparams = plan.tensors[name].qparams
        array = deployed.graph.initializers[name].const_value.numpy()
        view = [-1 if axis == qparams.axis else 1 for axis in range(array.ndim)]
        integers = np.round(array / qparams.scale.reshape(view))
        assert asked[name] <= (integers == 0).sum()
        assert np.all(qparams.zero_point == 0)
        assert np.all(integers[network.tensor(name).detach().numpy() == 0] == 0)


def test_prune_after_clustering_adds_zero_alone():
    """A clustered weight has its values and zero."""
    network = cluster_weights(network_of(IMAGES), 4)
    prune_low_magnitude(network, ConstantSparsity(0.5, 0))
    train(network, 2)
    assert zero_counts(network)["second.weight"] == 288
    assert len(network.tensor("second.weight").unique()) <= 5
    before = network.tensor("second.weight").detach().clone()
    strip_pruning(network)
    assert torch.equal(before, network.tensor("second.weight"))
    train(network, 2)
    assert torch.equal(before == 0, network.tensor("second.weight") == 0)


def test_strip_pruning_makes_zeros_the_weights_own():
    """Outputs are the same bits, no mask is left, and a written graph has the zeros."""
    network = prune_low_magnitude(network_of(IMAGES), ConstantSparsity(0.5, 0))
    train(network, 2)
    network.eval()
    expected, zeros = network(images(9)), zero_counts(network)
    assert network is strip_pruning(network)
    assert torch.equal(expected, network(images(9)))
    assert [key for key in network.state_dict() if "mask" in key or "pruner" in key] == []
    assert {name: int((network.place(name).tensor == 0).sum()) for name in WEIGHTS} == zeros
    written = written_graph(network).graph.initializers["head.weight"].const_value.numpy()
    assert zeros["head.weight"] == (written == 0).sum()


def test_prune_leaves_out_what_matches():
    """Regular expressions are searched in names; one text is one expression."""
    network = prune_low_magnitude(network_of(IMAGES), ConstantSparsity(0.5, 0), exclude=["^first", "head"]).train()
    network(images(0))
    assert zero_counts(network) == {"first.weight": 0, "second.weight": 288, "head.weight": 0}
    prune_low_magnitude(network, ConstantSparsity(0.25, 0), exclude="second")
    network(images(0))
    assert zero_counts(network) == {"first.weight": 72, "second.weight": 288, "head.weight": 20}


def test_pruning_happens_while_training_alone():
    """Evaluation neither counts steps nor renews masks."""
    network = prune_low_magnitude(network_of(IMAGES), ConstantSparsity(0.5, 0)).eval()
    network(images(0))
    assert sparsity(network).total.zeros == 0
    assert isinstance(network.pruners[0], Pruner)
    assert int(network.pruners[0].step) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"schedule": 0.5}, "no schedule", id="a-number-for-a-schedule"),
        pytest.param({"scope": "model"}, "scope cannot be 'model'", id="scope"),
        pytest.param({"block_shape": (0, 1)}, "block_shape", id="empty-block"),
        pytest.param({"block_shape": 4}, "block_shape", id="one-number"),
        pytest.param({"block_shape": (2.0, 2)}, "block_shape", id="half-numbers"),
        pytest.param({"n_m": (4, 4)}, "n_m", id="nothing-zero"),
        pytest.param({"n_m": (2, 4, 8)}, "n_m", id="three-numbers"),
        pytest.param({"n_m": (1, 4)}, "ends with a sparsity of 0.5, and 1 of 4 is 0.75", id="another-sparsity"),
        pytest.param({"n_m": (2, 4), "block_shape": (4, 4)}, "both", id="blocks-and-pattern"),
        pytest.param({"n_m": (8, 16)}, "groups of 16", id="no-such-groups"),
        pytest.param({"exclude": ("(",)}, "not a regular expression", id="no-regex"),
        pytest.param({"exclude": ("third",)}, "matches no weight", id="matches-nothing"),
        pytest.param({"exclude": (".",)}, "no weight is left", id="nothing-left"),
    ],
)
def test_prune_refuses(options, said):
    """What is wrong is named, and the network is as it was."""
    network = network_of(IMAGES)
    options = {"schedule": ConstantSparsity(0.5, 0), **options}
    with pytest.raises(UsageError, match=said):
        prune_low_magnitude(network, **options)
    assert len(network.pruners) == 0
    assert network.mask_of("head.weight") is None


def test_prune_refuses_to_prune_twice():
    """Two schedules cannot have one mask."""
    network = prune_low_magnitude(network_of(IMAGES), ConstantSparsity(0.5, 0))
    with pytest.raises(UsageError, match="3 weights are pruned already"):
        prune_low_magnitude(network, ConstantSparsity(0.5, 0))
