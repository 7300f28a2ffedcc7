"""Chains of nodes that move, cut and mix dimensions, drawn at random: layouts carried through all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitwright.graph.execution import random_feeds
from bitwright.lowering.lower import lower

Draw = Callable[[st.SearchStrategy[Any]], Any]
KINDS = (
    *("Conv", "Conv", "MaxPool", "Transpose", "Transpose", "Reshape", "Reshape", "Relu", "Add", "Mul", "Concat"),
    *("Slice", "ReduceMean", "Softmax", "MatMul", "Pad", "Gather", "Depthwise"),
)


class Chain:
    """A graph that grows by one node on its last value, or on one before it, at a time."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.values: list[tuple[str, list[int]]] = [("x", [draw(st.integers(1, 4)) for _ in range(4)])]
        self.nodes: list[str] = []
        self.constants: list[str] = []
        self.weights: list[str] = []

    def weight(self, *dims: int) -> str:
        self.weights.append(f"float[{', '.join(map(str, dims))}] w{len(self.weights)}")
        return f"w{len(self.weights) - 1}"

    def ints(self, *values: int) -> str:
        self.constants.append(f"int64[{len(values)}] c{len(self.constants)} = {{{', '.join(map(str, values))}}}")
        return f"c{len(self.constants) - 1}"

    def add(self, call: str, shape: list[int]) -> None:
        name = f"v{len(self.nodes)}"
        self.nodes.append(f"{name} = {call}")
        self.values.append((name, shape))

    def axis(self, shape: list[int]) -> int:
        return self.draw(st.integers(0, len(shape) - 1))

    def grow(self, kind: str) -> None:
        name, shape = self.values[-1] if self.draw(st.booleans()) else self.draw(st.sampled_from(self.values))
        if kind in ("Conv", "Depthwise") and len(shape) in (3, 4):
            out = shape[1] if kind == "Depthwise" else self.draw(st.integers(1, 4))
            weights = self.weight(out, 1 if kind == "Depthwise" else shape[1], *(1 for _ in shape[2:]))
            group = shape[1] if kind == "Depthwise" else 1
            self.add(f"Conv <group = {group}> ({name}, {weights})", [shape[0], out, *shape[2:]])
        elif kind == "MaxPool" and len(shape) == 4:
            pads = "pads = [1, 1, 1, 1], kernel_shape = [3, 3]"
            self.add(f"MaxPool <{pads}> ({name})", shape)
        elif kind == "Transpose":
            perm = self.draw(st.permutations(range(len(shape))))
            self.add(f"Transpose <perm = {list(perm)}> ({name})", [shape[p] for p in perm])
        elif kind == "Reshape":
            wanted = self.cut(math.prod(shape))
            self.add(f"Reshape({name}, {self.ints(*wanted)})", wanted)
        elif kind == "Relu":
            self.add(f"Relu({name})", shape)
        elif kind in ("Add", "Mul"):
            same = [other for other, dims in self.values if dims == shape]
            kept = [n if self.draw(st.booleans()) else 1 for n in shape]
            other = self.draw(st.sampled_from(same)) if self.draw(st.booleans()) else self.weight(*kept)
            self.add(f"{kind}({name}, {other})", shape)
        elif kind == "Concat":
            axis = self.axis(shape)
            other, dims = self.draw(st.sampled_from([v for v in self.values if _fits(v[1], shape, axis)]))
            joined = [n + dims[i] if i == axis else n for i, n in enumerate(shape)]
            self.add(f"Concat <axis = {axis}> ({name}, {other})", joined)
        elif kind == "Slice":
            axis, step = self.axis(shape), self.draw(st.sampled_from([1, 2, -1]))
            start = shape[axis] - 1 if step < 0 else self.draw(st.integers(0, shape[axis] - 1))
            count = shape[axis] if step < 0 else -(-(shape[axis] - start) // step)
            end = -99 if step < 0 else 99
            ends = ", ".join(self.ints(n) for n in (start, end, axis, step))
            self.add(f"Slice({name}, {ends})", [count if i == axis else n for i, n in enumerate(shape)])
        elif kind == "ReduceMean":
            axis = self.axis(shape)
            kept = [1 if i == axis else n for i, n in enumerate(shape)]
            self.add(f"ReduceMean({name}, {self.ints(axis)})", kept)
        elif kind == "Softmax":
            self.add(f"Softmax <axis = {self.axis(shape)}> ({name})", shape)
        elif kind == "MatMul" and len(shape) > 1:
            out = self.draw(st.integers(1, 4))
            self.add(f"MatMul({name}, {self.weight(shape[-1], out)})", [*shape[:-1], out])
        elif kind == "Pad" and len(shape) < 5:
            axis = self.axis(shape)
            edges = [1 if i == axis else 0 for i in range(len(shape))]
            self.add(
                f"Pad({name}, {self.ints(*edges, *edges)})", [n + 2 * e for n, e in zip(shape, edges, strict=True)]
            )
        elif kind == "Gather":
            axis = self.axis(shape)
            picks = [self.draw(st.integers(0, shape[axis] - 1)) for _ in range(3)]
            picked = [3 if i == axis else n for i, n in enumerate(shape)]
            self.add(f"Gather <axis = {axis}> ({name}, {self.ints(*picks)})", picked)

    def cut(self, elements: int) -> list[int]:
        """A shape of so many elements."""
        dims: list[int] = []
        while elements > 1 and len(dims) < 3:
            size = self.draw(st.sampled_from([n for n in range(1, elements + 1) if elements % n == 0]))
            dims.append(size)
            elements //= size
        return [*dims, elements]

    def text(self) -> str:
        x = ", ".join(map(str, self.values[0][1]))
        inputs = "".join(f", {weight}" for weight in self.weights)
        constants = f" <{', '.join(self.constants)}>" if self.constants else ""
        results = ", ".join(f"float[] {name}" for name, _ in self.values[-2:])
        return f"g (float[{x}] x{inputs}) => ({results}){constants} {{ {' '.join(self.nodes)} }}"


def _fits(dims: list[int], shape: list[int], axis: int) -> bool:
    return len(dims) == len(shape) and all(
        i == axis or a == b for i, (a, b) in enumerate(zip(dims, shape, strict=True))
    )


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_lower_chain_computes_what_onnx_runtime_does(data, network, on_onnx_runtime, on_litert):
    """Two last values of a chain of six nodes, within 1e-5 of the largest."""
    chain = Chain(data.draw)
    while len(chain.nodes) < 6:
        chain.grow(data.draw(st.sampled_from(KINDS)))
    model = network(chain.text())
    feeds = random_feeds(model)
    wanted = on_onnx_runtime(model, feeds)

    made = on_litert(lower(model, None), feeds)

    for name, array in wanted.items():
        assert array.shape == made[name].shape
        assert np.abs(array - made[name]).max() <= 1e-5 * max(float(np.abs(array).max()), 1e-6)
