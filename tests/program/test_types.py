"""CAST, QUANTIZE and DEQUANTIZE beside LiteRT's own kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.numerics.qparams import STORAGES
from bitwright.program.options import CastOptions
from bitwright.program.tensor import DTYPES, Tensor

EXAMPLES = settings(max_examples=30, deadline=None, derandomize=True)

SCALES = st.floats(-8, 2).map(lambda octave: float(np.float32(2.0**octave)))

RESCALED = [
    ("i8", "i8"),
    ("i8", "u8"),
    ("u8", "i8"),
    ("u8", "u8"),
    ("i16", "i8"),
    ("i16", "i16"),
    ("i16", "i32"),
    ("i32", "i8"),
    ("i32", "i16"),
]

CASTABLE = ("f32", "i8", "u8", "i16", "i32", "u32", "i64", "bool", "f16")


def points(dtype):
    kind = STORAGES[dtype]
    both = st.one_of(st.sampled_from([kind.qmin, kind.qmax]), st.integers(kind.qmin, kind.qmax))
    return st.just(0) if dtype in ("i16", "i32") else both


def differing(peer, program, feeds, resolver="BUILTIN_REF"):
    """The reference runs first: it refuses where LiteRT would abort."""
    ours = peer.reference_run(program, feeds)
    return peer.differing(peer.litert_run(program, feeds, resolver), ours)


@pytest.mark.parametrize("dtype", ["i8", "u8", "i16"])
def test_quantize_of_reals_is_litert(peer, dtype):
    """Ties, infinities, what int32 does not hold and NaN, on the reference kernels and by default."""

    @EXAMPLES
    @given(scale=SCALES, zero_point=points(dtype), seed=st.integers(0, 2**32 - 1))
    def check(scale, zero_point, seed):
        ties = np.arange(-200, 200).astype(np.float32) + np.float32(0.5)
        spread = np.random.default_rng(seed).uniform(-300, 300, 200).astype(np.float32)
        beyond = np.float32([np.inf, -np.inf, np.nan, 2.0**32, -(2.0**33), 1e30, -0.0])
        x = np.concatenate([ties, spread, beyond]) * np.float32(scale)
        result = peer.quantized("y", x.shape, dtype, scale=scale, zero_point=zero_point)
        for rounding, resolver in (("tflite_double", "BUILTIN_REF"), ("fp32_even", "DEFAULT")):
            program = peer.one_operator("QUANTIZE", [Tensor("x", x.shape)], result, rounding=rounding)

            assert differing(peer, program, {"x": x}, resolver) == 0

    check()


def test_quantize_tie_rule(peer):
    """Halves go away from zero in LiteRT's reference kernel, to even in XNNPACK's."""
    x = np.float32([-1.5, -0.5, 0.5, 1.5, 2.5])
    expected = {"tflite_double": [-2, -1, 1, 2, 3], "fp32_even": [-2, 0, 0, 2, 2]}
    for rounding, integers in expected.items():
        program = peer.one_operator("QUANTIZE", [Tensor("x", x.shape)], peer.quantized("y", x.shape), rounding=rounding)

        assert integers == peer.reference_run(program, {"x": x})["y"].tolist()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["i8", "u8", "i16"])
def test_quantize_and_dequantize_per_axis_are_litert(peer, dtype, axis):
    """One scale and zero_point an index."""
    rng = np.random.default_rng(axis)
    shape = (3, 5, 7)
    kind = STORAGES[dtype]
    scale = (2.0 ** rng.uniform(-6, 0, shape[axis])).astype(np.float32)
    point = rng.integers(max(kind.qmin, -99), min(kind.qmax, 99), shape[axis])
    tensor = peer.quantized("q", shape, dtype, scale=scale, zero_point=point, axis=axis)
    reals = rng.uniform(-9, 9, shape).astype(np.float32)
    integers = rng.integers(kind.qmin, kind.qmax, shape, kind.dtype, endpoint=True)

    quantize = peer.one_operator("QUANTIZE", [Tensor("x", shape)], tensor)
    assert differing(peer, quantize, {"x": reals}) == 0
    if dtype != "i16":
        dequantize = peer.one_operator("DEQUANTIZE", [tensor], Tensor("y", shape))
        assert differing(peer, dequantize, {"q": integers}) == 0


@pytest.mark.parametrize(("source", "target"), RESCALED, ids=[f"{a}-{b}" for a, b in RESCALED])
def test_quantize_of_integers_is_litert(peer, source, target):
    """Every integer of one scale to another, and to the same; XNNPACK has i8 to i8 and u8 to u8."""

    @settings(EXAMPLES, max_examples=6 if source == "i16" else 30)
    @given(scale=SCALES, out=SCALES, same=st.booleans(), point=points(source), point_out=points(target))
    def check(scale, out, same, point, point_out):
        kind = STORAGES[source]
        many = np.random.default_rng(0).integers(-(2**20), 2**20, 3000, np.int32)
        x = many if source == "i32" else np.arange(kind.qmin, kind.qmax + 1).astype(kind.dtype)
        operand = peer.quantized("x", x.shape, source, scale=scale, zero_point=point)
        result = peer.quantized("y", x.shape, target, scale=scale if same else out, zero_point=point_out)
        program = peer.one_operator("QUANTIZE", [operand], result)
        assert differing(peer, program, {"x": x}) == 0
        if source == target:
            program = peer.one_operator("QUANTIZE", [operand], result, rounding="fp32_even")
            assert differing(peer, program, {"x": x}, "DEFAULT") == 0

    check()


@pytest.mark.parametrize("dtype", ["i8", "u8", "i16"])
def test_dequantize_is_litert(peer, dtype):
    """Every integer, to the last bit."""

    @settings(EXAMPLES, max_examples=10)
    @given(scale=SCALES, zero_point=points(dtype))
    def check(scale, zero_point):
        kind = STORAGES[dtype]
        x = np.arange(kind.qmin, kind.qmax + 1).astype(kind.dtype)
        operand = peer.quantized("x", x.shape, dtype, scale=scale, zero_point=zero_point)
        program = peer.one_operator("DEQUANTIZE", [operand], Tensor("y", x.shape))

        assert differing(peer, program, {"x": x}) == 0
        assert differing(peer, program, {"x": x}, "DEFAULT") == 0

    check()


@pytest.mark.parametrize("axis", [None, 0])
def test_dequantize_of_a_packed_constant_is_litert(peer, axis):
    """4-bit weights, two a byte in the file, an odd number of them."""
    data = np.arange(-8, 7, dtype=np.int8).reshape(5, 3)
    scale = np.float32([0.5, 0.25, 1, 2, 3]) if axis == 0 else 0.3
    weights = peer.quantized("w", data.shape, "i4", scale=scale, axis=axis, data=data)
    program = peer.one_operator("DEQUANTIZE", [weights], Tensor("y", data.shape))

    assert differing(peer, program, {}) == 0


def test_dequantize_of_halves_is_litert(peer):
    """Every finite float16 and the infinities."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    data = halves[~np.isnan(halves)]
    program = peer.one_operator("DEQUANTIZE", [Tensor("w", data.shape, "f16", data=data)], Tensor("y", data.shape))

    assert differing(peer, program, {}) == 0


