"""What is shipped: small, honest, accurate."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from bitwright.demo.digits import IMAGES_PATH, MODEL_PATH, load_digits
from bitwright.graph.execution import open_session


def test_shipped_files_are_small():
    """The network and its images together stay under 300 KB."""
    assert MODEL_PATH.stat().st_size + IMAGES_PATH.stat().st_size < 300_000


def test_shipped_network_is_accurate_in_float():
    """At least 98.5 % of the test images."""
    digits = load_digits()

    (scores,) = open_session(str(MODEL_PATH)).run(None, {"image": digits.images})

    assert np.mean(scores.argmax(1) == digits.labels) >= 0.985


def test_shipped_network_has_what_quantization_must_handle():
    """BatchNorm nodes, a depthwise convolution, a residual add, a free batch dimension."""
    model = onnx.load(MODEL_PATH)
    groups = [attribute.i for node in model.graph.node for attribute in node.attribute if attribute.name == "group"]

    assert {"Conv", "BatchNormalization", "Relu", "Add", "GlobalAveragePool", "Gemm"} <= {
        node.op_type for node in model.graph.node
    }
    assert max(groups) == 32
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert model.opset_import[0].version == 21


def test_shipped_images_are_scaled_and_labelled():
    """0..1, one channel, every class in the test split."""
    digits = load_digits()

    assert digits.images.shape == (len(digits.labels), 1, 8, 8)
    assert digits.images.dtype == digits.calibration.dtype == np.float32
    assert (digits.images.min(), digits.images.max()) == (0, 1)
    assert set(range(10)) == set(digits.labels.tolist())


def test_shipped_calibration_images_are_not_test_images():
    """Calibrate on training data, measure on test data; both are scikit-learn's own."""
    sklearn = pytest.importorskip("sklearn.datasets")
    digits = load_digits()
    test = {image.tobytes() for image in digits.images}
    calibration = {image.tobytes() for image in digits.calibration}
    every = {(image / 16).astype(np.float32).tobytes() for image in sklearn.load_digits().images}

    assert not test & calibration
    assert test | calibration <= every
