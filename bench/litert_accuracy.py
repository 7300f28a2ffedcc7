"""Accuracy, size and operators of every mode as .tflite, on LiteRT.

    python -m bench.litert_accuracy --models ../shared/models --data ../shared/data

Quantized with `bitwright quantize X -o Y.tflite`, evaluated on all test samples with LiteRT's default interpreter. The
CIFAR-10 networks calibrate on 512 training images, keyword spotting on its first 100 features.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench.accuracy import NETWORKS, test_images, top1_percent
from bench.paths import OUT, bitwright, print_table, write_json
from bitwright.demo.machine import describe_machine
from bitwright.program.program import Program
from bitwright.reading import read_program

#: What is shown -> the options of `bitwright quantize`; None converts.
VARIANTS: dict[str, tuple[str, ...] | None] = {
    "float32": None,
    "float16": ("--mode", "float16"),
    "dynamic": ("--mode", "dynamic"),
    "weight-only 8": ("--mode", "weight-only"),
    "weight-only 4": ("--mode", "weight-only", "--weight-bits", "4"),
    "int8": ("--mode", "int8"),
    "int8 in and out": ("--mode", "int8", "--input-type", "int8", "--output-type", "int8"),
    "int8, percentile": ("--mode", "int8", "--method", "percentile"),
    "int8, mse": ("--mode", "int8", "--method", "mse"),
    "int8, entropy": ("--mode", "int8", "--method", "entropy"),
    "int16x8": ("--mode", "int16x8"),
    "uint8 in, stats 127.5": (
        *("--mode", "uint8", "--input-type", "uint8", "--output-type", "uint8"),
        *("--input-stats", "127.5,127.5"),
    ),
}
CALIBRATED = ("int8", "uint8", "int16x8")


@dataclass(frozen=True)
class Subject:
    """One network, its test inputs in its own layout, and what it is calibrated on."""

    name: str
    source: Path
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    calibration: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One .tflite file, or an error in its place."""

    network: str
    variant: str
    ratio: float
    top1_percent: float
    drop_points: float
    transposes: int
    float_operators: int
    seconds: float
    relative_error: float | None = None
    error: str = ""


def subjects(models: Path, data: Path, names: Sequence[str], samples: int, limit: int) -> Iterator[Subject]:
    """The networks that were asked for."""
    images, labels = test_images(data / "cifar10_test.zip", limit)
    train = ("--calibration", str(data / "cifar10_train_20k.zip"), "--samples", str(samples), "--preprocess")
    for name, network in NETWORKS.items():
        if name in names:
            yield Subject(name, models / network.file, network.inputs(images), labels, (*train, network.preprocess))
    if "resnet8" in names:
        raw = images.astype(np.float32)
        yield Subject("resnet8", models / "resnet8_cifar10.tflite", raw, labels, (*train, "size=32 layout=NHWC"))
    if "kws" in names:
        held = np.load(data / "kws01.npz")
        features = ((held["mfcc"].astype(np.float32) - 83) * np.float32(0.58470290)).astype(np.float32)
        first = OUT / "kws_first_100.npy"
        np.save(first, features[:100])
        calibration = ("--calibration", str(first))
        yield Subject("kws", models / "kws_dscnn.tflite", features, held["label"].astype(np.int64), calibration)


def from_minus_one_to_one(subject: Subject) -> Subject:
    """The same CIFAR-10 network with its normalization inside: the input is pixel / 127.5 - 1."""
    network = NETWORKS[subject.name]
    model = onnx.load(subject.source)
    graph = model.graph
    inner = graph.input[0].name
    mean, std = np.float32(network.mean).reshape(1, 3, 1, 1), np.float32(network.std).reshape(1, 3, 1, 1)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.float32(0.5) / std, "front.scale"),
            numpy_helper.from_array((np.float32(0.5) - mean) / std, "front.shift"),
        ]
    )
    graph.node.insert(0, helper.make_node("Mul", ["front.image", "front.scale"], ["front.scaled"], name="front.mul"))
    graph.node.insert(1, helper.make_node("Add", ["front.scaled", "front.shift"], [inner], name="front.add"))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("front.image", TensorProto.FLOAT, ["N", 3, 32, 32]))
    path = OUT / f"{subject.name}.front.onnx"
    onnx.save(model, path)
    unit = subject.inputs * std + mean
    return Subject(
        subject.name,
        path,
        (unit * 2 - 1).astype(np.float32),
        subject.labels,
        (*subject.calibration[:-1], "scale=1/127.5 mean=1,1,1 std=1,1,1 size=32 layout=NCHW"),
    )


def interpreter(path: Path) -> Interpreter:
    """LiteRT's own choice of kernels, one thread."""
    made = Interpreter(model_path=str(path), num_threads=1)
    made.allocate_tensors()
    return made


