"""Other tools' int8 files on the engine: top-1 against their own runtime, on all CIFAR-10 test images.

    python -m bench.foreign_files --models ../shared/models --data ../shared/data

The files are made with each tool as a person would call it, calibrated on training images, where the tool is installed:

| file | tool | its own runtime |
|---|---|---|
| `ort.*.onnx` | ONNX Runtime's quantize_static, QDQ: u8 or i8, per channel or per tensor | ONNX Runtime |
| `nncf.*.onnx` | NNCF on the ONNX model: QDQ | ONNX Runtime, OpenVINO |
| `litert.tflite` | ai-edge-quantizer | LiteRT |
| `converter.tflite` | TensorFlow's converter, as MLPerf Tiny's authors published it | LiteRT |
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import bitwright as bw
from bench.accuracy import NETWORKS, test_images
from bench.litert_accuracy import scores as litert_scores
from bench.paths import OUT, print_table, write_json
from bench.runtimes import RUNTIMES
from bitwright.demo.machine import describe_machine

HERE = Path(__file__).parent

ORT = {
    "u8i8": (),
    "u8i8.per-tensor": ("--per-tensor",),
    "i8i8": ("--activations", "i8"),
    "i8i8.per-tensor": ("--activations", "i8", "--per-tensor"),
    "u8u8.per-tensor": ("--weights", "u8", "--per-tensor"),
    "u8u8": ("--weights", "u8"),
}
NNCF = {"performance": ("--preset", "performance"), "mixed": ("--preset", "mixed")}

#: How many images run together where a file takes any number, and how often one is timed.
BATCH, RUNS = 100, 100


@dataclass(frozen=True)
class Row:
    """One file on one runtime of its own beside the engine; or why there is none."""

    network: str
    file: str
    runtime: str
    own_percent: float = 0.0
    engine_percent: float = 0.0
    agreement_percent: float = 0.0
    own_us: float = 0.0
    engine_us: float = 0.0
    left: tuple[str, ...] = ()
    error: str = ""

    @property
    def drop_points(self) -> float:
        """Points that the engine is below the file's own runtime."""
        return self.own_percent - self.engine_percent


def commands(network: str, source: Path, samples: Path, count: int) -> Iterator[tuple[Path, list[str]]]:
    """Each file of a network, and what makes it."""
    base, given = OUT / f"foreign.{network}", (str(samples), "--samples", str(count))
    for name, options in ORT.items():
        path = Path(f"{base}.ort.{name}.onnx")
        yield path, [sys.executable, str(HERE / "ort_quantize.py"), str(source), str(path), *given, *options]
    for name, options in NNCF.items():
        path = Path(f"{base}.nncf.{name}.onnx")
        yield path, [sys.executable, str(HERE / "nncf_quantize.py"), str(source), str(path), *given, *options]
    lowered, path = Path(f"{base}.float.tflite"), Path(f"{base}.litert.tflite")
    yield lowered, [sys.executable, "-m", "bench.float_tflite", str(source), str(lowered)]
    yield path, [sys.executable, str(HERE / "litert_quantize.py"), str(lowered), str(path), *given]


