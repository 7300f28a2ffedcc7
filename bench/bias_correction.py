"""What bias correction does to the outputs of three CIFAR-10 networks.

    python -m bench.bias_correction --models ../shared/models --data ../shared/data

int8 with and without, per channel and per tensor: SQNR of the outputs against float over 1000 test images, and how far
the mean of a score moves (the error that bias correction is there to remove).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import bitwright as bw
from bench.accuracy import NETWORKS, test_images
from bench.paths import print_table, write_json
from bitwright.demo.machine import describe_machine
from bitwright.numerics.metrics import sqnr_db

IMAGES = 1000


def outputs(model: bw.Model, inputs: NDArray[np.float32]) -> NDArray[Any]:
    """Scores [N, 10] on ONNX Runtime."""
    session = onnxruntime.InferenceSession(model.to_proto().SerializeToString(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: inputs})
    return np.asarray(scores)


def main() -> None:
    """Measure, print, write bench/out/bias_correction.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="the folder of the three .onnx files")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the CIFAR-10 .zip files")
    arguments = parser.parse_args()
    images, _ = test_images(arguments.data / "cifar10_test.zip", IMAGES)
    print(f"{describe_machine()}; 512 calibration images, {len(images)} test images")
    rows = []
    for name, network in NETWORKS.items():
        model, inputs = bw.load(arguments.models / network.file), network.inputs(images)
        seen = bw.calibrate(
            model, str(arguments.data / "cifar10_train_20k.zip"), samples=512, preprocess=network.preprocess
        )
        reference = outputs(model, inputs)
        for per_channel in (True, False):
            row = [name, "per-channel" if per_channel else "per-tensor"]
            for corrected in (False, True):
                small = bw.quantize(model, "int8", statistics=seen, per_channel=per_channel, bias_correction=corrected)
                got = outputs(small, inputs)
                row += [f"{sqnr_db(reference, got):.2f}", f"{np.abs((got - reference).mean(axis=0)).mean():.4f}"]
            rows.append(row)
    headings = ["network", "granularity", "SQNR without, dB", "mean shift without", "SQNR with, dB", "mean shift with"]
    print_table(headings, rows)
    print(write_json("bias_correction", {"machine": describe_machine(), "headings": headings, "rows": rows}))


if __name__ == "__main__":
    main()
