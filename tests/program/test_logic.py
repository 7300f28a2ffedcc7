"""Comparisons, logic, SELECT_V2, and what has no quantized kernel: FLOOR_DIV, FLOOR_MOD, POW."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError, SampleError
from bitwright.program.tensor import DTYPES, Tensor

EXAMPLES = settings(max_examples=25, deadline=None, derandomize=True)

COMPARISONS = ["EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"]


def differing(peer, program, feeds, resolver="BUILTIN_REF"):
    """The reference runs first: it refuses where LiteRT would abort."""
    ours = peer.reference_run(program, feeds)
    return peer.differing(peer.litert_run(program, feeds, resolver), ours)


@pytest.mark.parametrize("dtype", ["i8", "u8"])
@pytest.mark.parametrize("kind", COMPARISONS)
def test_comparison_of_quantized_is_litert(peer, kind, dtype):
    """Every integer with every other, over scales below 1 and zero points."""

    @EXAMPLES
    @given(octaves=st.tuples(st.floats(-8, -0.01), st.floats(-8, -0.01)), points=st.tuples(*[st.integers(0, 255)] * 2))
    def check(octaves, points):
        bounds = np.iinfo(DTYPES[dtype])
        x = np.arange(bounds.min, bounds.max + 1).astype(DTYPES[dtype])
        feeds = {"a": x.reshape(-1, 1), "b": x}
        operands = [
            peer.quantized(name, array.shape, dtype, scale=2.0**octave, zero_point=point + bounds.min)
            for (name, array), octave, point in zip(feeds.items(), octaves, points, strict=True)
        ]

        assert differing(peer, peer.one_operator(kind, operands, Tensor("y", (256, 256), "bool")), feeds) == 0

    check()


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *((kind, dtype) for kind in COMPARISONS for dtype in ("f32", "i32", "i64")),
        *((kind, "bool") for kind in ("EQUAL", "NOT_EQUAL", "LOGICAL_AND", "LOGICAL_OR")),
    ],
)
def test_pair_to_bool_is_litert(peer, kind, dtype):
    """Numbers are compared as they are, equal ones among them; shapes broadcast."""
    rng = np.random.default_rng(0)
    feeds = {name: rng.integers(0, 4, shape).astype(DTYPES[dtype]) for name, shape in (("a", (3, 1, 8)), ("b", (5, 8)))}
    operands = [Tensor(name, array.shape, dtype) for name, array in feeds.items()]
    program = peer.one_operator(kind, operands, Tensor("y", (3, 5, 8), "bool"))

    assert differing(peer, program, feeds) == 0
    assert differing(peer, program, feeds, "DEFAULT") == 0


def test_not_is_litert(peer):
    """Of both truths."""
    program = peer.one_operator("LOGICAL_NOT", [Tensor("x", (2,), "bool")], Tensor("y", (2,), "bool"))

    assert differing(peer, program, {"x": np.array([True, False])}) == 0


@pytest.mark.parametrize("dtype", ["f32", "i8", "u8", "i16", "i32", "i64", "bool"])
def test_select_is_litert(peer, dtype):
    """All three operands broadcast."""
    rng = np.random.default_rng(0)
    values = {name: rng.integers(0, 2, shape).astype(DTYPES[dtype]) for name, shape in (("a", (3, 1, 8)), ("b", (8,)))}
    feeds = {"condition": rng.integers(0, 2, (5, 1)).astype(bool)} | values

    def tensor(name, shape):
        return peer.quantized(name, shape, dtype, scale=0.1) if dtype in ("i8", "u8") else Tensor(name, shape, dtype)

    operands = [Tensor("condition", (5, 1), "bool"), *(tensor(name, array.shape) for name, array in values.items())]

    assert differing(peer, peer.one_operator("SELECT_V2", operands, tensor("y", (3, 5, 8))), feeds) == 0


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("FLOOR_DIV", "f32"), ("FLOOR_DIV", "i32"), ("FLOOR_MOD", "f32"), ("FLOOR_MOD", "i32"), ("FLOOR_MOD", "i64")],
)
def test_whole_quotient_and_remainder_are_litert(peer, kind, dtype):
    """Of all signs."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-50, 50, (2, 4, 64)).astype(DTYPES[dtype])
    if dtype == "f32":
        a, b = a / np.float32(7), b / np.float32(3)
    b = np.where(b == 0, DTYPES[dtype].type(1), b)
    program = peer.one_operator(
        kind, [Tensor("a", a.shape, dtype), Tensor("b", b.shape, dtype)], Tensor("y", a.shape, dtype)
    )

    np.testing.assert_allclose(
        peer.reference_run(program, {"a": a, "b": b})["y"],
        peer.litert_run(program, {"a": a, "b": b})["y"],
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("dtype", ["f32", "i32"])
def test_power_is_litert(peer, dtype):
    """Integers that do not fit become the lowest."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 9, (4, 64)).astype(DTYPES[dtype]), rng.uniform(0, 12, (64,)).astype(DTYPES[dtype])
    program = peer.one_operator(
        "POW", [Tensor("a", a.shape, dtype), Tensor("b", b.shape, dtype)], Tensor("y", a.shape, dtype)
    )

    np.testing.assert_allclose(
        peer.reference_run(program, {"a": a, "b": b})["y"], peer.litert_run(program, {"a": a, "b": b})["y"], rtol=1e-5
    )


@pytest.mark.parametrize(("kind", "bad"), [("FLOOR_DIV", 0), ("FLOOR_MOD", 0), ("POW", -1)])
def test_integer_operator_refuses_an_operand(peer, kind, bad):
    """As LiteRT does, which stops."""
    tensors = [Tensor(name, (2,), "i32") for name in "aby"]
    program = peer.one_operator(kind, tensors[:2], tensors[2])

    with pytest.raises(SampleError, match="LiteRT refuses"):
        peer.reference_run(program, {"a": np.int32([1, 2]), "b": np.int32([1, bad])})


def test_comparison_refuses_scales_of_one_and_more(peer):
    """LiteRT's kernel shifts the wrong way there."""
    operands = [peer.quantized("a", (4,), scale=2.0), peer.quantized("b", (4,), scale=0.5)]

    with pytest.raises(ModelError, match="compares scales below 1"):
        peer.reference_run(peer.one_operator("LESS", operands, Tensor("y", (4,), "bool")), {})


def test_select_refuses_other_parameters(peer):
    """Integers are moved as they stand, so they must stand for the same reals."""
    operands = [Tensor("c", (4,), "bool"), peer.quantized("a", (4,), scale=0.1), peer.quantized("b", (4,), scale=0.2)]

    with pytest.raises(ModelError, match="must have the same parameters"):
        peer.reference_run(peer.one_operator("SELECT_V2", operands, peer.quantized("y", (4,), scale=0.1)), {})
