"""TensorFlow and Keras themselves; tests that take them are skipped where they are not installed."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def tf() -> Any:
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="session")
def keras(tf) -> Any:
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend here")
    return keras
