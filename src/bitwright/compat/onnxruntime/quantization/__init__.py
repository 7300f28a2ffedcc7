"""What `onnxruntime.quantization` exports, module for module: signatures as of ONNX Runtime 1.31."""

from __future__ import annotations

from bitwright.compat.onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod
from bitwright.compat.onnxruntime.quantization.config import DynamicQuantConfig, StaticQuantConfig
from bitwright.compat.onnxruntime.quantization.quant_utils import QuantFormat, QuantType
from bitwright.compat.onnxruntime.quantization.quantize import quantize, quantize_dynamic, quantize_static
from bitwright.compat.onnxruntime.quantization.shape_inference import quant_pre_process

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