def scores(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of every input, one by one; integer ports are quantized and dequantized by their own parameters."""
    runner = interpreter(path)
    source, result = runner.get_input_details()[0], runner.get_output_details()[0]
    if inputs.shape[1:] != tuple(source["shape"][1:]):
        inputs = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1))
    if np.issubdtype(source["dtype"], np.integer):
        scale, point = source["quantization"]
        bounds = np.iinfo(source["dtype"])
        inputs = np.clip(np.rint(inputs / np.float32(scale)) + point, bounds.min, bounds.max).astype(source["dtype"])
    made = []
    for row in inputs:
        runner.set_tensor(source["index"], row[None])
        runner.invoke()
        made.append(runner.get_tensor(result["index"])[0].copy())
    out = np.stack(made)
    if np.issubdtype(result["dtype"], np.integer):
        scale, point = result["quantization"]
        return ((out.astype(np.int32) - point) * np.float32(scale)).astype(np.float32)
    return out


def litert_top1(path: Path, inputs: NDArray[np.float32], labels: NDArray[np.int64], workers: int) -> float:
    """Percentage of inputs put in their class."""
    parts = np.array_split(np.arange(len(labels)), workers)
    with ProcessPoolExecutor(workers) as pool:
        made = pool.map(scores, [path] * workers, [inputs[part] for part in parts])
        right = sum(int((m.argmax(1) == labels[part]).sum()) for m, part in zip(made, parts, strict=True))
    return 100.0 * right / len(labels)


def float_operators(program: Program) -> int:
    """Operators that give floats, but for the DEQUANTIZE of an output."""
    outputs = {port.tensor for port in program.outputs}
    return sum(
        any(t.dtype == "f32" and not (op.kind == "DEQUANTIZE" and t.name in outputs) for t in program.results(op))
        for op in program.operators
    )


def rows_of(subject: Subject, variants: Sequence[str], workers: int) -> Iterator[Row]:
    """Float first, then each variant."""
    if subject.source.suffix == ".onnx":
        reference = top1_percent(subject.source, subject.inputs, subject.labels, workers)
    else:
        reference = litert_top1(subject.source, subject.inputs, subject.labels, workers)
    yield Row(subject.name, "as given", 1.0, reference, 0.0, 0, 0, 0.0)
    for variant in variants:
        options, asked = VARIANTS[variant], subject
        if variant.startswith("uint8") and subject.source.suffix == ".onnx":
            asked = from_minus_one_to_one(subject)
        elif variant.startswith("uint8"):
            continue
        output = OUT / f"{subject.name}.{variant.replace(', ', '.').replace(' ', '-')}.tflite"
        if options is None:
            command = bitwright("convert", str(asked.source), str(output))
        else:
            calibration = asked.calibration if options[1] in CALIBRATED else ()
            command = bitwright("quantize", str(asked.source), "-o", str(output), *options, *calibration)
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            yield Row(subject.name, variant, 0, 0, 0, 0, 0, seconds, error=(done.stderr or done.stdout)[-1500:])
            continue
        program = read_program(output)
        kinds = Counter(op.kind for op in program.operators)
        top1 = litert_top1(output, asked.inputs, asked.labels, workers)
        error = None
        if options is None and subject.source.suffix == ".onnx":
            error = relative_error(subject, output)
        yield Row(
            subject.name,
            variant,
            output.stat().st_size / subject.source.stat().st_size,
            top1,
            reference - top1,
            kinds["TRANSPOSE"],
            float_operators(program),
            seconds,
            error,
        )


def relative_error(subject: Subject, path: Path) -> float:
    """Largest difference from ONNX Runtime's scores, relative to the largest score, on 100 inputs."""
    import onnxruntime

    inputs = subject.inputs[:: max(len(subject.inputs) // 100, 1)][:100]
    session = onnxruntime.InferenceSession(str(subject.source), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {session.get_inputs()[0].name: inputs})[0]
    return float(np.abs(scores(path, inputs) - wanted).max() / np.abs(wanted).max())


def shown(row: Row) -> list[str]:
    """One line of the table."""
    if row.error:
        return [row.network, row.variant, "failed", "", "", "", "", f"{row.seconds:.1f}", ""]
    return [
        *(row.network, row.variant, f"{row.ratio:.3f}x", f"{row.top1_percent:.2f}", f"{row.drop_points:+.2f}"),
        *(str(row.transposes), str(row.float_operators), f"{row.seconds:.1f}"),
        "" if row.relative_error is None else f"{row.relative_error:.1e}",
    ]


def main() -> None:
    """Measure, print, write bench/out/litert_accuracy.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    names = [*NETWORKS, "resnet8", "kws"]
    parser.add_argument("--networks", nargs="+", default=names, choices=names)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--samples", type=int, default=512, help="calibration images")
    parser.add_argument("--limit", type=int, default=10_000, help="test images")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    about = f"{describe_machine()}; LiteRT default kernels, {arguments.samples} calibration images"
    print(about, flush=True)
    rows: list[Row] = []
    for subject in subjects(arguments.models, arguments.data, arguments.networks, arguments.samples, arguments.limit):
        for row in rows_of(subject, arguments.variants, arguments.workers):
            rows.append(row)
            print(" ".join(shown(row)), row.error, flush=True)
    columns = ["network", "variant", "size", "top-1 %", "drop", "TRANSPOSE", "float ops", "s", "relative error"]
    print()
    print_table(columns, [shown(row) for row in rows])
    print(write_json("litert_accuracy", {"machine": about, "rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
