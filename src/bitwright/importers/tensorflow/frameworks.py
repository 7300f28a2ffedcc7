"""TensorFlow, Keras and tf2onnx: imported when a model of theirs is read, and kept quiet."""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bitwright.errors import MissingDependencyError

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


@contextmanager
def quiet() -> Iterator[None]:
    """While it lasts, remarks of TensorFlow, Keras and tf2onnx on their own workings are kept from the user."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "absl", "tf_keras", "keras")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
