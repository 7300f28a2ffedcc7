"""tfmot.sparsity.keras on Keras's torch backend; started by test_tfmot.py."""

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

tf_sparsity = tfmot.sparsity.keras
layers = keras.layers


def half(end: int = 8) -> object:
    return tf_sparsity.PolynomialDecay(0.0, 0.5, begin_step=2, end_step=end, frequency=2)


def test_pruned_model_has_half_of_its_weights_zero_and_the_users_architecture(tmp_path):
    """compile, fit, strip, save: exactly half of each kernel; the float model is as it was."""
    model = trained(convolutional())
    before = kernels(model)
    steps = np.ceil(256 / 32).astype(np.int32)  # as scripts compute them
    schedule = tf_sparsity.PolynomialDecay(initial_sparsity=0.0, final_sparsity=0.5, begin_step=0, end_step=steps)

    pruned = tf_sparsity.prune_low_magnitude(model, pruning_schedule=schedule)
    trained(pruned, callbacks=[tf_sparsity.UpdatePruningStep()])
    predicted = pruned.predict(images(64, 1)[0], verbose=0)
    stripped = tf_sparsity.strip_pruning(pruned)
    stripped.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")

    assert [round(k.size / 2) for k in kernels(loaded).values()] == [
        int((k == 0).sum()) for k in kernels(loaded).values()
    ]
    assert [type(one) for one in loaded.layers] == [type(one) for one in model.layers]
    assert [one.name for one in loaded.layers] == [one.name for one in model.layers]
    np.testing.assert_array_equal(loaded.predict(images(64, 1)[0], verbose=0), predicted)
    assert all(np.array_equal(before[path], now) for path, now in kernels(model).items())


def test_pruned_model_trains_on_zeros_from_the_step_that_the_schedule_says():
    """Before begin_step nothing is zero; zeros hold between batches and while it is evaluated."""
    shares = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            (kernel,) = [k for path, k in kernels(self.model).items() if "scores" in path]
            shares.append(float((kernel == 0).mean()))

    trained(
        tf_sparsity.prune_low_magnitude(convolutional(), half()), callbacks=[tf_sparsity.UpdatePruningStep(), Watch()]
    )

    assert shares[:2] == [0.0, 0.0]
    assert shares[8:] == [0.5] * 8
    assert shares == sorted(shares)


def test_pruned_model_that_is_fitted_without_the_callback_is_refused():
    """Nothing would be pruned; also by a second fit."""
    pruned = trained(
        tf_sparsity.prune_low_magnitude(convolutional(), half()), callbacks=[tf_sparsity.UpdatePruningStep()]
    )

    with pytest.raises(UsageError, match=r"callbacks=.tfmot\.sparsity\.keras\.UpdatePruningStep"):
        pruned.fit(*images(32), verbose=0)


def test_training_that_ends_before_the_schedule_warns():
    """Of a sparsity that was not reached."""
    pruned = tf_sparsity.prune_low_magnitude(convolutional(), half(end=4000))

    with pytest.warns(UserWarning, match="at step 16, and 50% of zeros are reached at step 4000"):
        trained(pruned, callbacks=[tf_sparsity.UpdatePruningStep()])


def test_layers_are_pruned_one_by_one_through_clone_model():
    """As the guides do: a clone_function that wraps Dense layers."""
    model = convolutional()
    own = lambda layer: tf_sparsity.prune_low_magnitude(layer, half()) if isinstance(layer, layers.Dense) else layer  # noqa: E731
    pruned = trained(keras.models.clone_model(model, clone_function=own), callbacks=[tf_sparsity.UpdatePruningStep()])

    shares = [float((k == 0).mean()) for k in kernels(tf_sparsity.strip_pruning(pruned)).values()]

    assert shares == [0.0, 0.0, 0.5]


