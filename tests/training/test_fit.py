"""fit trains without a loop of one's own: from labels, from the float network, on and on after interruptions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import CNN, IMAGES, MLP, build, inputs_of

import bitwright as bw
from bitwright.errors import ModelError, SampleError, UsageError
from bitwright.training.augment import augmentation
from bitwright.training.losses import distillation_loss


def task(count: int = 256):
    """Rows in two classes that a small network can tell apart, with labels."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, 10)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(np.int64)


def state_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items() if isinstance(tensor, torch.Tensor)}


def test_labels_are_learned():
    """Cross-entropy; top-1 on what was held out."""
    network = bw.trainable(build(MLP))
    history = bw.fit(network, task(), epochs=8, learning_rate=1e-2, distill=0.0, holdout=0.2, batch_size=16)
    assert max(epoch.accuracy for epoch in history.epochs) > 0.9
    assert not network.training


def test_without_labels_the_float_network_is_learned():
    """Distillation brings a 2-bit network nearer to what it came from."""
    model = build(MLP)
    x = inputs_of(model, 512)
    floating = bw.trainable(model).eval()(torch.from_numpy(x)).detach()

    def apart(network):
        made = network.eval()(torch.from_numpy(x)).detach()
        return float(distillation_loss([made], [floating], are_probabilities=False))

    network = bw.prepare_qat(model, weight_bits=2, calibration=x[:64])
    before = apart(network)
    bw.fit(network, x, epochs=6, learning_rate=3e-3, batch_size=32)
    assert apart(network) < 0.7 * before


def test_a_loss_of_ones_own_is_taken():
    """Called with the outputs and the labels."""
    seen = []

    def loss(made, labels):
        seen.append((tuple(made.shape), labels is None))
        return made.square().mean()

    bw.fit(bw.trainable(build(MLP)), task(64)[0], epochs=1, loss=loss, batch_size=32)
    assert seen == [((32, 4), True)] * 2


@pytest.mark.parametrize("text", [MLP, CNN], ids=["products", "normalizations"])
def test_an_interrupted_training_ends_with_the_same_bits(text, tmp_path):
    """Stopped in the middle of an epoch and begun again: every tensor as if nothing had been."""
    model = build(text)
    x = inputs_of(model, 96)
    options = {"epochs": 4, "batch_size": 16, "learning_rate": 1e-2, "seed": 3, "augment": noise, "holdout": 0.2}

    def fresh():
        return bw.prepare_qat(model, bn="correct", ranges="learned", calibration=x[:32])

    whole = fresh()
    bw.fit(whole, x, **options)
    path, steps = tmp_path / "training.ckpt", []

    def interrupt(done, total):
        steps.append(done)
        if len(steps) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bw.fit(fresh(), x, checkpoint=path, progress=interrupt, **options)
    resumed = fresh()
    history = bw.fit(resumed, x, checkpoint=path, **options)
    assert [epoch.number for epoch in history.epochs] == [1, 2, 3, 4]
    for name, tensor in state_of(whole).items():
        assert torch.equal(tensor, state_of(resumed)[name]), name


def noise(x):
    return x + 0.01 * torch.randn_like(x)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    """The order of samples is the seed's."""
    made = []
    for seed in (1, 1, 2):
        network = bw.trainable(build(MLP))
        bw.fit(network, task(), epochs=1, seed=seed, batch_size=16)
        made.append(network.w1.detach().clone())
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_training_stops_when_nothing_gets_better():
    """And the best weights are those that stay."""
    network = bw.trainable(build(MLP))
    x = inputs_of(network.graph, 64)
    history = bw.fit(network, x, epochs=50, learning_rate=0.3, holdout=0.3, patience=2, batch_size=8)
    assert history.stopped and len(history.epochs) < 50
    assert history.best == min(history.epochs, key=lambda e: e.held_out).number


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    """So is a file that is none."""
    path = tmp_path / "c.ckpt"
    bw.fit(bw.trainable(build(MLP)), task(64), epochs=1, checkpoint=path, batch_size=16)
    with pytest.raises(UsageError, match="another training: epochs 1, not 2"):
        bw.fit(bw.trainable(build(MLP)), task(64), epochs=2, checkpoint=path, batch_size=16)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="checkpoint"):
        bw.fit(bw.trainable(build(MLP)), task(64), epochs=1, checkpoint=path, batch_size=16)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    """As many steps, and other parameters."""
    path, x = tmp_path / "c.ckpt", task(64)[0]
    bw.fit(bw.prepare_qat(build(MLP)), x, epochs=1, checkpoint=path)
    with pytest.raises(UsageError, match="of another network"):
        bw.fit(bw.prepare_qat(build(MLP), weight_bits=4), x, epochs=1, checkpoint=path)


def test_what_is_not_quantized_yet_is_not_the_best():
    """Before the delay is over a network is evaluated as floats, which are near the teacher's."""
    network = bw.prepare_qat(build(MLP), weight_bits=2, delay=12)
    history = bw.fit(network, inputs_of(network.graph, 64), epochs=6, batch_size=16, holdout=0.25)
    assert history.best >= 4 and not network.is_delayed
    assert min(history.epochs, key=lambda epoch: epoch.held_out).number < 4


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    """A pickle with a function in it is not loaded."""
    path = tmp_path / "c.ckpt"
    torch.save({"format": "bitwright training", "f": Evil()}, path)
    with pytest.raises(ModelError, match="cannot be read"):
        bw.fit(bw.trainable(build(MLP)), task(64), epochs=1, checkpoint=path)


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"holdout": 1.0}, "holdout"),
        ({"patience": 3}, "patience"),
        ({"distill": 2.0}, "distill"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, match):
    """By name, before anything is trained."""
    with pytest.raises(UsageError, match=match):
        bw.fit(bw.trainable(build(MLP)), task(16), **options)


