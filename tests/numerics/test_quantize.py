"""The equation as properties: the error bound, idempotence, and each granularity against per-tensor slices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import QuantParamsError
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.numerics.quantize import dequantize, fake_quantize, quantize

NARROW = [name for name, kind in STORAGES.items() if kind.bits <= 16]
SEEDS = st.integers(0, 2**32 - 1)
SHARED = settings(max_examples=60, deadline=None)


def draw_qparams(seed: int, storage: str, shape: tuple[int, ...] = (1,), **where: object) -> QuantParams:
    """Scales over 80 octaves, zero points over the whole storage type."""
    rng = np.random.default_rng(seed)
    kind = STORAGES[storage]
    scale = np.exp2(rng.uniform(-40, 40, shape)).astype(np.float32)
    return QuantParams(scale, rng.integers(kind.qmin, kind.qmax, shape, endpoint=True), storage, **where)


@given(seed=SEEDS, storage=st.sampled_from(NARROW))
@SHARED
def test_fake_quantize_moves_a_value_by_at_most_half_a_step(seed, storage):
    """Inside the range, |x - fake_quantize(x)| <= scale / 2 (and the roundings of float32 itself)."""
    qparams = draw_qparams(seed, storage)
    scale, zero_point = float(qparams.scale[0]), int(qparams.zero_point[0])
    low, high = scale * (qparams.qmin - zero_point), scale * (qparams.qmax - zero_point)
    x = np.random.default_rng(seed).uniform(low, high, 200).astype(np.float32)

    error = np.abs(x.astype(np.float64) - fake_quantize(x, qparams))

    float32_part = 2.0**-23 * max(abs(low), abs(high))
    assert error.max() <= scale / 2 + float32_part


@given(seed=SEEDS, storage=st.sampled_from(NARROW))
@SHARED
def test_quantize_gives_back_the_integers_that_were_dequantized(seed, storage):
    """quantize(dequantize(q)) == q for every integer of every storage type up to 16 bits."""
    qparams = draw_qparams(seed, storage)
    q = np.arange(qparams.qmin, qparams.qmax + 1).astype(qparams.kind.dtype)

    again = quantize(dequantize(q, qparams), qparams)

    assert again.dtype == q.dtype
    np.testing.assert_array_equal(q, again)


@given(seed=SEEDS, axis=st.integers(-3, 2), storage=st.sampled_from(["i8", "u8", "i16"]))
@SHARED
def test_per_channel_is_per_tensor_of_each_slice(seed, axis, storage):
    """Along any axis, also counted from the end, each slice is quantized with its own parameters."""
    x = (np.random.default_rng(seed).standard_normal((3, 4, 5)) * 10).astype(np.float32)
    qparams = draw_qparams(seed, storage, (x.shape[axis],), axis=axis)

    whole = quantize(x, qparams)

    for index in range(x.shape[axis]):
        alone = QuantParams(qparams.scale[index], qparams.zero_point[index], storage)
        part = np.take(whole, index, axis=axis)
        np.testing.assert_array_equal(quantize(np.take(x, index, axis=axis), alone), part)
        expected = dequantize(part, alone)
        np.testing.assert_array_equal(expected, np.take(dequantize(whole, qparams), index, axis=axis))


@given(seed=SEEDS, rows=st.integers(1, 5), columns=st.integers(1, 70), block=st.sampled_from([1, 2, 32]))
@SHARED
def test_per_block_is_per_tensor_of_each_block(seed, rows, columns, block):
    """Blocks along the last axis, the last one shorter when the axis is not a multiple."""
    x = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    blocks = -(-columns // block)
    qparams = draw_qparams(seed, "i4", (rows, blocks), block_shape=(1, block))

    whole = quantize(x, qparams)

    for row in range(rows):
        for index in range(blocks):
            here = slice(index * block, (index + 1) * block)
            alone = QuantParams(qparams.scale[row, index], qparams.zero_point[row, index], "i4")
            np.testing.assert_array_equal(quantize(x[row, here], alone), whole[row, here])


def test_quantize_rounds_half_to_even():
    """A tie goes to the even integer, on both sides of zero."""
    ties = np.float32([0.5, 1.5, 2.5, -0.5, -1.5, -2.5])

    assert quantize(ties, QuantParams(1.0)).tolist() == [0, 2, 2, 0, -2, -2]


@pytest.mark.parametrize("storage", [*NARROW, "i32"])
def test_quantize_clamps(storage):
    """Values beyond the range, infinite ones too, land on qmin and qmax."""
    kind = STORAGES[storage]
    x = np.float32([-np.inf, -1e30, 1e30, np.inf])

    assert quantize(x, QuantParams(1.0, storage=storage)).tolist() == [kind.qmin, kind.qmin, kind.qmax, kind.qmax]


def test_quantize_narrow_range_never_gives_the_lowest_integer():
    """-128 is not used: -127..127."""
    assert quantize(np.float32([-500.0]), QuantParams(1.0, narrow_range=True)).tolist() == [-127]


def test_quantize_bias_is_exact_beyond_float32():
    """int32 is rounded in float64: 2**24 + 1 steps are not lost."""
    x = np.float64([(2**24 + 1) * 0.5, -(2**30 + 1) * 0.5])

    assert quantize(x, QuantParams(0.5, storage="i32")).tolist() == [2**24 + 1, -(2**30) - 1]


@pytest.mark.parametrize(
    ("qparams", "message"),
    [
        pytest.param(QuantParams([1.0] * 3, axis=0), "4 entries along axis 0 .got 3", id="count"),
        pytest.param(QuantParams([1.0] * 3, axis=2), "axis 2 does not exist", id="axis"),
        pytest.param(QuantParams([[1.0]], block_shape=(1, 32)), "blocks", id="blocks"),
    ],
)
def test_quantize_refuses_scales_that_do_not_fit(qparams, message):
    """The error says what was expected and what was there."""
    with pytest.raises(QuantParamsError, match=message):
        quantize(np.zeros((4, 5), np.float32), qparams)


def test_zero_survives_quantization(random_qparams):
    """Real 0 is exactly representable whatever the parameters (padding is exact)."""
    for seed, storage in enumerate(NARROW * 5):
        assert fake_quantize(np.float32([0.0]), random_qparams(seed, storage)).tolist() == [0.0]
