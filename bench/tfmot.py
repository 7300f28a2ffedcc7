"""What tfmot's names give on a Keras 3 model of MNIST, through compile and fit on the torch backend.

    python -m bench.tfmot --data ../shared/data [--threads 1]

A small network is trained as floats on 60 000 images, then quantization-aware, pruned by the script of tfmot's guides
(50 % zeros from step 2000 to 4000), pruned and then quantization-aware, and clustered. Top-1 is of all 10 000 test
images; int8 files run on ONNX Runtime and on LiteRT.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import torch
from numpy.typing import NDArray

import bitwright as bw
import bitwright.compat.tfmot as tfmot
from bench.paths import OUT, machine, print_table, write_json
from bitwright.calibration.idx import read_idx

layers = keras.layers


def network() -> Any:
    """Two convolutions, a normalization, a dropout, a product."""
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(12, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(24, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(10),
    ])  # fmt: skip


class Bench:
    """The data, and how models are trained and measured."""

    def __init__(self, data: Path) -> None:
        self.x, self.labels = _images(data, "train"), read_idx(data / "train-labels-idx1-ubyte.gz").astype(np.int64)
        self.test, self.truth = _images(data, "t10k"), read_idx(data / "t10k-labels-idx1-ubyte.gz")
        self.rows: dict[str, dict[str, Any]] = {}

    def fit(self, model: Any, epochs: int, rate: float, batch_size: int, callbacks: Any = ()) -> float:
        """Compile and fit; gives the seconds of a step."""
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, metrics=["accuracy"])
        began = time.perf_counter()
        model.fit(
            self.x,
            self.labels,
            epochs=epochs,
            batch_size=batch_size,
            shuffle=True,
            callbacks=list(callbacks),
            verbose=2,
        )
        return (time.perf_counter() - began) / (epochs * -(-len(self.x) // batch_size))

    def keras_top1(self, model: Any) -> float:
        """Of a model in Keras."""
        return self._percent(model.predict(self.test, batch_size=500, verbose=0))

    def file_top1(self, model: Any, name: str) -> dict[str, float]:
        """Of its files on the runtimes that they are for."""
        made, found = bw.load(model), {}
        for suffix, runtime in ((".onnx", "onnxruntime"), (".tflite", "litert")):
            OUT.mkdir(exist_ok=True)
            path = OUT / f"tfmot.{name}{suffix}"
            made.save(path)
            (feed,) = (value.name for value in bw.load(str(path)).graph.graph.inputs)
            (scores,) = bw.run(str(path), {str(feed): self.test}, runtime=runtime).values()
            found[runtime] = self._percent(scores)
        return found

    def _percent(self, scores: NDArray[Any]) -> float:
        return 100 * float((scores.argmax(1) == self.truth).mean())

    def tell(self, name: str, **row: Any) -> None:
        """Keep and print a row."""
        self.rows[name] = row
        print(name, row, flush=True)


def _images(data: Path, part: str) -> NDArray[np.float32]:
    return (read_idx(data / f"{part}-images-idx3-ubyte.gz")[..., None] / np.float32(255)).astype(np.float32)


def zeros_percent(model: Any) -> float:
    """Of kernels."""
    kernels = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables if v.name == "kernel"]
    return 100 * sum(int((k == 0).sum()) for k in kernels) / sum(k.size for k in kernels)


def main() -> None:
    """Train, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keras.utils.set_random_seed(args.seed)
    bench = Bench(args.data)
    prune, cluster, quantize = tfmot.sparsity.keras, tfmot.clustering.keras, tfmot.quantization.keras

    model = network()
    step = bench.fit(model, 3, 2e-3, 128)
    bench.tell("float", keras=bench.keras_top1(model), step_ms=1000 * step)

    aware = quantize.quantize_model(model)
    step = bench.fit(aware, 1, 2e-4, 128)
    bench.tell("quantize_model", keras=bench.keras_top1(aware), **bench.file_top1(aware, "qat"), step_ms=1000 * step)

    schedule = prune.PolynomialDecay(initial_sparsity=0.0, final_sparsity=0.5, begin_step=2000, end_step=4000)
    pruned = prune.prune_low_magnitude(model, pruning_schedule=schedule)
    step = bench.fit(pruned, 3, 5e-4, 32, [prune.UpdatePruningStep()])
    pruned = prune.strip_pruning(pruned)
    pruned.save(OUT / "tfmot.pruned.keras")
    zeros = zeros_percent(keras.models.load_model(OUT / "tfmot.pruned.keras"))
    bench.tell("prune_low_magnitude", keras=bench.keras_top1(pruned), zeros=zeros, step_ms=1000 * step)

    aware = quantize.quantize_model(pruned)
    step = bench.fit(aware, 1, 2e-4, 128)
    found = bench.file_top1(aware, "pruned_qat")
    held = bw.sparsity(aware.network).total.share
    bench.tell(
        "prune, strip, quantize_model", keras=bench.keras_top1(aware), **found, zeros=100 * held, step_ms=1000 * step
    )

    clustered = cluster.cluster_weights(model, number_of_clusters=16)
    step = bench.fit(clustered, 1, 2e-4, 128)
    clustered = cluster.strip_clustering(clustered)
    values = max(
        len(np.unique(v)) for v in map(keras.ops.convert_to_numpy, clustered.trainable_variables) if v.ndim > 1
    )
    bench.tell("cluster_weights", keras=bench.keras_top1(clustered), values=values, step_ms=1000 * step)

    print(machine())
    columns = ("keras", "onnxruntime", "litert", "zeros", "values", "step_ms")
    rows = [[name, *(_told(row.get(one)) for one in columns)] for name, row in bench.rows.items()]
    print_table(["", "Keras", "ONNX Runtime", "LiteRT", "zeros %", "values", "ms a step"], rows)
    write_json("tfmot", {"machine": machine(), "threads": args.threads, "rows": bench.rows})


def _told(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"


if __name__ == "__main__":
    main()
