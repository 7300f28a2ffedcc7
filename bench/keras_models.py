"""Keras 3 models of random weights, in memory and from .keras files: int8 (recurrent ones: dynamic) on both runtimes.

    python -m bench.keras_models [NAME...]

SQNR of the outputs against Keras on held-out random rows. Weights are random, so outputs of deep networks without
normalization are nearly constant: normalizations get the statistics of a few random batches first.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import bitwright as bw
from bench.paths import OUT, machine, print_table, write_json
from bench.tensorflow_models import on_litert, on_onnxruntime, sqnr_db

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def application(name: str) -> Callable[[], tuple[Any, Any]]:
    """One of keras.applications, 224x224, at random weights; its scores, since 1000 equal chances are all 0/256."""

    def make() -> tuple[Any, Any]:
        import keras

        model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
        x = np.random.default_rng(0).uniform(-1, 1, (40, 224, 224, 3)).astype(np.float32)
        x = x if name != "EfficientNetB0" else (x + 1) * 127.5
        return settled(model, x), x

    return make


def settled(model: Any, x: Any) -> Any:
    """With the running statistics of its normalizations taken from a batch, layer by layer as it runs."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    for _ in range(2):
        model(x[:16], training=True)
    return model


def nested() -> tuple[Any, Any]:
    """A model that uses another twice."""
    import keras
    from keras import layers

    shape = (32, 32, 3)
    given = keras.Input(shape)
    y = layers.Conv2D(16, 3, padding="same", activation="relu")(given)
    inner = keras.Model(given, layers.GlobalAveragePooling2D()(layers.DepthwiseConv2D(3, strides=2)(y)))
    image = keras.Input(shape, name="image")
    both = layers.Concatenate()([inner(image), inner(layers.Rescaling(-1.0)(image))])
    model = keras.Model(image, layers.Dense(10, activation="softmax")(both))
    return model, np.random.default_rng(0).uniform(-1, 1, (40, *shape)).astype(np.float32)


def subclassed() -> tuple[Any, Any]:
    """A model written as a class."""
    import keras
    from keras import layers

    class Network(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = layers.Conv2D(16, 3, strides=2, padding="same")
            self.normalized = layers.BatchNormalization()
            self.second = layers.SeparableConv2D(32, 3, padding="same", activation="relu")
            self.scores = layers.Dense(10)

        def call(self, x: Any, training: bool = False) -> Any:
            x = keras.ops.relu(self.normalized(self.first(x), training=training))
            return self.scores(keras.ops.mean(self.second(x), axis=(1, 2)))

    x = np.random.default_rng(0).uniform(-1, 1, (40, 32, 32, 3)).astype(np.float32)
    model = Network()
    model(x[:1])
    return model, x


def text(kind: str) -> Callable[[], tuple[Any, Any]]:
    """Embedding, a recurrent layer, a product."""

    def make() -> tuple[Any, Any]:
        import keras
        from keras import layers

        tokens = keras.Input((20,), dtype="int32", name="tokens")
        states = getattr(layers, kind)(64)(layers.Embedding(1000, 32)(tokens))
        model = keras.Model(tokens, layers.Dense(8, name="scores")(states))
        return model, np.random.default_rng(0).integers(0, 1000, (40, 20)).astype(np.int32)

    return make


MODELS: dict[str, tuple[str, Callable[[], tuple[Any, Any]]]] = {
    "MobileNetV2": ("int8", application("MobileNetV2")),
    "ResNet50": ("int8", application("ResNet50")),
    "EfficientNetB0": ("int8", application("EfficientNetB0")),
    "nested": ("int8", nested),
    "subclassed": ("int8", subclassed),
    "LSTM text": ("dynamic", text("LSTM")),
    "GRU text": ("dynamic", text("GRU")),
}


def measured(name: str) -> dict[str, Any]:
    """Made from memory for ONNX Runtime, from a .keras file for LiteRT."""
    import keras

    keras.utils.set_random_seed(0)
    mode, make = MODELS[name]
    model, x = make()
    samples, held = x[:16], x[16:]
    wanted = np.concatenate([np.asarray(model(row[None], training=False)) for row in held])
    stem = OUT / name.replace(" ", "_")
    if name == "subclassed":
        source = model  # a class of one's own is given in memory
    else:
        source = stem.with_suffix(".keras")
        model.save(source)
    made: dict[str, Any] = {"model": name, "mode": mode}
    for suffix, target, given, runner in (
        (".onnx", "onnxruntime", model, on_onnxruntime),
        (".tflite", "litert", source, on_litert),
    ):
        started = time.perf_counter()
        small = bw.quantize(given, mode, target=target, calibration=samples if mode == "int8" else None)
        small.save(stem.with_suffix(suffix))
        made[f"{target}_seconds"] = time.perf_counter() - started
        made[f"{target}_sqnr_db"] = sqnr_db(wanted, runner(stem.with_suffix(suffix), held))
        made[f"{target}_bytes"] = stem.with_suffix(suffix).stat().st_size
        made[f"{target}_float_nodes"] = sum(1 for n in small.plan.nodes.values() if n.compute.value == "float")
    return made


def main() -> None:
    """Measure, print, write bench/out/keras_models.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(MODELS), metavar="NAME")
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    print(about := machine(), flush=True)
    data = []
    for name in arguments.names:
        data.append(measured(name))
        print(data[-1], flush=True)
    columns = list(data[0])
    rows = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in made.values()] for made in data]
    print_table(columns, rows)
    print(write_json("keras_models", {"machine": about, "rows": data}))


if __name__ == "__main__":
    main()
