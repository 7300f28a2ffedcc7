"""Accuracy of int8 .tflite files on LiteRT, beside the authors' own: MLPerf Tiny's networks on their test data."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bitwright as bw

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

SHARED = Path(__file__).parents[2].parent / "shared"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared models and data are not here")


def top1_percent(content: bytes, inputs: np.ndarray, labels: np.ndarray) -> float:
    """On LiteRT's default kernels, int8 in and out."""
    interpreter = litert.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, point = source["quantization"]
    integers = np.clip(np.rint(inputs / np.float32(scale)) + point, -128, 127).astype(np.int8)
    right = 0
    for row, label in zip(integers, labels, strict=True):
        interpreter.set_tensor(source["index"], row[None])
        interpreter.invoke()
        right += int(interpreter.get_tensor(result["index"])[0].argmax() == label)
    return 100.0 * right / len(labels)


def quantized(name: str, calibration: Any, **options: Any) -> bytes:
    small = bw.quantize(SHARED / "models" / name, "int8", calibration=calibration, **options)
    return small.with_ports("int8", "int8").to_tflite()


def test_keyword_spotting_is_as_accurate_as_its_authors_int8():
    """DS-CNN, calibrated on the first 100 features: 90.2 % less 0.3 points on all 1000."""
    with np.load(SHARED / "data" / "kws01.npz") as held:
        features, labels = (held["mfcc"].astype(np.float32) - 83) * np.float32(0.58470290), held["label"]

    content = quantized("kws_dscnn.tflite", features[:100])

    assert top1_percent(content, features, labels) >= 90.2 - 0.3


def test_image_classification_is_as_accurate_as_its_authors_int8():
    """ResNet-8, calibrated on 512 training images: 86.97 % less 0.05 points on all 10 000 test images."""
    with zipfile.ZipFile(SHARED / "data" / "cifar10_test.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        classes = sorted({name.split("/")[-2] for name in names})
        images = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names])
    labels = np.array([classes.index(name.split("/")[-2]) for name in names])

    content = quantized(
        "resnet8_cifar10.tflite",
        SHARED / "data" / "cifar10_train_20k.zip",
        samples=512,
        preprocess="size=32 layout=NHWC",
    )

    assert top1_percent(content, images.astype(np.float32), labels) >= 86.97 - 0.05
