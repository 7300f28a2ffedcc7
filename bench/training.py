"""What training for quantization, pruning and clustering give on three CIFAR-10 networks.

    python -m bench.training --models ../shared/models --data ../shared/data [ROW...] [--seeds 1]

Trained on the 20 000 training images, measured on all test images: files for ONNX Runtime on ONNX Runtime, files for
LiteRT on LiteRT as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import bitwright as bw
from bench.accuracy import NETWORKS, test_images, top1_percent
from bench.paths import OUT, print_table, write_json
from bitwright.demo.machine import describe_machine
from bitwright.retraining import training_data


@dataclass
class Bench:
    """One network, its data, and what was asked."""

    name: str
    models: Path
    data: Path
    seed: int
    threads: int
    limit: int

    def __post_init__(self) -> None:
        self.network = NETWORKS[self.name]
        self.source = self.models / self.network.file
        path = str(self.data / "cifar10_train_20k.zip")
        self.table = training_data(str(self.source), path, preprocess=self.network.preprocess)
        images, self.labels = test_images(self.data / "cifar10_test.zip", self.limit)
        self.inputs = self.network.inputs(images)

    def fit(self, network: Any, epochs: int, rate: float, **options: Any) -> Any:
        """Train with flips and shifts, on what the float network says: 20 000 labels are fewer than it has seen."""
        options = {
            "distill": 1.0,
            "augment": "flip shift=4",
            "autocast": self.name == "vgg" or network.placement is None,
            "batch_size": 64,
            "seed": self.seed,
        } | options
        return bw.fit(network, self.table, epochs=epochs, learning_rate=rate, told=_told, **options)

    def top1(self, model: Any, label: str, suffix: str = ".onnx") -> tuple[float, Path]:
        """Of a file, on the runtime that it is for."""
        path = OUT / f"{self.name}.{label}{suffix}"
        model.save(path)
        if suffix == ".onnx":
            return top1_percent(path, self.inputs, self.labels, self.threads), path
        from bench.litert_accuracy import litert_top1

        return litert_top1(path, self.inputs, self.labels, self.threads), path

    @property
    def float_top1(self) -> float:
        """Of the float model."""
        return top1_percent(self.source, self.inputs, self.labels, self.threads)

    def calibration(self, count: int = 512) -> NDArray[np.float32]:
        """Training images, evenly."""
        rows = self.table.rows(torch.linspace(0, len(self.table) - 1, count).long())
        made: NDArray[np.float32] = next(iter(rows.inputs.values())).numpy()
        return made


def _told(epoch: Any) -> None:
    print(f"  epoch {epoch.number}: loss {epoch.loss:.4f}", flush=True)


def qat_int8(bench: Bench, bn: str) -> dict[str, Any]:
    """int8, BatchNormalization folded; one training, both files."""
    network = bw.prepare_qat(str(bench.source), "int8", bn=bn, target="litert", calibration=bench.calibration())
    bench.fit(network, 1 if bn == "frozen" else 2, 1e-4)
    made = bw.convert(network)
    onnx, _ = bench.top1(made, f"qat.{bn}")
    tflite, _ = bench.top1(made, f"qat.{bn}", ".tflite")
    return {"top1": onnx, "litert": tflite}


def qat_4bit(bench: Bench, *, per_channel: bool, epochs: int, labels: float = 0.0) -> dict[str, Any]:
    """4-bit weights, 8-bit activations: after training, then trained for it."""
    options = {"weight_bits": 4, "per_channel": per_channel}
    after = bw.quantize(str(bench.source), "int8", calibration=bench.calibration(), **options)
    collapsed, _ = bench.top1(after, "ptq4")
    network = bw.prepare_qat(str(bench.source), "int8", calibration=bench.calibration(), **options)
    bench.fit(network, epochs, 1e-3, distill=1.0 - labels)
    top1, _ = bench.top1(bw.convert(network), "qat4")
    return {"post_training": collapsed, "top1": top1}


def pruned_int8(bench: Bench, share: float, epochs: int) -> dict[str, Any]:
    """Pruned with PolynomialDecay, then int8 after training."""
    steps = bench.table.steps(64) * epochs
    schedule = bw.PolynomialDecay(0.0, share, 0, int(0.6 * steps), frequency=50)
    network = bw.prune_low_magnitude(str(bench.source), schedule, scope="global")
    bench.fit(network, epochs, 1e-3)
    made = bw.convert(bw.strip_pruning(network))
    pruned, _ = bench.top1(made, f"pruned{round(100 * share)}")
    small = bw.quantize(made, "int8", calibration=bench.calibration())
    top1, path = bench.top1(small, f"pruned{round(100 * share)}.int8")
    return {"float_pruned": pruned, "top1": top1, "zeros_in_integers": zeros_of(path)}


def channels(bench: Bench, keep: float, epochs: int) -> dict[str, Any]:
    """Half of the multiplications, by removing channels."""
    network = bw.prune_channels(str(bench.source), keep=keep)
    bench.fit(network, epochs, 1e-3)
    top1, path = bench.top1(bw.convert(network), "channels")
    return {"top1": top1, "latency_ratio": latency_ratio(bench.source, path, bench.inputs[:1])}


def deep_compression(bench: Bench, share: float, clusters: int, epochs: int) -> dict[str, Any]:
    """Prune, share, code: the whole file."""
    steps = bench.table.steps(64) * epochs
    schedule = bw.PolynomialDecay(0.0, share, 0, int(0.7 * steps), frequency=50)
    network = bw.prune_low_magnitude(str(bench.source), schedule, scope="global")
    bench.fit(network, epochs, 1e-3, augment="flip shift=4 mix")
    shared = bw.cluster_weights(bw.strip_pruning(network), clusters)
    bench.fit(shared, 2, 2e-4, augment="flip shift=4 mix")
    made = bw.convert(shared)
    top1, path = bench.top1(made, "deep")
    packed = path.with_suffix(".bwz")
    bw.pack(made, packed)
    size = packed.stat().st_size
    return {"top1": top1, "bytes": size, "ratio": bench.source.stat().st_size / size}


def together(bench: Bench, share: float, clusters: int, epochs: int) -> dict[str, Any]:
    """Pruned, clustered, and trained as int8."""
    steps = bench.table.steps(64) * epochs
    schedule = bw.PolynomialDecay(0.0, share, 0, int(0.6 * steps), frequency=50)
    network = bw.prune_low_magnitude(str(bench.source), schedule)
    bench.fit(network, epochs, 1e-3)
    network = bw.cluster_weights(bw.strip_pruning(network), clusters)
    network = bw.prepare_qat(network, "int8", calibration=bench.calibration())
    bench.fit(network, 2, 2e-4)
    made = bw.convert(network)
    top1, path = bench.top1(made, "together")
    packed = path.with_suffix(".bwz")
    bw.pack(made, packed)
    return {
        "top1": top1,
        "zeros_in_integers": zeros_of(path),
        "most_distinct": most_distinct(path),
        "ratio": bench.source.stat().st_size / packed.stat().st_size,
    }


def integer_weights(path: Path) -> list[NDArray[Any]]:
    """The 8-bit weights of a QDQ file, those of more than one dimension."""
    from bitwright.graph.constants import QuantizedTensor

    values = bw.load(str(path)).graph.graph.initializers.values()
    tensors = [value.const_value for value in values]
    return [t.integers for t in tensors if isinstance(t, QuantizedTensor) and t.integers.ndim > 1]


def zeros_of(path: Path) -> float:
    """The share of zeros among the integer weights."""
    arrays = integer_weights(path)
    return sum(int((a == 0).sum()) for a in arrays) / sum(a.size for a in arrays)


def most_distinct(path: Path) -> int:
    """The most distinct integers that a layer has."""
    return max(len(np.unique(array)) for array in integer_weights(path))


def latency_ratio(before: Path, after: Path, x: NDArray[np.float32], runs: int = 200) -> float:
    """Median times on ONNX Runtime, one thread, in turns."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(str(p), options) for p in (before, after)]
    times: list[list[float]] = [[], []]
    for _ in range(runs):
        for session, found in zip(sessions, times, strict=True):
            started = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: x})
            found.append(time.perf_counter() - started)
    return float(np.median(times[1]) / np.median(times[0]))