def test_pruned_model_is_saved_and_trained_on(tmp_path):
    """Masks, schedule and step are in the .keras file."""
    pruned = trained(
        tf_sparsity.prune_low_magnitude(convolutional(), half()), callbacks=[tf_sparsity.UpdatePruningStep()]
    )
    pruned.save(tmp_path / "pruned.keras")

    with tf_sparsity.prune_scope():
        loaded = keras.models.load_model(tmp_path / "pruned.keras")
    loaded.fit(*images(64), callbacks=[tf_sparsity.UpdatePruningStep()], verbose=0)

    for before, now in zip(kernels(pruned).values(), kernels(loaded).values(), strict=True):
        np.testing.assert_array_equal(before == 0, now == 0)
        assert not np.array_equal(before, now)


@pytest.mark.parametrize("pooling", ["AVG", "MAX"])
def test_blocks_are_zero_together(pooling):
    """block_size is of rows and columns as Keras stores a Dense kernel; MAX keeps a block for one large weight."""
    layer = tf_sparsity.prune_low_magnitude(
        layers.Dense(6), tf_sparsity.ConstantSparsity(0.5, 0), block_size=(4, 2), block_pooling_type=pooling
    )
    model = keras.Sequential([keras.Input((8,)), layer])
    kernel = np.full((8, 6), 0.5, np.float32)
    kernel[:4, :2] = 0.01
    kernel[0, 0] = 2.0  # of its block the mean is small, the largest is the largest of all
    kernel[4:] = 0.3 + 0.01 * np.arange(6) // 2
    layer.layer.set_weights([kernel, np.zeros(6)])
    callback = tf_sparsity.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_train_batch_begin(0)

    zero = keras.ops.convert_to_numpy(layer.layer.kernel) == 0
    blocks = zero.reshape(2, 4, 3, 2).transpose(0, 2, 1, 3).reshape(6, 8)

    assert (blocks.all(1) == blocks.any(1)).all()
    assert blocks.any(1).sum() == 3
    assert bool(blocks[0].all()) == (pooling == "AVG")


def test_blocks_of_a_convolution_are_refused():
    """Blocks are of matrices."""
    with pytest.raises(UsageError, match="of weights of two dimensions"):
        tf_sparsity.prune_low_magnitude(convolutional(), half(), block_size=(2, 2))


def test_m_by_n_leaves_two_of_four_input_channels():
    """Along the inputs of a Dense and of a convolution; an image of one channel stays dense."""
    model = convolutional()
    pruned = tf_sparsity.prune_low_magnitude(model, tf_sparsity.ConstantSparsity(0.5, 0), sparsity_m_by_n=(2, 4))
    pruned = tf_sparsity.strip_pruning(trained(pruned, callbacks=[tf_sparsity.UpdatePruningStep()]))

    first, second, scores = kernels(pruned).values()

    assert (first != 0).all()
    assert (np.moveaxis(second, 2, -1).reshape(-1, 4) == 0).sum(1).tolist() == [2] * (second.size // 4)
    assert (scores.T.reshape(-1, 4) == 0).sum(1).tolist() == [2] * (scores.size // 4)


def test_layers_of_every_kind_are_pruned():
    """Embeddings, attention, layers in a model within the model, both directions of an LSTM; not normalizations."""
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 8, mask_zero=True)(tokens)
    x = layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True) + x
    x = keras.Sequential([keras.Input((6, 8)), layers.Dense(8), layers.LayerNormalization()])(x)
    x = layers.Bidirectional(layers.LSTM(4))(x)
    model = keras.Model(tokens, {"a": layers.Dense(2)(x), "b": keras.ops.mean(x, -1)})
    pruned = tf_sparsity.prune_low_magnitude(model, tf_sparsity.ConstantSparsity(0.5, 0))
    pruned.compile(optimizer="sgd", loss={"a": "mse", "b": "mse"})
    rng = np.random.default_rng(0)
    targets = {"a": rng.normal(size=(16, 2)), "b": rng.normal(size=16)}
    pruned.fit(rng.integers(1, 10, (16, 6)), targets, callbacks=[tf_sparsity.UpdatePruningStep()], verbose=0)

    shares = {path: float((k == 0).mean()) for path, k in kernels(tf_sparsity.strip_pruning(pruned)).items()}

    weights = {path: share for path, share in shares.items() if not path.endswith("bias")}
    assert len(weights) == 11
    assert set(weights.values()) == {0.5}


