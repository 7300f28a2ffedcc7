"""TensorFlow's name with bitwright behind tf.lite: `import bitwright.compat.tensorflow as tf`.

tf.lite, tf.compat.v1.lite and tf.contrib.lite are bitwright's; data types are numpy's; everything else is taken from
the TensorFlow that is installed, when it is asked for.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from bitwright.compat import tflite
from bitwright.errors import MissingDependencyError


class Namespace:
    """A module of TensorFlow with some names of bitwright's; the others are TensorFlow's own.

    Args:
        path: dotted, below tensorflow; "" for tensorflow itself.
        own: names and what they are: a value, or a name of compat.tflite.
    """

    def __init__(self, path: str, own: Mapping[str, Any]) -> None:
        self._path, self._own = path, dict(own)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._own:
            value = self._own[name]
            return getattr(tflite, value.name) if isinstance(value, _Name) else value
        return functools.reduce(getattr, [part for part in (*self._path.split("."), name) if part], _tensorflow())

    def __dir__(self) -> list[str]:
        return sorted(self._own)


class _Name:
    """A name of compat.tflite that is imported when it is asked for."""

    def __init__(self, name: str) -> None:
        self.name = name


def _names(*names: str) -> dict[str, Any]:
    return {name: _Name(name) for name in names}


_COMMON = _names("Interpreter", "OpsSet", "Optimize", "RepresentativeDataset", "TargetSpec")
_DEBUG = _names("OpResolverType", "QuantizationDebugOptions", "QuantizationDebugger", "load_delegate")
_V1_NAMES = {**_COMMON, "TFLiteConverter": _Name("TFLiteConverterV1"), "TocoConverter": _Name("TocoConverter")}
_CONSTANTS = {
    "FLOAT": np.dtype("float32"),
    "FLOAT16": np.dtype("float16"),
    "INT8": np.dtype("int8"),
    "INT16": np.dtype("int16"),
    "INT32": np.dtype("int32"),
    "INT64": np.dtype("int64"),
    "QUANTIZED_UINT8": np.dtype("uint8"),
    "TFLITE": "TFLITE",
    "GRAPHVIZ_DOT": "GRAPHVIZ_DOT",
}


def _v1(path: str) -> Namespace:
    own = {
        "experimental": Namespace(f"{path}.experimental", _DEBUG),
        "constants": Namespace(f"{path}.constants", _CONSTANTS),
    }
    return Namespace(path, {**_V1_NAMES, **own})


lite = Namespace(
    "lite",
    {
        **_COMMON,
        **_names("TFLiteConverter", "TocoConverter"),
        "experimental": Namespace("lite.experimental", _DEBUG),
        "constants": Namespace("compat.v1.lite.constants", _CONSTANTS),
    },
)
compat = Namespace(
    "compat",
    {
        "v1": Namespace("compat.v1", {"lite": _v1("compat.v1.lite")}),
        "v2": Namespace("compat.v2", {"lite": lite}),
    },
)
contrib = Namespace("contrib", {"lite": _v1("contrib.lite")})

# TensorFlow's functions take numpy's data types as they take its own.
float16, float32, float64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
int8, int16, int32, int64 = np.dtype("int8"), np.dtype("int16"), np.dtype("int32"), np.dtype("int64")
uint8, uint16, uint32, uint64 = np.dtype("uint8"), np.dtype("uint16"), np.dtype("uint32"), np.dtype("uint64")

#: What scripts print of TensorFlow first; other such names are asked for by Python itself.
_VERSIONS = ("__version__", "__git_version__", "__compiler_version__")


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name not in _VERSIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_tensorflow(), name)


def _tensorflow() -> Any:
    """The TensorFlow that is installed.

    Raises:
        MissingDependencyError: none is.
    """
    try:
        return importlib.import_module("tensorflow")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "TensorFlow is not installed, and only tf.lite and data types are here without it",
            next="`pip install bitwright[tensorflow]`",
        ) from error
