"""Models of TensorFlow and Keras: read, compared with TensorFlow, quantized in one command, timed beside its own.

    python -m bench.tensorflow_models --models ../shared/models --data ../shared/data [--runs 3] [float int8 hello time]

Calibration: ResNet-8 on 512 training images, keyword spotting on its first 100 features, the others on random rows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measured import run_measured
from bench.paths import OUT, bitwright, machine, print_table, write_json

Array = NDArray[np.float32]
SCRIPT = Path(__file__).with_name("tensorflow_convert.py")


@dataclass(frozen=True)
class Subject:
    """A model, what it is fed with and, where there are any, labels."""

    name: str
    file: str
    samples: Array
    inputs: Array
    labels: NDArray[np.int64] | None = None


def subjects(models: Path, data: Path) -> list[Subject]:
    """The four MLPerf Tiny networks, as TensorFlow has them."""
    from bench.accuracy import test_images
    from bitwright.calibration.feeds import InputSpec
    from bitwright.calibration.files import open_path

    spec = InputSpec("x", np.dtype(np.float32), (None, 32, 32, 3))
    opened = open_path(str(data / "cifar10_train_20k.zip"), [spec], preprocess="layout=NHWC", samples=512)
    training = np.concatenate([feeds["x"] for _, feeds in opened])
    images, labels = test_images(data / "cifar10_test.zip", 10_000)
    words = np.load(data / "kws01.npz")
    features = (words["mfcc"].astype(np.float32) - 83) * np.float32(0.58470290)
    rng = np.random.default_rng(0)
    people = rng.uniform(0, 1, (100, 96, 96, 3)).astype(np.float32)
    sounds = rng.normal(-20, 10, (100, 640)).astype(np.float32)
    return [
        Subject("ResNet-8", "resnet8_cifar10.h5", training, images.astype(np.float32), labels),
        Subject("KWS DS-CNN", "kws_dscnn_saved_model", features[:100], features, words["label"].astype(np.int64)),
        Subject("VWW MobileNetV1", "vww_mobilenetv1.h5", people, people),
        Subject("ToyCar", "toycar_autoencoder.h5", sounds, sounds),
    ]


def on_tensorflow(path: Path, x: Array) -> Array:
    """Outputs of TensorFlow itself."""
    import tensorflow as tf

    from bitwright.importers.tensorflow.keras_models import read_keras

    if path.is_dir():
        function = tf.saved_model.load(str(path)).signatures["serving_default"]
        (name,) = function.structured_input_signature[1]
        return next(iter(function(**{name: tf.constant(x)}).values())).numpy()
    return read_keras(path).predict(x, verbose=0)


def on_onnxruntime(path: Path, x: Array) -> Array:
    """Outputs of a .onnx file, 100 rows at once."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[i : i + 100]})[0] for i in range(0, len(x), 100)])


def on_litert(path: Path, x: Array) -> Array:
    """Outputs of a .tflite file, a row at a time."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(path))
    runner.allocate_tensors()
    given, made = runner.get_input_details()[0]["index"], runner.get_output_details()[0]["index"]
    rows = []
    for row in x:
        runner.set_tensor(given, row[None])
        runner.invoke()
        rows.append(runner.get_tensor(made)[0])
    return np.stack(rows)


def top1(outputs: Array, labels: NDArray[np.int64] | None) -> float | None:
    """In percent."""
    return None if labels is None else 100 * float((outputs.argmax(1) == labels).mean())


def sqnr_db(wanted: Array, got: Array) -> float:
    """Of outputs."""
    return float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))


def run(*arguments: str) -> None:
    """`bitwright ...`, which must succeed."""
    subprocess.run(bitwright(*arguments, "--quiet"), check=True)


def row_float(subject: Subject, source: Path) -> dict[str, Any]:
    """The float model, on ONNX Runtime and on TensorFlow."""
    path = OUT / f"{subject.file.split('.')[0]}.onnx"
    run("convert", str(source), str(path))
    x = subject.inputs[:100]
    wanted, got = on_tensorflow(source, x), on_onnxruntime(path, x)
    return {
        "relative_difference": float(np.abs(wanted - got).max() / np.abs(wanted).max()),
        "top1": top1(on_onnxruntime(path, subject.inputs), subject.labels),
    }


def row_int8(subject: Subject, source: Path) -> dict[str, Any]:
    """Both files, each by one command."""
    samples = OUT / f"{subject.file.split('.')[0]}.npy"
    np.save(samples, subject.samples)
    made: dict[str, Any] = {}
    wanted = on_tensorflow(source, subject.inputs[:100])
    for suffix, runner in ((".tflite", on_litert), (".onnx", on_onnxruntime)):
        path = OUT / f"{subject.file.split('.')[0]}.int8{suffix}"
        run("quantize", str(source), "-o", str(path), "--calibration", str(samples))
        outputs = runner(path, subject.inputs)
        name = suffix[1:]
        made[f"{name}_top1"] = top1(outputs, subject.labels)
        made[f"{name}_sqnr_db"] = sqnr_db(wanted, outputs[:100])
        made[f"{name}_bytes"] = path.stat().st_size
        if suffix == ".tflite":
            from bitwright.reading import read_program

            kinds = Counter(operator.kind for operator in read_program(path).operators)
            made["transposes"] = kinds["TRANSPOSE"]
    return made


def row_time(subject: Subject, source: Path, runs: int) -> dict[str, Any]:
    """Whole processes in turns: ours to .tflite, and TensorFlow's converter."""
    samples = OUT / f"{subject.file.split('.')[0]}.npy"
    np.save(samples, subject.samples)
    output = OUT / "timed.tflite"
    count = str(len(subject.samples))
    ours = bitwright("quantize", str(source), "-o", str(output), "--calibration", str(samples), "--quiet")
    theirs = [sys.executable, str(SCRIPT), str(source), str(output), str(samples), count]
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(runs):
        for side, command in (("ours", ours), ("theirs", theirs)):
            seconds[side].append(run_measured(command).seconds)
    found = {side: statistics.median(each) for side, each in seconds.items()}
    return {**found, "ratio": found["ours"] / found["theirs"]}