class Doubled(layers.Layer):
    """A layer of the user's own."""

    def build(self, shape):
        self.table = self.add_weight(shape=(shape[-1], 4), name="table")

    def call(self, x):
        return 2 * (x @ self.table)


class Told(Doubled):
    """One that says what is pruned."""

    def get_prunable_weights(self):
        return [self.table]


def test_layer_of_the_users_own_says_what_is_pruned():
    """By get_prunable_weights; without it the layer is refused by name."""
    told, untold = (keras.Sequential([keras.Input((6,)), cls(name="own")]) for cls in (Told, Doubled))

    pruned = tf_sparsity.prune_low_magnitude(told, tf_sparsity.ConstantSparsity(0.5, 0))

    assert [one.name for one in pruned.layers] == ["prune_low_magnitude_own"]
    with pytest.raises(UsageError, match="'own' is of the class Doubled") as caught:
        tf_sparsity.prune_low_magnitude(untold)
    assert "get_prunable_weights" in str(caught.value.next)


def test_policy_chooses_the_layers():
    """allow_pruning is asked for each layer."""

    class Convolutions:
        def allow_pruning(self, layer):
            return isinstance(layer, layers.Conv2D)

        def ensure_model_supports_pruning(self, model):
            pass

    pruned = tf_sparsity.prune_low_magnitude(convolutional(), pruning_policy=Convolutions())

    assert [one.name for one in pruned.layers if one.name.startswith("prune")] == [
        "prune_low_magnitude_first",
        "prune_low_magnitude_second",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"pruning_schedule": 0.5}, "is no schedule", id="schedule"),
        pytest.param({"block_pooling_type": "SUM"}, "block_pooling_type cannot be 'SUM'", id="pooling"),
        pytest.param({"sparsity_m_by_n": (1, 4)}, "schedule ends with a sparsity of 0.5", id="m-by-n"),
        pytest.param({"dtype": "float16"}, "dtype is for a single layer", id="layer-argument"),
    ],
)
def test_prune_low_magnitude_refuses(given, said):
    """What cannot be is named."""
    with pytest.raises(UsageError, match=said):
        tf_sparsity.prune_low_magnitude(convolutional(), **given)


def test_subclassed_model_is_refused():
    """Its layers are not known."""

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UsageError, match=r"Sequential or Functional model.*not Own"):
        tf_sparsity.prune_low_magnitude(Own())


def test_summaries_hold_sparsities(tmp_path):
    """One number a weight, at the end of each epoch."""
    pytest.importorskip("tensorboard")
    pruned = tf_sparsity.prune_low_magnitude(convolutional(), half())

    trained(pruned, callbacks=[tf_sparsity.UpdatePruningStep(), tf_sparsity.PruningSummaries(str(tmp_path))])

    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*.v2"))
    assert b"epoch_scores/kernel/sparsity" in written


def test_prune_low_magnitude_names_a_block_that_is_no_pair():
    """A number is no block."""
    with pytest.raises(UsageError, match="block_size cannot be 4"):
        tf_sparsity.prune_low_magnitude(convolutional(), block_size=4)


def test_pruning_policy_is_what_policies_derive_from():
    """It chooses layers; one that does not say which cannot be made."""

    class Products(tf_sparsity.PruningPolicy):
        def allow_pruning(self, layer):
            return isinstance(layer, layers.Dense)

        def ensure_model_supports_pruning(self, model):
            pass

    pruned = tf_sparsity.prune_low_magnitude(convolutional(), half(), pruning_policy=Products())

    assert [layer.name for layer in pruned.layers if layer.name.startswith("prune")] == ["prune_low_magnitude_scores"]
    with pytest.raises(TypeError, match="abstract"):
        tf_sparsity.PruningPolicy()