def own_scores(runtime: str, path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of a file on its own runtime."""
    if runtime == "litert":
        return litert_scores(path, inputs)
    face = RUNTIMES[runtime].open(path, (1, *inputs.shape[1:]), 1)
    return np.concatenate([face.run(face.feed(row[None])).copy() for row in inputs])


def engine_scores(path: Path, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, tuple[str, ...]]:
    """Scores on the engine, microseconds of one image, and what the engine leaves to others."""
    session = bw.compile(path)
    port, result = session.get_inputs()[0], session.get_outputs()[0]
    given = inputs
    if path.suffix == ".tflite" and inputs.shape[1:] != port.shape[1:]:
        given = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1))
    size = BATCH if port.shape[0] is None else 1
    made = [session.run(None, {port.name: given[i : i + size]})[0] for i in range(0, len(given), size)]
    spent = []
    one = {port.name: given[:1]}
    for _ in range(RUNS):
        started = time.perf_counter()
        session.run(None, one)
        spent.append(time.perf_counter() - started)
    stacked = np.concatenate(made)
    told = tuple(f"{node}: {reason}" for node, reason in session.left.items())
    assert result.dtype.kind in "fi"  # the class with the most is the same in integers and reals
    return stacked, 1e6 * float(np.median(spent)), told


def latency_us(runtime: str, path: Path, sample: NDArray[np.float32]) -> float:
    """Median of one image on the file's own runtime, one thread."""
    face = RUNTIMES[runtime].open(path, sample.shape, 1)
    x, spent = face.feed(sample), []
    for _ in range(RUNS):
        started = time.perf_counter()
        face.run(x)
        spent.append(time.perf_counter() - started)
    return 1e6 * float(np.median(spent))


def rows_of(
    network: str, path: Path, runtimes: tuple[str, ...], inputs: NDArray[np.float32], labels: NDArray[np.int64]
) -> Iterator[Row]:
    """One file on each of its runtimes."""
    file = path.name.removeprefix(f"foreign.{network}.")
    engine, engine_us, left = engine_scores(path, inputs)
    best = engine.argmax(1)
    for runtime in runtimes:
        try:
            own = own_scores(runtime, path, inputs).argmax(1)
            own_us = latency_us(runtime, path, inputs[:1])
        except ImportError as error:
            yield Row(network, file, runtime, error=f"{error.name} is not installed")
            continue
        right, ours, same = (100 * float((one == other).mean()) for one, other in _pairs(own, best, labels))
        yield Row(network, file, runtime, right, ours, same, own_us, engine_us, left)


def _pairs(
    own: NDArray[np.int64], ours: NDArray[np.int64], labels: NDArray[np.int64]
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    return (own, labels), (ours, labels), (own, ours)


def all_rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Every file of every network."""
    images, labels = test_images(arguments.data / "cifar10_test.zip", arguments.limit)
    training, _ = test_images(arguments.data / "cifar10_train_20k.zip", arguments.samples)
    for name in arguments.networks:
        network = NETWORKS[name]
        samples = OUT / f"foreign.{name}.samples.npy"
        np.save(samples, network.inputs(training))
        inputs = network.inputs(images)
        for path, command in commands(name, arguments.models / network.file, samples, arguments.samples):
            done = subprocess.run(command, capture_output=True, text=True, cwd=OUT.parents[1])
            if done.returncode:
                yield Row(name, path.name, "", error=done.stderr.strip().splitlines()[-1])
            elif not path.name.endswith("float.tflite"):
                runtimes = ("onnxruntime", "openvino") if ".nncf." in path.name else ("onnxruntime",)
                yield from rows_of(name, path, ("litert",) if path.suffix == ".tflite" else runtimes, inputs, labels)
    published = arguments.models / "resnet8_cifar10_int8.tflite"
    yield from rows_of("resnet8", published, ("litert",), images.astype(np.float32), labels)


def shown(row: Row) -> list[str]:
    """One line of the table."""
    if row.error:
        return [row.network, row.file, row.runtime, row.error, "", "", "", "", "", ""]
    return [
        *(row.network, row.file, row.runtime, f"{row.own_percent:.2f}", f"{row.engine_percent:.2f}"),
        *(f"{-row.drop_points:+.2f}", f"{row.agreement_percent:.2f}", f"{row.own_us:.0f}", f"{row.engine_us:.0f}"),
        ", ".join(text.split(":")[0] for text in row.left) or "nothing",
    ]


def main() -> None:
    """Make, measure, print, write bench/out/foreign_files.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="the folder of the networks")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the CIFAR-10 .zip files")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--samples", type=int, default=512, help="calibration images")
    parser.add_argument("--limit", type=int, default=10_000, help="test images")
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    about = f"{describe_machine()}; one thread, {arguments.samples} calibration images, {arguments.limit} test images"
    print(about, flush=True)
    rows = []
    for row in all_rows(arguments):
        rows.append(row)
        print(" ".join(shown(row)), flush=True)
    print()
    columns = ["network", "file", "runtime", "top-1 %", "engine %", "points", "agree %", "us", "engine us", "left"]
    print_table(columns, [shown(row) for row in rows])
    print(write_json("foreign_files", {"machine": about, "rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
