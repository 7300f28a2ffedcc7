"""The networks of the latency measurements: their float file, their int8 file when they come with one, and samples.

Three are built with seeded weights (bench/networks.py); five are trained ones: MLPerf Tiny's, as their authors
published them, and ResNet-20. Samples have the layout of the float file: NCHW for .onnx, NHWC for .tflite.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.networks import NETWORKS, SAMPLE_SEED, network_path, random_images
from bench.paths import OUT
from bitwright.reading import read_program

MODELS = OUT.parents[2] / "shared" / "models"
TINY = ("resnet8_cifar10", "kws_dscnn", "vww_mobilenetv1", "toycar_autoencoder")
NAMES = (*NETWORKS, *TINY, "resnet20_cifar10")
SAMPLES = 16  # latency does not depend on the ranges that they give


@dataclass(frozen=True)
class Network:
    """One network.

    Args:
        name: of NAMES.
        source: its float file, .onnx or .tflite.
        int8: the int8 .tflite that its authors published; None when they did not.
    """

    name: str
    source: Path
    int8: Path | None = None


def network(name: str, models: Path) -> Network:
    """One of NAMES; the seeded ones are built when they are not there.

    Raises:
        FileNotFoundError: a file of `models` is not there.
    """
    if name in NETWORKS:
        found = Network(name, network_path(name))
    elif name in TINY:
        found = Network(name, models / f"{name}.tflite", models / f"{name}_int8.tflite")
    else:
        found = Network(name, models / f"{name}.onnx")
    for path in (found.source, found.int8):
        if path is not None and not path.exists():
            raise FileNotFoundError(f"{name}: {path} is not there; give the folder with --models")
    return found


def samples_path(net: Network) -> Path:
    """bench/out/<name>.samples.npy, f32[SAMPLES, ...], built when it is not there."""
    path = OUT / f"{net.name}.samples.npy"
    if not path.exists():
        np.save(path, _samples(net))
    return path


def _samples(net: Network) -> NDArray[np.float32]:
    if net.name in NETWORKS:
        return np.concatenate([random_images(1, seed=SAMPLE_SEED + 100 + index) for index in range(SAMPLES)])
    rng = np.random.default_rng(SAMPLE_SEED)
    if net.int8 is None:
        coarse = rng.standard_normal((SAMPLES, 3, 8, 8))
        return coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.float32)
    program = read_program(net.int8)
    tensor = program.tensors[program.inputs[0].tensor]
    integers = np.rint(rng.normal(0.0, 10.0, (SAMPLES, *tensor.shape[1:]))).clip(-128, 127)
    return ((integers - tensor.zero_point) * tensor.scale).astype(np.float32)
