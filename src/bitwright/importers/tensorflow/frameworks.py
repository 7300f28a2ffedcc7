"""TensorFlow, Keras and tf2onnx: imported when a model of theirs is read, and kept quiet."""

from __future__ import annotations

import importlib
import logging
import os
from contextlib import AbstractContextManager
from typing import Any

from bitwright.errors import MissingDependencyError
from bitwright.importers.quiet import quiet as quiet_loggers

NEXT = "pip install bitwright[tensorflow]"


def import_tensorflow() -> Any:
    """The module `tensorflow`.

    Raises:
        MissingDependencyError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its log of what the processor has is no news to a user
    return import_extra("tensorflow", "TensorFlow models")


def import_extra(name: str, what: str) -> Any:
    """A module of the extra `tensorflow`.

    Args:
        name: of the module.
        what: needs it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.split(".")[0].replace("_", "-")
        raise MissingDependencyError(f"{what} need {package}: {error}", next=NEXT) from error


def quiet() -> AbstractContextManager[None]:
    """While it lasts, TensorFlow, Keras and tf2onnx tell nothing."""
    return quiet_loggers("tensorflow", "tf2onnx", "absl", "tf_keras", "keras", level=logging.CRITICAL)