def hello_edge(models: Path) -> list[dict[str, Any]]:
    """The two frozen graphs, cut behind their audio front end."""
    import tensorflow as tf

    found = []
    for name, mode in (("hello_edge_ds_cnn_s", "int8"), ("hello_edge_basic_lstm_s", "dynamic")):
        source = models / f"{name}.pb"
        x = np.random.default_rng(0).normal(0, 10, (100, 1, 49, 10)).astype(np.float32)
        graph_def = tf.compat.v1.GraphDef.FromString(source.read_bytes())
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.import_graph_def(graph_def, name="")
            wanted = np.concatenate([session.run("labels_softmax:0", {"Mfcc:0": row}) for row in x])
        cut = ("--inputs", "Mfcc", "--outputs", "labels_softmax")
        path = OUT / f"{name}.onnx"
        run("convert", str(source), str(path), *cut)
        samples = OUT / f"{name}.npy"
        np.save(samples, x[:, 0])
        got = np.concatenate([on_onnxruntime(path, row) for row in x])
        made: dict[str, Any] = {"model": name, "mode": mode}
        made["relative_difference"] = float(np.abs(wanted - got).max() / np.abs(wanted).max())
        options = ("--calibration", str(samples)) if mode == "int8" else ()
        for suffix in (".onnx", ".tflite"):
            small = OUT / f"{name}.{mode}{suffix}"
            run("quantize", str(source), "-o", str(small), "--mode", mode, *cut, *options)
            runner = on_onnxruntime if suffix == ".onnx" else on_litert
            rows = x if suffix == ".onnx" else x[:, 0]
            outputs = np.concatenate([runner(small, row) for row in rows]) if suffix == ".onnx" else runner(small, rows)
            made[f"{suffix[1:]}_sqnr_db"] = sqnr_db(wanted, outputs)
            made[f"{suffix[1:]}_bytes"] = small.stat().st_size
        found.append(made)
    return found


def main() -> None:
    """Measure, print, write bench/out/tensorflow_models.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=["float", "int8", "hello", "time"], metavar="ROW")
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    OUT.mkdir(parents=True, exist_ok=True)
    print(about := machine(), flush=True)
    data: list[dict[str, Any]] = []
    for subject in subjects(arguments.models, arguments.data):
        source, made = arguments.models / subject.file, {"model": subject.name}
        if "float" in arguments.rows:
            made |= row_float(subject, source)
        if "int8" in arguments.rows:
            made |= row_int8(subject, source)
        if "time" in arguments.rows:
            made |= row_time(subject, source, arguments.runs)
        data.append(made)
        print(made, flush=True)
    if "hello" in arguments.rows:
        for made in hello_edge(arguments.models):
            data.append(made)
            print(made, flush=True)
    columns = ["model", *dict.fromkeys(key for made in data for key in made if key != "model")]
    print_table(columns, [[_cell(made.get(key)) for key in columns] for made in data])
    print(write_json("tensorflow_models", {"machine": about, "rows": data}))


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
