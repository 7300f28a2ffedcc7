"""tfmot's names: what needs no Keras; and the cases of tfmot_on_torch, in a process whose Keras runs on torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "tfmot_on_torch"


@pytest.fixture(scope="module", autouse=True)
def keras() -> None:
    pytest.importorskip("keras")


def python(*arguments: str, backend: str) -> subprocess.CompletedProcess[str]:
    """A process with Keras on a backend and one thread."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_tfmot_on_the_torch_backend():
    """Keras chooses its backend when it is imported, once a process."""
    cases = [str(CASES / name) for name in ("pruning.py", "clustering.py", "quantizing.py")]

    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:logging", *cases, backend="torch")

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_tfmot_names_the_variable_to_set_where_keras_runs_on_another_backend():
    """The script that was imported for is told how to run."""
    script = "import bitwright.compat.tfmot as tfmot; tfmot.quantization.keras.quantize_model"

    done = python("-c", script, backend="tensorflow")

    assert done.returncode != 0
    assert "UsageError: Keras runs on tensorflow" in done.stderr
    assert "set KERAS_BACKEND=torch" in done.stderr


def test_tfmot_imports_no_framework_before_it_is_called():
    """Schedules and enumerations are there without Keras and torch."""
    script = (
        "import sys, bitwright.compat.tfmot as tfmot;"
        "tfmot.sparsity.keras.PolynomialDecay(0.0, 0.5, 0, 10);"
        "tfmot.clustering.keras.CentroidInitialization.LINEAR; tfmot.experimental.combine;"
        "print([name for name in ('keras', 'torch', 'tensorflow', 'onnx') if name in sys.modules])"
    )

    done = python("-c", script, backend="torch")

    assert done.stdout.strip() == "[]"


def test_tfmot_names_what_it_offers():
    """A name of tfmot that is not here is refused with those that are."""
    import bitwright.compat.tfmot as tfmot

    with pytest.raises(AttributeError, match=r"PruneForLatencyOnXNNPack.*prune_low_magnitude"):
        _ = tfmot.sparsity.keras.PruneForLatencyOnXNNPack
