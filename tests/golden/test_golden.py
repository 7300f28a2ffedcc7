"""Text before, a transform, text after: one file a case, in a folder named after the transform.

A file may start with a line `apply: name(argument=value)`; by default the folder's name is what is applied.
"""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

from bitwright.graph.text import parse
from bitwright.transforms.pipeline import apply_transforms, available

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*/*.txt"))
HEADER = '<ir_version: 10, opset_import: ["": 21]>\n'


def printed(model: ir.Model, shapes: bool) -> str:
    """A graph's text with its constants, with or without the shapes of inner values."""
    for node in model.graph:
        for value in node.outputs:
            if not shapes and not value.is_graph_output():
                value.shape = value.type = None
    for value in model.graph.initializers.values():
        if not value.is_graph_input():
            value.shape = value.type = None
    return ir.to_onnx_text(model)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_transform_gives_the_text(path):
    """A transform makes of the first graph exactly the second."""
    text = path.read_text()
    call = path.parent.name
    if text.startswith("apply:"):
        first, text = text.split("\n", 1)
        call = first.removeprefix("apply:").strip()
    before, after = text.split("\n---\n")

    result = apply_transforms(parse(HEADER + before), call)

    shapes = "infer_shapes" in call
    expected = printed(parse(HEADER + after), shapes)
    assert expected == printed(result.model, shapes)
    assert result.modified == (printed(parse(HEADER + before), shapes) != expected)


@pytest.mark.parametrize("name", sorted(available()))
def test_every_transform_has_a_golden_case(name):
    """Every transform of the registry shows what it does."""
    assert any(path.parent.name == name for path in CASES)
