"""What the verbs that train are asked, they do, or they say why not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bitwright.cli.main import run
from bitwright.demo.digits import MODEL_PATH, load_digits


@pytest.fixture
def asked(tmp_path):
    """Arguments of a training of one step."""
    path = tmp_path / "digits.npy"
    np.save(path, load_digits().calibration[:32])
    return ["prune", str(MODEL_PATH), "-o", str(tmp_path / "m.onnx"), "--data", str(path), "--epochs", "1"]


def test_a_pruning_of_one_step_has_the_sparsity_that_was_asked(asked, capsys):
    """There is no time for it to grow."""
    assert run([*asked, "--sparsity", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sparsity"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("option", [("--scope", "global"), ("--block", "1x4")])
def test_options_of_zeros_are_refused_where_channels_are_removed(asked, option, capsys):
    """They would not count."""
    assert run([*asked, "--keep-operations", "0.5", *option]) == 2
    assert "--keep-operations" in capsys.readouterr().err
