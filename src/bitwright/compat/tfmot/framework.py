"""Keras on its torch backend, or an error that says what to set."""

from __future__ import annotations

from bitwright.errors import MissingDependencyError, UsageError


def check_keras() -> None:
    """Refuse any Keras but Keras 3 on its torch backend.

    Raises:
        MissingDependencyError: Keras 3, or its backend, is not installed.
        UsageError: it runs on another backend.
    """
    try:
        import keras
    except ImportError as error:
        raise MissingDependencyError(
            f"tfmot's functions need Keras 3 on its torch backend: {error}",
            next="pip install keras bitwright[torch], and set KERAS_BACKEND=torch",
        ) from error
    if not keras.__version__.startswith("3."):
        raise UsageError(f"Keras {keras.__version__} is installed, and 3 is needed", next="pip install 'keras>=3'")
    if (backend := keras.backend.backend()) != "torch":
        raise UsageError(
            f"Keras runs on {backend}, and models are trained here on its torch backend",
            next="set KERAS_BACKEND=torch in the environment, or os.environ['KERAS_BACKEND'] = 'torch' before Keras is"
            " imported; a model that was saved as .keras is read there with its weights",
        )
