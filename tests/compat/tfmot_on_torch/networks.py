"""Small Keras models, and data that they learn."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

layers = keras.layers


def images(count: int, seed: int = 0) -> tuple[Any, Any]:
    """Noise in which a bright quarter is the class, f32[count, 12, 12, 1], and i64[count]."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    x = rng.uniform(0, 0.6, (count, 12, 12, 1)).astype(np.float32)
    for row, label in zip(x, labels, strict=True):
        row[6 * (label // 2) :, 6 * (label % 2) :][:6, :6] += 0.3
    return x, labels


def convolutional(*, normalized: bool = True) -> Any:
    """Two convolutions, a normalization, a dropout, a product."""
    keras.utils.set_random_seed(3)
    return keras.Sequential([
        keras.Input((12, 12, 1), name="image"),
        layers.Conv2D(8, 3, activation="relu", name="first"),
        *([layers.Conv2D(12, 3, use_bias=False, name="second"), layers.BatchNormalization()] if normalized else []),
        layers.ReLU(),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(4, name="scores"),
    ])  # fmt: skip


def trained(model: Any, *, epochs: int = 2, rate: float = 5e-3, callbacks: Any = (), count: int = 256) -> Any:
    """Compiled and fitted, in place."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, metrics=["accuracy"])
    x, labels = images(count)
    model.fit(x, labels, epochs=epochs, batch_size=32, callbacks=list(callbacks), verbose=0)
    return model


def kernels(model: Any) -> dict[str, Any]:
    """Weights of more than one dimension, by path."""
    return {v.path: keras.ops.convert_to_numpy(v).copy() for v in model.trainable_variables if len(v.shape) > 1}
