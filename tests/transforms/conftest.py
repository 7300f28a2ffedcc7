"""Graphs with random constants, and the comparison of what two graphs compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.graph.execution import Execution, random_feeds
from bitwright.graph.text import parse

HEADER = '<ir_version: 10, opset_import: ["": 21]>\n'


@pytest.fixture
def build() -> Callable[..., ir.Model]:
    """A graph of a text: its inputs whose names do not start with x become random constants (var...: positive)."""

    def make(text: str, *, seed: int = 0, header: str = HEADER, **given: object) -> ir.Model:
        model = parse(header + text)
        rng = np.random.default_rng(seed)
        for value in list(model.graph.inputs):
            name = str(value.name)
            if name.startswith("x"):
                continue
            assert value.shape is not None
            array = rng.standard_normal(value.shape.numpy()).astype(np.float32)
            array = np.abs(array) + 0.1 if name.startswith("var") else array
            if name in given:
                array = np.asarray(given[name], np.float32).reshape(value.shape.numpy())
            value.const_value = ir.Tensor(array, name=name)
            model.graph.inputs.remove(value)
            model.graph.register_initializer(value)
        return model

    return make


@pytest.fixture
def assert_same_output() -> Callable[..., None]:
    """Two graphs give the same floats, under the same names, for the same random inputs."""

    def check(before: ir.Model, after: ir.Model, *, tolerance: float = 1e-5) -> None:
        assert [v.name for v in after.graph.outputs] == [v.name for v in before.graph.outputs]
        feeds = random_feeds(before, batch=3)
        expected = Execution(before).run(feeds)
        got = Execution(after).run(feeds)
        for name, array in expected.items():
            np.testing.assert_allclose(got[name], array, rtol=tolerance, atol=tolerance * max(1, np.abs(array).max()))

    return check


@pytest.fixture
def ops() -> Callable[[ir.Model], list[str]]:
    """The operators of the main graph in order."""
    return lambda model: [node.op_type for node in model.graph]