ROWS: dict[str, tuple[str, Callable[[Bench], dict[str, Any]]]] = {
    "vgg int8, bn frozen": ("vgg", lambda b: qat_int8(b, "frozen")),
    "vgg int8, bn correct": ("vgg", lambda b: qat_int8(b, "correct")),
    "mobilenetv2 w4 per tensor": ("mobilenetv2", lambda b: qat_4bit(b, per_channel=False, epochs=4)),
    "resnet20 w4": ("resnet20", lambda b: qat_4bit(b, per_channel=True, epochs=3, labels=0.5)),
    "resnet20 w4, no labels": ("resnet20", lambda b: qat_4bit(b, per_channel=True, epochs=3)),
    "vgg pruned 50": ("vgg", lambda b: pruned_int8(b, 0.5, 2)),
    "vgg pruned 80": ("vgg", lambda b: pruned_int8(b, 0.8, 6)),
    "resnet20 pruned 50": ("resnet20", lambda b: pruned_int8(b, 0.5, 3)),
    "resnet20 pruned 80": ("resnet20", lambda b: pruned_int8(b, 0.8, 8)),
    "vgg channels": ("vgg", lambda b: channels(b, 0.5, 10)),
    "vgg deep compression": ("vgg", lambda b: deep_compression(b, 0.86, 13, 12)),
    "resnet20 together": ("resnet20", lambda b: together(b, 0.6, 16, 4)),
}


def main() -> None:
    """Train, measure, print, write bench/out/training.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=10_000, help="test images")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.rows) - set(ROWS)):
        parser.error(f"unknown row {', '.join(unknown)}")
    torch.set_num_threads(arguments.threads)
    OUT.mkdir(parents=True, exist_ok=True)
    print(heading := describe_machine(), flush=True)
    found, shown = [], []
    for row in arguments.rows:
        name, run = ROWS[row]
        for seed in range(arguments.seeds):
            print(f"{row}, seed {seed}", flush=True)
            bench = Bench(name, arguments.models, arguments.data, seed, arguments.threads, arguments.limit)
            started = time.perf_counter()
            made = {"float": bench.float_top1} | run(bench)
            seconds = time.perf_counter() - started
            found.append({"row": row, "seed": seed, "seconds": seconds, **made})
            rest = ", ".join(f"{key} {value:.4g}" for key, value in made.items() if key not in ("float", "top1"))
            top1 = made["top1"]
            shown.append([row, str(seed), f"{made['float']:.2f}", f"{top1:.2f}", rest, f"{seconds:.0f}"])
            print("  ".join(shown[-1]), flush=True)
            write_json("training", {"machine": heading, "rows": found})
    print_table(["row", "seed", "float", "top-1 %", "also", "seconds"], shown)


if __name__ == "__main__":
    main()
