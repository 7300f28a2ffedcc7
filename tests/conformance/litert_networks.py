"""Networks of nodes drawn one after the other: layouts, broadcasts, clamps and outputs meet in ways nobody wrote."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from litert_cases import Build, Draw, Graph, size

UNARY = ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Abs", "Neg", "Identity", "HardSigmoid", "Gelu", "Clip")
MOVES = ("Transpose", "Reshape", "Reshape", "Concat", "Slice", "Split", "Squeeze", "Gather", "Flatten")


class Network:
    """Values so far with their shapes; every step reads one or two of them.

    Args:
        draw: of the example.
        graph: that grows.
    """

    def __init__(self, draw: Draw, graph: Graph) -> None:
        self.draw, self.graph = draw, graph
        self.shapes: dict[str, tuple[int, ...]] = {}

    def add(self, op: str, *operands: str, shape: tuple[int, ...], **attributes: object) -> str:
        made = str(self.graph.node(op, *operands, **attributes))
        self.shapes[made] = shape
        return made

    def input(self, shape: tuple[int, ...], name: str) -> None:
        self.shapes[self.graph.input(shape, name)] = shape

    def any(self, rank: int | None = None) -> str | None:
        """A value, a late one more often."""
        found = [name for name, shape in self.shapes.items() if rank is None or len(shape) == rank]
        return None if not found else found[-1 - min(self.draw(st.integers(0, 5)), len(found) - 1)]

    def step(self) -> None:
        kinds = [
            self.image,
            self.image,
            self.unary,
            self.binary,
            self.binary,
            self.move,
            self.move,
            self.dense,
            self.reduce,
        ]
        self.draw(st.sampled_from(kinds))()

    def unary(self) -> None:
        x = self.any()
        assert x is not None
        op = self.draw(st.sampled_from(UNARY))
        bounds = [self.graph.constant(np.float32(n)) for n in (0, 6)] if op == "Clip" else []
        self.add(op, x, *bounds, shape=self.shapes[x])

    def binary(self) -> None:
        x = self.any()
        assert x is not None
        shape, op = self.shapes[x], self.draw(st.sampled_from(["Add", "Mul", "Sub", "Max", "Min"]))
        fits = [n for n, s in self.shapes.items() if _broadcasts(s, shape)]
        if self.draw(st.booleans()):
            y = self.draw(st.sampled_from(fits))
        else:
            own = tuple(n if self.draw(st.booleans()) else 1 for n in shape)[
                self.draw(st.integers(0, len(shape) - 1)) :
            ]
            y = self.graph.weights(*own)
        operands = [x, y] if self.draw(st.booleans()) else [y, x]
        made = self.add(op, *operands, shape=shape)
        if self.draw(st.sampled_from([False, False, True])):
            self.add("Relu", made, shape=shape)

    def image(self) -> None:
        x = self.any(4)
        if x is None:
            return
        n, c, h, w = self.shapes[x]
        op = self.draw(st.sampled_from(["Conv", "Conv", "depthwise", "pool", "ConvTranspose", "Resize", "Pad"]))
        g, draw = self.graph, self.draw
        if op in ("Conv", "depthwise"):
            k, s = draw(st.sampled_from([1, 3])), draw(size(1, 2))
            o, group = (c, c) if op == "depthwise" else (draw(size(1, 6)), 1)
            out = tuple((d - 1) // s + 1 for d in (h, w))
            made = self.add(
                "Conv", x, g.scaled(o, c // group, k, k), g.weights(o), shape=(n, o, *out),
                group=group, strides=[s, s], pads=[k // 2] * 4,
            )  # fmt: skip
            if draw(st.booleans()):
                self.add("Relu", made, shape=(n, o, *out))
        elif op == "pool" and min(h, w) > 1:
            kind = draw(st.sampled_from(["MaxPool", "AveragePool"]))
            s = draw(size(1, 2))
            out = tuple((d - 2) // s + 1 for d in (h, w))
            self.add(kind, x, shape=(n, c, *out), kernel_shape=[2, 2], strides=[s, s])
        elif op == "ConvTranspose" and h * w < 64:
            o = draw(size(1, 4))
            self.add(op, x, g.scaled(c, o, 2, 2), shape=(n, o, 2 * h, 2 * w), strides=[2, 2])
        elif op == "Resize" and h * w < 64:
            factors = g.constant(np.float32([1, 1, 2, 2]))
            self.add(op, x, "", factors, shape=(n, c, 2 * h, 2 * w), mode="linear")
        elif op == "Pad" and h * w < 64:
            edges = [draw(size(0, 1)) for _ in range(4)]
            shape = (n, c, h + edges[0] + edges[2], w + edges[1] + edges[3])
            self.add("Pad", x, g.ints(0, 0, *edges[:2], 0, 0, *edges[2:]), shape=shape)

    def move(self) -> None:
        x = self.any()
        assert x is not None
        shape, draw, g = self.shapes[x], self.draw, self.graph
        rank = len(shape)
        op = draw(
            st.sampled_from(
                ["Transpose", "Reshape", "Reshape", "Concat", "Slice", "Split", "Squeeze", "Gather", "Flatten"]
            )
        )
        axis = draw(st.integers(min(1, rank - 1), rank - 1))
        if op == "Transpose":
            perm = (
                [0, *draw(st.permutations(range(1, rank)))]
                if draw(st.booleans())
                else list(draw(st.permutations(range(rank))))
            )
            self.add(op, x, shape=tuple(shape[p] for p in perm), perm=perm)
        elif op == "Reshape":
            wanted = self.factors(math.prod(shape))
            self.add(op, x, g.ints(*wanted), shape=wanted)
        elif op == "Flatten":
            self.add(op, x, shape=(shape[0], math.prod(shape[1:])))
        elif op == "Concat":
            same = [
                n
                for n, s in self.shapes.items()
                if len(s) == rank and s[:axis] + s[axis + 1 :] == shape[:axis] + shape[axis + 1 :]
            ]
            other = draw(st.sampled_from(same))
            if shape[axis] + self.shapes[other][axis] < 12:
                out = tuple(d + self.shapes[other][axis] * (i == axis) for i, d in enumerate(shape))
                self.add(op, x, other, shape=out, axis=axis)
        elif op == "Slice" and shape[axis] > 1:
            start = draw(st.integers(0, shape[axis] - 2))
            out = tuple(d - start if i == axis else d for i, d in enumerate(shape))
            self.add(op, x, g.ints(start), g.ints(1 << 31), g.ints(axis), shape=out)
        elif op == "Split" and shape[axis] % 2 == 0:
            left, right = g.node(op, x, outputs=2, axis=axis, num_outputs=2)
            half = tuple(d // 2 if i == axis else d for i, d in enumerate(shape))
            self.shapes[left] = self.shapes[right] = half
        elif op == "Squeeze" and 1 in shape and rank > 1:
            where = shape.index(1)
            self.add(op, x, g.ints(where), shape=shape[:where] + shape[where + 1 :])
        elif op == "Gather" and rank > 1:
            picked = draw(st.integers(-shape[axis], shape[axis] - 1))
            self.add(op, x, g.constant(np.int64(picked)), shape=shape[:axis] + shape[axis + 1 :], axis=axis)

    def factors(self, count: int) -> tuple[int, ...]:
        """A shape of so many elements."""
        found = [1]
        while count > 1 and len(found) < 4:
            n = self.draw(st.sampled_from([d for d in range(1, count + 1) if count % d == 0]))
            found.append(n)
            count //= n
        found[-1] *= count
        return tuple(found) if self.draw(st.booleans()) else tuple(found[1:] or [1])

    def dense(self) -> None:
        x = self.any()
        assert x is not None
        shape, draw = self.shapes[x], self.draw
        if len(shape) < 2 or shape[-1] > 300:
            return
        o = draw(size(1, 6))
        made = self.add("MatMul", x, self.graph.scaled_columns(shape[-1], o), shape=(*shape[:-1], o))
        kind = draw(st.sampled_from(["none", "bias", "softmax", "self"]))
        if kind == "bias":
            self.add("Add", made, self.graph.weights(o), shape=(*shape[:-1], o))
        elif kind == "softmax":
            self.add("Softmax", made, shape=(*shape[:-1], o), axis=-1)
        elif kind == "self":
            turned = self.add("Transpose", x, shape=(*shape[:-2], shape[-1], shape[-2]),
                              perm=[*range(len(shape) - 2), len(shape) - 1, len(shape) - 2])  # fmt: skip
            self.add("MatMul", turned, x, shape=(*shape[:-2], shape[-1], shape[-1]))

    def reduce(self) -> None:
        x = self.any()
        assert x is not None
        shape, draw = self.shapes[x], self.draw
        if len(shape) == 4 and draw(st.booleans()):
            self.add("GlobalAveragePool", x, shape=(*shape[:2], 1, 1))
            return
        op = draw(st.sampled_from(["ReduceMean", "ReduceMax", "ReduceSum"]))
        axis, keep = draw(st.integers(0, len(shape) - 1)), draw(st.booleans())
        if keep or len(shape) > 1:
            out = tuple(1 if i == axis else d for i, d in enumerate(shape) if keep or i != axis)
            self.add(op, x, self.graph.ints(axis), shape=out, keepdims=int(keep))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _broadcasts(own: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    if len(own) > len(shape):
        return False
    return all(a in (1, b) for a, b in zip(own[::-1], shape[::-1], strict=False))


def network(most: int) -> Build:
    def build(draw: Draw, g: Graph) -> list[str]:
        made = Network(draw, g)
        made.input((1, draw(size(1, 4)), draw(size(2, 6)), draw(size(2, 6))), "x")
        if draw(st.booleans()):
            other = (1, draw(size(2, 6)), draw(size(1, 6)))
            made.input(other, "z")
        for _ in range(draw(st.integers(2, most))):
            made.step()
        results = [name for name in made.shapes if name not in g.inputs]
        if not results:
            results = [made.add("Relu", "x", shape=made.shapes["x"])]
        read = {name for node in g.nodes for name in node.input}
        ends = [name for name in results if name not in read]
        if draw(st.booleans()):
            also = draw(st.sampled_from(results))
            ends += [also] if also not in ends else []
        return ends

    return build


CASES: dict[str, Build] = {"short network": network(4), "long network": network(12)}
