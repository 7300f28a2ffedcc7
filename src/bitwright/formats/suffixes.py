"""The suffixes of the formats that a model is written in."""

from __future__ import annotations

ONNX, TFLITE = ".onnx", ".tflite"
MODEL_SUFFIXES = (ONNX, TFLITE)

#: A model of either format, packed.
BWZ = ".bwz"