@pytest.mark.parametrize("source", CASTABLE)
def test_cast_is_litert(peer, source):
    """To every type: reals toward zero and saturating, NaN to the highest; integers keep their low bits."""
    rng = np.random.default_rng(0)
    dtype = DTYPES[source]
    if dtype.kind == "f":
        edges = [0.5, -0.5, 1.9, -1.9, 127.5, 255.7, 256, 32768, -32769, 1e10, -1e10, np.inf, -np.inf, np.nan]
        with np.errstate(over="ignore"):
            x = np.concatenate([rng.uniform(-300, 300, 50), edges]).astype(dtype)
    elif source == "bool":
        x = rng.integers(0, 2, 64).astype(dtype)
    else:
        bounds = np.iinfo(dtype)
        x = np.append(rng.integers(bounds.min, bounds.max, 60, dtype), [bounds.min, bounds.max]).astype(dtype)
    for target in CASTABLE:
        program = peer.one_operator(
            "CAST", [Tensor("x", x.shape, source)], Tensor("y", x.shape, target), CastOptions(source, target)
        )
        ours = peer.reference_run(program, {"x": x})["y"]

        np.testing.assert_array_equal(ours, peer.litert_run(program, {"x": x})["y"], err_msg=target)


@pytest.mark.parametrize(
    ("kind", "source", "target", "reason"),
    [
        pytest.param("QUANTIZE", "u8", "i16", "no kernel from u8 to i16", id="rescale"),
        pytest.param("QUANTIZE", "i16", "u8", "no kernel from i16 to u8", id="narrow"),
        pytest.param("DEQUANTIZE", "i32", "f32", "no kernel from i32 to f32", id="bias"),
    ],
)
def test_conversion_refuses(peer, kind, source, target, reason):
    """What LiteRT has no kernel for is told before anything runs."""
    result = Tensor("y", (4,)) if target == "f32" else peer.quantized("y", (4,), target)
    program = peer.one_operator(kind, [peer.quantized("x", (4,), source)], result)

    with pytest.raises(ModelError, match=reason):
        peer.reference_run(program, {})


def test_quantize_refuses_a_result_without_scale(peer):
    """There is nothing to divide by."""
    program = peer.one_operator("QUANTIZE", [Tensor("x", (4,))], Tensor("y", (4,), "i8"))

    with pytest.raises(ModelError, match="'y' has no scale"):
        peer.reference_run(program, {})
