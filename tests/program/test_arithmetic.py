"""ADD, SUB, MUL, DIV, SQUARED_DIFFERENCE, MINIMUM and MAXIMUM beside LiteRT's own kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError, SampleError
from bitwright.program.operator import Activation, Options
from bitwright.program.options import AddOptions, DivOptions, MulOptions, SubOptions
from bitwright.program.tensor import DTYPES, Tensor

EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)

OPTIONS = {"ADD": AddOptions, "SUB": SubOptions, "MUL": MulOptions, "DIV": DivOptions}
ACTIVATIONS = [Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]

QUANTIZED = [
    pytest.param(kind, dtype, id=f"{kind.lower()}-{dtype}")
    for kind in ("ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "MINIMUM", "MAXIMUM")
    for dtype in (("i8",) if kind == "SQUARED_DIFFERENCE" else ("i8", "u8", "i16"))
]


def options_of(kind, activation=Activation.NONE):
    """Without the special case of int16 scales that are powers of two."""
    if kind not in OPTIONS:
        return Options()
    general = {"pot_scale_int16": False} if kind in ("ADD", "SUB") else {}
    return OPTIONS[kind](fused_activation_function=activation, **general)


def both(peer, program, feeds, resolver="BUILTIN_REF"):
    """Differing integers of LiteRT and the reference, which runs first: it refuses where LiteRT would abort."""
    ours = peer.reference_run(program, feeds)
    return peer.differing(peer.litert_run(program, feeds, resolver), ours)


@st.composite
def shapes(draw, most=6):
    """Two shapes that broadcast, and what they give; one may be a scalar."""
    whole = draw(st.lists(st.integers(1, 4), min_size=0, max_size=most))
    first, second = ([1 if draw(st.integers(0, 3)) == 0 else size for size in whole] for _ in range(2))
    cut = draw(st.integers(0, len(whole)))
    first = first[cut:]
    if draw(st.booleans()):
        first, second = second, first
    return tuple(first), tuple(second), np.broadcast_shapes(tuple(first), tuple(second))


@st.composite
def quantized_pairs(draw, peer, kind, dtype):
    """A one-operator Program on two quantized operands, and its feeds."""
    bounds = np.iinfo(DTYPES[dtype])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def parameters():
        extreme = st.sampled_from([int(bounds.min), 0, int(bounds.max)])
        point = 0 if dtype == "i16" else draw(st.one_of(extreme, st.integers(int(bounds.min), int(bounds.max))))
        return {"scale": float(np.float32(2.0 ** draw(st.floats(-8, 3)))), "zero_point": max(point, int(bounds.min))}

    first, second, whole = draw(shapes())
    which = draw(st.sampled_from(["neither", "first", "second"]))
    operands, feeds = [], {}
    for name, shape in (("first", first), ("second", second)):
        given_parameters = parameters()
        values = rng.integers(bounds.min, bounds.max, shape, DTYPES[dtype], endpoint=True)
        if kind == "DIV" and name == "second":
            away = given_parameters["zero_point"] - (1 if given_parameters["zero_point"] == bounds.max else -1)
            values = np.where(values == given_parameters["zero_point"], DTYPES[dtype].type(away), values)
        data = np.asarray(values) if which == name else None
        operands.append(peer.quantized(name, shape, dtype, data=data, **given_parameters))
        if data is None:
            feeds[name] = np.asarray(values)
    activation = draw(st.sampled_from(ACTIVATIONS)) if kind in OPTIONS else Activation.NONE
    result = peer.quantized("y", whole, dtype, **parameters())
    return operands, result, options_of(kind, activation), feeds


@pytest.mark.parametrize(("kind", "dtype"), QUANTIZED)
def test_pair_of_integers_is_litert_reference(peer, kind, dtype):
    """Bit for bit, over shapes that broadcast up to six dimensions, scalars, constants, zero points at the bounds."""

    @EXAMPLES
    @given(st.data())
    def check(data):
        operands, result, options, feeds = data.draw(quantized_pairs(peer, kind, dtype))
        program = peer.one_operator(kind, operands, result, options)

        assert both(peer, program, feeds) == 0

    check()


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE"])
def test_every_pair_of_int8_is_litert(peer, kind):
    """All 65536 pairs, on the reference kernels and by default, over scales and zero points."""

    @settings(EXAMPLES, max_examples=10)
    @given(octaves=st.tuples(*[st.floats(-4, 1)] * 3), points=st.tuples(*[st.integers(-128, 127)] * 3))
    def check(octaves, points):
        a, b, y = (
            peer.quantized(name, shape, scale=float(np.float32(2.0**octave)), zero_point=point)
            for name, shape, octave, point in zip("aby", [(256, 1), (256,), (256, 256)], octaves, points, strict=True)
        )
        every = np.arange(-128, 128, dtype=np.int8)
        divisors = np.where(every == points[1], np.int8(-128 if points[1] == 127 else 127), every)
        feeds = {"a": every.reshape(-1, 1), "b": divisors if kind == "DIV" else every}
        for rounding, resolver in (("tflite_double", "BUILTIN_REF"), ("fp32_even", "DEFAULT")):
            program = peer.one_operator(kind, [a, b], y, options_of(kind), rounding=rounding)

            assert both(peer, program, feeds, resolver) == 0

    check()


@pytest.mark.parametrize(("kind", "dtype"), [case for case in QUANTIZED if case.values[1] != "i16"])
def test_pair_of_integers_is_litert_default(peer, kind, dtype):
    """`fp32_even` is what the default resolver computes: XNNPACK where it takes the operator over."""

    @EXAMPLES
    @given(st.data())
    def check(data):
        operands, result, options, feeds = data.draw(quantized_pairs(peer, kind, dtype))
        scales = [tensor.scale / result.scale for tensor in operands]
        if max(*scales, operands[0].scale * operands[1].scale / result.scale) >= 2**8:
            return  # LiteRT's optimized kernels overflow 16 bits there
        program = peer.one_operator(kind, operands, result, options, rounding="fp32_even")

        assert both(peer, program, feeds, "DEFAULT") == 0

    check()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("ADD", {"tflite_double": [-2, -1, 1, 2], "fp32_even": [-1, 0, 1, 2]}, id="add"),
        pytest.param("MUL", {"tflite_double": [-1, 0, 1, 2], "fp32_even": [-2, 0, 0, 2]}, id="mul"),
    ],
)
def test_pair_tie_rule(peer, kind, expected):
    """-1.5, -0.5, 0.5 and 1.5: LiteRT's own kernels and XNNPACK's part, each operator its own way."""
    unit = {"ADD": 0, "MUL": 1}[kind]
    operands = [
        peer.quantized("a", (4,), scale=0.5),
        peer.quantized("b", (4,), scale={"ADD": 0.5, "MUL": 1.0}[kind], data=np.full(4, unit, np.int8)),
    ]
    feeds = {"a": np.int8([-3, -1, 1, 3])}
    for rounding, integers in expected.items():
        program = peer.one_operator(kind, operands, peer.quantized("y", (4,)), options_of(kind), rounding=rounding)

        assert integers == peer.reference_run(program, feeds)["y"].tolist()


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize("shifts", [(-10, -10), (-10, -13), (-14, -10)], ids=["same", "second-finer", "first-finer"])
@pytest.mark.parametrize("general", [False, True], ids=["power-of-two", "general"])
def test_int16_sum_by_powers_of_two_is_litert_reference(peer, kind, shifts, general):
    """`pot_scale_int16` shifts one operand and saturates; without it the scales are rescaled as any others."""
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-32768, 32767, (4, 64), np.int16, endpoint=True) for _ in range(2))
    operands = [peer.quantized(name, a.shape, "i16", scale=2.0**s) for name, s in zip(("a", "b"), shifts, strict=True)]
    result = peer.quantized("y", a.shape, "i16", scale=2.0**-10)
    program = peer.one_operator(kind, operands, result, OPTIONS[kind](pot_scale_int16=not general))
    feeds = {"a": a, "b": b}

    assert both(peer, program, feeds) == 0


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "MINIMUM", "MAXIMUM"])
def test_pair_of_reals_is_litert(peer, kind):
    """Within 1e-5, on the reference kernels and by default; infinities are clamped by the one and kept by the other."""

    @EXAMPLES
    @given(shape=shapes(), seed=st.integers(0, 2**32 - 1), activation=st.sampled_from(ACTIVATIONS))
    def check(shape, seed, activation):
        rng = np.random.default_rng(seed)
        feeds = {name: rng.normal(0, 4, s).astype(np.float32) for name, s in zip(("a", "b"), shape[:2], strict=True)}
        if kind == "DIV" and feeds["b"].size:
            feeds["b"].flat[0] = 0
        tensors = [Tensor(name, array.shape) for name, array in feeds.items()]
        for rounding, resolver in (("tflite_double", "BUILTIN_REF"), ("fp32_even", "DEFAULT")):
            program = peer.one_operator(
                kind, tensors, Tensor("y", shape[2]), options_of(kind, activation), rounding=rounding
            )
            expected = peer.litert_run(program, feeds, resolver)["y"]

            np.testing.assert_allclose(peer.reference_run(program, feeds)["y"], expected, rtol=1e-5)

    check()


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *((kind, "i32") for kind in ("ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "MINIMUM", "MAXIMUM")),
        *((kind, "i64") for kind in ("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM")),
    ],
)
def test_pair_of_plain_integers_is_litert(peer, kind, dtype):
    """They wrap, and are divided toward zero."""
    rng = np.random.default_rng(1)
    bounds = np.iinfo(DTYPES[dtype])
    a = rng.integers(bounds.min, bounds.max, (3, 1, 40), DTYPES[dtype])
    b = rng.integers(-9, 9, (5, 40), DTYPES[dtype])
    b[b == 0] = 1
    tensors = [Tensor("a", a.shape, dtype), Tensor("b", b.shape, dtype)]
    feeds = {"a": a, "b": b}
    for activation in ACTIVATIONS if kind in OPTIONS else [Activation.NONE]:
        program = peer.one_operator(kind, tensors, Tensor("y", (3, 5, 40), dtype), options_of(kind, activation))

        assert both(peer, program, feeds) == 0


def test_integer_quotient_refuses_zero(peer):
    """As LiteRT does, which stops."""
    program = peer.one_operator(
        "DIV", [Tensor("a", (2,), "i32"), Tensor("b", (2,), "i32")], Tensor("y", (2,), "i32"), DivOptions()
    )

    with pytest.raises(SampleError, match="divides by zero"):
        peer.reference_run(program, {"a": np.int32([1, 2]), "b": np.int32([1, 0])})


@pytest.mark.parametrize(
    ("kind", "types", "scales", "reason"),
    [
        pytest.param("ADD", ("i8", "u8", "i8"), (1, 1, 1), "'a' is i8, 'b' is u8", id="mixed-types"),
        pytest.param("SQUARED_DIFFERENCE", ("u8",) * 3, (1, 1, 1), "no kernel for u8", id="no-kernel"),
        pytest.param("ADD", ("i8",) * 3, (1, 1, 1e-7), "too small beside", id="result-too-fine"),
        pytest.param("SUB", ("i16",) * 3, (1, 1, 1e-5), "too small beside", id="int16-result-too-fine"),
    ],
)
def test_pair_refuses(peer, kind, types, scales, reason):
    """What LiteRT has no kernel for, or stops at, is told before anything runs."""
    a, b, y = (
        peer.quantized(name, (4,), dtype, scale=scale) for name, dtype, scale in zip("aby", types, scales, strict=True)
    )

    with pytest.raises(ModelError, match=reason):
        peer.reference_run(peer.one_operator(kind, [a, b], y, options_of(kind)), {})


def test_int16_sum_refuses_two_shifts(peer):
    """By powers of two, one operand must have the scale of the result."""
    a, b, y = (peer.quantized(name, (4,), "i16", scale=scale) for name, scale in (("a", 0.5), ("b", 0.25), ("y", 1)))

    with pytest.raises(ModelError, match="powers of two"):
        peer.reference_run(peer.one_operator("ADD", [a, b], y, AddOptions()), {})


def test_pair_refuses_shapes_that_do_not_broadcast(peer):
    """Both shapes are named."""
    program = peer.one_operator("MUL", [Tensor("a", (2, 3)), Tensor("b", (2,))], Tensor("y", (2, 3)), MulOptions())

    with pytest.raises(ModelError, match=r"\[2, 3\] and \[2\] do not broadcast"):
        peer.reference_run(program, {})
