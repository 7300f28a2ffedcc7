"""Fixtures of the importers' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

Run = Callable[..., dict[str, np.ndarray]]


@pytest.fixture(scope="session")
def run_model() -> Run:
    """Runs an onnx_ir model on ONNX Runtime as it is, through no code of the importers."""

    def run(model: ir.Model, feeds: dict[str, Any]) -> dict[str, np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        data = ir.to_proto(model).SerializeToString()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, feeds), strict=True))

    return run


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of real models beside the repository."""
    folder = Path(__file__).parents[2].parent / "shared" / "models"
    if not folder.is_dir():
        pytest.skip("real models are read from ../shared/models, which is absent")
    return folder