def test_a_loss_that_leaves_the_numbers_ends_the_training():
    """NaN is not trained on."""
    with pytest.raises(UsageError, match="the loss is nan at step 0"):
        bw.fit(bw.trainable(build(MLP)), task(16)[0], loss=lambda made, labels: made.sum() * np.nan, batch_size=8)


FIXED = """
fixed (float[1,3,8,8] x, float[8,3,3,3] w1, float[8] b1, float[4,288] w2) => (float[1,4] y) {
  a = Conv (x, w1, b1)
  b = Relu (a)
  s = Constant <value_ints=[1,-1]> ()
  c = Reshape (b, s)
  y = Gemm <transB=1> (c, w2)
}
"""
ALONE = "alone (float[N,10] x) => (float[N,10] y) { y = Relu (x) }"


@pytest.mark.parametrize(
    ("text", "data", "options", "match"),
    [
        (MLP, lambda x: x, {"distill": 0.0}, "there are no labels"),
        (MLP, lambda x: (x, np.arange(len(x)) % 7), {}, "classes 0 to 6, .* scores of 4"),
        (MLP, lambda x: [(row, 0.5) for row in x], {}, "labels are reals"),
        (IMAGES, lambda x: (x, np.arange(len(x)) % 4), {}, "no scores of classes"),
        (IMAGES.replace("8,8] x", "H,W] x"), lambda x: [x[0], x[0, :, 1:, 1:]], {}, "different shapes"),
        (FIXED, lambda x: x, {}, "batches of 1, and a batch of 8 does not run"),
        (ALONE, lambda x: x, {}, "no weights that train"),
    ],
    ids=["no-labels", "classes", "reals", "images", "shapes", "fixed-batch", "no-weights"],
)
def test_data_that_does_not_fit_is_refused(text, data, options, match):
    """At once, with a reason in the user's words."""
    model = build(text)
    x = data(np.random.default_rng(0).standard_normal((16, 3, 8, 8) if "8,8]" in text or "H,W" in text else (16, 10)))
    with pytest.raises((UsageError, SampleError), match=match):
        bw.fit(bw.trainable(model), as_floats(x), epochs=1, batch_size=8, **options)


def as_floats(data):
    """Arrays as float32, labels as they are."""
    if isinstance(data, list):
        return [(as_floats(d[0]), np.float32(d[1])) if isinstance(d, tuple) else as_floats(d) for d in data]
    return (as_floats(data[0]), data[1]) if isinstance(data, tuple) else data.astype(np.float32)


def test_labels_without_scores_are_no_matter_to_distillation():
    """Photos in folders, and a network that gives images: no top-1, and no error."""
    model = build(IMAGES)
    x = inputs_of(model, 16)
    history = bw.fit(bw.trainable(model), (x, np.arange(16) % 4), epochs=1, distill=1.0, holdout=0.25, batch_size=8)
    assert history.epochs[0].accuracy is None and history.epochs[0].held_out is not None


def test_distillation_of_classes_is_a_divergence():
    """Zero for the same scores, and for scores that differ by a constant; else positive."""
    scores = torch.randn(4, 5)
    same = distillation_loss([scores + 1.0], [scores], are_probabilities=False, temperature=2.0)
    assert float(same) == pytest.approx(0.0, abs=1e-6)
    assert float(distillation_loss([-scores], [scores], are_probabilities=False)) > 0.1


def test_augmentation_moves_and_mirrors():
    """Every pixel that a shifted image has was in the image; a mirrored one is the same from the right."""
    x = torch.rand(32, 2, 8, 8)
    moved = augmentation("shift=3")(x)
    assert moved.shape == x.shape and not torch.equal(moved, x)
    for before, after in zip(x, moved, strict=True):
        assert torch.isin(after, before).all()
    mirrored = augmentation("flip")(x)
    assert all(torch.equal(a, b) or torch.equal(a, b.flip(2)) for a, b in zip(mirrored, x, strict=True))
    with pytest.raises(UsageError, match="spin"):
        augmentation("spin")


def test_augmentation_mixes_images_of_a_batch():
    """Each is a blend of itself and another; what all have in common stays."""
    x = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 3, 4, 4)

    mixed = augmentation("mix")(x)

    assert not torch.equal(x, mixed)
    assert 0 <= mixed.min() <= mixed.max() <= 7
    assert torch.equal(mixed[:, :1, :1, :1].expand(8, 3, 4, 4), mixed)


def test_mixed_images_are_not_learned_from_labels():
    """What a blend shows only the teacher can say."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 4))
    network = bw.trainable(module, example_inputs=torch.zeros(2, 3, 8, 8))
    data = (np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32), np.arange(16) % 4)

    with pytest.raises(UsageError, match="mixed images have no labels"):
        bw.fit(network, data, epochs=1, augment="flip mix")
    bw.fit(network, data, epochs=1, batch_size=8, augment="flip mix", distill=1.0)


def test_augmentation_of_images_whose_channels_are_last_moves_the_same_pixels():
    """Colours stay where they are."""
    x = torch.rand(8, 3, 8, 8)
    torch.manual_seed(0)
    wanted = augmentation("flip shift=3")(x).movedim(1, 3)
    torch.manual_seed(0)
    assert torch.equal(wanted, augmentation("flip shift=3")(x.movedim(1, 3)))
