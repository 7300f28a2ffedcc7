"""NNCF as a person would call it for OpenVINO: nncf.quantize with its defaults on the ONNX file, batch 1.

    python bench/nncf_quantize.py MODEL.onnx OUTPUT.xml SAMPLES.npy --samples 16

Needs openvino and nncf. Imports nothing of this repository.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nncf
import numpy as np
import openvino


def main() -> None:
    """Quantize one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("samples_file", type=Path)
    parser.add_argument("--samples", type=int, default=128)
    arguments = parser.parse_args()
    samples = np.load(arguments.samples_file)[: arguments.samples, None]
    model = openvino.Core().read_model(arguments.model)
    model.reshape(samples.shape[1:])
    quantized = nncf.quantize(model, nncf.Dataset(samples), subset_size=len(samples))
    openvino.save_model(quantized, arguments.output, compress_to_fp16=False)


if __name__ == "__main__":
    main()
