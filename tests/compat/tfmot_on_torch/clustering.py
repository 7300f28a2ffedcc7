"""tfmot.clustering.keras on Keras's torch backend; started by test_tfmot.py."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from networks import convolutional, images, kernels, trained

import bitwright.compat.tfmot as tfmot
from bitwright.errors import UsageError

tf_clustering = tfmot.clustering.keras
layers = keras.layers
INITS = tf_clustering.CentroidInitialization


def values(model: object) -> list[int]:
    """How many different values each kernel has."""
    return [len(np.unique(kernel)) for kernel in kernels(model).values()]


@pytest.mark.parametrize("init", list(INITS))
def test_clustered_model_has_so_many_values_and_the_users_architecture(init, tmp_path):
    """compile, fit, strip, save; the shared values are trained, the float model is as it was."""
    model = trained(convolutional())
    before = kernels(model)

    clustered = tf_clustering.cluster_weights(model, number_of_clusters=8, cluster_centroids_init=init)
    begun = [np.unique(kernel) for kernel in kernels(tf_clustering.strip_clustering(clustered)).values()]
    clustered = tf_clustering.cluster_weights(model, number_of_clusters=8, cluster_centroids_init=init)
    predicted = trained(clustered, rate=1e-3).predict(images(64, 1)[0], verbose=0)
    tf_clustering.strip_clustering(clustered).save(tmp_path / "clustered.keras")
    loaded = keras.models.load_model(tmp_path / "clustered.keras")

    assert max(values(loaded)) <= 8
    assert all(
        not np.array_equal(old, np.unique(new)) for old, new in zip(begun, kernels(loaded).values(), strict=True)
    )
    assert [one.name for one in loaded.layers] == [one.name for one in model.layers]
    np.testing.assert_array_equal(loaded.predict(images(64, 1)[0], verbose=0), predicted)
    assert all(np.array_equal(before[path], now) for path, now in kernels(model).items())


def test_clustered_kernels_do_not_train_and_shared_values_do():
    """The optimizer holds centroids in the kernels' place; strip_clustering gives the kernels back to it."""
    clustered = tf_clustering.cluster_weights(convolutional(), 4)
    assert list(kernels(clustered)) == []
    assert [v.shape for v in clustered.trainable_variables if v.shape == (4,)].count((4,)) >= 3

    assert len(kernels(tf_clustering.strip_clustering(clustered))) == 3


def test_clustering_keeps_the_zeros_of_pruning():
    """Zero is one of the values."""
    sparsity = tfmot.sparsity.keras
    pruned = sparsity.prune_low_magnitude(convolutional(), sparsity.ConstantSparsity(0.5, 0))
    pruned = sparsity.strip_pruning(trained(pruned, callbacks=[sparsity.UpdatePruningStep()]))
    zero = [kernel == 0 for kernel in kernels(pruned).values()]

    clustered = tf_clustering.strip_clustering(trained(tf_clustering.cluster_weights(pruned, 8)))

    assert max(values(clustered)) <= 8
    for before, kernel in zip(zero, kernels(clustered).values(), strict=True):
        np.testing.assert_array_equal(before, kernel == 0)


def test_experimental_clustering_keeps_few_zeros_where_it_is_asked():
    """preserve_sparsity keeps what is less than a fifth."""
    model = keras.Sequential([keras.Input((16,)), layers.Dense(8)])
    kernel = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    kernel[0] = 0
    model.set_weights([kernel, np.zeros(8)])

    plain = tf_clustering.strip_clustering(tf_clustering.cluster_weights(model, 4))
    kept = tf_clustering.strip_clustering(tf_clustering.experimental.cluster_weights(model, 4, preserve_sparsity=True))

    assert not (next(iter(kernels(plain).values())) == 0).any()
    assert ((next(iter(kernels(kept).values())) == 0) == (kernel == 0)).all()


def test_convolutions_have_values_of_their_own_for_each_channel():
    """cluster_per_channel: so many in each, more in all; other layers share theirs."""
    clustered = tf_clustering.cluster_weights(convolutional(), 4, cluster_per_channel=True)
    first, second, scores = kernels(tf_clustering.strip_clustering(trained(clustered, epochs=1))).values()

    for kernel in (first, second):
        assert max(len(np.unique(kernel[..., channel])) for channel in range(kernel.shape[-1])) <= 4
        assert len(np.unique(kernel)) > 4
    assert len(np.unique(scores)) <= 4


def test_layers_of_every_kind_are_clustered():
    """Embeddings, attention, both directions of an LSTM; a dropout inside a layer draws anew each time."""
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 8, mask_zero=True)(tokens)
    x = layers.MultiHeadAttention(2, 4, dropout=0.5)(x, x) + x
    x = layers.Bidirectional(layers.LSTM(4, dropout=0.5))(x)
    model = tf_clustering.cluster_weights(keras.Model(tokens, layers.Dense(2)(x)), 5)
    model.compile(optimizer="sgd", loss="mse")
    given = np.random.default_rng(0).integers(1, 10, (16, 6))
    assert not np.array_equal(*[keras.ops.convert_to_numpy(model(given, training=True)) for _ in range(2)])
    model.fit(given, np.ones((16, 2)), verbose=0)

    stripped = kernels(tf_clustering.strip_clustering(model))

    assert max(len(np.unique(k)) for path, k in stripped.items() if not path.endswith("bias")) <= 5


def test_clustered_model_is_saved_and_trained_on(tmp_path):
    """Shared values and who has which are in the .keras file."""
    clustered = trained(tf_clustering.cluster_weights(convolutional(), 8))
    clustered.save(tmp_path / "clustered.keras")

    loaded = keras.models.load_model(tmp_path / "clustered.keras")

    x, labels = images(64, 1)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), clustered.predict(x, verbose=0))
    loaded.fit(x, labels, verbose=0)
    assert max(values(tf_clustering.strip_clustering(loaded))) <= 8


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"number_of_clusters": 1}, "number_of_clusters cannot be 1", id="one-cluster"),
        pytest.param({"cluster_centroids_init": "FOREST"}, "cannot be 'FOREST'", id="init"),
        pytest.param({"cluster_gradient_aggregation": "AVG"}, "by the sum of gradients", id="average"),
        pytest.param({"name": "x"}, "name is for a single layer", id="layer-argument"),
    ],
)
def test_cluster_weights_refuses(given, said):
    """What cannot be is named."""
    with pytest.raises(UsageError, match=said):
        tf_clustering.cluster_weights(convolutional(), **{"number_of_clusters": 4, **given})
