"""The README's example and claims, as a newcomer would type them."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime
import pytest

README = Path(__file__).parents[1] / "README.md"


def test_readme_example_runs(tmp_path, monkeypatch, capsys):
    """The ten lines run as they stand, write a file that ONNX Runtime loads, and print the report."""
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)

    exec(compile(example, str(README), "exec"), {})

    shown = capsys.readouterr().out
    assert "nodes by how they compute" in shown and "accuracy (top-1)" in shown
    onnxruntime.InferenceSession(tmp_path / "digits.int8.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    "verb",
    [
        *("quantize", "qat", "prune", "cluster", "pack", "unpack", "convert", "run"),
        *("benchmark", "calibrate", "transform", "compare", "inspect", "demo"),
    ],
)
def test_readme_names_every_verb(verb):
    """Every verb of the command line stands in the README."""
    assert f"`{verb}`" in README.read_text(encoding="utf-8")


def test_recipe_of_the_documentation_is_read():
    """The JSON example in docs/recipes.md is a recipe."""
    import bitwright as bw

    text = (README.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)

    assert len(bw.Recipe.from_json(example).entries) == 3
