"""ONNX Runtime's quantizer by its own names: `from bitwright.compat.onnxruntime import quantize_static, QuantType`."""

from __future__ import annotations

from bitwright.compat.onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    DynamicQuantConfig,
    QuantFormat,
    QuantType,
    StaticQuantConfig,
    quant_pre_process,
    quantize,
    quantize_dynamic,
    quantize_static,
)

__all__ = [
    "CalibrationDataReader",
    "CalibrationMethod",
    "DynamicQuantConfig",
    "QuantFormat",
    "QuantType",
    "StaticQuantConfig",
    "quant_pre_process",
    "quantize",
    "quantize_dynamic",
    "quantize_static",
]
