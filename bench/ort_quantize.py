"""ONNX Runtime's own tool as a person would call it: quant_pre_process, then quantize_static, QDQ; per channel and u8s8
unless asked otherwise.

    python bench/ort_quantize.py MODEL OUTPUT SAMPLES.npy --method minmax --samples 128

Needs sympy (for quant_pre_process's shape inference). Imports nothing of this repository.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
TYPES = {"u8": QuantType.QUInt8, "i8": QuantType.QInt8}


class Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    """One sample at a time from a mapped array (.npy, or the first array of an .npz)."""

    def __init__(self, path: Path, input_name: str, count: int) -> None:
        array = np.load(path, mmap_mode="r")
        if not isinstance(array, np.ndarray):
            array = array[array.files[0]]
        self.rows: Iterator[np.ndarray] = (
            np.ascontiguousarray(array[i : i + 1]) for i in range(min(count, len(array)))
        )
        self.input_name = input_name

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next sample, None at the end."""
        row = next(self.rows, None)
        return None if row is None else {self.input_name: row}


def main() -> None:
    """Quantize one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("samples_file", type=Path)
    parser.add_argument("--method", choices=METHODS, default="minmax")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--activations", choices=TYPES, default="u8")
    parser.add_argument("--weights", choices=TYPES, default="i8")
    parser.add_argument("--per-tensor", action="store_true")
    arguments = parser.parse_args()
    input_name = onnx.load(arguments.model, load_external_data=False).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        quant_pre_process(arguments.model, prepared)
        quantize_static(
            prepared,
            arguments.output,
            Reader(arguments.samples_file, input_name, arguments.samples),
            quant_format=QuantFormat.QDQ,
            per_channel=not arguments.per_tensor,
            activation_type=TYPES[arguments.activations],
            weight_type=TYPES[arguments.weights],
            calibrate_method=METHODS[arguments.method],
        )


if __name__ == "__main__":
    main()
