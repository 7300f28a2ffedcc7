"""NNCF as a person would call it: nncf.quantize on the ONNX file, for OpenVINO (.xml, batch 1) or as QDQ (.onnx).

    python bench/nncf_quantize.py MODEL.onnx OUTPUT.xml SAMPLES.npy --samples 16

Needs nncf, and openvino for .xml. Imports nothing of this repository.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import nncf
import numpy as np
from numpy.typing import NDArray

PRESETS = {"performance": nncf.QuantizationPreset.PERFORMANCE, "mixed": nncf.QuantizationPreset.MIXED}


def write_openvino(model: Path, output: Path, samples: NDArray[np.float32], **options: Any) -> None:
    """Quantize for OpenVINO."""
    import openvino

    read = openvino.Core().read_model(model)
    read.reshape(samples.shape[1:])
    quantized = nncf.quantize(read, nncf.Dataset(samples), **options)
    openvino.save_model(quantized, output, compress_to_fp16=False)


def write_onnx(model: Path, output: Path, samples: NDArray[np.float32], **options: Any) -> None:
    """Quantize to QuantizeLinear and DequantizeLinear nodes."""
    import onnx

    read = onnx.load(model)
    name = read.graph.input[0].name
    onnx.save(nncf.quantize(read, nncf.Dataset(samples, lambda sample: {name: sample}), **options), output)


def main() -> None:
    """Quantize one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("samples_file", type=Path)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--preset", choices=PRESETS)
    arguments = parser.parse_args()
    samples = np.load(arguments.samples_file)[: arguments.samples, None]
    write = write_onnx if arguments.output.suffix == ".onnx" else write_openvino
    preset = PRESETS[arguments.preset] if arguments.preset else None
    write(arguments.model, arguments.output, samples, subset_size=len(samples), preset=preset)


if __name__ == "__main__":
    main()
