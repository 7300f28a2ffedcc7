"""Telling TensorFlow's and Keras's models apart, without importing either."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Kind = Literal["saved_model", "keras_file", "graph_def_file", "keras", "function", "graph_def", "loaded"]

KERAS_SUFFIXES = frozenset({".keras", ".h5", ".hdf5"})
GRAPH_SUFFIXES = frozenset({".pb", ".pbtxt"})
SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


def kind_of(source: object) -> Kind | None:
    """What of TensorFlow's a source is; None: nothing of it."""
    if isinstance(source, str | os.PathLike):
        return _kind_of_path(Path(source))
    names = [(cls.__module__, cls.__name__) for cls in type(source).__mro__]
    if any(module.split(".")[0] in ("keras", "tf_keras") and name == "Model" for module, name in names):
        return "keras"
    if any(module.startswith("tensorflow.") and name in _FUNCTIONS for module, name in names):
        return "function"
    if any(name == "GraphDef" and module.endswith("graph_pb2") for module, name in names):
        return "graph_def"
    if any(module.startswith("tensorflow.") and name in ("Trackable", "AutoTrackable") for module, name in names):
        return "loaded"
    return None


_FUNCTIONS = ("ConcreteFunction", "Function", "PolymorphicFunction", "AtomicFunction")


def _kind_of_path(path: Path) -> Kind | None:
    suffix = path.suffix.lower()
    if path.is_dir():
        return "saved_model" if any((path / name).exists() for name in SAVED_MODEL_FILES) else None
    if path.name in SAVED_MODEL_FILES and path.is_file():
        return "saved_model"
    if suffix in KERAS_SUFFIXES:
        return "keras_file"
    if suffix in GRAPH_SUFFIXES:
        return "graph_def_file"
    return "keras_file" if _is_hdf5(path) else None


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x89HDF"
    except OSError:
        return False
