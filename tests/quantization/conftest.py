"""Graphs of a text with random weights, quantized on random samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.graph.execution import random_feeds
from bitwright.graph.text import parse
from bitwright.quantization.plan import Plan
from bitwright.quantization.planner import preview
from bitwright.quantization.recipe import Recipe, recipe_for_mode
from bitwright.transforms.pipeline import prepare

HEADER = '<ir_version: 10, opset_import: ["": 21, "other.domain": 1]>\n'


@pytest.fixture
def build() -> Callable[..., ir.Model]:
    """A graph of a text: its inputs whose names do not start with x become constants.

    They are random, matrices and kernels scaled by their fan-in so that signals keep their size; or as given by name.
    """

    def make(text: str, *, seed: int = 0, header: str = HEADER, **given: Any) -> ir.Model:
        model = parse(header + text)
        rng = np.random.default_rng(seed)
        for value in list(model.graph.inputs):
            name = str(value.name)
            if name.startswith("x"):
                continue
            assert value.shape is not None and value.dtype is not None
            shape, dtype = value.shape.numpy(), value.dtype.numpy()
            array = rng.standard_normal(shape)
            if len(shape) > 1:
                array /= np.sqrt(max(1, np.prod(shape[1:])))
            if name in given:
                array = np.broadcast_to(np.asarray(given[name]), shape)
            value.const_value = ir.Tensor(np.ascontiguousarray(array).astype(dtype), name=name)
            model.graph.inputs.remove(value)
            model.graph.register_initializer(value)
        return model

    return make


@pytest.fixture
def samples() -> Callable[..., list[dict[str, np.ndarray]]]:
    """Standard-normal samples for a graph's inputs."""
    return lambda model, count=4, batch=2: [random_feeds(model, seed=i, batch=batch) for i in range(count)]


@pytest.fixture
def quantized(samples: Callable[..., list[dict[str, np.ndarray]]]) -> Callable[..., bw.Model]:
    """A graph quantized in a mode, on random samples unless told otherwise."""

    def make(model: ir.Model, mode: str | Recipe = "int8", **options: Any) -> bw.Model:
        options.setdefault("calibration", samples(model))
        return bw.quantize(model, mode, **options)

    return make


@pytest.fixture
def decided() -> Callable[..., dict[str, tuple[str, str]]]:
    """How every node of a graph would compute and why, by node name; without calibration."""

    def make(model: ir.Model, mode: str = "int8", **options: Any) -> dict[str, tuple[str, str]]:
        plan = preview(prepare(model), recipe=recipe_for_mode(mode, **options))
        return {name: (str(node.compute), node.reason) for name, node in plan.nodes.items()}

    return make


@pytest.fixture
def activation_names() -> Callable[[Plan], list[str]]:
    """The quantized activations of a plan, in order."""
    return lambda plan: [name for name, tensor in plan.tensors.items() if tensor.role == "activation"]


@pytest.fixture
def planned(quantized: Callable[..., bw.Model]) -> Callable[..., Plan]:
    """The plan of a graph for LiteRT."""
    return lambda model, mode="int8", **options: quantized(model, mode, target="litert", **options).plan


@pytest.fixture
def foreseen() -> Callable[..., dict[str, tuple[str, str]]]:
    """How every node of a graph would compute for LiteRT and why, by node name; without calibration."""

    def make(model: ir.Model, mode: str = "int8", **options: Any) -> dict[str, tuple[str, str]]:
        plan = preview(prepare(model), "litert", recipe_for_mode(mode, **options))
        return {name: (str(node.compute), node.reason) for name, node in plan.nodes.items()}

    return make


@pytest.fixture
def image() -> Callable[..., str]:
    """The text of a graph: a convolution `a` of the image `x`, and what follows it."""

    def text(body: str, *, more: str = "", constants: str = "", outputs: str = "float[A, B, C, D] y") -> str:
        values = f"<{constants}>" if constants else ""
        head = f"g (float[N, 4, 6, 6] x, float[4, 4, 1, 1] w{more}) => ({outputs}) {values}"
        return f"{head} {{ [first] a = Conv(x, w) {body} }}"

    return text
