"""Accuracy and size of every mode on three CIFAR-10 networks.

    python -m bench.accuracy --models ../shared/models --data ../shared/data

Quantized with `bitwright quantize` on training images, evaluated on all test images with ONNX Runtime. Modes on every
network, and all five calibration methods on ResNet-20.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from bench.paths import OUT, bitwright, print_table, write_json
from bitwright.demo.machine import describe_machine


@dataclass(frozen=True)
class Network:
    """A file and how its input is made: (pixel / 255 - mean) / std, NCHW."""

    file: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def preprocess(self) -> str:
        """The same as an option of the command line."""
        mean, std = (",".join(str(v) for v in values) for values in (self.mean, self.std))
        return f"scale=1/255 mean={mean} std={std} size=32 layout=NCHW"

    def inputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """u8[N,32,32,3] -> f32[N,3,32,32]."""
        mean, std = np.array(self.mean, dtype=np.float32), np.array(self.std, dtype=np.float32)
        unit = images.astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(((unit - mean) / std).transpose(0, 3, 1, 2))


OTHERS = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616)}
NETWORKS = {
    "resnet20": Network("resnet20_cifar10.onnx", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "vgg": Network("vgg_cifar10.onnx", **OTHERS),
    "mobilenetv2": Network("mobilenetv2_cifar10.onnx", **OTHERS),
}

METHODS = ("minmax", "ema", "percentile", "entropy", "mse")
CALIBRATED = {"int8", "uint8", "int16x8"}

#: What is shown -> the options of `bitwright quantize`.
VARIANTS: dict[str, tuple[str, ...]] = {
    "float16": ("--mode", "float16"),
    "weight-only 8": ("--mode", "weight-only", "--weight-bits", "8"),
    "weight-only 4": ("--mode", "weight-only", "--weight-bits", "4", "--block-size", "32"),
    "weight-only 4, mse": (
        *("--mode", "weight-only", "--weight-bits", "4", "--block-size", "32"),
        *("--weight-method", "mse"),
    ),
    "dynamic": ("--mode", "dynamic"),
    "int8": ("--mode", "int8"),
    "uint8": ("--mode", "uint8"),
    "int16x8": ("--mode", "int16x8"),
    "int8, no bias correction": ("--mode", "int8", "--no-bias-correction"),
    "int8, per-tensor": ("--mode", "int8", "--per-tensor"),
    "int8, per-tensor, no bias correction": ("--mode", "int8", "--per-tensor", "--no-bias-correction"),
    "int8, per-tensor, equalized": ("--mode", "int8", "--per-tensor", "--equalize"),
} | {f"int8, {method}": ("--mode", "int8", "--method", method) for method in METHODS}


@dataclass(frozen=True)
class Row:
    """One quantized file, or an error in its place."""

    network: str
    variant: str
    model_bytes: int
    ratio: float
    top1_percent: float
    drop_points: float
    quantize_seconds: float
    error: str = ""


def test_images(path: Path, limit: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """u8[N,32,32,3] and labels (alphabetical order of the folders); a smaller number is spread over all of them."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        folders = sorted({name.split("/")[-2] for name in names})
        names = [names[i] for i in np.linspace(0, len(names) - 1, min(limit, len(names))).astype(int)]
        images = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    labels = [folders.index(name.split("/")[-2]) for name in names]
    return np.stack(images), np.array(labels, dtype=np.int64)


def top1_percent(path: Path, inputs: NDArray[np.float32], labels: NDArray[np.int64], threads: int) -> float:
    """Percentage of images put in their class by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0]
    batch = feed.shape[0] if isinstance(feed.shape[0], int) else 100
    right = 0
    for start in range(0, len(inputs), batch):
        scores = session.run(None, {feed.name: inputs[start : start + batch]})[0]
        right += int(np.sum(scores.argmax(1) == labels[start : start + batch]))
    return 100.0 * right / len(inputs)


def rows_of(name: str, variants: list[str], arguments: argparse.Namespace) -> Iterator[Row]:
    """Float first, then each variant."""
    network = NETWORKS[name]
    source = arguments.models / network.file
    images, labels = arguments.images
    inputs = network.inputs(images)
    float_bytes, float_top1 = source.stat().st_size, top1_percent(source, inputs, labels, arguments.threads)
    yield Row(name, "float", float_bytes, 1.0, float_top1, 0.0, 0.0)
    for variant in variants:
        options = VARIANTS[variant]
        output = OUT / f"{name}.{variant.replace(', ', '.').replace(' ', '-')}.onnx"
        if options[1] in CALIBRATED:
            options = (
                *options,
                *("--calibration", str(arguments.data / "cifar10_train_20k.zip")),
                *("--samples", str(arguments.samples), "--preprocess", network.preprocess),
            )
        started = time.perf_counter()
        command = bitwright("quantize", str(source), "-o", str(output), *options)
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            yield Row(name, variant, 0, 0.0, 0.0, 0.0, seconds, (done.stderr or done.stdout)[-1500:])
            continue
        size, top1 = output.stat().st_size, top1_percent(output, inputs, labels, arguments.threads)
        yield Row(name, variant, size, size / float_bytes, top1, float_top1 - top1, seconds)


def shown(row: Row) -> list[str]:
    """One line of the table."""
    if row.error:
        return [row.network, row.variant, "failed", "", "", f"{row.quantize_seconds:.1f}"]
    return [
        *(row.network, row.variant, f"{row.ratio:.3f}x", f"{row.top1_percent:.2f}"),
        *(f"{row.drop_points:+.2f}", f"{row.quantize_seconds:.1f}"),
    ]


def main() -> None:
    """Measure, print, write bench/out/accuracy.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="the folder of the three .onnx files")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the CIFAR-10 .zip files")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, help="all by default; methods on ResNet-20 alone")
    parser.add_argument("--samples", type=int, default=512, help="calibration images")
    parser.add_argument("--limit", type=int, default=10_000, help="test images")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime in the evaluation")
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    arguments.images = test_images(arguments.data / "cifar10_test.zip", arguments.limit)
    about = (
        f"{describe_machine()}; {arguments.threads} threads, {arguments.samples} calibration images, "
        f"{len(arguments.images[1])} test images"
    )
    print(about, flush=True)
    rows: list[Row] = []
    for name in arguments.networks:
        default = [v for v in VARIANTS if name == "resnet20" or not v.startswith("int8, ")]
        for row in rows_of(name, arguments.variants or default, arguments):
            rows.append(row)
            print(" ".join(shown(row)), row.error, flush=True)
    print()
    print_table(["network", "variant", "size", "top-1 %", "drop", "quantize s"], [shown(row) for row in rows])
    print(write_json("accuracy", {"machine": about, "rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
