"""The shipped network and images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MODEL_PATH = Path(__file__).with_name("digits.onnx")
IMAGES_PATH = Path(__file__).with_name("digits_test.npz")

#: scikit-learn's digits hold 0..16; the network reads 0..1.
PIXEL_MAXIMUM = 16


@dataclass(frozen=True)
class Digits:
    """Images as the network reads them, f32[N,1,8,8] of 0..1.

    Args:
        images, labels: the test split, which the network never saw.
        calibration: images of the training split, without labels.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    calibration: NDArray[np.float32]


def load_digits() -> Digits:
    """The shipped images."""
    with np.load(IMAGES_PATH) as arrays:
        return Digits(
            images=_as_input(arrays["images"]),
            labels=arrays["labels"].astype(np.int64),
            calibration=_as_input(arrays["calibration_images"]),
        )


def _as_input(pixels: NDArray[Any]) -> NDArray[np.float32]:
    return pixels[:, None].astype(np.float32) / np.float32(PIXEL_MAXIMUM)
