"""LiteRT's own quantizer as a person would call it: ai-edge-quantizer's static int8 recipe on a float .tflite.

    python bench/litert_quantize.py MODEL.tflite OUTPUT.tflite SAMPLES.npy --samples 16

Needs ai-edge-quantizer. Imports nothing of this repository.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe


def main() -> None:
    """Quantize one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("samples_file", type=Path)
    parser.add_argument("--samples", type=int, default=128)
    arguments = parser.parse_args()
    interpreter = Interpreter(str(arguments.model))
    shape = interpreter.get_input_details()[0]["shape"]
    key, signature = next(iter(interpreter.get_signature_list().items()))
    samples = np.load(arguments.samples_file)[: arguments.samples, None]
    if samples.shape[1:] != tuple(shape):  # NCHW
        samples = np.ascontiguousarray(samples.transpose(0, 1, 3, 4, 2))
    made = quantizer.Quantizer(str(arguments.model), recipe.static_wi8_ai8())
    calibrated = made.calibrate({key: [{signature["inputs"][0]: sample} for sample in samples]})
    arguments.output.unlink(missing_ok=True)
    made.quantize(calibrated).export_model(str(arguments.output))


if __name__ == "__main__":
    main()
