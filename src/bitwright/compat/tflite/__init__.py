"""TensorFlow Lite's converter, interpreter and debugger on bitwright: the same names, arguments and attributes.

>>> from bitwright.compat.tflite import Optimize, TFLiteConverter
>>> str(Optimize.DEFAULT)
'DEFAULT'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright.compat.tflite.constants import OpResolverType, OpsSet, Optimize, RepresentativeDataset, TargetSpec
    from bitwright.compat.tflite.converter import TFLiteConverter
    from bitwright.compat.tflite.converter_v1 import TFLiteConverterV1, TocoConverter
    from bitwright.compat.tflite.debug_options import QuantizationDebugOptions
    from bitwright.compat.tflite.debugger import QuantizationDebugger
    from bitwright.compat.tflite.interpreter import Interpreter
    from bitwright.compat.tflite.refusals import load_delegate

__all__ = [
    "Interpreter",
    "OpResolverType",
    "OpsSet",
    "Optimize",
    "QuantizationDebugOptions",
    "QuantizationDebugger",
    "RepresentativeDataset",
    "TFLiteConverter",
    "TFLiteConverterV1",
    "TargetSpec",
    "TocoConverter",
    "load_delegate",
]

_FILES = {
    "Interpreter": "interpreter",
    "OpResolverType": "constants",
    "OpsSet": "constants",
    "Optimize": "constants",
    "QuantizationDebugOptions": "debug_options",
    "QuantizationDebugger": "debugger",
    "RepresentativeDataset": "constants",
    "TFLiteConverter": "converter",
    "TFLiteConverterV1": "converter_v1",
    "TargetSpec": "constants",
    "TocoConverter": "converter_v1",
    "load_delegate": "refusals",
}


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_FILES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
