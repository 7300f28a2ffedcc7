"""QuantParams: what is refused, and what equality means."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.errors import QuantParamsError
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.numerics.quantize import quantize


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("i2", (-2, 1)), ("u2", (0, 3)), ("i4", (-8, 7)), ("u4", (0, 15)), ("i8", (-128, 127)), ("u8", (0, 255)),
     ("i16", (-32768, 32767)), ("u16", (0, 65535)), ("i32", (-(2**31), 2**31 - 1))],
)  # fmt: skip
def test_storage_bounds(name, bounds):
    """Two's complement bounds, and a numpy type that holds them."""
    kind = STORAGES[name]

    assert bounds == (kind.qmin, kind.qmax)
    assert np.iinfo(kind.dtype).min <= kind.qmin
    assert kind.qmax <= np.iinfo(kind.dtype).max


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf, [0.5, 0.0]], ids=str)
def test_qparams_refuse_a_scale_that_is_not_a_step(scale):
    """A scale is positive and finite."""
    with pytest.raises(QuantParamsError, match="positive and finite"):
        QuantParams(scale, axis=0 if np.ndim(scale) else None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"scale": 1.0, "storage": "i7"}, "unknown storage", id="storage"),
        pytest.param({"scale": 1.0, "zero_point": 128}, r"\[-128, 127\]", id="zero-point"),
        pytest.param({"scale": [1.0, 2.0]}, "one scale", id="two-scales-per-tensor"),
        pytest.param({"scale": [[1.0]], "axis": 0}, "one scale per index", id="matrix-per-channel"),
        pytest.param({"scale": [[1.0]], "block_shape": (4,)}, "block_shape", id="rank-of-blocks"),
    ],
)
def test_qparams_refuse_parts_that_do_not_fit(arguments, message):
    """The parts are checked against each other when they are put together."""
    with pytest.raises(QuantParamsError, match=message):
        QuantParams(**arguments)


def test_qparams_are_equal_by_value():
    """Equal parts make equal, equally hashed parameters; any other part makes different ones."""
    one = QuantParams([0.5, 0.25], 0, "i8", axis=0)

    assert one == QuantParams(np.float64([0.5, 0.25]), [0, 0], "i8", axis=0)
    assert hash(one) == hash(QuantParams([0.5, 0.25], 0, "i8", axis=0))
    others = [
        QuantParams([0.5, 0.125], 0, "i8", axis=0),
        QuantParams([0.5, 0.25], [0, 1], "i8", axis=0),
        QuantParams([0.5, 0.25], 0, "i16", axis=0),
        QuantParams([0.5, 0.25], 0, "i8", axis=1),
        QuantParams([0.5, 0.25], 0, "i8", axis=0, narrow_range=True),
        QuantParams([0.5, 0.25], 0, "i8", block_shape=(2,)),
    ]
    assert one not in others


def test_qparams_do_not_change():
    """The arrays inside are read-only, and are not the caller's."""
    mine = np.float32([0.5])
    qparams = QuantParams(mine)
    mine[0] = 9

    assert qparams.scale[0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        qparams.scale[0] = 1


@pytest.mark.parametrize(
    ("qparams", "expected"),
    [
        (QuantParams(1.0), "per-tensor"),
        (QuantParams([1.0, 2.0], axis=1), "per-channel"),
        (QuantParams([[1.0, 2.0]], block_shape=(1, 32)), "per-block"),
    ],
    ids=["per-tensor", "per-channel", "per-block"],
)
def test_qparams_name_their_granularity(qparams, expected):
    """The granularity follows from axis and block_shape."""
    assert expected == qparams.granularity


@pytest.mark.parametrize(
    ("scale", "zero_point", "axis", "symmetric"),
    [
        pytest.param([0.5], [0], None, True, id="per-tensor"),
        pytest.param([0.5], [-3], None, False, id="asymmetric"),
        pytest.param([0.5, 0.25], [0, 0], 1, True, id="per-channel"),
        pytest.param([0.5, 0.25], [0, 7], 1, False, id="one-asymmetric"),
    ],
)
def test_qparams_of_checked_parts_are_those_of_parts(scale, zero_point, axis, symmetric):
    """Nothing but the checks is left out."""
    expected = QuantParams(scale, zero_point, "i8", axis, narrow_range=True)

    made = QuantParams.of_checked(np.float32(scale), np.int32(zero_point), "i8", axis, True, symmetric)

    assert made == expected
    assert (made.symmetric, expected.symmetric) == (symmetric, symmetric)
    assert made.__dict__.keys() == expected.__dict__.keys()


@pytest.mark.parametrize(
    "storage, bits, narrow, bounds",
    [("i8", 4, True, (-7, 7)), ("i8", 2, True, (-1, 1)), ("i8", 4, False, (-8, 7)), ("u8", 4, False, (0, 15))],
    ids=["4-bit weights", "2-bit weights", "whole 4 bits", "unsigned"],
)
def test_qparams_of_fewer_bits_clamp_to_them(storage, bits, narrow, bounds):
    """Narrow integers in a wider type saturate at their own bounds, and differ from those of all bits."""
    qparams = QuantParams(1.0, 0, storage, narrow_range=narrow, bits=bits)

    made = quantize(np.float32([-300.0, 300.0]), qparams)

    assert tuple(made.tolist()) == bounds
    assert qparams != QuantParams(1.0, 0, storage, narrow_range=narrow)
    assert f"{storage} of {bits} bits" in repr(qparams)


def test_qparams_of_all_bits_are_those_of_the_type():
    """Eight bits in eight are nothing special; more than there are do not exist."""
    assert QuantParams(1.0, bits=8) == QuantParams(1.0)
    with pytest.raises(QuantParamsError, match="holds no integers of 9 bits"):
        QuantParams(1.0, bits=9)
